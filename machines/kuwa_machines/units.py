"""Numbers with a unit and a source: written as people publish them, handed on in SI.

A number in a data file is a mapping ``{value: 343, unit: bar, source: key}``. The field that takes
it names the dimension; any unit of that dimension is accepted and converted, any other is refused
with the list of what is valid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BeforeValidator

from kuwa_machines.errors import choices

UNITS: dict[str, dict[str, float]] = {
    "mass": {"kg": 1.0, "t": 1e3},
    "length": {"m": 1.0, "cm": 1e-2, "mm": 1e-3},
    "volume": {"m3": 1.0, "L": 1e-3},
    "time": {"s": 1.0, "ms": 1e-3},
    "velocity": {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3, "km/h": 1 / 3.6},
    "acceleration": {"m/s2": 1.0, "mg": 9.80665e-3},
    "angle": {"rad": 1.0, "deg": math.pi / 180},
    "angular_velocity": {"rad/s": 1.0, "deg/s": math.pi / 180, "rpm": math.pi / 30},
    "angular_acceleration": {"rad/s2": 1.0, "deg/s2": math.pi / 180},
    "force": {"N": 1.0, "kN": 1e3},
    "torque": {"N.m": 1.0, "kN.m": 1e3},
    "pressure": {"Pa": 1.0, "kPa": 1e3, "bar": 1e5, "MPa": 1e6},
    "flow": {"m3/s": 1.0, "L/min": 1e-3 / 60},
    "power": {"W": 1.0, "kW": 1e3},
    "motor_displacement": {"m3/rad": 1.0, "L/rev": 1e-3 / (2 * math.pi)},
    "rotational_viscosity": {"N.m.s/rad": 1.0, "kN.m.s/rad": 1e3},
    "rotational_stiffness": {"N.m/rad": 1.0, "kN.m/rad": 1e3},
    "moment_of_inertia": {"kg.m2": 1.0},
    "leakage": {"m3/s/Pa": 1.0, "mL/min/MPa": 1e-6 / 60 / 1e6},
    "cohesive_modulus": {"kN/m^(n+1)": 1e3},
    "frictional_modulus": {"kN/m^(n+2)": 1e3},
    "specific_weight": {"N/m3": 1.0, "kN/m3": 1e3},
    "stiffness": {"N/m": 1.0, "kN/m": 1e3, "MN/m": 1e6},
    "frequency": {"Hz": 1.0},
    "temperature": {"degC": 1.0},
    "kinematic_viscosity": {"m2/s": 1.0, "mm2/s": 1e-6},
    "command_jerk": {"1/s2": 1.0},
    "growth": {"1/h": 1.0, "percent/1000h": 1e-5},
    "ratio": {"1": 1.0, "percent": 1e-2},
}
"""Valid units by dimension, with the factor to SI. A pure number has the unit ``"1"``.
Temperatures stay in °C and growth in shares per hour, as everybody says them."""


def planar_points(raw: Any, what: str, axes: str) -> tuple[tuple[float, float], ...]:
    """Return points of a plane, of a mapping ``{value: [[x, z], …], unit: m, source: …}`` [m].

    Args:
        what: they make, for the words of errors. axes: of the plane, likewise.

    Raises:
        ValueError: it is no such mapping, has less than three points or one that is none.
    """
    if not isinstance(raw, dict) or set(raw) != {"value", "unit", "source"}:
        raise ValueError(f"expected {{value: [{axes}, …], unit: m, source: …}}")
    if raw["unit"] != "m":
        raise ValueError(f"unit {raw['unit']!r} is not valid here; valid: m")
    try:
        points = tuple(tuple(float(v) for v in point) for point in raw["value"])
    except (TypeError, OverflowError):
        raise ValueError(f"{what}'s points must be pairs of numbers {axes}") from None
    if len(points) < 3 or any(len(point) != 2 for point in points):
        raise ValueError(f"{what} needs at least three points {axes}")
    if not all(math.isfinite(v) for point in points for v in point):
        raise ValueError(f"{what}'s points must be finite")
    return points  # type: ignore[return-value]


def _reader(dimension: str, shape: int) -> Callable[[Any], Any]:
    units = UNITS[dimension]

    def read(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(
                f"{raw!r} has no unit and source; write "
                f"{{value: …, unit: {next(iter(units))}, source: …}}"
            )
        for key in ("value", "unit", "source"):
            if key not in raw:
                raise ValueError(f"missing {key!r} beside value {raw.get('value')!r}")
        extra = set(raw) - {"value", "unit", "source"}
        if extra:
            raise ValueError(f"unknown key {extra.pop()!r}; valid: source, unit, value")
        unit = str(raw["unit"])
        if unit not in units:
            raise ValueError(f"unit {unit!r} is no {dimension}; {choices(unit, units)}")
        values = raw["value"] if isinstance(raw["value"], list) else [raw["value"]]
        if len(values) != shape or isinstance(raw["value"], list) != (shape > 1):
            raise ValueError(f"value {raw['value']!r} must be {shape} number(s)")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"value {value!r} is not a number")
            if not math.isfinite(value):
                raise ValueError(f"value {value!r} is not finite")
        si = tuple(float(value) * units[unit] for value in values)
        return si if shape > 1 else si[0]

    return read


def quantity(dimension: str) -> BeforeValidator:
    """Return the pydantic annotation of a scalar of this dimension."""
    return BeforeValidator(_reader(dimension, 1))


def vector(dimension: str, shape: int) -> BeforeValidator:
    """Return the pydantic annotation of a fixed-length vector of this dimension."""
    return BeforeValidator(_reader(dimension, shape))


Mass = Annotated[float, quantity("mass")]
Length = Annotated[float, quantity("length")]
Volume = Annotated[float, quantity("volume")]
Time = Annotated[float, quantity("time")]
Velocity = Annotated[float, quantity("velocity")]
Acceleration = Annotated[float, quantity("acceleration")]
Angle = Annotated[float, quantity("angle")]
AngularVelocity = Annotated[float, quantity("angular_velocity")]
AngularAcceleration = Annotated[float, quantity("angular_acceleration")]
Force = Annotated[float, quantity("force")]
Torque = Annotated[float, quantity("torque")]
Pressure = Annotated[float, quantity("pressure")]
Flow = Annotated[float, quantity("flow")]
Power = Annotated[float, quantity("power")]
MotorDisplacement = Annotated[float, quantity("motor_displacement")]
RotationalViscosity = Annotated[float, quantity("rotational_viscosity")]
RotationalStiffness = Annotated[float, quantity("rotational_stiffness")]
MomentOfInertia = Annotated[float, quantity("moment_of_inertia")]
Leakage = Annotated[float, quantity("leakage")]
SpecificWeight = Annotated[float, quantity("specific_weight")]
CohesiveModulus = Annotated[float, quantity("cohesive_modulus")]
FrictionalModulus = Annotated[float, quantity("frictional_modulus")]
Stiffness = Annotated[float, quantity("stiffness")]
Frequency = Annotated[float, quantity("frequency")]
Temperature = Annotated[float, quantity("temperature")]
KinematicViscosity = Annotated[float, quantity("kinematic_viscosity")]
CommandJerk = Annotated[float, quantity("command_jerk")]
Growth = Annotated[float, quantity("growth")]
Ratio = Annotated[float, quantity("ratio")]
Point2 = Annotated[tuple[float, float], vector("length", 2)]
Point3 = Annotated[tuple[float, float, float], vector("length", 3)]
