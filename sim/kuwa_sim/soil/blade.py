"""A dozer blade: cuts and pushes, lays down in hollows, spills sideways, and is held by it all.

``pose`` has the layout of :mod:`kuwa_sim.soil` with the blade's own axes: x forward, y left, z up,
about the middle of the cutting edge. ``out`` is as there; entries 6 to 11 stay zero.

The soil in front is a wedge at repose that the ground carries: a surcharge on the soil that is cut,
and a friction W tan phi to be pushed. It fills the hollows that the edge passes above, which leaves
a graded surface, and what does not fit in front of the blade leaves at its ends. Along a blade that
is angled by more than the friction of soil on steel it slides to the trailing end all the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.bearing import AHEAD, TOUCH, bearing_pressure, depth_ahead
from kuwa_sim.soil.cover import PUSH
from kuwa_sim.soil.earthmoving import factor_table, resistance
from kuwa_sim.soil.field import cell_of, mean_cohesion, put_down, surface_height
from kuwa_sim.soil.ground import Ground
from kuwa_sim.soil.layout import (
    ADHESION,
    CAPACITY,
    CELL,
    CUT,
    DAMPING,
    EDGE,
    FLOW_TIME,
    GAMMA,
    GRAVITY,
    HEIGHT,
    M_VALID,
    MASS,
    N_SHELL,
    PUSHED,
    RAKE,
    SPILLED,
    STIFFNESS,
    SWELL,
    TAN_DELTA,
    TAN_PHI,
    TAN_REPOSE,
    VOLUME,
    WIDTH,
    X0,
    Y0,
)
from kuwa_sim.soil.obstacles import obstacle_forces
from kuwa_sim.soil.spring import ACTIVE, elastic_plastic
from kuwa_sim.soil.sweep import remember, sweep
from kuwa_sim.soil.tool import EdgeTool, came_from, heading, level_axes

if TYPE_CHECKING:
    from kuwa_machines.spec import Blade

Array = NDArray[np.float64]
Flags = NDArray[np.uint8]

CONTACT_STIFFNESS = 3.0e6
"""Of the edge in the ground [N/m]: 50 kN within 2 cm."""
CONTACT_DAMPING = 3.0e4
"""[N·s/m]: about a quarter of critical for a tonne of blade and frame."""
SPILL_TIME = 0.3
"""[s]: as soil leaves a bucket."""
LIFTED = 0.05
"""Above the ground by more than this, the edge no longer holds soil back [m]."""


class BladeTool(EdgeTool):
    """A blade on a ground; ``force_args`` and ``tick_args`` lead its kernels' arguments.

    Args:
        width, height, edge_thickness: [m]. rake: of the lower face against level ground [rad].
    """

    def __init__(
        self, ground: Ground, width: float, height: float, rake: float, edge_thickness: float
    ) -> None:
        super().__init__(ground, width, CONTACT_STIFFNESS, CONTACT_DAMPING)
        soil, prm = ground.soil, self.prm
        prm[HEIGHT], prm[RAKE], prm[EDGE] = height, rake, edge_thickness
        prm[FLOW_TIME] = SPILL_TIME
        fee = factor_table(soil.metal_friction, soil.internal_friction)
        self.force_args = (
            ground.height, ground.loose, ground.datum, ground.obstacles, prm, fee, self._contact,
            self.load, np.zeros((8, 3)), np.zeros((0, N_SHELL)), soil.metal_friction,
        )  # fmt: skip
        self.tick_args = (
            ground.bank, ground.loose, ground.packed, ground.height, ground.tiles, prm,
            self._motion[0], self.load,
        )  # fmt: skip

    @classmethod
    def from_spec(cls, ground: Ground, tool: Blade) -> Self:
        """Return a machine's blade."""
        return cls(ground, tool.width, tool.height, tool.rake, tool.edge_thickness)


@njit(cache=True)
def blade_forces(
    height: Array,
    loose: Array,
    datum: Array,
    obstacles: Array,
    prm: Array,
    fee: Array,
    contact: Array,
    load: Array,
    scratch: Array,
    shell: Array,
    delta: float,
    pose: Array,
    out: Array,
) -> None:
    """Write the wrench of the ground and of the pushed soil on the blade, shape (16,)."""
    out[:] = 0.0
    axes = scratch[0:3]
    low = scratch[3]
    high = scratch[4]
    force = scratch[5]
    ahead_known, fx, fy = heading(pose)
    if not ahead_known:
        contact[0, ACTIVE] = 0.0
        return
    width = prm[WIDTH]
    ahead = depth_ahead(height, prm, pose, AHEAD * fx, AHEAD * fy)
    under = depth_ahead(height, prm, pose, 0.0, 0.0)
    depth = max(ahead, under)
    if obstacles.shape[0] > 0:
        obstacle_forces(obstacles, prm, shell, pose, scratch[7], out)
    weight = load[MASS] * prm[GRAVITY]
    if depth <= 0.0 and weight <= 0.0:
        contact[0, ACTIVE] = 0.0
        return
    i = cell_of(pose[0] + AHEAD * fx, prm[X0], prm[CELL], height.shape[0])
    j = cell_of(pose[1] + AHEAD * fy, prm[Y0], prm[CELL], height.shape[1])
    over = prm[SWELL] * loose[i, j]
    firm = max(ahead - over, 0.0)
    share = max(depth - over, 0.0) / depth if depth > 0.0 else 0.0
    gamma = prm[GAMMA] * (share + (1.0 - share) / prm[SWELL])
    rake = prm[RAKE] - math.asin(min(max(pose[11], -1.0), 1.0))
    speed = max(pose[3] * fx + pose[4] * fy, 0.0)
    surcharge = weight * prm[TAN_REPOSE] / (width * prm[HEIGHT])
    strength = mean_cohesion(prm, datum[i, j], pose[2] + firm, pose[2])
    cut = width * resistance(
        fee, rake, ahead, firm, gamma, strength, prm[ADHESION], surcharge, speed, prm[GRAVITY]
    )
    strip = prm[EDGE]
    bearing = width * strip * bearing_pressure(prm, strength * share, depth, strip)
    bearing *= min(depth / TOUCH, 1.0)
    level_axes(fx, fy, axes)
    rub = prm[TAN_DELTA] * bearing
    low[0] = -(cut * math.sin(rake + delta) + weight * prm[TAN_PHI] + rub)
    high[0] = rub
    low[1] = -max(cut * math.cos(rake + delta), 0.0)
    high[1] = bearing
    low[2] = -(rub + 0.3 * cut + 0.5 * weight * prm[TAN_PHI])
    high[2] = -low[2]
    elastic_plastic(
        contact[0], pose[0], pose[1], pose[2], pose[3], pose[4], pose[5],
        axes, low, high, prm[STIFFNESS], prm[DAMPING], force,
    )  # fmt: skip
    for k in range(3):
        out[k] += force[k]
    out[12] = ahead
    out[13] = rake
    out[14] = cut
    out[15] = bearing


@njit(cache=True)
def _at_end(
    bank: Array,
    loose: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    pose: Array,
    fx: float,
    fy: float,
    end: float,
    volume: float,
) -> None:
    """Lay soil beside the left (1) or right (-1) end of a blade that heads along (fx, fy)."""
    side = end * (0.5 * prm[WIDTH] + PUSH)
    put_down(
        bank, loose, height, tiles, prm, pose[0] - side * fy + PUSH * fx,
        pose[1] + side * fx + PUSH * fy, fx, fy, PUSH, PUSH - 0.01, volume,
    )  # fmt: skip


@njit(cache=True)
def blade_tick(
    bank: Array,
    loose: Array,
    packed: Array,
    height: Array,
    tiles: Flags,
    prm: Array,
    motion: Array,
    load: Array,
    pose: Array,
    dt: float,
) -> None:
    """Move the soil that the blade moves on its way to ``pose`` in one tick of ``dt`` [s]."""
    ahead_known, fx, fy = heading(pose)
    if not ahead_known:
        motion[M_VALID] = 0.0
        return
    came, dx, dy, _ = came_from(motion, pose)
    forward = dx * fx + dy * fy
    sideways = dy * fx - dx * fy
    half = 0.5 * prm[WIDTH]
    if came:
        stock = load[VOLUME] if forward > 0.0 else 0.0
        taken, laid = sweep(bank, loose, packed, height, tiles, prm, motion, pose, stock)
        load[CUT] += taken
        load[PUSHED] += laid
        if forward >= 0.0:
            load[VOLUME] += taken - laid
            # Beyond the angle of friction on steel soil slides along an angled blade, and leaves
            # at its trailing end what has come to it.
            slid = abs(sideways) - prm[TAN_DELTA] * forward
            if slid > 0.0:
                out = load[VOLUME] * min(slid / prm[WIDTH], 1.0)
                load[VOLUME] -= out
                load[SPILLED] += out
                trailing = -math.copysign(1.0, sideways)
                _at_end(bank, loose, height, tiles, prm, pose, fx, fy, trailing, out)
        else:
            back = PUSH + 0.5 * prm[CELL]
            put_down(
                bank, loose, height, tiles, prm, pose[0] - back * fx, pose[1] - back * fy,
                fx, fy, PUSH, half, taken,
            )  # fmt: skip
            # The ground carries the wedge: a blade that draws back leaves it where it lies.
            long = math.sqrt(
                2.0 * prm[SWELL] * max(load[VOLUME], 0.0) / (prm[WIDTH] * prm[TAN_REPOSE])
            )
            out = load[VOLUME] * min(-2.0 * forward / max(long, prm[CELL]), 1.0)
            load[VOLUME] -= out
            load[SPILLED] += out
            put_down(
                bank, loose, height, tiles, prm, pose[0] + 0.5 * long * fx,
                pose[1] + 0.5 * long * fy, fx, fy, 0.5 * max(long, prm[CELL]), half, out,
            )  # fmt: skip
    remember(motion, pose)

    gap = pose[2] - surface_height(height, prm, pose[0] + AHEAD * fx, pose[1] + AHEAD * fy)
    full = prm[WIDTH] * prm[HEIGHT] ** 2 / (2.0 * prm[TAN_REPOSE]) / prm[SWELL]
    lifted = min(max((gap - LIFTED) / prm[HEIGHT], 0.0), 1.0)
    load[CAPACITY] = full * (1.0 - lifted) * (1.0 - lifted)
    excess = load[VOLUME] - load[CAPACITY]
    if excess > 0.0:
        out = max(excess * (1.0 - math.exp(-dt / prm[FLOW_TIME])), min(excess, 0.02 * dt))
        load[VOLUME] -= out
        load[SPILLED] += out
        if lifted > 0.0:
            reach = 0.5 * prm[HEIGHT] / prm[TAN_REPOSE]
            put_down(
                bank, loose, height, tiles, prm, pose[0] + reach * fx, pose[1] + reach * fy,
                fx, fy, reach, half, out,
            )  # fmt: skip
        else:
            # Towards the trailing end, if it moves sideways.
            lean = sideways / max(abs(forward) + abs(sideways), 1e-9)
            left = min(max(0.5 - 1.5 * lean, 0.0), 1.0)
            _at_end(bank, loose, height, tiles, prm, pose, fx, fy, 1.0, out * left)
            _at_end(bank, loose, height, tiles, prm, pose, fx, fy, -1.0, out * (1.0 - left))
    load[MASS] = load[VOLUME] * prm[GAMMA] / prm[GRAVITY]
