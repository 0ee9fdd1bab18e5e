"""The hydraulic circuit obeys its valves, its pump and its relief valves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_sim.circuit_layout import FLOW, PUMP_POWER, PUMP_PRESSURE, SPOOL, TORQUE
from kuwa_sim.hydraulics import HydraulicCircuit, step_circuit, valve_flow

DT = 0.002
SPEC = load_machine("zx200")
BOOM, ARM = SPEC.joint_names.index("boom_joint"), SPEC.joint_names.index("arm_joint")


def run(
    circuit: HydraulicCircuit, u: np.ndarray, seconds: float, qd: np.ndarray | None = None
) -> None:
    """Step with the joints held where they are (qd None) or moving as if freely."""
    c, speed = circuit, np.zeros(4) if qd is None else qd
    for _ in range(round(seconds / DT)):
        step_circuit(
            u, SPEC.home, speed, c.parameters, c.table, c.bypass, c.pump, c.states, c.pump_state,
            c.history, c.head, DT,
        )  # fmt: skip


def test_nothing_happens_inside_the_dead_time_and_the_dead_band() -> None:
    circuit = HydraulicCircuit(SPEC, DT)
    u = np.zeros(4)
    u[ARM] = 1.0
    run(circuit, u, 0.426 - DT)
    assert circuit.states[ARM, SPOOL] == 0.0
    run(circuit, u, 3 * DT)
    assert circuit.states[ARM, SPOOL] > 0.0

    circuit = HydraulicCircuit(SPEC, DT)
    run(circuit, np.full(4, 0.059), 3.0)
    assert not circuit.states[:, FLOW].any()


def test_first_order_lag_reaches_63_percent_after_its_time_constant() -> None:
    circuit = HydraulicCircuit(SPEC, DT)
    u = np.zeros(4)
    u[BOOM] = -1.0
    run(circuit, u, 0.650 + 0.120)
    assert circuit.states[BOOM, SPOOL] == pytest.approx(-(1 - np.exp(-1)), abs=0.02)


def test_a_blocked_joint_stalls_at_relief() -> None:
    circuit = HydraulicCircuit(SPEC, DT)
    u = np.zeros(4)
    u[ARM] = 1.0
    run(circuit, u, 4.0)
    drive = SPEC.joints["arm_joint"].drive
    lever = 0.8
    force = drive.relief * drive.head_area - SPEC.hydraulics.tank_pressure * drive.rod_area
    assert circuit.states[ARM, TORQUE] == pytest.approx(force * lever, rel=0.05)
    assert circuit.pressures[ARM, 0] == pytest.approx(drive.relief, rel=1e-6)
    assert circuit.pump_state[PUMP_PRESSURE] == pytest.approx(SPEC.hydraulics.pump_relief)


def test_functions_share_the_pump() -> None:
    circuit = HydraulicCircuit(SPEC, DT)
    u = np.array([1.0, -1.0, 1.0, 1.0])
    run(circuit, u, 3.0)
    flows = np.abs(circuit.states[:, FLOW])
    assert flows.sum() <= SPEC.hydraulics.pump_flow * (1 + 1e-9)
    # Each keeps its share of the demand: flow sharing, not starvation of the heaviest load.
    full = np.array([170, 429, 429, 320]) / 60e3
    assert flows / flows.sum() == pytest.approx(full / full.sum(), rel=0.01)


@settings(max_examples=25, deadline=None)
@given(
    u=st.lists(st.floats(-1, 1), min_size=4, max_size=4),
    qd=st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=4),
)
def test_power_and_pressure_never_exceed_the_machine(u: list[float], qd: list[float]) -> None:
    circuit = HydraulicCircuit(SPEC, DT)
    for _ in range(5):
        run(circuit, np.array(u), 0.3, np.array(qd))
        assert circuit.pump_state[PUMP_POWER] <= SPEC.hydraulics.pump_power * (1 + 1e-9)
        for i, joint in enumerate(SPEC.joints.values()):
            assert circuit.pressures[i].max() <= joint.drive.relief * (1 + 1e-9)
        assert np.all(np.isfinite(circuit.states))


@given(st.floats(-1, 1))
def test_valve_curve_is_odd_bounded_and_dead_inside_its_band(u: float) -> None:
    flow = valve_flow(u, 0.06, 1.3)
    assert flow == -valve_flow(-u, 0.06, 1.3)
    assert abs(flow) <= 1.0
    if abs(u) <= 0.06:
        assert flow == 0.0
