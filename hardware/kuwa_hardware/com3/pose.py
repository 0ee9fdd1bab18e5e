"""Where a machine stands, as COM3 says it: centre of the swing, headings, roll and pitch.

R = Rz(yaw)·Ry(pitch)·Rx(roll) with yaw = −heading; roll and pitch are the upper structure's, which
is turned by the swing against the undercarriage: R_upper = R_base·Rz(swing). The site's x, y, z are
taken for the bus's; that the angles turn in this order is our assumption.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import rotation


@dataclass(frozen=True, slots=True)
class BusPose:
    """What the bus tells of the pose.

    Args:
        centre: of the swing, shape (3,) [m].
        roll, pitch: of the upper structure [rad].
        upper, track: headings of upper structure and undercarriage, clockwise [rad].
    """

    centre: Array
    roll: float
    pitch: float
    upper: float
    track: float


def to_bus(position: Array, quaternion_wxyz: Array, swing: float, mount: Array) -> BusPose:
    """Return the signals for a pose of the undercarriage.

    Args:
        position, quaternion_wxyz: of the undercarriage in the world.
        swing: joint position [rad]. mount: the swing's centre in the undercarriage's frame.
    """
    R = rotation(quaternion_wxyz)
    c, s = math.cos(swing), math.sin(swing)
    upper = R @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    roll, pitch = _roll_pitch(upper[2])
    return BusPose(
        position + R @ mount,
        roll,
        pitch,
        -math.atan2(upper[1, 0], upper[0, 0]),
        -math.atan2(R[1, 0], R[0, 0]),
    )


def from_bus(pose: BusPose, swing: float, mount: Array) -> tuple[Array, Array]:
    """Return position, shape (3,), and attitude (w, x, y, z) of the undercarriage; NaN if unknown.

    One angle that is NaN makes all of it NaN.

    The heading is the undercarriage's own, so that a heading of 10 Hz and a swing of 100 Hz are
    never added while the machine swings.
    """
    # The vertical in the upper structure's frame, then in the undercarriage's.
    x, y = -math.sin(pose.pitch), math.cos(pose.pitch) * math.sin(pose.roll)
    z = math.cos(pose.pitch) * math.cos(pose.roll)
    c, s = math.cos(swing), math.sin(swing)
    roll, pitch = _roll_pitch(np.array([c * x - s * y, s * x + c * y, z]))
    q = _quaternion(-pose.track, pitch, roll)
    return pose.centre - rotation(q) @ mount, q


def _roll_pitch(vertical: Array) -> tuple[float, float]:
    """Return roll and pitch of a frame in which the world's vertical has these components."""
    x, y, z = vertical.tolist()
    return math.atan2(y, z), -math.asin(min(max(x, -1.0), 1.0))


def _quaternion(yaw: float, pitch: float, roll: float) -> Array:
    """Return Rz(yaw)·Ry(pitch)·Rx(roll) as (w, x, y, z)."""
    cy, sy = math.cos(0.5 * yaw), math.sin(0.5 * yaw)
    cp, sp = math.cos(0.5 * pitch), math.sin(0.5 * pitch)
    cr, sr = math.cos(0.5 * roll), math.sin(0.5 * roll)
    return np.array(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ]
    )
