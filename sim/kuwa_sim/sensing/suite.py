"""All sensors of one machine on a site: from the plant's truth to the states that others see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_machines.contracts import HeightMap, MachineState, Task
from kuwa_sim.circuit_layout import AREA_EXTEND, AREA_RETRACT, interpolate
from kuwa_sim.faults import ActuatorFault, Fault, check_faults
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.sensing.images import Cameras
from kuwa_sim.sensing.kernel import attitude_state, attitude_truth
from kuwa_sim.sensing.later import Later, Spoil
from kuwa_sim.sensing.numbers import GROUPS, Numbers
from kuwa_sim.sensing.scan import Scanner
from kuwa_sim.sensing.streams import stream

GNSS = GROUPS.index("gnss")
DROOP = 0.05
"""Of the engine's governor, from no load to full power."""
SCAN_STREAM = 100
"""Number of the random stream of the scan."""


class SensorSuite:
    """Measures one machine, tick by tick.

    Args:
        plant: the machine, standing at its start.
        seed: of all errors, one number or several; the same seed and the same faults give the
            same bits. A fault of one sensor leaves the errors of the others as they are.
        faults: those of valves are left aside.
        cameras: make pictures; off by default because a picture costs more than the physics.
        task: its outline shows in the pictures.
        maps: measure the terrain; a scan costs as much as the physics of many ticks.
        oil_temperature: of the run [°C]; None: at which the machine's data hold.

    Raises:
        FaultError: the machine cannot have such a fault.
        RenderError: pictures are asked for and cannot be made on this computer.
    """

    def __init__(
        self,
        plant: Plant,
        seed: int | tuple[int, ...] = 0,
        faults: Sequence[Fault | ActuatorFault] = (),
        cameras: bool = False,
        task: Task | None = None,
        maps: bool = True,
        oil_temperature: float | None = None,
    ) -> None:
        spec = plant.spec
        oil = spec.hydraulics.oil.reference_temperature
        self._oil = oil if oil_temperature is None else oil_temperature
        self._engine = spec.safety.engine_speed or math.nan
        self._engine_power = spec.hydraulics.engine_power
        check_faults(faults, spec)
        self._plant = plant
        self._numbers = Numbers(spec, CONTROL_PERIOD, seed, faults)
        self._n = len(spec.joints)
        travels = [joint.drive.type == "hydrostatic" for joint in spec.joints.values()]
        self._worked = np.flatnonzero(~np.array(travels))
        self._levers = np.zeros((self._n, 2))
        self._velocity = plant.base_velocity[:3].copy()
        prefix = plant.model.body(plant.base).name.removesuffix(spec.undercarriage.link)
        self._scanner: Scanner | None = None
        self._maps: Later[HeightMap] | None = None
        if spec.sensors.terrain is not None and maps:
            data = spec.sensors.terrain
            rng = stream(seed, SCAN_STREAM)
            self._scanner = Scanner(data, plant.grid, plant.terrain.height, rng)
            of_scan = [f for f in faults if isinstance(f, Fault) and f.sensor == "terrain"]
            self._maps = Later(data, of_scan, rng, CONTROL_PERIOD, self._scanner.map)
            body = plant.data.body(prefix + data.link)
            self._eye = np.array(data.at), body.xpos, body.xmat
        self._cameras = None
        if cameras and spec.sensors.cameras:
            self._cameras = Cameras(plant, seed, faults, task)
        # Standing still until every reading is on its way.
        for tick in range(-self._numbers.warm_up, 0):
            self._look()
            self._numbers.step(tick)

    def measure(self) -> MachineState:
        """Return what the machine knows at the plant's present tick; call once a tick, in order."""
        tick = round(self._plant.time / CONTROL_PERIOD)
        self._look()
        self._numbers.step(tick)
        return self._state(tick)

    def close(self) -> None:
        """Release what pictures need; safe to call twice."""
        if self._cameras is not None:
            self._cameras.close()

    def _look(self) -> None:
        """Put the truth of this instant into the vector."""
        plant, x, at = self._plant, self._numbers.x, self._numbers.layout
        q = plant.q
        x[at.q] = q
        x[at.qd] = plant.qd
        x[at.pressure] = plant.pressures.ravel()
        circuit = plant.circuit
        fill_levers(circuit.table, circuit.parameters, q, self._worked, self._levers)
        x[at.lever] = self._levers.ravel()
        x[at.torque] = plant.torque
        x[at.pump] = plant.pump
        velocity = plant.base_velocity
        attitude_truth(
            plant.base_quaternion_wxyz, velocity, self._velocity, CONTROL_PERIOD, x[at.imu]
        )
        x[at.position] = plant.base_position
        x[at.velocity] = velocity[:3]
        x[at.load] = plant.tool_load
        x[at.force] = plant.tool_force

    def _state(self, tick: int) -> MachineState:
        at, n = self._numbers.layout, self._n
        out = self._numbers.out.copy()
        pressure = out[at.pressure].reshape(n, 2)
        effort = out[at.torque]
        effort[self._worked] = (out[at.lever].reshape(n, 2) * pressure).sum(1)[self._worked]
        imu = out[at.imu]
        wxyz, velocity = np.empty(4), np.empty(6)
        velocity[:3] = out[at.velocity]
        attitude_state(imu, wxyz, velocity[3:])
        pump = out[at.pump]
        measured = self._numbers.out_tick[GNSS]
        position = out[at.position]
        return MachineState(
            stamp=self._plant.time,
            q=out[at.q],
            qd=out[at.qd],
            effort=effort,
            pressure=pressure,
            pump_pressure=float(pump[0]),
            pump_flow=float(pump[1]),
            pump_power=float(pump[2]),
            base_position=position,
            base_quaternion_wxyz=wxyz,
            base_velocity=velocity,
            tool_load=float(out[at.load]),
            terrain=self._terrain(tick),
            base_stamp=measured * CONTROL_PERIOD if position[0] == position[0] else math.nan,
            acceleration=imu[6:9],
            tool_force=out[at.force],
            images=self._images(tick),
            # A governor lets the engine's speed fall by some per cent at full power.
            engine_speed=self._engine * (1.0 - DROOP * float(pump[2]) / self._engine_power),
            oil_temperature=self._oil,
        )

    def _terrain(self, tick: int) -> HeightMap | None:
        return None if self._maps is None else self._maps.step(tick, self._scan)

    def _scan(self, spoil: Spoil) -> HeightMap:
        at, position, rotation = self._eye
        eye = position + rotation.reshape(3, 3) @ at
        assert self._scanner is not None
        return self._scanner.scan(self._plant.terrain.height, eye, spoil.offset, spoil.noise)

    def _images(self, tick: int) -> Mapping[str, NDArray[np.uint8]]:
        return {} if self._cameras is None else self._cameras.step(tick)


@njit(cache=True)
def fill_levers(table, parameters, q, worked, out):  # type: ignore[no-untyped-def]
    """Fill the torque per pressure at both ports [m³], for the joints on the working pump."""
    for i in range(worked.shape[0]):
        lever = interpolate(table[i, 1], parameters[i], q[worked[i]])
        out[worked[i], 0] = lever * parameters[i, AREA_EXTEND]
        out[worked[i], 1] = -lever * parameters[i, AREA_RETRACT]
