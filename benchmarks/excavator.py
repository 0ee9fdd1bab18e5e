"""Adaptive control with spikes: the tip of 20 worn, laden excavators, and hours of learning.

Every controller follows the same motions with each machine; ``pid`` is tuned (_tuning.py), what
learns runs as it is shipped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _excavator_figures import measure_excavator
from _excavator_hours import NAMES, measure_hour

from kuwa_cli.figure import Figure

PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    "tip": measure_excavator,
    **{f"hour_{name}": partial(measure_hour, name) for name in NAMES},
}
