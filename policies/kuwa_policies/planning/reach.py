"""Where the edge can be, and at which pitches of the bucket."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics, ReachError

BACK_OFF = np.radians(1.5)
"""Joints that a plan could bring to a limit stay this far from it [rad]."""


def reachable(kin: ExcavatorKinematics, r: Array, z: Array, pitch: Array) -> Array:
    """Return the pitches nearest to the wanted ones at which the edge can be at (r, z), (k,).

    Raises:
        ReachError: no pitch reaches one of the points.
    """
    grid = np.radians(np.arange(-30.0, 271.0))
    q = kin.inverse_in_plane(r[:, None], z[:, None] - kin.base[2], np.tile(grid, (len(r), 1)))
    with np.errstate(invalid="ignore"):
        ok = np.all((q >= kin.q_min[1:]) & (q <= kin.q_max[1:]), axis=-1)
    if not ok.any(-1).all():
        k = int(np.argmin(ok.any(-1)))
        raise ReachError(
            f"the edge cannot be {z[k]:.2f} m high at {r[k]:.2f} m from the swing axis: no "
            "bucket angle reaches there"
        )
    # A degree inside the limits, since the base rocks.
    ok[:, 1:-1] &= ok[:, 2:] & ok[:, :-2]
    low = grid[np.argmax(ok, axis=1)]
    high = grid[len(grid) - 1 - np.argmax(ok[:, ::-1], axis=1)]
    return np.clip(pitch, low, high)


def point(r: float, z: float, p: float) -> Array:
    """Return a leg's only point, shape (1, 3)."""
    return np.array([[r, z, p]])
