"""Where a link of a machine is: the chain of hinges from the undercarriage, led ones included.

A joint that nothing measures, a spring or a swinging axle, is taken to be straight, at zero:
springs are preloaded so that a machine at rest stands like that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.followers import Follower
from kuwa_machines.spec import Joint, MachineSpec, PassiveJoint

AXIS = {"x": 0, "y": 1, "z": 2}


class Chain:
    """The hinges between a machine's undercarriage and one of its links.

    Args:
        spec: the machine.
        link: the last link.

    Raises:
        MachineError: the link does not hang on the undercarriage.
    """

    def __init__(self, spec: MachineSpec, link: str) -> None:
        joints: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
        by_child = {joint.child: (name, joint) for name, joint in joints.items()}
        chain = []
        while link != spec.undercarriage.link:
            if link not in by_child:
                raise MachineError(
                    f"{spec.name}: no joints lead from {spec.undercarriage.link} to {link}"
                )
            chain.append(by_child[link])
            link = by_child[link][1].parent
        self.names = tuple(name for name, _ in reversed(chain))
        """Its joints, from the undercarriage on."""
        self._hinges = [
            (np.array(joint.origin, dtype=float), AXIS[joint.axis], *_source(spec, name, joint))
            for name, joint in reversed(chain)
        ]
        self._plain = [(o.tolist(), *rest) for o, *rest in reversed(self._hinges)]

    def place(self, q: ArrayLike, point: ArrayLike) -> Array:
        """Return a point of the link in the undercarriage's frame, shape (..., 3) [m].

        Args:
            q: joint positions in the order of the machine's data, shape (..., n) [rad].
            point: in the link's frame, shape (3,) or (..., 3) [m].
        """
        q = np.asarray(q, dtype=float)
        p = np.broadcast_to(np.asarray(point, dtype=float), (*q.shape[:-1], 3)).copy()
        for origin, axis, index, follows in reversed(self._hinges):
            angle = np.zeros(q.shape[:-1]) if index < 0 else q[..., index]
            if follows is not None:
                angle = follows.angle(angle.ravel()).reshape(angle.shape)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            c, s = np.cos(angle), np.sin(angle)
            p[..., i], p[..., j] = c * p[..., i] - s * p[..., j], s * p[..., i] + c * p[..., j]
            p += origin
        return p

    def at(self, q: Sequence[float], point: Sequence[float]) -> tuple[float, float, float]:
        """Return :meth:`place` of one pose in plain numbers: for control loops, ten times as fast.

        Args:
            q: joint positions, n numbers [rad]. point: in the link's frame, three numbers [m].
        """
        p = list(point)
        for (x, y, z), axis, index, follows in self._plain:
            angle = 0.0 if index < 0 else q[index]
            if follows is not None:
                angle = float(follows.angle(np.array([angle]))[0])
            i, j = (axis + 1) % 3, (axis + 2) % 3
            c, s = math.cos(angle), math.sin(angle)
            p[i], p[j] = c * p[i] - s * p[j], s * p[i] + c * p[j]
            p[0] += x
            p[1] += y
            p[2] += z
        return p[0], p[1], p[2]


def _source(
    spec: MachineSpec, name: str, joint: Joint | PassiveJoint
) -> tuple[int, Follower | None]:
    """Return the index of the driven joint that decides a hinge's angle, or −1, and its bars."""
    if isinstance(joint, Joint):
        return spec.joint_names.index(name), None
    if joint.follows is None:
        return -1, None
    return spec.joint_names.index(joint.follows.joint), joint.follows
