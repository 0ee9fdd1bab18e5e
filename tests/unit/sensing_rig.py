"""A plant that stands still or moves as told, for the sensors to look at."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from kuwa_machines.sensors import Sensors
from kuwa_machines.spec import MachineSpec
from kuwa_sim.scenery import Grid
from kuwa_sim.sensing import SensorSuite


def exact(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "source": "test"}


def sampled(rate: float, **more: Any) -> dict[str, Any]:
    return {"rate": exact(rate, "Hz"), **more}


ENCODERS = sampled(
    100.0, position={"noise": exact(0, "rad")}, velocity={"noise": exact(0, "rad/s")}
)


def with_sensors(spec: MachineSpec, **sensors: Any) -> MachineSpec:
    """The machine with these sensors only, as a data file has them; perfect encoders if none."""
    data = Sensors.model_validate({"encoders": ENCODERS} | sensors)
    return spec.model_copy(update={"sensors": data})


class StillPlant:
    """What :class:`SensorSuite` reads of a plant; every number is there to be set."""

    def __init__(self, spec: MachineSpec, grid: Grid | None = None) -> None:
        n = len(spec.joints)
        self.spec = spec
        self.time = 0.0
        self.q, self.qd, self.torque = spec.home.copy(), np.zeros(n), np.zeros(n)
        self.pressures = np.full((n, 2), 1e7)
        self.pump = (2e7, 0.003, 6e4)
        self.base_position = np.zeros(3)
        self.base_quaternion_wxyz = np.array([1.0, 0.0, 0.0, 0.0])
        self.base_velocity = np.zeros(6)
        self.tool_load, self.tool_force = 500.0, np.array([1e4, 0.0, 2e4])
        worked = sum(joint.drive.type != "hydrostatic" for joint in spec.joints.values())
        self.circuit = SimpleNamespace(
            table=np.ones((worked, 2, 3)), parameters=np.ones((worked, 16))
        )
        self.grid = grid or Grid(-4.0, -4.0, 0.1, 81, 81)
        self.terrain = SimpleNamespace(height=np.zeros((self.grid.nx, self.grid.ny)))
        self.base = 1
        self.bodies = {
            name: SimpleNamespace(xpos=np.zeros(3), xmat=np.eye(3).ravel()) for name in spec.links
        }
        base = SimpleNamespace(name=spec.undercarriage.link)
        self.model = SimpleNamespace(body=lambda _: base)
        self.data = SimpleNamespace(body=self.bodies.__getitem__)


def follow(plant: Any, ticks: int, seed: int = 0, faults: Any = (), move: Any = None) -> list[Any]:
    """The states of ticks 0…ticks − 1; ``move(plant, t)`` sets the truth of each."""
    plant.time = 0.0
    suite = SensorSuite(plant, seed, faults)
    states = []
    for tick in range(ticks):
        plant.time = tick * 0.01
        if move is not None:
            move(plant, plant.time)
        states.append(suite.measure())
    return states
