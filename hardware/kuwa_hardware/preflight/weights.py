"""Weight and inertia of what hangs on each joint, from the masses of the machine's data.

A link is eight points of an eighth of its mass at ±size/√12 from its centre of mass: they have the
mass, the centre and the inertia of the box that the data describe. Every point's way with the
joint, by central difference of the chain of hinges, gives

    J_j = Σ m |∂p/∂q_j|²,   G_j = −Σ m g ∂p_z/∂q_j
"""

from __future__ import annotations

from itertools import product

import numpy as np

from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import MachineSpec

GRAVITY = 9.81
_STEP = 1e-4


class Weights:
    """The masses of a machine as points of its links.

    Args:
        spec: the machine.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self._n = len(spec.joints)
        self._parts: list[tuple[Chain, Array, float]] = []
        for name, link in spec.links.items():
            try:
                chain = Chain(spec, name)
            except MachineError:
                continue  # a link of the undercarriage's own suspension: no driven joint moves it
            half = np.array(link.size) / np.sqrt(12.0)
            corners = np.array(list(product((-1.0, 1.0), repeat=3))) * half + np.array(link.com)
            self._parts.append((chain, corners, link.mass / 8.0))

    def at(self, q: Array) -> tuple[Array, Array]:
        """Return inertia [kg·m²] and torque of gravity [N·m] about each joint, both shape (n,).

        Args:
            q: joint positions, shape (n,) [rad]; the undercarriage stands level.
        """
        inertia, gravity = np.zeros(self._n), np.zeros(self._n)
        for j in range(self._n):
            step = np.zeros(self._n)
            step[j] = _STEP
            ahead, behind = np.asarray(q) + step, np.asarray(q) - step
            for chain, corners, mass in self._parts:
                way = [chain.place(ahead, p) - chain.place(behind, p) for p in corners]
                d = np.array(way) / (2.0 * _STEP)
                inertia[j] += mass * float((d**2).sum())
                gravity[j] -= mass * GRAVITY * float(d[:, 2].sum())
        return inertia, gravity

    def lift(self, q: Array) -> Array:
        """Return which way each joint raises what hangs on it: +1, −1, or 0 where it does not."""
        gravity = self.at(q)[1]
        return np.where(np.abs(gravity) > 1.0, -np.sign(gravity), 0.0)
