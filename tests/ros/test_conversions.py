"""Conversions: what goes into a message comes out again, and what is wrong is refused."""

from __future__ import annotations

from array import array
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import Image

from kuwa_machines import contracts as c
from kuwa_machines.errors import CommandError
from kuwa_ros import conversions as cv
from kuwa_ros import topics, world

pytestmark = pytest.mark.ros

NAMES = ("swing_joint", "boom_joint", "arm_joint", "bucket_joint")
RNG = np.random.default_rng(0)
STATE = c.MachineState(
    stamp=12.34,
    q=RNG.normal(size=4),
    qd=RNG.normal(size=4),
    effort=RNG.normal(size=4),
    pressure=1e6 * RNG.random((4, 2)),
    pump_pressure=2e7,
    pump_flow=0.007,
    pump_power=9e4,
    base_position=np.array([1.0, 2.0, 0.5]),
    base_quaternion_wxyz=np.array([0.5, 0.5, -0.5, 0.5]),
    base_velocity=RNG.normal(size=6),
    tool_load=812.0,
)
finite = st.floats(-1e6, 1e6)


def same(a: Any, b: Any) -> None:
    for item in fields(a):
        np.testing.assert_array_equal(getattr(a, item.name), getattr(b, item.name))


@given(st.integers(0, 2**31 - 2), st.integers(0, 999_999_999))
def test_a_stamp_of_a_message_survives_seconds(sec: int, nanosec: int) -> None:
    stamp = cv.time_msg(sec + 1e-9 * nanosec)
    assert 0 <= stamp.nanosec < 1_000_000_000
    assert abs((stamp.sec - sec) * 10**9 + stamp.nanosec - nanosec) <= 1e-9 * sec * 400 + 1


def test_a_stamp_that_rounds_up_to_a_second_carries() -> None:
    stamp = cv.time_msg(2.0 - 1e-12)
    assert (stamp.sec, stamp.nanosec) == (2, 0)


def test_a_state_survives_its_messages() -> None:
    back = cv.JointStateReader(NAMES)(cv.JointStateWriter(NAMES)(STATE))
    assert np.isnan(back.tool_load)
    parts = cv.hydraulic_from(cv.hydraulic_msg(STATE, NAMES), cv.JointOrder(NAMES))
    parts |= world.odometry_from(world.odometry_msg(STATE))
    assert parts.pop("base_stamp") == pytest.approx(STATE.stamp)
    whole = replace(back, **parts)
    np.testing.assert_allclose(whole.base_velocity, STATE.base_velocity, atol=1e-12)
    same(replace(whole, base_velocity=STATE.base_velocity), STATE)


def test_what_the_instruments_add_survives() -> None:
    measured = replace(
        STATE,
        base_stamp=12.29,
        acceleration=np.array([0.1, -0.2, 9.7]),
        tool_force=np.array([1e4, -2e3, 5e3]),
    )
    odom = world.odometry_msg(measured)
    assert cv.seconds(odom.header.stamp) == pytest.approx(12.29, abs=1e-9)
    parts = world.odometry_from(odom)
    assert parts["base_stamp"] == pytest.approx(12.29, abs=1e-9)
    imu = world.imu_msg(measured)
    assert cv.seconds(imu.header.stamp) == pytest.approx(12.34, abs=1e-9)
    parts |= world.imu_from(imu, parts["base_velocity"])
    parts |= world.force_from(world.force_msg(measured))
    back = replace(STATE, **parts)
    np.testing.assert_allclose(back.base_velocity, STATE.base_velocity, atol=1e-12)
    same(replace(back, base_velocity=STATE.base_velocity, base_stamp=12.29), measured)


def test_the_inertial_unit_turns_attitude_and_rate_but_not_the_speed() -> None:
    quarter = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    state = replace(
        STATE, base_quaternion_wxyz=quarter, base_velocity=np.array([0, 0, 0, 0.3, 0, 2.0]),
        acceleration=np.array([0.0, 0.0, 9.81]),
    )  # fmt: skip
    msg = world.imu_msg(state)
    rate = msg.angular_velocity
    np.testing.assert_allclose([rate.x, rate.y, rate.z], [0.0, -0.3, 2.0], atol=1e-12)
    older = np.array([1.0, 2.0, 3.0, 9.0, 9.0, 9.0])
    parts = world.imu_from(msg, older)
    np.testing.assert_allclose(parts["base_velocity"], [1, 2, 3, 0.3, 0, 2.0], atol=1e-12)
    assert older[3] == 9.0


def test_a_position_without_an_instant_has_the_stamp_of_the_state() -> None:
    assert np.isnan(STATE.base_stamp)
    assert cv.seconds(world.odometry_msg(STATE).header.stamp) == pytest.approx(12.34, abs=1e-9)
    early = world.odometry_msg(replace(STATE, base_stamp=-0.05))
    assert world.odometry_from(early)["base_stamp"] == pytest.approx(-0.05, abs=1e-9)


def test_a_picture_survives() -> None:
    picture = RNG.integers(0, 256, (24, 32, 3)).astype(np.uint8)
    msg = world.image_msg(picture, 1.0, "cab")
    assert (msg.encoding, msg.width, msg.height, msg.step) == ("rgb8", 32, 24, 96)
    np.testing.assert_array_equal(world.image_from(msg), picture)
    assert topics.camera("cab").name == "camera/cab/image_raw"


@pytest.mark.parametrize(
    ("encoding", "data", "pixel"),
    [("rgb8", [1, 2, 3], [1, 2, 3]), ("bgr8", [1, 2, 3], [3, 2, 1]), ("mono8", [7], [7, 7, 7]),
     ("bgra8", [1, 2, 3, 4], [3, 2, 1])],
)  # fmt: skip
def test_pictures_of_every_encoding_become_rgb(encoding: str, data: list, pixel: list) -> None:
    step = 5 * len(data) + 3
    rows = (data * 5 + [0] * 3) * 3
    msg = Image(height=3, width=5, step=step, encoding=encoding, data=array("B", rows))
    picture = world.image_from(msg)
    assert picture.shape == (3, 5, 3) and (picture == pixel).all()
    msg.height = 400
    with pytest.raises(CommandError, match="image of 5 × 400"):
        world.image_from(msg)
    msg.encoding = "bayer_rggb8"
    with pytest.raises(CommandError, match="valid: rgb8"):
        world.image_from(msg)


def test_odometry_gives_the_velocity_in_the_body() -> None:
    quarter = np.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    state = replace(
        STATE, base_quaternion_wxyz=quarter, base_velocity=np.array([1.0, 0, 0, 0, 0, 2.0])
    )
    twist = world.odometry_msg(state).twist.twist
    np.testing.assert_allclose([twist.linear.x, twist.linear.y], [0.0, -1.0], atol=1e-12)
    assert twist.angular.z == pytest.approx(2.0)


def test_joint_states_are_read_by_name() -> None:
    msg = cv.JointStateWriter(NAMES)(STATE)
    msg.name = [*reversed(NAMES), "bucket_end_joint"]
    msg.position = cv.doubles(np.append(STATE.q[::-1], 0.0))
    msg.velocity = cv.doubles(np.append(STATE.qd[::-1], 0.0))
    back = cv.JointStateReader(NAMES)(msg)
    np.testing.assert_array_equal(back.q, STATE.q)
    np.testing.assert_array_equal(back.qd, STATE.qd)
    assert np.isnan(back.effort).all()


def test_a_joint_state_without_a_joint_is_refused() -> None:
    with pytest.raises(CommandError, match="bucket_joint"):
        cv.JointStateReader(NAMES)(cv.JointStateWriter(NAMES[:3])(replace(STATE, q=STATE.q[:3])))
    short = cv.JointStateWriter(NAMES)(replace(STATE, qd=STATE.qd[:2]))
    with pytest.raises(CommandError, match="2 velocities"):
        cv.JointStateReader(NAMES)(short)


@given(
    st.lists(finite, min_size=4, max_size=4),
    st.integers(0, 2**64 - 1),
    st.sampled_from(c.CommandKind),
)
def test_a_command_survives(values: list[float], sequence: int, kind: c.CommandKind) -> None:
    command = c.JointCommand(1.25, sequence, "control", kind, NAMES, np.array(values))
    same(cv.command_from(cv.command_msg(command)), command)


def test_an_unknown_kind_is_refused() -> None:
    msg = cv.command_msg(c.JointCommand(0.0, 1, "x", c.CommandKind.VALVE, NAMES, np.zeros(4)))
    msg.kind = 9
    with pytest.raises(CommandError, match="0 VALVE"):
        cv.command_from(msg)


def test_terrain_survives_as_float32_with_its_grid() -> None:
    terrain = c.HeightMap(RNG.normal(size=(30, 20)), -2.5, -4.0, 0.05)
    image = world.terrain_msg(terrain, 1.0)
    back = world.terrain_from(image, world.terrain_map_msg(terrain))
    np.testing.assert_array_equal(back.height, terrain.height.astype(np.float32))
    assert back.cell == 0.05
    assert (back.x0, back.y0) == pytest.approx((-2.5, -4.0), abs=1e-12)
    assert back.index(-2.45, -4.0) == (1, 0)
    image.width = 31
    with pytest.raises(CommandError, match="terrain/map"):
        world.terrain_from(image, world.terrain_map_msg(terrain))
    image.width = 30
    image.data = image.data[:-4]
    with pytest.raises(CommandError, match="bytes"):
        world.terrain_from(image, world.terrain_map_msg(terrain))


def trajectory() -> c.Trajectory:
    q, qd = RNG.normal(size=(2, 26, 4))
    return c.Trajectory(3.0, np.arange(26) * 0.1, q, qd)


def test_a_trajectory_survives_in_any_joint_order() -> None:
    chunk = trajectory()
    msg = cv.trajectory_msg(chunk, NAMES)
    back = cv.trajectory_from(msg, cv.JointOrder(NAMES))
    np.testing.assert_array_equal(back.q, chunk.q)
    np.testing.assert_array_equal(back.qd, chunk.qd)
    np.testing.assert_allclose(back.t, chunk.t, atol=1e-9)
    mirrored = cv.trajectory_from(msg, cv.JointOrder(NAMES[::-1]))
    np.testing.assert_array_equal(mirrored.q, chunk.q[:, ::-1])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: m.points.clear(), "0 knots"),
        (lambda m: m.points.reverse(), "increase"),
        (lambda m: m.points.extend(m.points * 50), "knots"),
        (lambda m: setattr(m.points[3], "velocities", cv.doubles(np.zeros(2))), "lacks"),
        (lambda m: setattr(m.points[3], "positions", cv.doubles(np.full(4, np.nan))), "finite"),
        (lambda m: setattr(m, "joint_names", list(NAMES[:3])), "bucket_joint"),
    ],
)
def test_a_wrong_trajectory_is_refused(change: Any, why: str) -> None:
    msg = cv.trajectory_msg(trajectory(), NAMES)
    change(msg)
    with pytest.raises(CommandError, match=why):
        cv.trajectory_from(msg, cv.JointOrder(NAMES))


def test_task_safety_and_plan_survive() -> None:
    task = c.Task("dig_trench", 6.5, 0.0, 0.1, 3.0, 1.0, 0.5, 1.0, 6.0, 0.05)
    assert world.task_from(world.task_msg(task)) == task
    way = c.Task("haul", path=((0.0, 1.0), (5.0, 2.5)), speed=1.5, volume=3.0)
    assert world.task_from(world.task_msg(way)) == way
    odd = world.task_msg(way)
    odd.path = [1.0, 2.0, 3.0]
    with pytest.raises(CommandError, match="3 numbers"):
        world.task_from(odd)
    safety = c.SafetyState(c.Mode.AUTO, ("why",), (True, False, False, True), 7)
    assert cv.safety_from(cv.safety_msg(safety, 1.0)) == safety
    msg = cv.plan_msg(c.Plan(None, "dig", 3, False), 2.5)
    assert (msg.phase, msg.cycle, msg.done, msg.header.stamp.sec) == ("dig", 3, False, 2)


SPIKES = c.SpikeStats(
    200, 150, 12.5, 44.0, 0.95, float("nan"), 2**40, 2**50, 3.5, False, "the gate overrides",
    np.array([0.1, -0.2, np.nan, 0.0]),
)  # fmt: skip


def test_spikes_survive_in_any_joint_order() -> None:
    msg = cv.spikes_msg(SPIKES, 2.5, NAMES)
    assert msg.header.stamp.sec == 2
    same(cv.spikes_from(msg, cv.JointOrder(NAMES)), SPIKES)
    mirrored = cv.spikes_from(msg, cv.JointOrder(NAMES[::-1]))
    np.testing.assert_array_equal(mirrored.prediction_error, SPIKES.prediction_error[::-1])


def test_numbers_of_a_network_need_not_be_plain() -> None:
    stats = replace(SPIKES, spikes=np.int64(7), mean_rate=np.float32(0.5), learning=np.bool_(True))
    msg = cv.spikes_msg(stats, 0.0, NAMES)
    assert (msg.spikes, msg.mean_rate, msg.learning) == (7, 0.5, True)


def test_spikes_of_other_joints_are_refused() -> None:
    msg = cv.spikes_msg(SPIKES, 0.0, NAMES)
    msg.joint_name = ["left", *NAMES[1:]]
    with pytest.raises(CommandError, match="swing_joint"):
        cv.spikes_from(msg, cv.JointOrder(NAMES))
    msg = cv.spikes_msg(SPIKES, 0.0, NAMES)
    msg.prediction_error = cv.doubles(np.zeros(3))
    with pytest.raises(CommandError, match="3 errors for 4 joints"):
        cv.spikes_from(msg, cv.JointOrder(NAMES))
