"""A boom on its suspension: how it rolls after what carries it."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import Joint, MachineSpec, PassiveJoint


class Suspension:
    """The boom's roll on its suspension.

    Args:
        frequency: natural one [rad/s]. damping: share of the critical one.
    """

    def __init__(self, frequency: float, damping: float) -> None:
        self._a = np.array([[0.0, 1.0], [-(frequency**2), -2 * damping * frequency]])
        self._b = np.array([frequency**2, 2 * damping * frequency])
        self.state = np.zeros(2)

    @classmethod
    def from_spec(cls, spec: MachineSpec, chain: Chain) -> Suspension:
        """Return that of a boom's link.

        Raises:
            MachineError: no spring about the x axis carries it.
        """
        springs = [
            spec.passive_joints[name]
            for name in chain.names
            if name in spec.passive_joints
            and spec.passive_joints[name].axis == "x"
            and spec.passive_joints[name].stiffness > 0
        ]
        if len(springs) != 1:
            raise MachineError(f"{spec.name}: {len(springs)} springs carry its boom; expected one")
        spring = springs[0]
        inertia = _roll_inertia(spec, spring.child)
        frequency = math.sqrt(spring.stiffness / inertia)
        return cls(frequency, spring.damping / (2 * math.sqrt(spring.stiffness * inertia)))

    def advance(self, roll: float, rate: float, dt: float) -> None:
        """Carry the modelled boom on over dt, its carrier at ``roll`` and turning at ``rate``."""
        n = max(math.ceil(dt / 0.01), 1)
        for _ in range(n):
            p, v = self.state
            force = self._b[0] * (roll - p) + self._b[1] * (rate - v)
            v += dt / n * force
            self.state[:] = (p + dt / n * v, v)

    def response(self, count: int, step: float) -> tuple[Array, Array]:
        """Return the boom's roll over times k·step: from its state (K, 2), from ρ (K, K)."""
        fine = 5
        h = step / fine
        free, forced = np.zeros((count, 2)), np.zeros((count, count))
        x = np.zeros((2, 2 + count))
        x[:, :2] = np.eye(2)
        for k in range(count):
            free[k], forced[k] = x[0, :2], x[0, 2:]
            if k + 1 == count:
                break
            slope = np.zeros(2 + count)
            slope[2 + k], slope[3 + k] = -1 / step, 1 / step
            for i in range(fine):
                rho = np.zeros(2 + count)
                u = (i + 0.5) / fine
                rho[2 + k], rho[3 + k] = 1 - u, u
                x[1] += h * (self._b[0] * (rho - x[0]) + self._b[1] * (slope - x[1]))
                x[0] += h * x[1]
        return free, forced


def _roll_inertia(spec: MachineSpec, link: str) -> float:
    """Inertia about the x axis through a link's joint of all that hangs on it, straight."""
    joints: list[Joint | PassiveJoint] = [*spec.joints.values(), *spec.passive_joints.values()]

    def total(name: str, y: float, z: float) -> float:
        body = spec.links[name]
        own = body.inertia[0] + body.mass * ((y + body.com[1]) ** 2 + (z + body.com[2]) ** 2)
        return own + math.fsum(
            total(j.child, y + j.origin[1], z + j.origin[2]) for j in joints if j.parent == name
        )

    return total(link, 0.0, 0.0)
