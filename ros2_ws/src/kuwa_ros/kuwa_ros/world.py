"""Messages of the world to and from the contract types: poses, forces, pictures, ground, tasks."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

import numpy as np
from geometry_msgs.msg import WrenchStamped
from kuwa_msgs.msg import GroundTruth
from kuwa_msgs.msg import Task as TaskMsg
from nav_msgs.msg import MapMetaData, Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import Image, Imu

from kuwa_machines import contracts as c
from kuwa_machines.errors import CommandError
from kuwa_ros.conversions import doubles, numbers, seconds, time_msg

FAR = 1e7
"""No place on Earth is farther from a site's origin, and nothing moves as fast [m, m/s]."""
MAX_CELLS = 4_000_000
"""A larger height map is refused."""
CHANNELS: Final = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)),
                   "bgra8": (4, (2, 1, 0)), "mono8": (1, (0, 0, 0))}  # fmt: skip
"""By encoding, bytes of a pixel and where its red, green and blue are."""
MAX_PIXELS: Final = 50_000_000
"""A larger picture is refused."""


def odometry_msg(state: c.MachineState) -> Odometry:
    """Return the pose in ``map`` and the velocity in ``base_link``, as ROS wants it.

    The stamp is the instant at which the position was true, where the machine can tell.
    """
    msg = Odometry(child_frame_id="base_link")
    msg.header.frame_id = "map"
    known = math.isfinite(state.base_stamp)
    msg.header.stamp = time_msg(state.base_stamp if known else state.stamp)
    pose, twist = msg.pose.pose, msg.twist.twist
    p, q = pose.position, pose.orientation
    p.x, p.y, p.z = map(float, state.base_position)
    q.w, q.x, q.y, q.z = map(float, state.base_quaternion_wxyz)
    to_body = _rotation(state.base_quaternion_wxyz).T
    v, w = twist.linear, twist.angular
    v.x, v.y, v.z = (to_body @ state.base_velocity[:3]).tolist()
    w.x, w.y, w.z = (to_body @ state.base_velocity[3:]).tolist()
    return msg


def odometry_from(msg: Odometry) -> dict[str, Any]:
    """Return the fields of :class:`MachineState` that the message carries, in the world frame.

    Raises:
        CommandError: its pose is none, or its velocity infinite.
    """
    p, q = msg.pose.pose.position, msg.pose.pose.orientation
    v, w = msg.twist.twist.linear, msg.twist.twist.angular
    wxyz = np.array([q.w, q.x, q.y, q.z])
    pose = np.array([p.x, p.y, p.z, *wxyz])
    moves = np.array([v.x, v.y, v.z, w.x, w.y, w.z])
    if not (np.abs(pose) < FAR).all() or not abs(np.linalg.norm(wxyz) - 1.0) < 0.1:
        raise CommandError(f"odom: pose {pose.tolist()}; expected a place and a unit quaternion")
    if (np.abs(moves) >= FAR).any():
        raise CommandError(f"odom: velocities {moves.tolist()}; expected finite ones")
    to_world = _rotation(wxyz)
    velocity = np.concatenate([to_world @ (v.x, v.y, v.z), to_world @ (w.x, w.y, w.z)])
    return {
        "base_position": np.array([p.x, p.y, p.z]),
        "base_quaternion_wxyz": wxyz,
        "base_velocity": velocity,
        "base_stamp": seconds(msg.header.stamp),
    }


def imu_msg(state: c.MachineState) -> Imu:
    """Return attitude, angular rate and specific force of the undercarriage, in its frame."""
    msg = Imu()
    msg.header.frame_id = "base_link"
    msg.header.stamp = time_msg(state.stamp)
    q, w, a = msg.orientation, msg.angular_velocity, msg.linear_acceleration
    q.w, q.x, q.y, q.z = state.base_quaternion_wxyz.tolist()
    w.x, w.y, w.z = (state.base_velocity[3:] @ _rotation(state.base_quaternion_wxyz)).tolist()
    a.x, a.y, a.z = state.acceleration.tolist()
    return msg


def imu_from(msg: Imu, base_velocity: c.Array) -> dict[str, Any]:
    """Return the fields of :class:`MachineState` that the message carries.

    Args:
        base_velocity: the newest, shape (6,); its angular part is replaced in a copy.
    """
    q, w, a = msg.orientation, msg.angular_velocity, msg.linear_acceleration
    wxyz = np.array([q.w, q.x, q.y, q.z])
    velocity = base_velocity.copy()
    velocity[3:] = _rotation(wxyz) @ (w.x, w.y, w.z)
    return {
        "base_quaternion_wxyz": wxyz,
        "base_velocity": velocity,
        "acceleration": np.array([a.x, a.y, a.z]),
    }


def force_msg(state: c.MachineState) -> WrenchStamped:
    """Return the force of the ground on the tool, along the axes of the map; no moment."""
    msg = WrenchStamped()
    msg.header.frame_id = "map"
    msg.header.stamp = time_msg(state.stamp)
    f = msg.wrench.force
    f.x, f.y, f.z = state.tool_force.tolist()
    return msg


def force_from(msg: WrenchStamped) -> dict[str, Any]:
    """Return the fields of :class:`MachineState` that the message carries."""
    f = msg.wrench.force
    return {"tool_force": np.array([f.x, f.y, f.z])}


def image_msg(picture: NDArray[np.uint8], stamp: float, camera: str) -> Image:
    """Return a picture of a camera, shape (height, width, 3), as rgb8."""
    rows = np.ascontiguousarray(picture)
    msg = Image(height=rows.shape[0], width=rows.shape[1], encoding="rgb8", is_bigendian=0)
    msg.header.frame_id = f"{camera}_camera"
    msg.header.stamp = time_msg(stamp)
    msg.step = 3 * rows.shape[1]
    msg.data = array("B", rows.tobytes())
    return msg


def image_from(msg: Image) -> NDArray[np.uint8]:
    """Return the picture of a message as RGB, shape (height, width, 3).

    Raises:
        CommandError: its encoding is not known, or its data are not as long as it says.
    """
    if msg.encoding not in CHANNELS:
        raise CommandError(f"image {msg.encoding[:20]!r}; valid: {', '.join(CHANNELS)}")
    count, order = CHANNELS[msg.encoding]
    height, width, step = int(msg.height), int(msg.width), int(msg.step)
    data = np.frombuffer(msg.data, np.uint8)
    if height * width > MAX_PIXELS or step < width * count or len(data) < height * step:
        raise CommandError(f"image of {width} × {height} with {len(data)} bytes of {step} a row")
    rows = data[: height * step].reshape(height, step)[:, : width * count]
    image = rows.reshape(height, width, count)
    return image if order == (0, 1, 2) and count == 3 else image[:, :, order]


def truth_msg(truth: c.GroundTruth, stamp: float) -> GroundTruth:
    """Return where a simulated machine really is as a message."""
    msg = GroundTruth()
    msg.header.frame_id = "map"
    msg.header.stamp = time_msg(stamp)
    p, q, v, w = msg.pose.position, msg.pose.orientation, msg.linear, msg.angular
    p.x, p.y, p.z = map(float, truth.position)
    q.w, q.x, q.y, q.z = map(float, truth.quaternion_wxyz)
    v.x, v.y, v.z = map(float, truth.velocity[:3])
    w.x, w.y, w.z = map(float, truth.velocity[3:])
    msg.points = doubles(truth.points.ravel())
    msg.load = float(truth.load)
    return msg


def truth_from(msg: GroundTruth) -> c.GroundTruth:
    """Return where a simulated machine really is."""
    p, q, v, w = msg.pose.position, msg.pose.orientation, msg.linear, msg.angular
    return c.GroundTruth(
        np.array([p.x, p.y, p.z]),
        np.array([q.w, q.x, q.y, q.z]),
        np.array([v.x, v.y, v.z, w.x, w.y, w.z]),
        numbers(msg.points).reshape(-1, 3),
        msg.load,
    )


def _rotation(wxyz: c.Array) -> c.Array:
    w, x, y, z = wxyz / max(float(np.linalg.norm(wxyz)), 1e-12)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def terrain_msg(terrain: c.HeightMap, stamp: float) -> Image:
    """Return heights as a 32FC1 image: a row is a line of equal y, as in an occupancy grid."""
    rows = np.ascontiguousarray(terrain.height.T, dtype=np.float32)
    msg = Image(height=rows.shape[0], width=rows.shape[1], encoding="32FC1", is_bigendian=0)
    msg.header.frame_id = "map"
    msg.header.stamp = time_msg(stamp)
    msg.step = 4 * rows.shape[1]
    msg.data = array("B", rows.tobytes())
    return msg


def terrain_map_msg(terrain: c.HeightMap) -> MapMetaData:
    """Return where the cells of the height image lie; the origin is a corner, not a centre."""
    nx, ny = terrain.height.shape
    msg = MapMetaData(resolution=float(terrain.cell), width=nx, height=ny)
    msg.origin.position.x = terrain.x0 - 0.5 * terrain.cell
    msg.origin.position.y = terrain.y0 - 0.5 * terrain.cell
    return msg


def terrain_from(msg: Image, grid: MapMetaData) -> c.HeightMap:
    """Return the height map of an image and its grid.

    Raises:
        CommandError: it is of another kind or size than the grid, too large, or not finite.
    """
    if (
        msg.encoding != "32FC1"
        or msg.is_bigendian
        or (msg.width, msg.height)
        != (
            grid.width,
            grid.height,
        )
    ):
        raise CommandError(
            f"height image is {msg.width}×{msg.height} {msg.encoding!r}; expected "
            f"{grid.width}×{grid.height} '32FC1' little endian, as terrain/map says"
        )
    if msg.width * msg.height > MAX_CELLS or len(msg.data) != 4 * msg.width * msg.height:
        raise CommandError(
            f"height image has {len(msg.data)} bytes for {msg.width}×{msg.height} cells; "
            f"expected 4 a cell and at most {MAX_CELLS} cells"
        )
    rows = np.frombuffer(msg.data, dtype="<f4").reshape(msg.height, msg.width)
    height = np.ascontiguousarray(rows.T, dtype=np.float64)
    if not np.isfinite(height).all():
        bad = int(np.count_nonzero(~np.isfinite(height)))
        raise CommandError(f"height image has {bad} cells that are not finite; none may be")
    # The grid's resolution is a float32 in the message: 0.05 arrives as 0.0500000007.
    cell = float(np.format_float_positional(np.float32(grid.resolution), unique=True))
    x0 = grid.origin.position.x + 0.5 * cell
    y0 = grid.origin.position.y + 0.5 * cell
    return c.HeightMap(height, x0, y0, cell)


TASK_FIELDS = tuple(name for name in c.Task.__dataclass_fields__ if name != "path")


def task_msg(task: c.Task) -> TaskMsg:
    """Return a task as a message."""
    msg = TaskMsg(**{name: getattr(task, name) for name in TASK_FIELDS})
    msg.header.frame_id = "map"
    msg.path = doubles(np.array(task.path).ravel())
    return msg


def task_from(msg: TaskMsg) -> c.Task:
    """Return the task of a message.

    Raises:
        CommandError: its path has an odd count of numbers, or one that is not finite.
    """
    path = numbers(msg.path)
    if path.size % 2 or not np.isfinite(path).all():
        raise CommandError(f"task path of {path.size} numbers; expected finite pairs x, y")
    points = tuple((float(x), float(y)) for x, y in path.reshape(-1, 2))
    return c.Task(**{name: getattr(msg, name) for name in TASK_FIELDS}, path=points)
