"""Adaptive control with spikes: an arm with an unknown payload, a worn excavator; 20 trials each.

Every method runs on each trial of the arm, tuned with the same budget on other trials
(benchmarks/_arm_tuning.py). Nengo runs where KUWA_PEERS_NENGO names an interpreter that has it
(docs/how-to/compare-with-peers.md).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _arm_figures import measure_arm, measure_step
from _excavator_figures import measure_excavator
from _excavator_hours import measure_hours

from kuwa_cli.figure import Figure


def measure() -> Iterator[Figure]:
    """Time a step while the computer is cool, then run the arm, the excavator, and for an hour."""
    yield from measure_step()
    yield from measure_arm()
    yield from measure_excavator()
    yield from measure_hours()
