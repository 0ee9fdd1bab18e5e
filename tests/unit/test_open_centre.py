"""Negative flow control obeys its published equations; the lightest load moves first."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_machines.spec import MachineSpec, NegativeFlow
from kuwa_sim.circuit_layout import (
    AREA_EXTEND,
    AREA_RETRACT,
    CIRCUIT,
    COLUMN,
    CONTROL,
    FLOW,
    PUMP_FLOW,
    PUMP_POWER,
    PUMP_PRESSURE,
    SPOOL,
    STROKE,
    interpolate,
)
from kuwa_sim.hydraulics import HydraulicCircuit, step_circuit
from kuwa_sim.open_centre import bypass_flow

DT = 0.002
SPEC = load_machine("zx200_nfc")
H = SPEC.hydraulics
assert isinstance(H, NegativeFlow)
SWING, BOOM, ARM, BUCKET = range(4)
ONE_PUMP = H.pump_flow / H.pumps


class Rig:
    """A circuit whose joints move as fast as their oil lets them, against given loads."""

    def __init__(self, spec: MachineSpec = SPEC) -> None:
        self.c = HydraulicCircuit(spec, DT)
        self.q = spec.home.copy()
        self.levers = np.array([
            interpolate(self.c.table[i, 1], self.c.parameters[i], q) for i, q in enumerate(self.q)
        ])  # fmt: skip

    def run(self, u: dict[int, float], load: dict[int, float], seconds: float = 3.0) -> None:
        """Hold each function's inlet at a load pressure [MPa], whatever its speed."""
        c, d = self.c, np.zeros(4)
        for i, value in u.items():
            d[i] = value
        for _ in range(round(seconds / DT)):
            speed = np.zeros(4)
            for i, value in u.items():
                a_in, a_out, out = self.sides(i, value)
                force = load.get(i, 0.0) * 1e6 * a_in - H.tank_pressure * a_out
                c.states[i, COLUMN] = out * force
                speed[i] = math.copysign(abs(c.states[i, FLOW]), value) / a_in
                speed[i] /= abs(self.levers[i])
            step_circuit(
                d, self.q, speed, c.parameters, c.table, c.bypass, c.pump, c.states,
                c.pump_state, c.history, c.head, DT,
            )  # fmt: skip

    def sides(self, i: int, u: float) -> tuple[float, float, float]:
        head, rod = self.c.parameters[i, [AREA_EXTEND, AREA_RETRACT]]
        out = 1.0 if (u > 0) == (self.levers[i] > 0) else -1.0
        return (head, rod, out) if out > 0 else (rod, head, out)

    def flow(self, i: int) -> float:
        return abs(float(self.c.states[i, FLOW]))


def test_at_rest_the_pumps_stand_by_at_their_control_pressure() -> None:
    rig = Rig()
    rig.run({}, {}, 2.0)
    x = rig.c.pump_state
    for circuit in range(H.pumps):
        assert x[STROKE + 2 * circuit] == pytest.approx(H.standby_flow, rel=0.01)
        assert x[CONTROL + 2 * circuit] == pytest.approx(H.control_high, rel=0.01)
    spools = max(sum(s.pump == k + 1 for s in H.spools.values()) for k in range(H.pumps))
    pressure = H.control_high + spools * H.bypass_drop
    assert x[PUMP_PRESSURE] == pytest.approx(pressure, rel=0.01)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_pump_falls_linearly_with_control_pressure(share: float) -> None:
    """p_c = p_high (Q_b/Q_standby)², and Q = Q_max − (Q_max − Q_standby)(p_c − p_low)/(…)."""
    taken = share * (ONE_PUMP - H.standby_flow)
    left = bypass_flow(H, taken)
    control = H.control_high * (left / H.standby_flow) ** 2
    span = (control - H.control_low) / (H.control_high - H.control_low)
    assert taken + left == pytest.approx(ONE_PUMP - (ONE_PUMP - H.standby_flow) * span, rel=1e-6)


@pytest.mark.parametrize("u", [0.15, 0.25, 0.4])
@pytest.mark.parametrize("joint", [SWING, ARM, BUCKET])
def test_at_its_design_load_flow_goes_with_the_opening(joint: int, u: float) -> None:
    rig = Rig()
    edges = H.spools[SPEC.joint_names[joint]].positive
    rig.run({joint: u}, {joint: edges.load / 1e6})
    opening = float(rig.c.states[joint, SPOOL])
    full = SPEC.joints[SPEC.joint_names[joint]].oil.valve.max_flow_positive
    assert rig.flow(joint) == pytest.approx(opening * full, rel=0.01)
    pressure = edges.load + edges.outlet_drop + H.inlet_drop
    assert rig.c.pump_state[PUMP_PRESSURE] == pytest.approx(pressure, rel=0.01)


@pytest.mark.parametrize("load", [-6.0, 0.0, 4.0, 9.0])
def test_flow_and_pressures_balance_at_any_load(load: float) -> None:
    """Orifice law of both edges and of bypass and orifice, and oil is neither made nor lost."""
    rig = Rig()
    rig.run({ARM: 0.4}, {ARM: load})
    x, valve = rig.c.pump_state, SPEC.joints["arm_joint"].oil.valve
    edges = H.spools["arm_joint"].positive
    full = rig.c.states[ARM, SPOOL] * valve.max_flow_positive
    circuit = int(rig.c.parameters[ARM, CIRCUIT])
    drop = (rig.flow(ARM) / full) ** 2 * (H.inlet_drop + edges.outlet_drop)
    assert x[PUMP_PRESSURE] - load * 1e6 == pytest.approx(drop, rel=0.01)
    left = H.standby_flow * math.sqrt(x[CONTROL + 2 * circuit] / H.control_high)
    assert x[STROKE + 2 * circuit] == pytest.approx(left + rig.flow(ARM), rel=0.01)


def test_a_pump_gives_no_more_than_its_share_of_the_power() -> None:
    rig = Rig()
    rig.run({ARM: 0.9}, {ARM: 10.0})
    x = rig.c.pump_state
    # The other pump, of the swing alone, stands by.
    busy = x[PUMP_POWER] - H.standby_flow * (H.control_high + H.bypass_drop)
    assert busy == pytest.approx(H.pump_power / H.pumps, rel=0.01)


def test_a_load_that_pulls_is_held_by_the_outlet_and_made_up_from_the_tank() -> None:
    rig = Rig()
    load = -20.0
    rig.run({BOOM: 0.4}, {BOOM: load})
    drive = SPEC.joints["boom_joint"].oil
    full = rig.c.states[BOOM, SPOOL] * drive.valve.max_flow_positive
    drop = H.spools["boom_joint"].positive.outlet_drop
    held = full * math.sqrt((H.tank_pressure - load * 1e6) / drop)
    assert rig.flow(BOOM) >= 0.99 * held
    weak = SPEC.model_copy(update={"hydraulics": H.model_copy(update={"inlet_drop": 150e6})})
    rig = Rig(weak)
    rig.run({BOOM: 0.4}, {BOOM: load})
    assert rig.flow(BOOM) == pytest.approx(held, rel=0.01)
    given = full * math.sqrt((rig.c.pump_state[PUMP_PRESSURE] - H.tank_pressure) / 150e6)
    assert given < 0.9 * held, "or nothing had to be made up"


def test_of_two_on_one_pump_the_light_load_takes_more() -> None:
    rig = Rig()
    same = {ARM: 0.4, BUCKET: 0.4}
    rig.run(same, {ARM: 2.0, BUCKET: 2.0})
    even = rig.flow(ARM) / rig.flow(BUCKET)
    rig.run(same, {ARM: 15.0, BUCKET: 2.0})
    assert rig.flow(ARM) / rig.flow(BUCKET) < 0.6 * even
    # A load above what the light one lets the pump reach does not move, and does not sink.
    rig.run(same, {ARM: 33.0, BUCKET: 2.0})
    assert rig.flow(ARM) == 0.0 and rig.flow(BUCKET) > 0.0


def test_another_pump_is_not_disturbed() -> None:
    alone, beside = Rig(), Rig()
    alone.run({SWING: 0.4}, {SWING: 3.0})
    beside.run({SWING: 0.4, ARM: 0.8}, {SWING: 3.0, ARM: 5.0})
    assert H.spools["swing_joint"].pump != H.spools["arm_joint"].pump
    assert beside.flow(SWING) == alone.flow(SWING)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    st.lists(st.floats(-30, 34), min_size=4, max_size=4),
)
def test_power_and_pressure_stay_within_the_pumps(u: list[float], load: list[float]) -> None:
    rig = Rig()
    for _ in range(3):
        rig.run(dict(enumerate(u)), dict(enumerate(load)), 0.5)
        x = rig.c.pump_state
        assert x[PUMP_POWER] <= H.pump_power * (1 + 1e-9)
        assert 0 <= x[PUMP_PRESSURE] <= H.pump_relief * (1 + 1e-9)
        assert x[PUMP_FLOW] <= H.pump_flow * (1 + 1e-9)
        assert np.all(np.isfinite(rig.c.states))


def test_it_repeats_bit_for_bit() -> None:
    first, again = Rig(), Rig()
    for rig in (first, again):
        rig.run({BOOM: -0.5, ARM: 0.3}, {BOOM: 9.0, ARM: 4.0}, 1.0)
    assert first.c.states.tobytes() == again.c.states.tobytes()
    assert first.c.pump_state.tobytes() == again.c.pump_state.tobytes()
