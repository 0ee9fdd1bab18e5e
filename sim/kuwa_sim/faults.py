"""What breaks during a run, as data: faults of sensors and of valves.

    faults:
      - {sensor: gnss, kind: outage, from_s: 20, to_s: 40}
      - {sensor: encoders, joint: boom_joint, kind: bias, quantity: position, value: 0.02}
      - {joint: arm_joint, kind: weak, value: 0.6, from_s: 30}

Values are in SI units of the quantity. A fault that the machine cannot have is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag, model_validator

from kuwa_machines.contracts import Array
from kuwa_machines.datafile import Data
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import HydrostaticDrive, MachineSpec

QUANTITIES: dict[str, tuple[str, ...]] = {
    "encoders": ("position", "velocity"),
    "pressures": ("pressure",),
    "imu": ("attitude", "heading", "angular_rate", "specific_force"),
    "gnss": ("position", "velocity"),
    "terrain": ("height",),
    "tool_force": ("force",),
    "tool_load": ("load",),
    "cameras": ("image",),
}
"""What each sensor measures. Roll and pitch are the axes x and y of ``attitude``."""

VECTORS = ("attitude", "angular_rate", "specific_force", "position", "velocity", "force")
NEEDS_VALUE = ("bias", "noise", "delay", "scale")
TIMING = ("dropout", "outage", "delay")
"""Kinds that concern when readings arrive, not what they say."""
JOINT_SENSORS = ("encoders", "pressures")


class FaultError(KuwaError):
    """A fault that the machine cannot have."""


class _Span(Data):
    from_s: float = Field(default=0.0, ge=0)
    to_s: float = math.inf

    @model_validator(mode="after")
    def _ordered(self) -> _Span:
        if not self.to_s > self.from_s:
            raise ValueError(f"to_s {self.to_s} must be above from_s {self.from_s}")
        return self


class Fault(_Span):
    """A fault of a sensor from ``from_s`` to ``to_s``.

    ``outage``: no readings; ``dropout``: this share of the readings is lost; ``delay``: they come
    this much later [s]; ``stuck``: readings keep coming with the last value, or with ``value``;
    ``bias``: added; ``noise``: its standard deviation, added; ``scale``: true value times this.
    Without ``quantity``, ``joint``, ``camera`` or ``axis`` all of the sensor's are concerned.
    """

    sensor: str
    kind: Literal["dropout", "stuck", "bias", "noise", "outage", "delay", "scale"]
    joint: str | None = None
    camera: str | None = None
    quantity: str | None = None
    axis: Literal["x", "y", "z"] | None = None
    value: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> Fault:
        if self.sensor not in QUANTITIES:
            raise ValueError(
                f"sensor: no sensor {self.sensor!r}; {choices(self.sensor, QUANTITIES)}"
            )
        self._check_value()
        quantities = QUANTITIES[self.sensor]
        if self.quantity is not None and self.quantity not in quantities:
            raise ValueError(
                f"quantity: {self.sensor} has no {self.quantity!r}; "
                f"{choices(self.quantity, quantities)}"
            )
        # A number has a unit: of two quantities it cannot mean both.
        if self.quantity is None and len(quantities) > 1 and self._has_unit:
            raise ValueError(f"quantity: needed with kind {self.kind}; {choices('', quantities)}")
        if self.joint is not None and self.sensor not in JOINT_SENSORS:
            raise ValueError(f"joint: sensor {self.sensor} has none; {choices('', JOINT_SENSORS)}")
        if self.camera is not None and self.sensor != "cameras":
            raise ValueError(f"camera: sensor {self.sensor} has none; valid: cameras")
        if self.axis is not None:
            self._check_axis(quantities)
        if self.kind == "delay" and (self.joint or self.quantity or self.axis):
            raise ValueError("kind: delay concerns a whole sensor; leave out joint, quantity, axis")
        if self.sensor == "cameras" and (self.kind in ("bias", "scale") or self._has_stuck_value):
            raise ValueError(f"kind: no {self.kind} of pictures; valid: noise, stuck and timing")
        if self.sensor == "terrain" and (self.kind == "scale" or self._has_stuck_value):
            raise ValueError(f"kind: no {self.kind} of heights; valid: bias, noise, stuck, timing")
        return self

    @property
    def _has_stuck_value(self) -> bool:
        return self.kind == "stuck" and self.value is not None

    @property
    def _has_unit(self) -> bool:
        return self.kind in ("bias", "noise") or self._has_stuck_value

    def _check_value(self) -> None:
        value = self.value
        if value is None:
            if self.kind in (*NEEDS_VALUE, "dropout"):
                raise ValueError(f"value: missing; kind {self.kind} needs one")
            return
        if self.kind == "outage":
            raise ValueError("value: kind outage takes none")
        if not math.isfinite(value):
            raise ValueError(f"value: {value} is not finite")
        if self.kind == "dropout" and not 0 < value <= 1:
            raise ValueError(f"value: a share of lost readings {value} must be in (0, 1]")
        if self.kind in ("noise", "delay") and value <= 0:
            raise ValueError(f"value: {self.kind} {value} must be positive")
        if self.kind == "delay" and value > MAX_DELAY:
            raise ValueError(f"value: delay {value} s must be at most {MAX_DELAY} s")

    def _check_axis(self, quantities: tuple[str, ...]) -> None:
        vectors = [name for name in quantities if name in VECTORS]
        if self.sensor == "encoders" or self.quantity not in vectors:
            raise ValueError(f"axis: {self.quantity or self.sensor} has none")
        if self.quantity == "attitude" and self.axis == "z":
            raise ValueError("axis: attitude has x (roll) and y (pitch); for z take heading")


MAX_DELAY = 5.0
"""Longest delay that a fault may add [s]."""


class ActuatorFault(_Span):
    """A fault of a joint's valve from ``from_s`` to ``to_s``.

    ``stuck_valve``: the spool stays at its last command, or at ``value``; ``dead_valve``: it stays
    in the middle; ``weak``: it opens by the share ``value`` of what is commanded.
    """

    joint: str
    kind: Literal["stuck_valve", "dead_valve", "weak"]
    value: float | None = None

    @model_validator(mode="after")
    def _possible(self) -> ActuatorFault:
        value = self.value
        if self.kind == "weak" and (value is None or not 0 <= value < 1):
            raise ValueError(f"value: kind weak needs a share in [0, 1), not {value}")
        if self.kind == "dead_valve" and value is not None:
            raise ValueError("value: kind dead_valve takes none")
        if self.kind == "stuck_valve" and value is not None and not -1 <= value <= 1:
            raise ValueError(f"value: a stuck command {value} must be in [-1, 1]")
        return self


def _which(raw: Any) -> str:
    if isinstance(raw, dict):
        return "sensor" if "sensor" in raw else "joint"
    return "sensor" if isinstance(raw, Fault) else "joint"


AnyFault = Annotated[
    Annotated[Fault, Tag("sensor")] | Annotated[ActuatorFault, Tag("joint")],
    Discriminator(_which),
]
"""An entry of a list of faults: of a sensor where it names one, else of a valve."""


def check_faults(faults: Sequence[Fault | ActuatorFault], spec: MachineSpec) -> None:
    """Refuse faults of what the machine does not have.

    Raises:
        FaultError: naming the fault, the key and the valid choices.
    """
    for k, fault in enumerate(faults):
        if fault.joint is not None and fault.joint not in spec.joints:
            raise FaultError(
                f"faults[{k}].joint: {spec.name} has no joint {fault.joint!r}; "
                f"{choices(fault.joint, spec.joints)}"
            )
        if isinstance(fault, ActuatorFault):
            continue
        if fault.sensor not in spec.sensors.present:
            raise FaultError(
                f"faults[{k}].sensor: {spec.name} has no {fault.sensor!r}; "
                f"{choices(fault.sensor, spec.sensors.present)}"
            )
        if fault.camera is not None and fault.camera not in spec.sensors.cameras:
            raise FaultError(
                f"faults[{k}].camera: {spec.name} has no camera {fault.camera!r}; "
                f"{choices(fault.camera, spec.sensors.cameras)}"
            )
        if fault.sensor == "pressures" and fault.joint is not None:
            worked = [
                name
                for name, joint in spec.joints.items()
                if not isinstance(joint.drive, HydrostaticDrive)
            ]
            if fault.joint not in worked:
                raise FaultError(
                    f"faults[{k}].joint: no pressure is measured at {fault.joint!r}; "
                    f"{choices(fault.joint, worked)}"
                )


class ActuatorFaults:
    """Turns the commands that a robot is given into those that its broken valves follow.

    Args:
        faults: those of sensors are left aside.
    """

    def __init__(self, faults: Sequence[Fault | ActuatorFault], spec: MachineSpec) -> None:
        check_faults(faults, spec)
        names = spec.joint_names
        self._faults = [
            (names.index(fault.joint), fault)
            for fault in faults
            if isinstance(fault, ActuatorFault)
        ]
        self._stuck: dict[int, float] = {}
        self._last = np.zeros(len(names))

    def apply(self, values: Array, time: float) -> Array:
        """Return the spool commands that take effect at ``time`` [s], shape (n,)."""
        if not self._faults or not np.all(np.abs(values) <= 1.0):
            return values  # what makes no sense is the valves' to refuse
        out = np.array(values, dtype=float)
        for k, (joint, fault) in enumerate(self._faults):
            if not fault.from_s <= time < fault.to_s:
                self._stuck.pop(k, None)
            elif fault.kind == "weak":
                out[joint] *= fault.value
            elif fault.kind == "dead_valve":
                out[joint] = 0.0
            elif fault.value is not None:
                out[joint] = fault.value
            else:
                out[joint] = self._stuck.setdefault(k, float(self._last[joint]))
        self._last = out
        return out
