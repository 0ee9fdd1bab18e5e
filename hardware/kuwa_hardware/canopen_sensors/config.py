"""Which CANopen sensor sits on which joint: ``canopen.yaml`` in the machine's folder.

q = sign · scale · measured + offset, without the angle of the sensor in ``relative_to``
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuwa_machines.datafile import Data, DataFile, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_machines.units import Angle, Ratio, Time

FILE = "canopen.yaml"


class SensorError(KuwaError):
    """A sensor that is not there, is another one, or is described wrongly."""


class SilentSensorError(SensorError):
    """A sensor that does not answer."""


class _Sensor(Data):
    node: Annotated[int, Field(ge=1, le=127)]
    joint: str | None = None
    """The joint that it measures; None for one that others refer to."""
    sign: Literal[-1, 1] = 1
    scale: Ratio
    """Of a gear between joint and sensor: turns of the joint for one of the sensor."""
    offset: Angle
    """The joint's angle where the sensor shows zero [rad]."""


class EncoderSensor(_Sensor):
    """An absolute encoder, DS-406."""

    type: Literal["encoder"]
    units: Annotated[int, Field(ge=2, lt=1 << 32)]
    """Measuring units per revolution, written to 6001h."""
    total: Annotated[int, Field(ge=2, lt=1 << 32)]
    """Total measuring range, written to 6002h; after it the count begins at 0 again."""


class InclinometerSensor(_Sensor):
    """One axis of an inclinometer, DS-410."""

    type: Literal["inclinometer"]
    axis: Literal["long", "lateral"]
    resolution: Literal[1, 10, 100, 1000]
    """In 0.001 degrees, written to 6000h."""
    relative_to: str | None = None
    """Sensor of the body that the joint turns against; None: the joint turns against level."""


Sensor = Annotated[EncoderSensor | InclinometerSensor, Field(discriminator="type")]


class SensorFile(DataFile):
    """All sensors of a machine, and the times that are set in them."""

    period: Time
    """Of their process data [s]."""
    heartbeat: Time
    """[s]."""
    sensors: dict[str, Sensor]

    @model_validator(mode="after")
    def _consistent(self) -> SensorFile:
        for name in ("period", "heartbeat"):
            if not 0.001 <= getattr(self, name) <= 10.0:
                raise ValueError(f"{name} {getattr(self, name)} s: expected 1 ms to 10 s")
        joints = [s.joint for s in self.sensors.values() if s.joint is not None]
        twice = sorted({j for j in joints if joints.count(j) > 1})
        if twice:
            raise ValueError(f"sensors: joint {twice[0]!r} has two")
        shared: dict[int, Sensor] = {}
        for name, sensor in self.sensors.items():
            before = shared.setdefault(sensor.node, sensor)
            if before is not sensor and not (
                isinstance(sensor, InclinometerSensor)
                and isinstance(before, InclinometerSensor)
                and sensor.axis != before.axis
                and sensor.resolution == before.resolution
            ):
                raise ValueError(f"sensors.{name}: node {sensor.node} is another sensor's")
            other = getattr(sensor, "relative_to", None)
            if other is not None and other not in self.sensors:
                raise ValueError(
                    f"sensors.{name}.relative_to: no sensor {other!r}; "
                    f"{choices(other, self.sensors)}"
                )
        return self


def load_sensors(spec: MachineSpec, path: Path | None = None) -> SensorFile:
    """Read ``canopen.yaml`` of a machine, or the file at ``path``.

    Raises:
        SensorError: there is none, or it does not fit the machine's joints.
    """
    file = path or spec.folder / FILE
    loaded = load_data(file, SensorFile, SensorError)
    for name, sensor in loaded.sensors.items():
        if sensor.joint is not None and sensor.joint not in spec.joints:
            raise SensorError(
                f"{file}: sensors.{name}.joint: {choices(sensor.joint, spec.joint_names)}"
            )
    return loaded
