"""Whether a measured velocity may be trusted: a filtered one is late, and lateness is dead time.

If q̇ is measured late by δ and too large by a factor 1/a, then q(t) = a ∫ q̇ dt + a δ q̇ + const, so
that a regression of the position on the velocity and its integral tells both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kuwa_policies.identification.joint_log import JointLog
from kuwa_policies.identification.windows import BLOCK

LATEST = 0.004
"""A velocity that is later is not used [s]."""
SCALE = 0.03
"""A velocity whose integral is off by more than this share is not used."""
LEAST = 0.003
"""Motion below this tells nothing of the velocity [rad]."""


def usable(log: JointLog) -> tuple[JointLog, str]:
    """Return the log, without its velocities where they contradict the positions, and why."""
    qd = log.qd
    assert qd is not None
    block = np.floor((log.t - log.t[0]) / BLOCK).astype(np.intp)
    step = np.diff(log.t, prepend=log.t[0])
    for j, name in enumerate(log.joints):
        v, q = qd[:, j], log.q[:, j]
        good = np.isfinite(v) & np.isfinite(q) & (step < 0.1)
        if good.mean() < 0.5:
            return replace(log, qd=None), (
                f"{name}: {np.count_nonzero(~np.isfinite(v))} of {len(v)} velocities missing; "
                "velocities are not used"
            )
        held = np.where(np.isfinite(v), v, 0.0)
        # Trapezoids, so that the integral itself is not late.
        way = np.cumsum(step * (held + np.append(held[:1], held[:-1])) / 2)
        X = np.stack([way, held], axis=1)[good]
        y, b = q[good], block[good]
        count = np.maximum(np.bincount(b), 1)
        X = X - np.stack([np.bincount(b, c) / count for c in X.T], axis=1)[b]
        y = y - (np.bincount(b, y) / count)[b]
        if y.std() < LEAST:
            continue
        # Noise in the velocity would make it look small and early: its share is taken out.
        noise = 1.4826 * np.median(np.abs(np.diff(v[good]))) / np.sqrt(2)
        A = X.T @ X - np.diag([0.0, len(y) * noise**2])
        scale, late = np.linalg.solve(A, X.T @ y)
        left = y - X @ np.array([scale, late])
        # An integral of noise wanders: the blocks are independent, the samples in them are not.
        score = np.stack([np.bincount(b, left * c) for c in X.T], axis=1)
        bread = np.linalg.inv(A)
        error = np.sqrt(np.diag(bread @ (score.T @ score) @ bread))
        late /= scale
        if abs(scale - 1) > SCALE + 4 * error[0] or abs(late) > LATEST + 4 * error[1]:
            return replace(log, qd=None), (
                f"{name}: measured velocity is {1e3 * late:.0f} ms late and {1 / scale:.2f} times "
                "the position's; velocities are not used"
            )
    return log, ""
