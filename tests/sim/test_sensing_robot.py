"""The simulated robot and its instruments: what it knows is measured, what is broken shows."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_machines.datafile import load_data
from kuwa_sim.faults import ActuatorFault, Fault, FaultError
from kuwa_sim.gl import LIBRARIES
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import SCENARIOS, Scenario, ScenarioError


def command(robot: SimRobot, *values: float) -> JointCommand:
    names = robot.spec.joint_names
    return JointCommand(0.0, 1, "test", CommandKind.VALVE, names, np.array(values))


def fields(state: MachineState) -> list[np.ndarray]:
    names = ("q", "qd", "effort", "pressure", "base_position", "base_quaternion_wxyz",
             "base_velocity", "acceleration", "tool_force")  # fmt: skip
    return [np.asarray(getattr(state, name)) for name in names]


def test_the_robot_is_as_near_to_the_truth_as_its_instruments() -> None:
    robot = SimRobot("dig_trench")
    robot.connect()
    plant = robot.plant
    assert plant is not None
    truth = robot.truth()
    errors = []
    for _ in range(200):
        state = robot.advance()
        assert all(np.isfinite(values).all() for values in fields(state))
        errors.append(state.base_position - truth.position)
        assert 0.05 - 1e-9 <= state.stamp - state.base_stamp <= 0.36
    errors = np.array(errors)
    assert 1e-4 < np.abs(errors).mean() < 0.01
    assert state.acceleration == pytest.approx([0, 0, 9.81], abs=0.4)
    assert state.effort == pytest.approx(plant.torque, rel=0.05, abs=6e3)


def test_the_same_seed_measures_the_same_bits() -> None:
    robot = SimRobot("dig_trench", seed=5)
    runs = []
    for _ in range(2):
        robot.reset(5)
        states = [robot.read()] + [robot.advance() for _ in range(60)]
        runs.append(states)
    for one, two in zip(*runs, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(fields(one), fields(two), strict=True))
        assert (one.terrain is None) == (two.terrain is None)
        if one.terrain is not None and two.terrain is not None:
            assert np.array_equal(one.terrain.height, two.terrain.height)


def test_a_dead_valve_moves_nothing_and_a_stuck_one_does_not_stop() -> None:
    swing = {}
    for kind, value in (("dead_valve", None), ("stuck_valve", 0.6), ("weak", 0.6)):
        fault = ActuatorFault(joint="swing_joint", kind=kind, value=value)  # type: ignore[arg-type]
        robot = SimRobot("dig_trench", faults=[fault])
        robot.connect()
        start = robot.plant.q[0]  # type: ignore[union-attr]
        for tick in range(500):
            robot.write(command(robot, 0.7 if tick < 250 else 0.0, 0.0, 0.0, 0.0))
            robot.advance()
        swing[kind] = robot.plant.q[0] - start, robot.plant.qd[0]  # type: ignore[union-attr]
        robot.close()
    assert abs(swing["dead_valve"][0]) < 0.01
    assert swing["stuck_valve"][1] > 0.1
    assert 0.05 < swing["weak"][0] < swing["stuck_valve"][0]
    assert abs(swing["weak"][1]) < 0.05


def test_faults_of_a_scenario_reach_the_robot(tmp_path) -> None:  # type: ignore[no-untyped-def]
    text = (SCENARIOS / "dig_trench.yaml").read_text()
    file = tmp_path / "broken.yaml"
    at = "    task:"
    assert text.count(at) == 1
    fault = "    faults: [{sensor: gnss, kind: outage, from_s: 0.2}]\n"
    file.write_text(text.replace("name: dig_trench", "name: broken").replace(at, fault + at))
    robot = SimRobot(str(file))
    robot.connect()
    for _ in range(100):
        state = robot.advance()
    assert state.base_stamp <= 0.2
    file.write_text(file.read_text().replace("gnss", "gps"))
    with pytest.raises(ScenarioError, match=r"faults.*no sensor 'gps'.*gnss"):
        load_data(file, Scenario, ScenarioError)


def test_a_fault_that_the_machine_cannot_have_is_refused_at_once() -> None:
    with pytest.raises(FaultError, match="valid: arm_joint"):
        SimRobot("dig_trench", faults=[Fault(sensor="encoders", kind="stuck", joint="track")])


def opengl() -> bool:
    for library in LIBRARIES.values():
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        return True
    return False


@pytest.mark.skipif(not opengl(), reason="no OpenGL on this computer")
def test_cameras_show_the_ground_and_their_faults() -> None:
    faults = [Fault(sensor="cameras", camera="cab", kind="stuck", from_s=0.15, to_s=0.25)]
    robot = SimRobot("dig_trench", faults=faults, cameras=True)
    robot.connect()
    camera = robot.spec.sensors.cameras["cab"]
    pictures, at = [], []
    try:
        for tick in range(40):
            robot.write(command(robot, 1.0, 0.0, 0.0, 0.0))
            state = robot.read() if tick == 0 else robot.advance()
            if state.images:
                at.append(tick)
                pictures.append(state.images["cab"].astype(int))
    finally:
        robot.close()
    assert at == [0, 8, 18, 28, 38]  # every 100 ms, 80 ms late
    assert pictures[0].shape == (camera.height, camera.width, 3)
    assert pictures[0].std() > 10
    noise = (pictures[1] - pictures[0]).std() / np.sqrt(2)
    assert noise == pytest.approx(255 * camera.noise, rel=0.15)
    assert np.array_equal(pictures[2], pictures[3])
    assert not np.array_equal(pictures[1], pictures[2])
