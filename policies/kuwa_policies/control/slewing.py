"""A front on a slewing motor: the oil is led ahead of it by what the oil column gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.spec import Bucket, MachineSpec, MotorDrive


def slewing_chain(spec: MachineSpec) -> list[int]:
    """Return the joints of a slewing front from the swing to the bucket; empty without one.

    A front slews when it hangs on a motor about z on the undercarriage and ends in a bucket after
    joints about y only.
    """
    if not isinstance(spec.tool, Bucket):
        return []
    by_child = {joint.child: i for i, joint in enumerate(spec.joints.values())}
    joints = list(spec.joints.values())
    chain: list[int] = []
    link = spec.tool.link
    while link in by_child:
        chain.insert(0, by_child[link])
        link = joints[chain[0]].parent
    if len(chain) < 2 or link != spec.undercarriage.link:
        return []
    swing, *front = (joints[i] for i in chain)
    slews = swing.axis == "z" and isinstance(swing.drive, MotorDrive)
    return chain if slews and all(joint.axis == "y" for joint in front) else []


class SlewingGive:
    """How far the oil of a slewing motor runs ahead of the front that it turns.

    The oil column is a spring of stiffness K = 2 β D²/V (Merritt 1967). It turns the front with the
    torque d(I q̇)/dt, I being the front's inertia about the swing axis, so that the oil is ahead by

        L + T_d dL/dt = (1/K) d(I q̇)/dt

    where T_d is the column's damping time. Cylinders are so much stiffer that nothing is gained
    there.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.chain = slewing_chain(spec)
        """Indices of the joints from the swing to the bucket; empty without a slewing front."""
        self._stiffness = math.inf
        if not self.chain:
            return
        joints = [list(spec.joints.values())[i] for i in self.chain]
        drive = joints[0].oil
        assert isinstance(drive, MotorDrive)
        bulk = spec.hydraulics.bulk_modulus
        self._stiffness = 2 * bulk * drive.displacement**2 / drive.dead_volume
        self._damping_time = drive.damping_time
        links = [spec.links[j.child] for j in joints]
        self._mass = np.array([link.mass for link in links])
        # In each link's frame, (x, z) of its centre of mass and of the next joint, or of the load.
        self._com = np.array([[link.com[0], link.com[2]] for link in links])
        origins = [[j.origin[0], j.origin[2]] for j in joints[1:]]
        self._next = np.array([*origins, np.array(spec.bucket.profile[-1]) / 2])
        self._own = float(sum(link.inertia[2] for link in links))

    def lead(self, t: Array, q: Array, qd: Array, load: float) -> tuple[Array, Array]:
        """Return L and its rate along a trajectory, each shape (K,) [rad], [rad/s].

        Args:
            t, q, qd: of the trajectory, all the machine's joints, shapes (K,), (K, n), (K, n).
            load: mass in the tool [kg]; NaN counts as none.
        """
        out = np.zeros((2, len(t)))
        if len(t) >= 3 and math.isfinite(self._stiffness):
            load = load if load > 0.0 else 0.0
            q, qd = (np.ascontiguousarray(x[:, self.chain]) for x in (q, qd))
            _lead(
                t, q, qd, self._mass, self._com, self._next, self._own, load,
                self._stiffness, self._damping_time, out,
            )  # fmt: skip
        return out[0], out[1]


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def slewing_inertia(q: Any, mass: Any, com: Any, joint: Any, own: float, load: float) -> Any:
    """Inertia about the swing axis at q: point masses at the links' centres, plus their own."""
    total, r, pitch = own, 0.0, 0.0
    for i in range(mass.shape[0]):
        if i > 0:
            pitch += q[i]
        c, s = math.cos(pitch), math.sin(pitch)
        total += mass[i] * (r + c * com[i, 0] + s * com[i, 1]) ** 2
        r += c * joint[i, 0] + s * joint[i, 1]
    return total + load * r**2


@njit(cache=True)
def _gradient(x: Any, t: Any, out: Any) -> None:
    """Central differences; one-sided at the ends."""
    n = t.shape[0]
    for k in range(n):
        i, j = max(k - 1, 0), min(k + 1, n - 1)
        out[k] = (x[j] - x[i]) / (t[j] - t[i])


@njit(cache=True)
def _lead(
    t: Any, q: Any, qd: Any, mass: Any, com: Any, joint: Any, own: float, load: float,
    stiffness: float, damping_time: float, out: Any,
) -> None:  # fmt: skip
    """See :class:`SlewingGive`, to first order in the damping time; writes L and its rate."""
    n = t.shape[0]
    momentum, torque, rate = np.empty(n), np.empty(n), np.empty(n)
    for k in range(n):
        momentum[k] = slewing_inertia(q[k], mass, com, joint, own, load) * qd[k, 0]
    _gradient(momentum, t, torque)
    _gradient(torque, t, rate)
    for k in range(n):
        out[0, k] = (torque[k] - damping_time * rate[k]) / stiffness
    _gradient(out[0], t, out[1])
