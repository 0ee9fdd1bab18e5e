"""Joint-space inertia and weight of a machine from its links' masses: what its drives have to move.

    M(q) = Σ_k m_k J_v,kᵀ J_v,k + J_ω,kᵀ R_k I_k R_kᵀ J_ω,k,    g(q)_j = −9.81 Σ_k m_k ∂z_k/∂q_j

(Siciliano et al. 2009, *Robotics*, eq. 7.32 and 7.39), for a tree of hinges on an undercarriage
that rocks a little on the ground: its six small motions come before the joints.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.spec import Joint, Link, MachineSpec, PassiveJoint

GRAVITY = 9.81
BASE = 6
"""Motions of the undercarriage: three translations, then rotations about x, y, z [m], [rad]."""
POINTS_PER_SIDE = 6
_AXES = {"x": 0, "y": 1, "z": 2}


class RigidTree:
    """The links of a machine as arrays, evaluated for many postures at once.

    Args:
        spec: the machine; a link that is nobody's child belongs to the undercarriage.
        moving: joints whose angles make a posture, n of them; the others stay at zero.
    """

    def __init__(self, spec: MachineSpec, moving: tuple[str, ...]) -> None:
        joints: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
        self.n = len(moving)
        # Moving joints first, so that their numbers are those of the columns of a posture.
        names = [*moving, *(name for name in joints if name not in moving)]
        self.joints = [joints[name] for name in names]
        by_child = {joint.child: j for j, joint in enumerate(self.joints)}
        self.parent = [by_child.get(joint.parent, -1) for joint in self.joints]
        self.links = [spec.links[joint.child] for joint in self.joints]
        self.roots = [link for name, link in spec.links.items() if name not in by_child]
        self.order = sorted(range(len(names)), key=lambda j: len(self._ancestors(j)))

    def _ancestors(self, j: int) -> list[int]:
        return [j, *(self._ancestors(self.parent[j]) if self.parent[j] >= 0 else [])]

    def chain(self, j: int) -> list[int]:
        """Return the moving joints that move the child link of joint ``j``, nearest first."""
        return [i for i in self._ancestors(j) if i < self.n]

    def frames(self, q: Array) -> tuple[Array, Array]:
        """Return rotation (N, J, 3, 3) and origin (N, J, 3) of the child link of every joint.

        Args:
            q: postures, shape (N, n) [rad]; frames are those of the undercarriage.
        """
        N, J = len(q), len(self.joints)
        R = np.empty((N, J, 3, 3))
        p = np.empty((N, J, 3))
        for j in self.order:
            joint, up = self.joints[j], self.parent[j]
            turn = _turn(_AXES[joint.axis], q[:, j] if j < self.n else np.zeros(N))
            origin = np.array(joint.origin, dtype=float)
            R[:, j] = turn if up < 0 else R[:, up] @ turn
            p[:, j] = origin if up < 0 else p[:, up] + R[:, up] @ origin
        return R, p

    def inertia_and_weight(self, q: Array) -> tuple[Array, Array]:
        """Return M, shape (N, 6 + n, 6 + n), and the force of gravity, (N, 6 + n).

        Units follow the coordinates: kg, kg·m, kg·m²; N, N·m.

        Args:
            q: postures, shape (N, n) [rad], on a level undercarriage.
        """
        R, p = self.frames(q)
        N, size = len(q), BASE + self.n
        M = np.zeros((N, size, size))
        g = np.zeros((N, size))
        # A joint turns about the same line in its own child's frame.
        axis = np.stack([R[:, j, :, _AXES[joint.axis]] for j, joint in enumerate(self.joints)], 1)
        level = np.broadcast_to(np.eye(3), (N, 3, 3))
        bodies: list[tuple[Link, Array, Array, list[int]]] = [
            (link, np.broadcast_to(np.array(link.com), (N, 3)), level, []) for link in self.roots
        ]
        bodies += [
            (link, p[:, k] + R[:, k] @ np.array(link.com), R[:, k], self.chain(k))
            for k, link in enumerate(self.links)
        ]
        for link, centre, turned, chain in bodies:
            about = np.concatenate([level, axis[:, chain]], 1)
            through = np.concatenate([np.zeros((N, 3, 3)), p[:, chain]], 1)
            J_v = np.concatenate([level, np.cross(about, centre[:, None] - through)], 1)
            J_w = np.concatenate([np.zeros((N, 3, 3)), about], 1) @ turned
            block = link.mass * J_v @ J_v.transpose(0, 2, 1)
            block += (J_w * np.array(link.inertia)) @ J_w.transpose(0, 2, 1)
            at = np.array([*range(BASE), *(BASE + j for j in chain)])
            M[:, at[:, None], at] += block
            g[:, at] -= link.mass * GRAVITY * J_v[:, :, 2]
        return M, g

    def footing(self) -> Array:
        """Return points on which the undercarriage stands, x and y in its frame, shape (m, 2) [m].

        They lie along the two long sides of its box, over four fifths of its length and width.
        """
        points = []
        for root in self.roots:
            x, y, _ = 0.8 * np.array(root.size) / 2
            part = 2 * x / POINTS_PER_SIDE
            for px in part * (np.arange(POINTS_PER_SIDE) + 0.5) - x + root.com[0]:
                points += [(px, root.com[1] - y), (px, root.com[1] + y)]
        return np.array(points)

    @property
    def mass(self) -> float:
        """Of the whole machine [kg]."""
        return float(sum(link.mass for link in [*self.links, *self.roots]))

    def lowest(self, q: Array) -> Array:
        """Return how high the lowest corner of each joint's child link is, shape (N, J) [m]."""
        R, p = self.frames(q)
        out = np.empty((len(q), len(self.links)))
        for k, link in enumerate(self.links):
            half = np.array(link.size) / 2
            corners = np.array(link.com) + half * _CORNERS
            out[:, k] = (p[:, k, None, 2] + (R[:, k, 2] @ corners.T)).min(1)
        return out


_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)


def _turn(axis: int, angle: Array) -> Array:
    """Return rotations about a coordinate axis, shape (N, 3, 3)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    R = np.zeros((len(angle), 3, 3))
    R[:, axis, axis] = 1.0
    R[:, a, a] = R[:, b, b] = np.cos(angle)
    R[:, b, a] = np.sin(angle)
    R[:, a, b] = -np.sin(angle)
    return R
