"""Where an excavator's cutting edge is, and which joint angles bring it somewhere.

An excavator here is a swing about +z followed by three parallel joints about +y: boom, arm,
bucket. In the vertical plane of the front (``r`` outward, ``z`` up) a direction of pitch p is
(cos p, −sin p), so the pitches of the links are sums of joint angles. Frames: ``base`` is the
undercarriage, ``world`` the map; ``T_a_b`` maps points from b to a.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.errors import KuwaError, MachineError
from kuwa_machines.spec import MachineSpec

LIMIT_SLACK = 1e-9
"""Rounding allowed at a joint limit [rad]."""


class ReachError(KuwaError):
    """No joint angles within the limits bring the edge where it was asked to be."""


def rotation(quaternion_wxyz: ArrayLike) -> Array:
    """Return the rotation matrix of a quaternion of any length but zero, shape (3, 3)."""
    w, x, y, z = np.asarray(quaternion_wxyz, dtype=float) / np.linalg.norm(quaternion_wxyz)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def transform(position: Array, quaternion_wxyz: Array) -> Array:
    """Return T_world_base from the pose of the undercarriage, shape (4, 4)."""
    T = np.eye(4)
    T[:3, :3] = rotation(quaternion_wxyz)
    T[:3, 3] = position
    return T


def inverse_transform(T: Array) -> Array:
    """Return T_b_a from T_a_b, both rigid, shape (4, 4)."""
    out = np.eye(4)
    out[:3, :3] = T[:3, :3].T
    out[:3, 3] = -T[:3, :3].T @ T[:3, 3]
    return out


def apply(T: Array, points: Array) -> Array:
    """Map points of shape (..., 3) by T."""
    return points @ T[:3, :3].T + T[:3, 3]


def wrap(angle: ArrayLike) -> Array:
    """Return the angle in [−π, π)."""
    return np.asarray((np.asarray(angle, dtype=float) + np.pi) % (2 * np.pi) - np.pi)


class ExcavatorKinematics:
    """Forward and inverse kinematics of a machine whose joint axes are z, y, y, y.

    Args:
        spec: the machine; the edge is the last point of its bucket profile.

    Raises:
        MachineError: if the joints are not a swing and three pitching joints in one plane.
    """

    def __init__(self, spec: MachineSpec) -> None:
        joints = list(spec.joints.values())
        axes = [joint.axis for joint in joints]
        if axes != ["z", "y", "y", "y"]:
            raise MachineError(f"{spec.name}: joint axes are {axes}; an excavator has z, y, y, y")
        for name, joint in list(spec.joints.items())[1:]:
            if joint.origin[1] != 0.0:
                raise MachineError(
                    f"{spec.name}: {name} lies {joint.origin[1]} m beside the plane of the front; "
                    "its origin needs y = 0"
                )
        self.names = spec.joint_names
        self.q_min, self.q_max = spec.q_min, spec.q_max
        self.base = np.array(joints[0].origin, dtype=float)
        self.profile = np.array(spec.bucket.profile, dtype=float)
        # Per pitching link, the vector (x, z) from its joint to the next joint, or to the edge.
        vectors = [joints[1].origin, joints[2].origin, joints[3].origin]
        self.mount = np.array([vectors[0][0], vectors[0][2]])
        self.links = np.array(
            [[vectors[1][0], vectors[1][2]], [vectors[2][0], vectors[2][2]], self.profile[-1]]
        )
        self.length = np.hypot(self.links[:, 0], self.links[:, 1])
        # Pitch of each vector when its link's own pitch is zero.
        self.offset = np.arctan2(-self.links[:, 1], self.links[:, 0])

    def forward(self, q: Array) -> tuple[Array, Array]:
        """Return the edge in the base frame and the bucket's pitch.

        Args:
            q: joint angles, shape (..., 4) [rad].

        Returns:
            Edge position, shape (..., 3) [m], and pitch p, shape (...) [rad].
        """
        q = np.asarray(q, dtype=float)
        pitch = np.cumsum(q[..., 1:], axis=-1)
        a = pitch + self.offset
        r = self.mount[0] + (self.length * np.cos(a)).sum(-1)
        z = self.mount[1] - (self.length * np.sin(a)).sum(-1)
        return self._out_of_plane(q[..., 0], r, z), pitch[..., -1]

    def frames(self, q: Array) -> dict[str, Array]:
        """Return T_base_joint of every joint frame and of the ``edge``, each shape (4, 4)."""
        c, s = np.cos(q[0]), np.sin(q[0])
        T = np.eye(4)
        T[:3, :3] = [[c, -s, 0], [s, c, 0], [0, 0, 1]]
        T[:3, 3] = self.base
        frames = {self.names[0]: T}
        vectors = np.vstack([self.mount, self.links])
        for i in range(4):
            angle = q[i + 1] if i < 3 else 0.0
            c, s = np.cos(angle), np.sin(angle)
            step = np.eye(4)
            step[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
            step[:3, 3] = (vectors[i, 0], 0.0, vectors[i, 1])
            T = T @ step
            frames[self.names[i + 1] if i < 3 else "edge"] = T
        return frames

    def jacobian(self, q: Array) -> Array:
        """Return d(edge x, y, z, pitch)/dq in the base frame, shape (4, 4)."""
        a = np.cumsum(q[1:]) + self.offset
        # Turning joint i moves every vector from link i outward.
        dr = -np.cumsum((self.length * np.sin(a))[::-1])[::-1]
        dz = -np.cumsum((self.length * np.cos(a))[::-1])[::-1]
        r = self.mount[0] + (self.length * np.cos(a)).sum()
        c, s = np.cos(q[0]), np.sin(q[0])
        J = np.zeros((4, 4))
        J[:2, 0] = (-s * r, c * r)
        J[0, 1:], J[1, 1:], J[2, 1:] = c * dr, s * dr, dz
        J[3, 1:] = 1.0
        return J

    def inverse(self, edge: Array, pitch: float) -> Array:
        """Return the joint angles within limits that put the edge there, shape (4,) [rad].

        Args:
            edge: position in the base frame, shape (3,) [m].
            pitch: of the bucket [rad].

        Raises:
            ReachError: naming the joint that would leave its limit, or the distance that is too
                long or too short.
        """
        q, within = self.inverse_branches(np.asarray(edge, dtype=float)[None], np.array([pitch]))
        q, within = q[:, 0], within[:, 0]
        if within.any():
            return q[int(np.argmax(within))]
        raise ReachError(self._why_not(edge, pitch, q))

    def inverse_path(self, edge: Array, pitch: Array) -> Array:
        """Return :meth:`inverse` along a path: edge (N, 3), pitch (N,) → (N, 4).

        Raises:
            ReachError: for the first point that cannot be reached.
        """
        q, within = self.inverse_branches(edge, pitch)
        reached = within.any(0)
        if not reached.all():
            k = int(np.argmin(reached))
            why = self._why_not(edge[k], pitch[k], q[:, k])
            raise ReachError(f"point {k} of {len(pitch)}: {why}")
        return q[np.argmax(within, 0), np.arange(len(pitch))]

    def inverse_branches(self, edge: Array, pitch: Array) -> tuple[Array, Array]:
        """Return all four branches (front or back, arm folded in or out) of a path.

        Args:
            edge: (N, 3) in the base frame. pitch: (N,).

        Returns:
            q, shape (4, N, 4), NaN where the links cannot meet, and whether each is within the
            joint limits, shape (4, N).
        """
        x, y, z = (edge - self.base).T
        out = np.empty((4, len(pitch), 4))
        for back in (0, 1):
            # Reached over the back, the front lies mirrored: r is negative.
            r = (1 - 2 * back) * np.hypot(x, y)
            swing = wrap(np.arctan2(y, x) + back * np.pi)
            for out_ in (0, 1):
                branch = out[2 * back + out_]
                branch[:, 0] = swing
                branch[:, 1:] = self.inverse_in_plane(r, z, pitch, folded_in=out_ == 0)
        with np.errstate(invalid="ignore"):
            within = np.all(
                (out >= self.q_min - LIMIT_SLACK) & (out <= self.q_max + LIMIT_SLACK), axis=-1
            )
        return out, within

    def inverse_in_plane(self, r: Array, z: Array, pitch: Array, folded_in: bool = True) -> Array:
        """Return boom, arm and bucket for the edge at (r, z) from the swing joint's frame.

        Args:
            r, z, pitch: of any one shape [m], [m], [rad].
            folded_in: with the arm bent towards the machine; else the other way.

        Returns:
            Shape (..., 3), NaN where the links cannot meet; limits are not looked at.
        """
        boom, arm, bucket = self.length
        a3 = pitch + self.offset[2]
        wr = r - self.mount[0] - bucket * np.cos(a3)
        wz = z - self.mount[1] + bucket * np.sin(a3)
        with np.errstate(invalid="ignore"):
            e = np.arccos((wr**2 + wz**2 - boom**2 - arm**2) / (2 * boom * arm))
        if not folded_in:
            e = -e
        a1 = np.arctan2(-wz, wr) - np.arctan2(arm * np.sin(e), boom + arm * np.cos(e))
        q1 = a1 - self.offset[0]
        q2 = e - self.offset[1] + self.offset[0]
        q = np.stack([q1, q2, pitch - q1 - q2], axis=-1)
        # Whole turns are added so that each angle lies nearest to the middle of its range.
        middle = (self.q_min[1:] + self.q_max[1:]) / 2
        return np.asarray(middle + wrap(q - middle))

    def bucket_outline(self, q: Array) -> Array:
        """Return the bucket's profile in the plane of the front, shape (..., M, 2) as (r, z)."""
        edge, pitch = self.forward(q)
        r = np.hypot(edge[..., 0] - self.base[0], edge[..., 1] - self.base[1])
        return np.stack([r, edge[..., 2]], -1)[..., None, :] + self.outline_from_edge(pitch)

    def outline_from_edge(self, pitch: ArrayLike) -> Array:
        """Return the bucket's profile relative to its edge, (r, z), shape (..., M, 2)."""
        d = self.profile - self.profile[-1]
        c, s = np.cos(pitch)[..., None], np.sin(pitch)[..., None]
        return np.stack([c * d[:, 0] + s * d[:, 1], -s * d[:, 0] + c * d[:, 1]], axis=-1)

    def _out_of_plane(self, swing: Array, r: Array, z: Array) -> Array:
        return np.stack([r * np.cos(swing), r * np.sin(swing), z], axis=-1) + self.base

    def _why_not(self, edge: Array, pitch: float, branches: Array) -> str:
        where = (
            f"edge at ({edge[0]:.2f}, {edge[1]:.2f}, {edge[2]:.2f}) m with the bucket at "
            f"{np.degrees(pitch):.0f}°"
        )
        finite = branches[~np.isnan(branches).any(-1)]
        if not len(finite):
            return (
                f"{where} is out of reach: boom and arm ({self.length[0]:.2f} m, "
                f"{self.length[1]:.2f} m) cannot meet the bucket's pin"
            )
        excess = np.maximum(finite - self.q_max, self.q_min - finite)
        best = finite[int(np.argmin(excess.max(-1)))]
        parts = [
            f"{name} at {np.degrees(v):.1f}° would leave its limits "
            f"[{np.degrees(lo):.1f}°, {np.degrees(hi):.1f}°]"
            for name, v, lo, hi in zip(self.names, best, self.q_min, self.q_max, strict=True)
            if v < lo - LIMIT_SLACK or v > hi + LIMIT_SLACK
        ]
        return f"{where} is out of reach: {'; '.join(parts)}"
