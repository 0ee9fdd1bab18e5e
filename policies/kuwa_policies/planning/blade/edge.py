"""The blade's edge: where it is, and which joints bring it to a height, level across."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import Blade, MachineSpec

REPOSE = math.radians(35)
DENSITY = 1250.0
"""Of loose soil [kg/m³], as far as a planner can know."""
STEP = 1e-4
"""Of differences by the joints [rad]."""
ROUNDS = 3
"""Newton's steps; the second is good to a tenth of a millimetre."""
MARGIN = 0.02
"""Kept from the ends of the joints' ranges [rad]."""


class BladeEdge:
    """Kinematics of a blade with lift, and with angle and tilt where it has them.

    Args:
        spec: the machine.

    Raises:
        MachineError: no blade, or no joint that lifts it.
    """

    def __init__(self, spec: MachineSpec) -> None:
        if not isinstance(spec.tool, Blade):
            raise MachineError(f"{spec.name}: its tool is a {spec.tool.type}; this needs a blade")
        tool = self.tool = spec.tool
        self._chain = Chain(spec, tool.link)
        driven = [name for name in self._chain.names if name in spec.joints]
        axes = {spec.joints[name].axis: spec.joint_names.index(name) for name in driven}
        if "y" not in axes:
            raise MachineError(f"{spec.name}: no joint lifts its blade; axes are {sorted(axes)}")
        self.lift: int = axes["y"]
        self.tilt: int | None = axes.get("x")
        self.angle: int | None = axes.get("z")
        self._middle = np.array(tool.edge, dtype=float)
        side = np.array([0.0, 0.5 * tool.width, 0.0])
        self._left, self._right = self._middle + side, self._middle - side
        self._low, self._high = spec.q_min + MARGIN, spec.q_max - MARGIN
        self.reach = float(self.middle(spec.home)[0])
        """x of the edge in the undercarriage's frame [m]."""

    @property
    def joints(self) -> tuple[int, ...]:
        """Which joints lead the edge."""
        return (self.lift,) if self.tilt is None else (self.lift, self.tilt)

    @property
    def capacity(self) -> float:
        """Mass of the wedge of soil at repose that fits in front of the blade [kg]."""
        return self.tool.width * self.tool.height**2 / (2 * math.tan(REPOSE)) * DENSITY

    def middle(self, q: Array) -> Array:
        """Return the middle of the edge in the undercarriage's frame, shape (..., 3) [m]."""
        return self._chain.place(q, self._middle)

    def solve(self, q: Array, up: Array, offset: Array, height: Array, across: Array) -> Array:
        """Return joint positions that bring the edge to a height and to a slope across.

        Args:
            q: a guess, all joints, shape (K, n) [rad]; only lift and tilt change.
            up: the world's up in the undercarriage's frame, shape (K, 3).
            offset: height of the undercarriage's origin, (K,) [m].
            height: wanted of the edge's middle, (K,) [m].
            across: wanted of its left end over its right one, (K,) [m].
        """
        q = q.copy()
        for _ in range(ROUNDS):
            q = self._newton(q, self.lift, lambda x: self._up(x, self._middle, up) + offset, height)
            if self.tilt is not None:
                q = self._newton(
                    q, self.tilt,
                    lambda x: self._up(x, self._left, up) - self._up(x, self._right, up), across,
                )  # fmt: skip
        return q

    def _up(self, q: Array, point: Array, up: Array) -> Array:
        return np.asarray((self._chain.place(q, point) * up).sum(-1))

    def _newton(self, q: Array, joint: int, function, wanted: Array) -> Array:  # type: ignore[no-untyped-def]
        near = q.copy()
        near[:, joint] += STEP
        value = function(q)
        slope = (function(near) - value) / STEP
        q[:, joint] = np.clip(
            q[:, joint] + (wanted - value) / slope, self._low[joint], self._high[joint]
        )
        return q
