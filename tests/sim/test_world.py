"""The world of a scenario: several machines, their condition, parameters, repeatability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kuwa_machines.contracts import CommandKind, JointCommand, SimulatedRobot
from kuwa_machines.errors import KuwaError
from kuwa_sim.condition import Condition
from kuwa_sim.robot import SimRobot, robots_of
from kuwa_sim.scenario import Scenario, Station, load_scenario
from kuwa_sim.world import World

OVERLAY = """
machine: zx200
sources: {bench: "made up for a test"}
joints:
  boom_joint:
    drive: {valve: {dead_time: {value: 111, unit: ms, source: bench}}}
"""


def two() -> Scenario:
    """The excavator's scenario with a truck beside it."""
    scenario = load_scenario("dig_trench")
    truck = Station(machine="ic120", x_m=1.0, y_m=6.0, yaw_deg=90.0)
    return scenario.model_copy(update={"machines": {**scenario.machines, "truck": truck}})


def lever(robot: SimRobot, joint: str, value: float) -> None:
    values = np.zeros(len(robot.spec.joint_names))
    values[robot.spec.joint_names.index(joint)] = value
    robot.write(JointCommand(0.0, 1, "test", CommandKind.VALVE, robot.spec.joint_names, values))


def test_machines_of_one_world_move_by_themselves() -> None:
    world = World(two(), seed=3)
    robots = robots_of(world)
    world.reset(3)
    start = {name: robot.read().q.copy() for name, robot in robots.items()}
    lever(robots["zx200"], "arm_joint", 0.8)
    for _ in range(150):
        world.advance()
    moved = {name: np.abs(robot.read().q - start[name]).max() for name, robot in robots.items()}
    assert moved["zx200"] > 0.1 and moved["truck"] < 0.02
    assert robots["truck"].read().stamp == pytest.approx(1.5)
    assert robots["truck"].truth().position[:2] == pytest.approx([1.0, 6.0], abs=0.1)
    assert robots["truck"].task is None and robots["zx200"].task is not None


def test_a_seed_repeats_bit_for_bit() -> None:
    runs = []
    for _ in range(2):
        robot = SimRobot(two(), seed=5)
        robot.connect()
        lever(robot, "swing_joint", 1.0)
        states = [robot.advance() for _ in range(60)]
        ground = robot.world.running.ground.height.tobytes()
        runs.append((np.stack([s.q for s in states]).tobytes(), ground))
        robot.close()
    assert runs[0] == runs[1]


def test_condition_changes_the_machine_and_not_what_is_known_of_it() -> None:
    scenario = load_scenario("dig_trench")
    worn = scenario.lead.model_copy(
        update={
            "condition": Condition(wear_dead_band=1.0),
            "randomise": {"hydraulics.pump_flow": 0.1},
        }
    )
    robot = SimRobot(scenario.model_copy(update={"machines": {"zx200": worn}}), seed=1)
    robot.connect()
    assert robot.plant is not None
    known, real = robot.spec, robot.plant.spec
    for name, joint in known.joints.items():
        assert real.joints[name].oil.valve.dead_band == pytest.approx(2 * joint.oil.valve.dead_band)
    ratio = real.hydraulics.pump_flow / known.hydraulics.pump_flow
    assert 0.9 <= ratio <= 1.1 and ratio != 1.0


def test_a_file_of_parameters_takes_the_place_of_the_machines_own(tmp_path: Path) -> None:
    file = tmp_path / "found.yaml"
    file.write_text(OVERLAY)
    world = World(two(), parameters=str(file))
    assert world.specs["zx200"].joints["boom_joint"].oil.valve.dead_time == pytest.approx(0.111)
    world.reset(0)
    assert world.plant("zx200").spec.dead_time[1] == pytest.approx(0.111)
    file.write_text(OVERLAY.replace("zx200", "d37"))
    with pytest.raises(KuwaError, match=r"'d37'; dig_trench has zx200, ic120"):
        World(two(), parameters=str(file))


def test_a_world_that_was_not_reset_says_so() -> None:
    robot = SimRobot("dig_trench")
    assert isinstance(robot, SimulatedRobot)
    with pytest.raises(KuwaError, match="call connect"):
        robot.advance()
