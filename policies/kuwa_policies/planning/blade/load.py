"""Blade load control: the edge is lifted when it holds too much, and let down when it is free."""

from __future__ import annotations

import math

from kuwa_machines.contracts import MachineState
from kuwa_policies.planning.driving.pose import Pose

FULL = 0.8
"""Share of the blade's capacity from which the edge is lifted: the rest would leave at the ends."""
BAND = 0.15
"""Share of the capacity over which lifting grows from nothing to its full rate."""
RATE = 0.12
"""Fastest lifting and letting down [m/s]."""
MOST = 0.5
"""[m]."""
SLIP, STALL = 0.3, 0.55
"""Slip of the tracks, and share of the speed asked for, that count as too much."""
SMOOTHING = 0.4
"""Time constant of what is measured [s]."""


class LoadControl:
    """Follows load, slip and speed; ``raised`` is what is added to the edge's height [m].

    Args:
        capacity: of the blade [kg].
    """

    def __init__(self, capacity: float) -> None:
        self._capacity = capacity
        self.reset()

    def reset(self) -> None:
        """The blade is free."""
        self.raised = 0.0
        self._load = 0.0
        self._slip = 0.0
        self._slow = 0.0

    def update(self, state: MachineState, pose: Pose, asked: float, dt: float) -> float:
        """Return the height to add.

        Args:
            asked: speed along the hull that the sprockets were asked for [m/s].
        """
        blend = 1.0 - math.exp(-dt / SMOOTHING)
        load = state.tool_load if math.isfinite(state.tool_load) else self._load
        self._load += blend * (load - self._load)
        along = float(state.base_velocity[:3] @ pose.R[:, 0])
        slip = slow = 0.0
        if abs(pose.speed) > 0.15 and math.isfinite(along):
            slip = 1.0 - along / pose.speed
        if abs(asked) > 0.2:
            slow = 1.0 - pose.speed / asked
        self._slip += blend * (slip - self._slip)
        self._slow += blend * (slow - self._slow)
        excess = max(
            (self._load / self._capacity - FULL) / BAND,
            (self._slip - SLIP) / 0.1,
            (self._slow - STALL) / 0.1,
        )
        change = RATE * min(max(excess, -1.0), 1.0) * dt
        self.raised = min(max(self.raised + change, 0.0), MOST)
        return self.raised
