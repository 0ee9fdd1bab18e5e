"""Adaptive control with spikes: an arm with an unknown payload, 20 trials, and what a step costs.

Every method runs on each trial of the arm, tuned with the same budget on other trials
(benchmarks/_arm_tuning.py). Nengo runs where KUWA_PEERS_NENGO names an interpreter that has it
(docs/how-to/compare-with-peers.md). The worn excavator: benchmarks/excavator.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _arm_figures import measure_arm, measure_step

from kuwa_cli.figure import Figure

PARTS: dict[str, Callable[[], Iterator[Figure]]] = {"step": measure_step, "arm": measure_arm}
"""A step is timed while the computer is cool."""
