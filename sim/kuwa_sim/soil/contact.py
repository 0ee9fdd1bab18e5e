"""Force of the ground on the bucket, every physics step: elastic-plastic contacts with soil yields.

Each contact is a spring to an anchor in the ground, equally stiff in all directions. Along each of
three axes it carries at most its yield; beyond, the anchor is dragged along. So a bucket at rest
stays at rest and keeps the force it had, a moving one feels the yield against its motion, and the
contact only ever takes energy: yielding shortens the spring, and its damper never exceeds it.

Contacts and what they yield to:

* the edge, along the floor (teeth driven in: bearing of the edge strip, friction of the soil on the
  floor), square to the floor towards the mouth (earth-moving equation: cutting and lifting the soil
  ahead) and away from it (bearing of the edge strip), and sideways (earth-moving equation on the
  side plate, on whichever side there is ground);
* the shell, square to it (bearing capacity of the part that is pressed in, which is much wider than
  the edge) and along it (friction).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kuwa_sim.soil.edge import edge_force
from kuwa_sim.soil.layout import (
    CENTRE_X,
    CENTRE_Z,
    GRAVITY,
    MASS,
    TIP_X,
    TIP_Z,
)
from kuwa_sim.soil.obstacles import obstacle_forces
from kuwa_sim.soil.shell import shell_force
from kuwa_sim.soil.spring import ACTIVE

Array = NDArray[np.float64]


@njit(cache=True)
def tool_forces(
    height: Array,
    loose: Array,
    datum: Array,
    obstacles: Array,
    prm: Array,
    fee: Array,
    shell: Array,
    contact: Array,
    load: Array,
    scratch: Array,
    pose: Array,
    out: Array,
) -> None:
    """Write the wrench of the ground and of the load on the bucket to ``out``, shape (16,).

    ``pose`` and ``out`` are described in :mod:`kuwa_sim.soil`. ``contact`` carries the anchors
    from step to step; but for their damping the contacts do not depend on rate, so no time step
    is given.
    """
    out[:] = 0.0
    axes = scratch[0:3]
    low = scratch[3]
    high = scratch[4]
    force = scratch[5]
    arm = scratch[6]
    # Horizontal direction in the bucket's plane, from the mouth to the back.
    rx = pose[13]
    ry = -pose[12]
    norm = math.sqrt(rx * rx + ry * ry)
    if norm < 0.1:  # lying on its side: no cutting geometry is left
        contact[:, ACTIVE] = 0.0
    else:
        force[:] = 0.0
        edge_force(
            height, loose, datum, prm, fee, contact, load, pose, rx / norm, ry / norm,
            axes, low, high, force, out,
        )  # fmt: skip
        out[0] = force[0]
        out[1] = force[1]
        out[2] = force[2]
        for p in range(shell.shape[0]):
            if shell_force(
                height, loose, datum, prm, shell[p], contact[p + 1], pose, axes, low, high, force,
                arm,
            ):  # fmt: skip
                out[0] += force[0]
                out[1] += force[1]
                out[2] += force[2]
                out[3] += arm[1] * force[2] - arm[2] * force[1]
                out[4] += arm[2] * force[0] - arm[0] * force[2]
                out[5] += arm[0] * force[1] - arm[1] * force[0]
    if obstacles.shape[0] > 0:
        obstacle_forces(obstacles, prm, shell, pose, scratch[7], out)
    weight = load[MASS] * prm[GRAVITY]
    cx = load[CENTRE_X] - prm[TIP_X]
    cz = load[CENTRE_Z] - prm[TIP_Z]
    out[8] = -weight
    out[9] = -weight * (cx * pose[10] + cz * pose[16])
    out[10] = weight * (cx * pose[9] + cz * pose[15])
