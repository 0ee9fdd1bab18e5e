"""The fundamental earth-moving equation (Reece 1965, McKyes 1985): force to fail a wedge of soil.

    P = (gamma d² N_gamma + c d N_c + c_a d N_ca + q d N_q + (gamma/g) v² d N_a) w

    D       = cos(rho + delta) + sin(rho + delta) cot(beta + phi)
    N_gamma = (cot rho + cot beta) / (2 D)           N_q  = 2 N_gamma
    N_c     = (1 + cot beta cot(beta + phi)) / D     N_ca = (1 - cot rho cot(beta + phi)) / D
    N_a     = (tan beta + cot(beta + phi)) / (D (1 + tan beta cot rho))

rho is the rake of the blade against the ground in front of it, delta the friction angle of soil on
metal, phi that of soil on soil, and beta, the angle of the failure plane, minimises N_gamma. P acts
at delta from the normal of the blade.

Valid for rakes from 10° (below it the wedge is longer than any blade) to 90° (above it a dead wedge
of soil rides on the blade and cuts in its stead, so that the force stops growing: the table is held
at its ends).
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

RAKE_MIN = math.radians(10.0)
RAKE_MAX = math.radians(90.0)
RAKE_STEP = math.radians(0.5)
N_RAKE = 161

F_GAMMA, F_C, F_CA, F_Q, F_A = range(5)


class Factors(NamedTuple):
    """The dimensionless factors of the equation and the failure angle that gave them."""

    n_gamma: float
    n_c: float
    n_ca: float
    n_q: float
    n_a: float
    beta: float


@njit(cache=True)
def _wedge(rho: float, delta: float, phi: float, beta: float) -> tuple[float, float]:
    """Return (D, N_gamma); D = sin(rho + delta + beta + phi) / sin(beta + phi), > 0 if valid."""
    d = math.cos(rho + delta) + math.sin(rho + delta) / math.tan(beta + phi)
    return d, (1.0 / math.tan(rho) + 1.0 / math.tan(beta)) / (2.0 * d)


def earthmoving_factors(rake: float, delta: float, phi: float) -> Factors:
    """Return the factors for one rake, with beta found by golden section.

    Args:
        rake, delta, phi: angles [rad]; ``RAKE_MIN <= rake <= RAKE_MAX``.

    Raises:
        ValueError: if an angle is out of range, or if no wedge can fail: the angles leave no room
            for beta, since rake + delta + phi + beta must stay below 180°.
    """
    tiny = 1e-9
    if not RAKE_MIN - tiny <= rake <= RAKE_MAX + tiny:
        raise ValueError(
            f"rake {math.degrees(rake):.2f}° is outside the validity of the earth-moving equation; "
            f"expected {math.degrees(RAKE_MIN):.0f}° to {math.degrees(RAKE_MAX):.0f}°"
        )
    for name, angle in (("delta", delta), ("phi", phi)):
        if not 0.0 <= angle < math.pi / 3:
            raise ValueError(f"{name} {math.degrees(angle):.2f}° is impossible; expected 0° to 60°")
    lo = math.radians(1.0)
    hi = min(math.pi - rake - delta - phi, math.pi / 2) - math.radians(1.0)
    if hi <= lo:
        raise ValueError(
            f"rake {math.degrees(rake):.1f}° + delta {math.degrees(delta):.1f}° + phi "
            f"{math.degrees(phi):.1f}° leaves no failure plane; their sum must stay below 178°"
        )
    # N_gamma(beta) falls from infinity at 0 and rises to infinity where D = 0: one minimum.
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    a, b = lo, hi
    for _ in range(80):
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        if _wedge(rake, delta, phi, c)[1] < _wedge(rake, delta, phi, d)[1]:
            b = d
        else:
            a = c
    beta = 0.5 * (a + b)
    big_d, n_gamma = _wedge(rake, delta, phi, beta)
    cot_rho, cot_beta, cot_bp = (1.0 / math.tan(x) for x in (rake, beta, beta + phi))
    return Factors(
        n_gamma=n_gamma,
        n_c=(1.0 + cot_beta * cot_bp) / big_d,
        n_ca=(1.0 - cot_rho * cot_bp) / big_d,
        n_q=2.0 * n_gamma,
        n_a=(math.tan(beta) + cot_bp) / (big_d * (1.0 + math.tan(beta) * cot_rho)),
        beta=beta,
    )


def factor_table(delta: float, phi: float) -> Array:
    """Return the factors from RAKE_MIN to RAKE_MAX, every half degree, shape (N_RAKE, 5)."""
    return _factor_table(delta, phi).copy()


@cache
def _factor_table(delta: float, phi: float) -> Array:
    """Kept, because every reset of a site asks for it again."""
    table = np.empty((N_RAKE, 5))
    for k in range(N_RAKE):
        table[k] = earthmoving_factors(RAKE_MIN + k * RAKE_STEP, delta, phi)[:5]
    return table


@njit(cache=True)
def resistance(
    table: Array,
    rake: float,
    depth: float,
    cohesive_depth: float,
    gamma: float,
    cohesion: float,
    adhesion: float,
    surcharge: float,
    speed: float,
    gravity: float,
) -> float:
    """Return P per metre of width [N/m], interpolated in ``table``; rake is held at its limits.

    Args:
        table: from :func:`factor_table`.
        rake: [rad]. depth: of the edge below the ground ahead [m]; 0 or less gives 0.
        cohesive_depth: the part of the depth in undisturbed soil, where cohesion acts [m].
        gamma: mean unit weight over the depth [N/m³]. cohesion, adhesion, surcharge: [Pa].
        speed: of the blade into the soil [m/s].
    """
    if depth <= 0.0:
        return 0.0
    x = (min(max(rake, RAKE_MIN), RAKE_MAX) - RAKE_MIN) / RAKE_STEP
    k = min(int(x), N_RAKE - 2)
    u = x - k
    v = 1.0 - u
    n_gamma = v * table[k, F_GAMMA] + u * table[k + 1, F_GAMMA]
    n_c = v * table[k, F_C] + u * table[k + 1, F_C]
    n_ca = v * table[k, F_CA] + u * table[k + 1, F_CA]
    n_q = v * table[k, F_Q] + u * table[k + 1, F_Q]
    n_a = v * table[k, F_A] + u * table[k + 1, F_A]
    force = (
        gamma * depth * depth * n_gamma
        + cohesion * cohesive_depth * n_c
        + adhesion * cohesive_depth * n_ca
        + surcharge * depth * n_q
        + gamma / gravity * speed * speed * depth * n_a
    )
    # A steep adhesive blade can make N_ca negative; the ground never pulls.
    return max(force, 0.0)
