"""Sensors of a simulated machine: its states as its instruments deliver them, faults included."""

from __future__ import annotations

from kuwa_sim.sensing.suite import SensorSuite

__all__ = ["SensorSuite"]
