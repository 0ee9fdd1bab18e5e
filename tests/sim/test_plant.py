"""The simulated machine behaves like one: it holds, stalls, breaks out, and loses no soil."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import CommandError, load_machine
from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_sim.model import Grid
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.site import lone_plant
from kuwa_sim.soil import load_soil

SPEC = load_machine("zx200")
GRID = Grid(-1.975, -2.975, 0.05, 240, 120)
N = len(SPEC.joints)
SWING, BOOM, ARM, BUCKET = range(N)


def make(start: Array | None = None, **soil: float) -> Plant:
    plant = lone_plant(SPEC, load_soil("sandy_loam").model_copy(update=soil), GRID)
    plant.reset(start)
    return plant


def drive(plant: Plant, seconds: float, **joints: float) -> None:
    u = np.zeros(N)
    for name, value in joints.items():
        u[SPEC.joint_names.index(f"{name}_joint")] = value
    plant.write(u)
    for _ in range(round(seconds / CONTROL_PERIOD)):
        plant.advance()


def pose_at(x: float, z: float, pitch_deg: float) -> Array:
    return ExcavatorKinematics(SPEC).inverse(np.array([x, 0.0, z]), np.radians(pitch_deg))


def test_it_holds_still_at_zero_command() -> None:
    plant = make()
    start, edge = plant.q, plant.edge
    drive(plant, 20.0)
    assert np.abs(plant.q - start).max() < 2e-3
    assert np.linalg.norm(plant.edge - edge) < 0.01
    assert np.abs(plant.qd).max() < 1e-3


def test_leakage_lets_the_boom_sink_slowly_and_never_rise() -> None:
    plant = make()
    start = plant.q[BOOM]
    drive(plant, 30.0)
    assert 0.0 < plant.q[BOOM] - start < 3e-3  # positive is down


def test_kinematics_agrees_with_mujoco() -> None:
    plant = make()
    base = np.asarray(plant.data.xpos[plant.model.body("track_link").id])
    rotation = plant.data.xmat[plant.model.body("track_link").id].reshape(3, 3)
    edge, _ = ExcavatorKinematics(SPEC).forward(plant.q)
    assert base + rotation @ edge == pytest.approx(plant.edge, abs=1e-6)


def test_each_joint_moves_the_way_it_is_told_and_reaches_a_good_speed() -> None:
    least = {"swing": 0.4, "boom": 0.2, "arm": 0.25, "bucket": 0.4}  # rad/s at 60 % spool
    for j, (name, speed) in enumerate(least.items()):
        for sign in (1, -1):
            plant = make()
            before = plant.q[j]
            fastest = 0.0
            plant.write(np.where(np.arange(N) == j, 0.6 * sign, 0.0))
            for _ in range(220):
                plant.advance()
                fastest = max(fastest, sign * plant.qd[j])
            assert sign * (plant.q[j] - before) > 0.2, name
            assert fastest > speed, name


def test_dead_time_passes_before_a_joint_moves() -> None:
    plant = make()
    drive(plant, 0.92, swing=1.0)
    assert abs(plant.qd[SWING]) < 1e-6
    drive(plant, 0.3, swing=1.0)
    assert plant.qd[SWING] > 0.02


@pytest.mark.parametrize(("joint", "low", "high"), [("arm", 80e3, 140e3), ("bucket", 100e3, 170e3)])
def test_breakout_force_at_relief_is_that_of_the_class(joint: str, low: float, high: float) -> None:
    """Specification sheets of 20-t machines: arm 99 to 118 kN, bucket 129 to 158 kN (ISO 6015)."""
    drive_data = SPEC.joints[f"{joint}_joint"].drive
    plant = make()
    index = SPEC.joint_names.index(f"{joint}_joint")
    lever = np.abs(plant.circuit.table[index, 1]).max()
    kinematics = ExcavatorKinematics(SPEC)
    q = SPEC.home.copy()
    edge, _ = kinematics.forward(q)
    h = 1e-6
    q[index] += h
    radius = np.linalg.norm(kinematics.forward(q)[0] - edge) / h
    force = drive_data.relief * drive_data.head_area * lever / radius
    assert low < force < high


def test_it_stalls_at_relief_in_ground_that_is_too_hard() -> None:
    plant = make(pose_at(7.0, -0.2, 110), cohesion=400e3)
    drive(plant, 4.0, arm=0.8)
    relief = SPEC.joints["arm_joint"].drive.relief
    assert plant.circuit.pressures[ARM, 0] == pytest.approx(relief, rel=0.02)
    assert abs(plant.qd[ARM]) < 0.05
    assert np.linalg.norm(plant.data.qpos[:2]) < 0.5, "the machine was pulled away"
    assert np.all(np.isfinite(plant.data.qpos))


def test_a_deep_cut_needs_more_force_than_a_shallow_one() -> None:
    peak = []
    for depth in (0.05, 0.25):
        plant = make(pose_at(7.5, 0.1, 110))
        drive(plant, 3.0)
        target = pose_at(7.5, -depth, 110)
        plant.reset(target)
        plant.write(np.array([0.0, 0.0, 0.35, 0.0]))
        most = 0.0
        for _ in range(150):
            plant.advance()
            most = max(most, plant.circuit.pressures[ARM, 0])
        peak.append(most)
    assert peak[1] > 1.3 * peak[0]


def test_digging_fills_the_bucket_and_loses_no_soil() -> None:
    plant = make(pose_at(7.8, 0.05, 105))
    drive(plant, 1.6, boom=0.35)
    drive(plant, 3.0, arm=0.6)
    drive(plant, 2.0, bucket=0.7, arm=0.4)
    drive(plant, 2.5, boom=-0.6, bucket=0.5)
    assert 150 < plant.tool_load < 1500
    assert plant.model.body_mass.sum() == pytest.approx(
        sum(link.mass for link in SPEC.links.values()) + plant.tool_load, rel=1e-9
    )
    drive(plant, 3.5, bucket=-0.8)
    drive(plant, 2.0)
    assert plant.tool_load < 20
    assert plant.terrain.volume_error() < 1e-9


def test_volume_is_conserved_under_random_commands() -> None:
    plant = make()
    rng = np.random.default_rng(3)
    for _ in range(60):
        plant.write(np.append(0.1 * rng.uniform(-1, 1), rng.uniform(-1, 1, 3)))
        for _ in range(50):
            plant.advance()
        assert np.all(np.isfinite(plant.data.qpos))
    assert plant.terrain.volume_error() < 1e-9


def test_the_same_commands_give_the_same_bits() -> None:
    def run() -> tuple[bytes, bytes]:
        plant = make()
        rng = np.random.default_rng(5)
        for _ in range(20):
            plant.write(rng.uniform(-1, 1, N))
            for _ in range(40):
                plant.advance()
        return plant.data.qpos.tobytes(), plant.terrain.height.tobytes()

    assert run() == run()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.01, -2.0])
def test_a_bad_command_is_refused_and_changes_nothing(bad: float) -> None:
    plant = make()
    plant.write(np.array([0.1, 0.2, 0.3, 0.4]))
    with pytest.raises(CommandError, match=r"within \[-1, 1\]"):
        plant.write(np.array([0.0, bad, 0.0, 0.0]))
    with pytest.raises(CommandError, match="expected 4"):
        plant.write(np.zeros(3))
    assert plant.command.tolist() == [0.1, 0.2, 0.3, 0.4]
