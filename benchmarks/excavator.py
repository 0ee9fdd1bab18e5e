"""Adaptive control with spikes: the tip of 20 worn, laden excavators, and hours of learning.

Every controller follows the same motions with each machine; ``pid`` is tuned (_tuning.py), what
learns runs as it is shipped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _excavator_figures import measure_excavator
from _excavator_hours import measure_hours

from kuwa_cli.figure import Figure


def measure() -> Iterator[Figure]:
    """Run all controllers on all machines, then the spiking ones for an hour."""
    yield from measure_excavator()
    yield from measure_hours()
