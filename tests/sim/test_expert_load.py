"""The expert loads a dump truck beside it, and never touches the body."""

from __future__ import annotations

import numpy as np

from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import Task
from kuwa_machines.kinematics import ExcavatorKinematics, apply, transform
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Station, load_scenario
from kuwa_sim.world import World


def test_a_truck_is_loaded_over_its_rim() -> None:
    scenario = load_scenario("dig_trench")
    machines = {"digger": scenario.lead, "truck": Station(machine="ic120", x_m=2.9, y_m=6.0)}
    world = World(scenario.model_copy(update={"machines": machines}), seed=1)
    robot = SimRobot(world=world, name="digger")
    robot.connect()
    digger, truck = world.plant("digger"), world.plant("truck")
    tool = world.specs["truck"].tool
    profile = np.array(tool.profile)  # type: ignore[union-attr]
    body = truck.model.body(f"truck/{tool.link}").id
    origin = truck.data.xpos[body].copy()
    R = truck.data.xmat[body].reshape(3, 3).copy()
    middle = np.array([profile[:, 0].mean(), 0.0, 0.0])
    middle[0] = (profile[:, 0].min() + profile[:, 0].max()) / 2
    rim = origin[2] + profile[:, 1].max()
    half = np.array([np.ptp(profile[:, 0]), tool.width]) / 2 + 0.1  # type: ignore[union-attr]
    at = origin + R @ middle
    task = Task(
        "load", 6.5, 0.0, 0.0, 3.0, 1.0, 0.8, at[0], at[1], 0.1, volume=1.6, spoil_height=rim
    )
    kin = ExcavatorKinematics(robot.spec)
    over: list[float] = []
    loads: list[float] = []

    def observe(tick: Tick) -> None:
        q = digger.q
        edge, pitch = kin.forward(q)
        outline = kin.outline_from_edge(pitch)
        out = np.hypot(*(edge - kin.base)[:2]) + outline[:, 0]
        c, s = np.cos(q[0]), np.sin(q[0])
        for side in (-0.5, 0.5):
            v = side * robot.spec.bucket.width
            x, y = out * c - v * s + kin.base[0], out * s + v * c + kin.base[1]
            points = np.column_stack([x, y, edge[2] + outline[:, 1]])
            points = apply(transform(digger.base_position, digger.base_quaternion_wxyz), points)
            inside = np.all(np.abs(((points - at) @ R)[:, :2]) < half, axis=-1)
            over.extend(points[inside, 2] - rim)
        if tick.plan.phase == "dump" and len(loads) < tick.plan.cycle:
            loads.append(digger.tool_load)

    controller, gate = TrackingController(robot.spec, robot.control_period), Gate(robot.spec)
    run_lockstep(robot, make_expert(robot.spec), controller, gate, task, 80.0, observe)
    assert len(loads) == 2
    assert truck.tool_load > 0.97 * sum(loads)
    assert min(over) > 0.15
    assert robot.limit_violations == 0
