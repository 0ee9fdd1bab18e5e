"""The expert in closed loop on the stand-in machine, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, MachineState, Plan, Task
from kuwa_machines.errors import KuwaError
from kuwa_machines.kinematics import ExcavatorKinematics, apply, transform
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.planning.expert import HORIZON, Expert
from plant_double import JointDouble, SoilDouble

REAL = load_machine("zx200")
SPEC = REAL.model_copy(
    update={"hydraulics": REAL.hydraulics.model_copy(update={"bulk_modulus": 1e15})}
)
KIN = ExcavatorKinematics(SPEC)
TASK = Task("dig_trench", 6.5, 0.0, 0.0, 3.0, 1.0, 0.5, 1.0, 6.0, 0.05)
PERIOD = 0.01


def still_state(time: float = 0.0) -> MachineState:
    return replace(JointDouble(SPEC, PERIOD).state(), stamp=time)


def flat() -> HeightMap:
    return SoilDouble(SPEC).map


def begin(task: Task) -> Plan:
    expert = Expert(SPEC)
    expert.reset(task)
    return expert.step(still_state(), flat())


class Loop:
    """Planner, controller and stand-in in lock-step."""

    def __init__(self, task: Task = TASK) -> None:
        self.plant, self.soil = JointDouble(SPEC, PERIOD), SoilDouble(SPEC)
        self.expert = Expert(SPEC)
        self.controller = TrackingController(SPEC, PERIOD)
        self.expert.reset(task)
        self.controller.reset(self.plant.state())
        self.applied = np.zeros(4)
        self.tick = 0
        self.plan: Plan | None = None

    def step(self) -> Plan:
        state = self.plant.state()
        if self.tick % 20 == 0:
            self.plan = self.expert.step(state, self.soil.map)
        assert self.plan is not None
        self.applied = self.controller.step(state, self.plan.trajectory, self.applied)
        self.plant.advance(self.applied)
        self.soil.advance(self.plant.q)
        self.tick += 1
        return self.plan


def test_digs_the_trench_and_says_so() -> None:
    loop = Loop()
    starts: list[float] = []
    phases: list[str] = []
    for _ in range(20_000):
        plan = loop.step()
        if plan.cycle > len(starts):
            starts.append(loop.plant.time)
        if not phases or phases[-1] != plan.phase:
            phases.append(plan.phase)
        if plan.done:
            break
    assert plan.done and plan.phase == "done"
    ground = loop.soil.map
    inside = np.ix_(np.abs(ground.xs() - 6.5) < 1.5, np.abs(ground.ys()) < 0.5)
    assert np.mean(np.abs(ground.height[inside] + 0.5) <= 0.05) >= 0.9
    assert 3 <= plan.cycle <= 8
    assert np.all((np.diff(starts) > 13) & (np.diff(starts) < 22))
    cycle = ["return", "approach", "penetrate", "dig", "curl", "swing_to_dump", "dump"]
    assert phases[:7] == cycle
    heap = ground.height[np.ix_(np.abs(ground.xs() - 1) < 1.6, np.abs(ground.ys() - 6) < 1.6)]
    assert heap.sum() * ground.cell**2 > 1.2


def test_same_inputs_give_the_same_bits() -> None:
    loops = [Loop(), Loop()]
    for _ in range(1500):
        plans = [loop.step() for loop in loops]
    assert plans[0].trajectory is not None and plans[1].trajectory is not None
    assert np.array_equal(plans[0].trajectory.q, plans[1].trajectory.q)


def test_chunks_overlap_without_a_seam() -> None:
    loop = Loop()
    before = loop.step().trajectory
    for _ in range(1200):
        chunk = loop.step().trajectory
        assert before is not None and chunk is not None
        if chunk is before:
            continue
        assert np.isclose(chunk.stamp - before.stamp, 0.2) and np.isclose(chunk.t[-1], HORIZON)
        assert np.allclose(chunk.q[:-2], before.q[2:], atol=1e-9)
        assert np.allclose(chunk.qd[:-2], before.qd[2:], atol=1e-9)
        before = chunk


def test_a_blocked_machine_is_waited_for_and_the_edge_lifted() -> None:
    loop = Loop()
    while loop.step().phase != "dig":
        pass
    reference = []
    for _ in range(400):
        loop.plant.blocked[:] = True
        plan = loop.step()
        assert plan.trajectory is not None
        reference.append(plan.trajectory.q[0])
    edge, _ = KIN.forward(np.array(reference))
    speed = np.linalg.norm(np.diff(edge[::20], axis=0), axis=1) / 0.2
    assert speed.max() < 1.0  # it never jumps
    assert np.ptp(edge[-40:, 0]) < 0.02  # it stands
    assert edge[-1, 2] > edge[200, 2] + 0.05  # it is being lifted
    loop.plant.blocked[:] = False
    for _ in range(1500):
        plan = loop.step()
    assert plan.phase not in ("dig", "penetrate")


def test_chunks_follow_the_undercarriage() -> None:
    expert = Expert(SPEC)
    expert.reset(TASK)
    tilt = np.array([np.cos(0.005), 0.0, np.sin(0.005), 0.0])
    position = np.array([0.02, -0.01, -0.03])
    state = still_state()
    expert.step(state, flat())
    edges = []
    for k in range(1, 40):
        moved = replace(still_state(0.2 * k), base_position=position, base_quaternion_wxyz=tilt)
        plan = expert.step(moved, flat())
        assert plan.trajectory is not None
        edge, _ = KIN.forward(plan.trajectory.q[0])
        edges.append(apply(transform(position, tilt), edge))
    level = Expert(SPEC)
    level.reset(TASK)
    for k in range(40):
        plan = level.step(still_state(0.2 * k), flat())
    assert plan.trajectory is not None
    wanted, _ = KIN.forward(plan.trajectory.q[0])
    assert np.linalg.norm(edges[-1] - wanted) < 2e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "dig_trensh"}, "did you mean 'dig_trench'"),
        ({"width": 2.0}, r"width 2\.0 m: a pass is as wide as the bucket, 1\.0 m"),
        ({"depth": -0.5}, "must be positive"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"yaw": 0.3}, "does not point at the swing axis"),
        ({"y": 1.5}, r"yaw 13\.2° would be right"),
        ({"x": 8.4}, "cannot be -0.50 m high"),
        ({"depth": 4.0}, "cannot be -4.00 m high"),
        ({"spoil_x": -9.0, "spoil_y": 9.0}, "phase 'swing_to_dump'"),
        ({"x": 30.0}, "lie on the map"),
    ],
)
def test_refuses_what_it_cannot_dig(change: dict[str, float], message: str) -> None:
    with pytest.raises(KuwaError, match=message):
        begin(replace(TASK, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0.5}, "the bucket is 1.0 m wide"),
        ({"length": 0.0}, "must be positive"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"yaw": 0.3}, "does not point at the swing axis"),
        ({"x": 7.6}, "out of reach|no bucket angle"),
    ],
)
def test_refuses_what_it_cannot_grade(change: dict[str, float], message: str) -> None:
    task = Task("grade", 6.5, 0.0, 0.0, 5.0, 1.0, tolerance=0.03)
    with pytest.raises(KuwaError, match=message):
        begin(replace(task, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depth": 0.0}, "must be positive"),
        ({"width": 0.5}, "the bucket is 1.0 m wide"),
        ({"volume": 0.0}, "volume"),
        ({"volume": 9.0}, r"holds about 3\.6 m³ of loose soil, volume 9\.0 m³"),
        ({"kind": "load"}, "spoil_height"),
        ({"kind": "load", "spoil_height": 6.0}, "cannot be emptied .* nearer or lower"),
        ({"x": 8.4}, "no bucket angle"),
    ],
)
def test_refuses_what_it_cannot_excavate(change: dict[str, float], message: str) -> None:
    task = Task("dig", 6.5, 0.0, 0.0, 3.0, 1.0, 1.0, 0.1, 6.2, 0.1, volume=2.0)
    with pytest.raises(KuwaError, match=message):
        begin(replace(task, **change))  # type: ignore[arg-type]


def test_digs_from_either_end_of_the_same_rectangle() -> None:
    one, other = begin(TASK), begin(replace(TASK, yaw=np.pi))
    assert one.trajectory is not None and other.trajectory is not None
    assert np.allclose(one.trajectory.q, other.trajectory.q)


def test_needs_a_task_first() -> None:
    with pytest.raises(KuwaError, match="reset"):
        Expert(SPEC).step(still_state(), flat())
