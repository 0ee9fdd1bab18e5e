"""Limits that come from the oil: flows, pressures, power, and what a joint does that lacked oil."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gate_rig import state_at
from kuwa_hardware.bounds import OPEN_CENTRE, WEAR, Bounds
from kuwa_hardware.kernels.bounding import SURGE
from kuwa_hardware.kernels.motion import FLOW_POS, steady
from kuwa_hardware.kernels.postures import PRESSURE_FALL
from kuwa_hardware.limits import GateLimits
from kuwa_machines import load_machine
from kuwa_machines.spec import CylinderDrive, MotorDrive, NegativeFlow

OVERSPEED = GateLimits().overspeed
ZX = load_machine("zx200")
BUCKET = ZX.joint_names.index("bucket_joint")
SWING = ZX.joint_names.index("swing_joint")


def test_a_machine_with_open_centre_valves_is_faster_and_has_a_pump_for_each() -> None:
    closed, opened = load_machine("zx200"), load_machine("zx200_nfc")
    shared = opened.hydraulics
    assert isinstance(shared, NegativeFlow)
    for spec, factor, most in (
        (closed, WEAR, closed.hydraulics.pump_flow),
        (opened, OPEN_CENTRE, shared.pump_flow / shared.pumps),
    ):
        drive = spec.joints["swing_joint"].drive
        assert isinstance(drive, MotorDrive)
        row = Bounds(spec, GateLimits())._parameters[0]
        flow = min(drive.valve.max_flow_positive, most)
        assert row[FLOW_POS] == flow
        fastest = Bounds(spec, GateLimits())._table[0, 0]
        assert fastest == pytest.approx(factor * flow / drive.displacement)
    # The same front, of which the boom could take more than one of the two pumps gives.
    valve = opened.joints["boom_joint"].oil.valve
    one = shared.pump_flow / shared.pumps
    assert valve.max_flow_positive > one
    slow, quick = Bounds(opened, GateLimits()), Bounds(closed, GateLimits())
    assert slow._parameters[1, FLOW_POS] == one
    share = OPEN_CENTRE * one / (WEAR * valve.max_flow_positive)
    assert slow._table[1, 0] == pytest.approx(share * quick._table[1, 0])


def test_a_pressure_counts_for_the_direction_that_its_port_drives() -> None:
    bounds = Bounds(ZX, GateLimits())
    ports = np.tile([20e6, 1e6], (4, 1))
    state = replace(state_at(0.0, ZX.home), pressure=ports)
    bounds.learn(state)
    for j, name in enumerate(ZX.joint_names[1:], start=1):
        drive, q = ZX.joints[name].drive, ZX.home[j]
        assert isinstance(drive, CylinderDrive)
        # The first port pushes the rod out.
        longer = drive.linkage.length(q + 0.01) > drive.linkage.length(q)
        assert bounds._pressure[j] == pytest.approx(ports[j] if longer else ports[j, ::-1])


def test_a_pressure_that_rises_counts_at_once_and_one_that_falls_does_so_slowly() -> None:
    bounds = Bounds(ZX, GateLimits())
    low, high = (replace(state_at(0.0, ZX.home), pressure=np.full((4, 2), p)) for p in (1e6, 20e6))
    bounds.learn(low)
    bounds.learn(high)
    assert (bounds._pressure == 20e6).all()
    bounds.learn(low)
    assert bounds._pressure == pytest.approx(20e6 - PRESSURE_FALL * 19e6)
    for _ in range(100):
        bounds.learn(low)
    assert bounds._pressure == pytest.approx(1e6, rel=1e-3)


def told(joint: int, moves: float, sign: float, overspeed: float = OVERSPEED) -> float:
    """Return the speed that a full stroke is bounded to, of the joint's greatest.

    Args:
        moves: how fast it is, of its greatest speed, while it is told to be as fast as it may.
    """
    bounds = Bounds(ZX, replace(GateLimits(), overspeed=overspeed))
    qd = np.zeros(4)
    qd[joint] = sign * moves * ZX.qd_max[joint]
    q = np.array(ZX.home)
    q[joint] = 0.5 * (ZX.q_min[joint] + ZX.q_max[joint])
    state, full, out = state_at(0.0, q, qd), np.zeros(4), np.zeros(4)
    full[joint] = sign
    for _ in range(300):
        out = bounds.bound(full, out, state, np.ones(4), False, 0.01)
        bounds.advance(0.01, out)
    speed = steady(bounds._parameters, bounds._table, joint, out[joint], q[joint])
    return float(abs(speed)) / float(ZX.qd_max[joint])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_cylinder_that_lacks_oil_is_told_so_much_less_that_its_surge_is_no_overspeed(
    sign: float,
) -> None:
    for moves in (0.0, 0.3):
        speed = told(BUCKET, moves, sign)
        # When the oil comes it jumps from the one to the other, and swings beyond; the flow may
        # come where the joint is now, or a little farther on, where it is faster for the same.
        assert 0.7 * OVERSPEED < speed + SURGE * (speed - moves) < 1.001 * OVERSPEED
        assert speed < told(BUCKET, moves, sign, overspeed=10.0)
    assert told(BUCKET, 1.0, sign) == told(BUCKET, 1.0, sign, overspeed=10.0), "it follows"


def test_a_house_that_is_slow_to_turn_lacks_no_oil() -> None:
    assert told(SWING, 0.0, 1.0) == told(SWING, 0.0, 1.0, overspeed=10.0)
