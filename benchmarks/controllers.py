"""Whole steps of each controller at work: four joints, 400 neurons, ten neuron steps a tick."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _excavator_figures import measure_controllers

from kuwa_cli.figure import Figure


def measure() -> Iterator[Figure]:
    """Follow a minute of the excavator's bench with each."""
    yield from measure_controllers()
