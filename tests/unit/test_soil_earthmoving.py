"""The fundamental earth-moving equation gives the published values and stays in its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_sim.soil import load_soil
from kuwa_sim.soil.earthmoving import (
    N_RAKE,
    RAKE_MAX,
    RAKE_MIN,
    RAKE_STEP,
    earthmoving_factors,
    factor_table,
    resistance,
)

SOILS = ["sandy_loam", "loam", "clay_loam", "dry_sand"]
TABLES = {
    name: factor_table(load_soil(name).metal_friction, load_soil(name).internal_friction)
    for name in SOILS
}


def force(
    name: str, rake: float, depth: float, surcharge: float = 0.0, speed: float = 0.0
) -> float:
    soil = load_soil(name)
    return resistance(
        TABLES[name], rake, depth, depth, soil.specific_weight, soil.cohesion, soil.adhesion,
        surcharge, speed, 9.81,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kilonewtons"),
    [
        ("sandy_loam", (2.7, 5.8, 9.5)),
        ("clay_loam", (4.6, 9.4, 14.4)),
        ("dry_sand", (0.3, 1.0, 2.3)),
    ],
)
def test_published_check_values(name: str, kilonewtons: tuple[float, ...]) -> None:
    for depth, expected in zip((0.1, 0.2, 0.3), kilonewtons, strict=True):
        assert force(name, math.radians(50), depth) / 1e3 == pytest.approx(expected, abs=0.05)


def test_published_factors() -> None:
    factors = earthmoving_factors(math.radians(50), math.radians(22), math.radians(35))
    assert factors.n_gamma == pytest.approx(1.71, abs=0.005)
    assert factors.n_c == pytest.approx(2.40, abs=0.005)
    assert factors.n_q == pytest.approx(2 * factors.n_gamma)


@settings(deadline=None)
@given(st.sampled_from(SOILS), st.floats(10.0, 90.0))
def test_beta_minimises_n_gamma(name: str, rake_deg: float) -> None:
    soil, rho = load_soil(name), math.radians(rake_deg)
    delta, phi = soil.metal_friction, soil.internal_friction
    best = earthmoving_factors(rho, delta, phi)

    def n_gamma(beta: float) -> float:
        d = math.cos(rho + delta) + math.sin(rho + delta) / math.tan(beta + phi)
        return (1 / math.tan(rho) + 1 / math.tan(beta)) / (2 * d)

    for step in (-0.05, -0.005, 0.005, 0.05):
        assert n_gamma(best.beta + step) >= best.n_gamma - 1e-9


@settings(deadline=None)
@given(st.sampled_from(SOILS), st.floats(10.0, 90.0), st.floats(0.01, 1.0))
def test_the_table_agrees_with_the_equation(name: str, rake_deg: float, depth: float) -> None:
    soil, rake = load_soil(name), math.radians(rake_deg)
    f = earthmoving_factors(rake, soil.metal_friction, soil.internal_friction)
    exact = soil.specific_weight * depth**2 * f.n_gamma + soil.cohesion * depth * f.n_c
    assert force(name, rake, depth) == pytest.approx(exact, rel=2e-3)


@settings(deadline=None)
@given(
    st.sampled_from(SOILS),
    st.floats(-400.0, 400.0),
    st.floats(0.0, 1.5),
    st.floats(0.0, 0.5),
    st.floats(0.0, 5e4),
    st.floats(0.0, 2.0),
)
def test_force_grows_with_depth_surcharge_and_speed(
    name: str, rake_deg: float, depth: float, more: float, surcharge: float, speed: float
) -> None:
    rake = math.radians(rake_deg)
    base = force(name, rake, depth)
    assert math.isfinite(base)
    assert base >= 0.0
    assert force(name, rake, depth + more) >= base
    assert force(name, rake, depth, surcharge) >= base
    assert force(name, rake, depth, 0.0, speed) >= base


def test_out_of_its_validity_it_is_held_or_refused_but_never_nan() -> None:
    for name in SOILS:
        assert np.all(np.isfinite(TABLES[name]))
        assert TABLES[name].shape == (N_RAKE, 5)
        assert force(name, 0.0, 0.2) == force(name, RAKE_MIN, 0.2)
        assert force(name, 3.0, 0.2) == pytest.approx(force(name, RAKE_MAX, 0.2))
    last = RAKE_MIN + (N_RAKE - 1) * RAKE_STEP
    assert last == pytest.approx(RAKE_MAX)
    with pytest.raises(ValueError, match=r"rake 5\.00° .* 10° to 90°"):
        earthmoving_factors(math.radians(5), 0.3, 0.5)
    with pytest.raises(ValueError, match=r"phi 70\.00°"):
        earthmoving_factors(math.radians(50), 0.3, math.radians(70))
    with pytest.raises(ValueError, match="no failure plane"):
        earthmoving_factors(math.radians(90), math.radians(45), math.radians(45))
