"""What the localiser says, and what it takes its sensors to be."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard deviations that the filter assumes; rates per root second.

    Args:
        fix: of a position, with what wanders slowly [m]. heading: of a measured one [rad].
        place: [m]. turn, offset: [rad]. bias: [rad/s]. slip: [1]. crab: [m].
        first_offset, first_bias, first_slip, first_crab: at the beginning.
        gate: a fix this many standard deviations off is left out; `patience` of them in a row are
            believed.
    """

    fix: float = 0.015
    heading: float = math.radians(0.2)
    place: float = 0.005
    turn: float = math.radians(0.05)
    offset: float = math.radians(0.15)
    bias: float = math.radians(0.002)
    slip: float = 0.02
    crab: float = 0.05
    first_offset: float = math.radians(2.0)
    first_bias: float = math.radians(0.3)
    first_slip: float = 0.05
    first_crab: float = 0.5
    gate: float = 6.0
    patience: int = 10


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where the machine is at a state's stamp.

    Args:
        x, y: [m]. course: direction of travel of the fixed axle's middle [rad]. heading: [rad].
        yaw_rate: [rad/s]. speed: over ground [m/s]. slip: of the driven wheels [1].
        sigma: greater standard deviation of the place [m]. age: of the newest fix [s].
    """

    x: float
    y: float
    course: float
    heading: float
    yaw_rate: float
    speed: float
    slip: float
    sigma: float
    age: float
