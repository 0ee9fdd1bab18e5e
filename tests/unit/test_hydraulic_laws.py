"""Load sensing, oil columns and the engine's power against their closed forms, within 1 %."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, LoadSensing, MachineSpec
from kuwa_sim.circuit_layout import (
    AREA_EXTEND,
    AREA_RETRACT,
    BULK,
    COLUMN,
    FLOW,
    LEAKAGE,
    PUMP_POWER,
    PUMP_PRESSURE,
    TORQUE,
    column_stiffness,
)
from kuwa_sim.condition import Condition, apply
from kuwa_sim.hydraulics import HydraulicCircuit, step_circuit
from kuwa_sim.travel import TravelDrives, step_travel

DT = 0.002
SPEC = load_machine("zx200")
SWING, BOOM, ARM, BUCKET = range(4)


def run(c: HydraulicCircuit, u: list[float], seconds: float, qd: np.ndarray | None = None) -> None:
    speed = np.zeros(4) if qd is None else qd
    for _ in range(round(seconds / DT)):
        step_circuit(
            np.array(u), SPEC.home, speed, c.parameters, c.table, c.bypass, c.pump, c.states,
            c.pump_state, c.history, c.head, DT,
        )  # fmt: skip


def arm_lever() -> float:
    drive = SPEC.joints["arm_joint"].oil
    assert isinstance(drive, CylinderDrive)
    return float(lever_arm(drive.linkage, SPEC.home[[ARM]])[0])


def test_stall_torque_is_relief_times_area_times_lever() -> None:
    c = HydraulicCircuit(SPEC, DT)
    run(c, [0, 0, 1, 0], 4.0)
    drive = SPEC.joints["arm_joint"].oil
    assert isinstance(drive, CylinderDrive)
    force = drive.relief * drive.head_area - SPEC.hydraulics.tank_pressure * drive.rod_area
    assert c.states[ARM, TORQUE] == pytest.approx(force * arm_lever(), rel=0.001)


def test_blocked_functions_share_what_the_power_leaves_at_relief() -> None:
    c = HydraulicCircuit(SPEC, DT)
    run(c, [0, -1, 1, 1], 5.0)
    h = SPEC.hydraulics
    assert c.pump_state[PUMP_PRESSURE] == pytest.approx(h.pump_relief)
    flows = np.abs(c.states[:, FLOW])
    assert flows.sum() == pytest.approx(h.pump_power / h.pump_relief, rel=1e-6)
    valves = [joint.oil.valve for joint in SPEC.joints.values()]
    full = np.array([0, valves[1].max_flow_negative, *(v.max_flow_positive for v in valves[2:])])
    assert flows == pytest.approx(flows.sum() * full / full.sum(), rel=1e-3)


def test_with_load_sensing_a_heavy_load_takes_its_share_all_the_same() -> None:
    light, heavy = HydraulicCircuit(SPEC, DT), HydraulicCircuit(SPEC, DT)
    for c, force in ((light, 1e4), (heavy, 2e5)):
        for _ in range(1500):
            c.states[ARM, COLUMN], c.states[SWING, COLUMN] = force, 1e3
            speed = np.zeros(4)
            speed[ARM] = c.states[ARM, FLOW] / c.parameters[ARM, AREA_EXTEND] / arm_lever()
            speed[SWING] = c.states[SWING, FLOW] / c.parameters[SWING, AREA_EXTEND]
            run(c, [0.4, 0, 0.3, 0], DT, speed)
    assert heavy.states[:, FLOW] == pytest.approx(light.states[:, FLOW], rel=1e-9)
    h = SPEC.hydraulics
    assert isinstance(h, LoadSensing)
    for c, force in ((light, 1e4), (heavy, 2e5)):
        a_h, a_r = c.parameters[ARM, [AREA_EXTEND, AREA_RETRACT]]
        load = (force + h.tank_pressure * a_r) / a_h
        wanted = load + h.load_sensing_margin
        assert c.pump_state[PUMP_PRESSURE] == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("wear", [0.0, 4.0])
def test_a_held_load_leaks_away_exponentially(wear: float) -> None:
    """Ḟ = −K L F/A²: with the joint held, F falls by e in A²/(K L)."""
    spec = apply(SPEC, Condition(wear_leakage=wear))
    c = HydraulicCircuit(spec, DT)
    q = SPEC.home
    c.reset(q, np.array([0.0, 0.0, 50e3, 0.0]))
    before = c.states[ARM, COLUMN]
    p = c.parameters[ARM]
    drive = spec.joints["arm_joint"].oil
    assert isinstance(drive, CylinderDrive)
    K = column_stiffness(p, c.table[ARM], c.pump[BULK], q[ARM])
    rate = K * drive.leakage / drive.head_area**2
    run(c, [0, 0, 0, 0], 5.0)
    after = c.states[ARM, COLUMN]
    assert math.log(before / after) / 5.0 == pytest.approx(rate, rel=0.01)
    assert drive.leakage == pytest.approx((1 + wear) * SPEC.joints["arm_joint"].oil.leakage)


def test_a_load_sinks_as_fast_as_its_oil_leaks() -> None:
    """v = L F/A² leaves the force as it is."""
    c = HydraulicCircuit(SPEC, DT)
    c.reset(SPEC.home, np.array([0.0, 0.0, 50e3, 0.0]))
    before = c.states[ARM, COLUMN]
    p = c.parameters[ARM]
    drive = SPEC.joints["arm_joint"].oil
    assert isinstance(drive, CylinderDrive)
    qd = np.zeros(4)
    qd[ARM] = -p[LEAKAGE] * before / drive.head_area**2 / arm_lever()
    run(c, [0, 0, 0, 0], 20.0, qd)
    assert c.states[ARM, COLUMN] == pytest.approx(before, rel=0.001)


class Track:
    """The travel drives of a machine on shafts that turn as they are told."""

    def __init__(self, spec: MachineSpec) -> None:
        self.drives = TravelDrives(spec, DT)
        self.n = len(self.drives.names)
        first = spec.joints[self.drives.names[0]].drive
        assert isinstance(first, HydrostaticDrive)
        self.limit = first.power
        self.qfrc = np.zeros(self.n)

    def run(self, command: float, speed: np.ndarray, pump_power: float = 0.0) -> None:
        d, index = self.drives, np.arange(self.n)
        pump = np.zeros(5)
        pump[PUMP_POWER] = pump_power
        for _ in range(1000):
            step_travel(
                np.full(self.n, command), np.zeros(self.n), speed, index, index, self.qfrc,
                d.parameters, d.states, d.history, d.head, d.power, d.engine, pump, DT,
            )  # fmt: skip


@pytest.mark.parametrize("machine", ["d37", "ic120", "tractor_plough"])
def test_travel_and_the_working_pump_share_the_engine(machine: str) -> None:
    spec = load_machine(machine)
    rig, h = Track(spec), spec.hydraulics
    top = np.array([spec.joints[name].velocity for name in rig.drives.names])
    rig.run(1.0, 0.7 * top)
    alone = rig.qfrc.copy()
    assert alone @ (0.7 * top) == pytest.approx(min(rig.n * rig.limit, h.engine_power), rel=1e-6)
    taken = 0.75 * h.engine_power
    rig.run(1.0, 0.7 * top, taken)
    shared = rig.qfrc.copy()
    assert shared @ (0.7 * top) + taken == pytest.approx(h.engine_power, rel=1e-6)
    assert rig.drives.power[0] == pytest.approx(h.engine_power - taken, rel=1e-6)
    assert shared / alone == pytest.approx(np.full(rig.n, (shared / alone)[0]))


def test_a_slow_drive_pushes_with_its_whole_torque() -> None:
    spec = load_machine("d37")
    rig = Track(spec)
    rig.run(1.0, np.full(rig.n, 0.2), 0.0)
    torques = [spec.joints[name].drive.torque for name in rig.drives.names]  # type: ignore[union-attr]
    assert rig.qfrc == pytest.approx(torques)


def test_a_braking_drive_is_not_cut() -> None:
    spec = load_machine("d37")
    rig = Track(spec)
    top = np.array([spec.joints[name].velocity for name in rig.drives.names])
    rig.run(0.0, 0.5 * top, spec.hydraulics.engine_power)
    assert np.all(rig.qfrc < 0) and rig.drives.power[0] == 0.0
