"""Where every link of a machine is and how it is turned, from the positions of its joints."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.spec import Joint, MachineSpec, PassiveJoint

Place = tuple[Array, Array]
"""Rotation, shape (3, 3), and origin, shape (3,) [m], of a link in the undercarriage's frame."""


class Posing:
    """Forward kinematics of all links, those led by bars included.

    Args:
        spec: the machine.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._spec = spec
        joints: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
        self._chains = {joint.child: Chain(spec, joint.child) for joint in joints.values()}
        self.links = (spec.undercarriage.link, *self._chains)
        """All links that hang on the undercarriage, that one first."""

    def places(self, q: ArrayLike) -> dict[str, Place]:
        """Return the place of each link.

        Args:
            q: joint positions in the order of the machine's data, shape (n,) [rad].
        """
        q = np.asarray(q, dtype=float)
        found = {self._spec.undercarriage.link: (np.eye(3), np.zeros(3))}
        four = np.vstack([np.zeros(3), np.eye(3)])
        for link, chain in self._chains.items():
            o, x, y, z = chain.place(np.tile(q, (4, 1)), four)
            found[link] = (np.column_stack([x - o, y - o, z - o]), o)
        return found


def quaternion(rotation: Array) -> Array:
    """Return the unit quaternion of a rotation, w first, shape (4,).

    Shepperd's method: the largest component is found by a root, so it never loses digits.
    """
    m = np.asarray(rotation, dtype=float)
    trace = float(np.trace(m))
    k = int(np.argmax([trace, *np.diag(m)]))
    q = np.zeros(4)
    if k == 0:
        q[0] = 1 + trace
        q[1:] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    else:
        a = k - 1
        b, c = (a + 1) % 3, (a + 2) % 3
        q[0] = m[c, b] - m[b, c]
        q[1 + a] = 1 + 2 * m[a, a] - trace
        q[1 + b], q[1 + c] = m[a, b] + m[b, a], m[c, a] + m[a, c]
    return q / math.sqrt(float(q @ q))
