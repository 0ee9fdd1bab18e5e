"""From what ISOBUS counts in to joint angles: curvature to steered wheel, per cent to lift."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kuwa_hardware.isobus.codec import IsobusError
from kuwa_machines.followers import Ackermann
from kuwa_machines.spec import MachineSpec


@dataclass(frozen=True, slots=True)
class Steering:
    """The steered left wheel and the curvature of the path of the fixed axle's middle.

    tan δ = κ L / (1 − κ g / 2), κ and δ positive to the left. ISO 11783-7 counts curvature in
    1/km and positive to the right.

    Args:
        wheelbase: L [m]. gauge: g, between the kingpins [m].
    """

    wheelbase: float
    gauge: float

    def angle(self, curvature: float) -> float:
        """Return δ [rad] of a curvature as ISOBUS has it [1/km]."""
        kappa = -1e-3 * curvature
        return math.atan2(kappa * self.wheelbase, 1.0 - 0.5 * kappa * self.gauge)

    def curvature(self, angle: float) -> float:
        """Return the curvature as ISOBUS has it [1/km] of δ [rad]."""
        t = math.tan(angle)
        return -1e3 * t / (self.wheelbase + 0.5 * t * self.gauge)

    @classmethod
    def of(cls, spec: MachineSpec, joint: str) -> Steering:
        """Return the steering that a joint leads by Ackermann's geometry.

        Raises:
            IsobusError: no wheel follows this joint.
        """
        for passive in spec.passive_joints.values():
            follows = passive.follows
            if isinstance(follows, Ackermann) and follows.joint == joint:
                return cls(follows.wheelbase, follows.gauge)
        raise IsobusError(
            f"{spec.name}: no wheel follows {joint!r}, so its wheelbase is not known; a joint "
            "steered by guidance leads another by 'ackermann'"
        )


@dataclass(frozen=True, slots=True)
class Travel:
    """A hitch's travel: 0 % is lowest, 100 % is highest, linear in the angle of the lift.

    Args:
        low, high: of the joint, the higher one raises [rad].
    """

    low: float
    high: float

    def angle(self, percent: float) -> float:
        """Return the lift's angle [rad]."""
        return self.low + 0.01 * percent * (self.high - self.low)

    def percent(self, angle: float) -> float:
        """Return the position [%], held to the travel."""
        return min(max(100.0 * (angle - self.low) / (self.high - self.low), 0.0), 100.0)
