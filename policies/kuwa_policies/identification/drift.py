"""Load drift: how fast a loaded joint sinks at zero command, and the leakage that explains it.

At rest the oil column carries the weight, F = −g(q)/lever, and leaks: the piston creeps at
leakage·F/A_h², the joint at that over the lever. The slope of each hold gives one measurement.
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_policies.identification import kernel
from kuwa_policies.identification.model import MachineModel
from kuwa_policies.identification.result import Estimate
from kuwa_policies.identification.rigid import BASE
from kuwa_policies.identification.windows import LEAST_HOLD, Activity

WIDEST = 0.5
"""An interval wider than ± this share of value and prior says that the holds do not tell."""
ML_MIN_MPA = 60e12
"""mL/min/MPa in 1 m³/(s·Pa)."""
LEAST_FORCE = 0.02
"""Below this share of the relief pressure a load tells nothing of the leakage."""


def leakage(activity: Activity, model: MachineModel, j: int) -> tuple[Estimate, Array]:
    """Return the leakage of function ``j`` [m³/(s·Pa)] and the measured drifts.

    Returns:
        The estimate, and for each hold a row (time [s], drift [rad/s], its standard error, drift of
        unit leakage), shape (holds, 4).
    """
    prior = model.prior[j].leakage
    area = model.fixed[j, kernel.AREA_EXTEND]
    relief = model.fixed[j, kernel.RELIEF]
    log, holds = activity.log, []
    loaded = False
    for rows in activity.holds():
        good = rows[np.isfinite(log.q[rows, j])]
        if len(good) < 20:
            continue
        t = log.t[good] - log.t[good].mean()
        q = log.q[good, j] - log.q[good, j].mean()
        slope = float(t @ q / (t @ t))
        left = q - slope * t
        error = float(np.sqrt(max(left @ left, 1e-24) / (len(t) - 2) / (t @ t)))
        posture = np.nanmean(log.q[rows], axis=0)[None]
        _, g = model.tree.inertia_and_weight(posture)
        lever = model.levers(posture)[0, j]
        force = -g[0, BASE + j] / lever
        loaded = loaded or abs(force) > LEAST_FORCE * relief * area
        # lever·q̇ + leakage·F/A² = 0
        holds.append((float(log.t[good].mean()), slope, error, -force / area**2 / lever))
    table = np.array(holds).reshape(-1, 4)
    if not len(table):
        return Estimate.kept(prior, f"no hold of {LEAST_HOLD:g} s at zero command"), table
    if not loaded:
        return Estimate.kept(prior, "no load on it at rest: drift tells nothing"), table
    slopes, errors, unit = table[:, 1], table[:, 2], table[:, 3]
    weight = unit / errors**2
    value = float(weight @ slopes / (weight @ unit))
    # Holds that contradict each other widen the interval.
    scatter = float(np.sum(((slopes - value * unit) / errors) ** 2)) / max(len(table) - 1, 1)
    reach = 1.96 * np.sqrt(max(scatter, 1.0) / float(weight @ unit))
    if reach > WIDEST * max(value, prior):
        spread = f"{value * ML_MIN_MPA:.2g} ± {reach * ML_MIN_MPA:.2g} mL/min/MPa"
        return Estimate.kept(prior, f"too uncertain from {len(table)} holds: {spread}"), table
    low, high = max(value - reach, 0.0), max(value + reach, 0.0)
    return Estimate(max(value, 0.0), low, high, prior), table
