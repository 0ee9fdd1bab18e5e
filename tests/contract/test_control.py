"""Every controller and the gate on every machine: each joint follows, stops, stays in bounds."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_hardware.gate import Gate
from kuwa_machines import MachineSpec, load_machine, machine_folders
from kuwa_machines.contracts import Array, CommandKind, JointCommand, MachineState, Mode, Trajectory
from kuwa_machines.spec import HydrostaticDrive
from kuwa_policies.control.controllers import CONTROLLERS, make_controller
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenery import Grid
from kuwa_sim.site import lone_plant
from kuwa_sim.soil import load_soil


class Loop:
    """Controller, gate and plant, with the true state as the measured one."""

    def __init__(self, spec: MachineSpec, controller: str) -> None:
        self.spec = spec
        self.plant: Plant = lone_plant(
            spec, load_soil("sandy_loam"), Grid(-9.9, -9.9, 0.1, 200, 200)
        )
        self.controller = make_controller(controller, spec, CONTROL_PERIOD)

    def start(self) -> None:
        self.plant.reset()
        self.controller.reset(self.state())
        self.gate = Gate(self.spec)
        self.gate.step(0.0, self.state(), None)
        for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
            assert self.gate.set_mode(mode, "test")[0]
        self.applied = np.zeros(len(self.spec.joint_names))
        self.ticks = 0
        self.reasons: list[str] = []

    def state(self) -> MachineState:
        p = self.plant
        pressure, flow, power = p.pump
        return MachineState(
            p.time, p.q, p.qd, p.torque, p.pressures, pressure, flow, power, p.base_position,
            p.base_quaternion_wxyz, p.base_velocity, p.tool_load,
        )  # fmt: skip

    def run(self, reference: Trajectory | Array | None, seconds: float) -> Array:
        """Return the joint velocities, shape (ticks, n)."""
        names = self.spec.joint_names
        seen = []
        for _ in range(round(seconds / CONTROL_PERIOD)):
            state = self.state()
            self.ticks += 1
            values = self.controller.step(state, reference, self.applied)
            request = JointCommand(
                state.stamp, self.ticks, "control", CommandKind.VALVE, names, values
            )
            output = self.gate.step(state.stamp, state, request)
            self.reasons += output.safety.reasons
            self.applied = output.applied.values
            self.plant.write(self.applied)
            self.plant.advance()
            seen.append(self.plant.qd)
        return np.array(seen)


BASIC = ("pid", "ebn")
"""Controllers that are tried on every machine also by the short tests."""
TYPICAL = ("zx200", "d37")
"""Machines on which they try all of them: one that works standing, one that works while driving."""


def pairs() -> list[object]:
    """Return all (machine, controller), those for the long tests marked."""
    return [
        pytest.param(
            (machine, controller),
            id=f"{controller}-{machine}",
            marks=() if controller in BASIC or machine in TYPICAL else pytest.mark.full,
        )
        for machine in sorted(machine_folders())
        for controller in CONTROLLERS
    ]


@pytest.fixture(params=pairs(), scope="module")
def loop(request: pytest.FixtureRequest) -> Loop:
    machine, controller = request.param
    return Loop(load_machine(machine), controller)


def functions(spec: MachineSpec) -> list[tuple[str, list[int]]]:
    """Return what moves by itself: a joint, or the motors of a group."""
    out: dict[str, list[int]] = {}
    for i, (name, joint) in enumerate(spec.joints.items()):
        drive = joint.drive
        group = drive.group if isinstance(drive, HydrostaticDrive) else ""
        out.setdefault(group or name, []).append(i)
    return list(out.items())


def settling(spec: MachineSpec, joints: list[int]) -> float:
    valves = [list(spec.joints.values())[i].drive.valve for i in joints]
    return max(v.dead_time + 5 * v.time_constant for v in valves)


def test_every_function_follows_a_velocity_and_stops_on_none(loop: Loop) -> None:
    spec = loop.spec
    for name, joints in functions(spec):
        joint = list(spec.joints.values())[joints[0]]
        up, down = joint.position.max - joint.home, joint.home - joint.position.min
        sign = 1.0 if up >= down else -1.0
        # A travel drive's loss is learnt in a second or two, others have no such thing.
        wait = settling(spec, joints) + (0.0 if joint.position.bounded else 2.0)
        fraction = min(0.35, 0.7 * max(up, down) / (joint.velocity * (wait + 1.0)))
        reference = np.zeros(len(spec.joint_names))
        reference[joints] = sign * fraction
        loop.start()
        qd = loop.run(reference, wait + 1.0)[-100:, joints].mean(axis=0)
        wanted = sign * fraction * spec.qd_max[joints]
        tolerance = 0.05 if joint.position.bounded else 0.02
        assert qd.mean() == pytest.approx(wanted.mean(), rel=tolerance), name
        rest = loop.run(None, settling(spec, joints) + 2.0)
        assert np.all(loop.applied == 0.0)
        assert np.abs(rest[-20:]).max() < 0.02, name


def test_wheels_and_sprockets_follow_a_chunk_and_stop_when_it_ends(loop: Loop) -> None:
    """Only velocities count; the ramp is followed without the dead time, and the end is a stop."""
    spec = loop.spec
    endless = [i for i, joint in enumerate(spec.joints.values()) if not joint.position.bounded]
    if not endless:
        pytest.skip("it does not drive")
    n = len(spec.joint_names)
    t = np.array([0.0, 0.6, 2.1, 4.6, 6.1, 6.4])
    share = np.array([0.0, 0.0, 0.3, 0.3, 0.0, 0.0])
    q, qd = np.tile(spec.home, (len(t), 1)), np.zeros((len(t), n))
    q[:, endless] = 17.0  # means nothing
    qd[:, endless] = share[:, None] * spec.qd_max[endless]
    loop.start()
    seen = loop.run(Trajectory(0.0, t, q, qd), 8.5)[:, endless].mean(axis=1)
    time = CONTROL_PERIOD * np.arange(1, len(seen) + 1)
    error = seen / spec.qd_max[endless].mean() - np.interp(time, t, share)
    assert np.abs(error).max() < 0.05
    assert np.abs(error[(time > 3.5) & (time < 4.5)]).mean() < 0.005
    assert np.abs(seen[-50:]).max() < 0.02
    assert np.all(loop.applied == 0.0)


def test_the_gate_lets_endless_joints_turn_and_bounds_the_others(loop: Loop) -> None:
    """A controller gone mad asks for everything: no limited joint of a driving machine gets out."""
    spec = loop.spec
    endless = [i for i, joint in enumerate(spec.joints.values()) if not joint.position.bounded]
    if not endless:
        pytest.skip("it does not drive")
    for sign in (1.0, -1.0):
        loop.start()
        most = np.zeros(len(spec.joint_names))
        for _ in range(700):
            loop.ticks += 1
            state = loop.state()
            request = JointCommand(
                state.stamp, loop.ticks, "control", CommandKind.VALVE, spec.joint_names,
                np.full(len(spec.joint_names), sign),
            )  # fmt: skip
            applied = loop.gate.step(state.stamp, state, request).applied.values
            assert np.all(np.isfinite(applied))
            most = np.maximum(most, sign * applied)
            loop.plant.write(applied)
            loop.plant.advance()
            assert np.all(loop.plant.q > spec.q_min - 0.005)
            assert np.all(loop.plant.q < spec.q_max + 0.005)
        assert np.all(most[endless] == 1.0)


@pytest.mark.parametrize("controller", CONTROLLERS)
def test_a_stick_at_rest_is_a_valve_at_rest(controller: str) -> None:
    """What spikes or was learnt must not reach the valve of a joint that nobody moves."""
    loop = Loop(load_machine("zx200"), controller)
    loop.start()
    n = len(loop.spec.joint_names)
    for _ in range(200):
        assert not loop.controller.step(loop.state(), np.zeros(n), np.zeros(n)).any()
