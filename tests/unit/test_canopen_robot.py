"""A robot whose joints are measured by CANopen sensors, on a clock of ours."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from canopen_rig import TICK, CanopenRig
from kuwa_hardware.canopen_sensors.robot import SensedRobot, sensed
from kuwa_hardware.mock import MockRobot
from kuwa_machines.contracts import CommandKind, JointCommand, Robot, SimulatedRobot

STEP = 2.0 * math.pi / 4096 * 0.5
"""One count of the encoder at the joint [rad]."""


def machine() -> tuple[CanopenRig, SensedRobot, MockRobot]:
    rig = CanopenRig()
    plant = MockRobot(rig.spec)
    robot = SensedRobot(plant, rig.sensors)
    rig.connect()
    robot.connect()
    return rig, robot, plant


def move(rig: CanopenRig, robot: SensedRobot, plant: MockRobot, ticks: int) -> None:
    names = tuple(rig.spec.joint_names)
    for _ in range(ticks):
        u = np.full(len(names), -0.5)
        robot.write(JointCommand(0.0, 1, "control", CommandKind.VALVE, names, u))
        state = plant.advance()
        rig.q = dict(zip(names, map(float, state.q), strict=True))
        rig.now += TICK
        rig.there.step(rig.q)


def test_its_angles_stand_in_the_state_of_the_robot() -> None:
    rig, robot, plant = machine()
    assert isinstance(robot, Robot)
    move(rig, robot, plant, 50)
    state, own = robot.read(), plant.read()
    lift = rig.spec.joint_names.index("lift_joint")
    assert state.q[lift] != own.q[lift]
    assert state.q[lift] == pytest.approx(own.q[lift], abs=STEP)
    assert state.stamp == own.stamp and state.faults == ()
    robot.close()
    rig.close()


def test_where_the_robot_measures_nothing_stamps_are_the_sensors() -> None:
    rig, robot, plant = machine()
    move(rig, robot, plant, 20)
    n = len(rig.spec.joint_names)
    unknown = np.full(n, np.nan)
    plant._state = lambda: replace(  # type: ignore[method-assign]
        MockRobot._state(plant), stamp=0.0, q=unknown, qd=unknown
    )
    state = robot.read()
    assert state.stamp == rig.now
    measured = [rig.spec.joint_names.index(name) for name in ("lift_joint", "roll_joint")]
    assert np.isfinite(state.q[measured]).all()
    robot.close()
    rig.close()


def test_a_silent_sensor_is_told_by_new_states_and_then_there_are_none() -> None:
    rig, robot, plant = machine()
    move(rig, robot, plant, 20)
    robot.read()
    rig.there.mute.add(10)
    for _ in range(15):
        move(rig, robot, plant, 1)
        state = robot.read()
    # The gate takes faults from new states.
    assert state.faults == ("sensor_silent",) and state.stamp == plant.read().stamp
    names = tuple(rig.spec.joint_names)
    asked = JointCommand(0.0, 1, "control", CommandKind.VALVE, names, np.full(len(names), 0.5))
    assert not robot.write(asked).values.any()
    stamps = set()
    for _ in range(20):
        move(rig, robot, plant, 1)
        stamps.add(robot.read().stamp)
    # Told, it is no longer said that the joint stands where it was seen last.
    assert len(stamps) < 12 and max(stamps) < plant.read().stamp - 0.05
    rig.there.mute.clear()
    move(rig, robot, plant, 2)
    state = robot.read()
    assert state.faults == () and state.stamp == plant.read().stamp
    assert robot.write(asked).values.all()
    robot.close()
    rig.close()


@pytest.mark.parametrize("blind", [False, True], ids=["", "after the machine's own was away"])
def test_a_value_that_stands_still_while_the_machine_turns_is_found(blind: bool) -> None:
    rig, robot, plant = machine()
    move(rig, robot, plant, 20)
    robot.read()
    if blind:
        unknown = np.full(len(rig.spec.joint_names), np.nan)
        plant.read = lambda: replace(MockRobot.read(plant), q=unknown)  # type: ignore[method-assign]
        move(rig, robot, plant, 1)
        robot.read()
        del plant.read
    rig.there.stuck.add(10)
    for _ in range(60):
        move(rig, robot, plant, 1)
        state = robot.read()
    assert state.faults == ("sensor_frozen",)
    rig.there.stuck.clear()
    move(rig, robot, plant, 2)
    assert robot.read().faults == ()
    robot.close()
    rig.close()


def test_a_simulated_robot_with_sensors_is_one_still_and_a_real_one_is_none() -> None:
    rig, robot, plant = machine()
    simulation = sensed(plant, rig.sensors)
    assert isinstance(simulation, SimulatedRobot)
    assert not isinstance(sensed(robot, rig.sensors), SimulatedRobot)
    rig.run(0.05)
    lift = rig.spec.joint_names.index("lift_joint")
    for state in (simulation.reset(0), simulation.advance()):
        assert state.q[lift] == rig.sensors.readings["lift"].angle
    robot.close()
    rig.close()
