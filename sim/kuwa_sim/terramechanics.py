"""How soil carries and pushes vehicles: Bekker, Janosi and Hanamoto, Brixius. Plain kernels.

Bekker (1969)               p = (k_c/b + k_phi) z**n
Compaction resistance       R = b (k_c/b + k_phi) z**(n+1)/(n+1)      of each track
Janosi and Hanamoto (1961)  tau = (c + sigma tan phi)(1 − e**(−j/K))
Brixius (1987)              B_n = (CI b d/W)(1 + 5 δ/h)/(1 + 3 b/d)
                            GTR = 0.88 (1 − e**(−0.1 B_n))(1 − e**(−7.5 s)) + 0.04
                            MRR = 1/B_n + 0.04 + 0.5 s/√B_n,  NTR = GTR − MRR
"""

from __future__ import annotations

import math

from numba import njit

BRIXIUS_MAX = 0.88
BRIXIUS_MOBILITY = 0.1
BRIXIUS_SLIP = 7.5
BRIXIUS_AXLE = 0.04


@njit(cache=True)
def bekker_sinkage(pressure: float, n: float, k_c: float, k_phi: float, width: float) -> float:
    """Return the static sinkage z under a ground pressure [m].

    Args:
        pressure: [Pa]. n, k_c, k_phi: of the soil, in SI. width: smaller side of the plate [m].
    """
    if pressure <= 0.0:
        return 0.0
    return (pressure / (k_c / width + k_phi)) ** (1.0 / n)


@njit(cache=True)
def compaction_resistance(z: float, n: float, k_c: float, k_phi: float, width: float) -> float:
    """Return the motion resistance of a track that presses a rut of depth z [N]."""
    return width * (k_c / width + k_phi) * z ** (n + 1.0) / (n + 1.0)


@njit(cache=True)
def janosi(tau_max: float, j: float, K: float) -> float:
    """Return the shear stress after a shear displacement j; tau_max = c + sigma tan phi."""
    return tau_max * (1.0 - math.exp(-j / K))


@njit(cache=True)
def track_thrust(tau_max: float, area: float, slip: float, length: float, K: float) -> float:
    """Return the thrust of a track under uniform pressure [N] (integral of Janosi's law).

    F = A tau_max [1 − K/(s l) (1 − e**(−s l/K))] with j growing as s x from the track's front.
    """
    x = slip * length / K
    if x < 1e-9:
        return 0.0
    return area * tau_max * (1.0 - (1.0 - math.exp(-x)) / x)


@njit(cache=True)
def mobility_number(
    cone_index: float, width: float, diameter: float, load: float, deflection: float, section: float
) -> float:
    """Return B_n of a tyre: SI units, ``section`` is its section height h."""
    return (
        cone_index * width * diameter / max(load, 1.0)
        * (1.0 + 5.0 * deflection / section) / (1.0 + 3.0 * width / diameter)
    )  # fmt: skip


@njit(cache=True)
def gross_traction(b_n: float, slip: float) -> float:
    """Return GTR at a slip of 0 or more."""
    grip = BRIXIUS_MAX * (1.0 - math.exp(-BRIXIUS_MOBILITY * b_n))
    return grip * (1.0 - math.exp(-BRIXIUS_SLIP * slip)) + BRIXIUS_AXLE


@njit(cache=True)
def motion_resistance(b_n: float, slip: float) -> float:
    """Return MRR at a slip of 0 or more."""
    return 1.0 / b_n + BRIXIUS_AXLE + 0.5 * slip / math.sqrt(b_n)
