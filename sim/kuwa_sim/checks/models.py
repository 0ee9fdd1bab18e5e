"""Every force model of the simulation behind one plain function each, by name.

Arguments carry their unit in their name, some only name the row, and results are in SI. Closed
equations come first; then the contacts that machines stand and work on, brought to the steady state
for which an equation is published.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from kuwa_sim.checks.contacts import (
    blade_edge_force,
    bucket_edge_force,
    plough_draft,
    track_contact_resistance,
    track_contact_sinkage,
    track_contact_thrust,
    tyre_contact_net_traction,
)
from kuwa_sim.soil import load_soil
from kuwa_sim.soil.earthmoving import earthmoving_factors, factor_table, resistance
from kuwa_sim.soil.parameters import GRAVITY
from kuwa_sim.soil.plough import draft
from kuwa_sim.terramechanics import (
    bekker_sinkage,
    compaction_resistance,
    gross_traction,
    janosi,
    mobility_number,
    motion_resistance,
    track_thrust,
)


def _earthmoving_factor(soil: str, rake_deg: float, factor: str) -> float:
    s = load_soil(soil)
    factors = earthmoving_factors(math.radians(rake_deg), s.metal_friction, s.internal_friction)
    return float(getattr(factors, factor))


def _earthmoving_force(
    soil: str,
    rake_deg: float,
    depth_m: float,
    adhesion_kpa: float = 0.0,
    surcharge_kpa: float = 0.0,
    speed_m_s: float = 0.0,
) -> float:
    """Return the force on a metre of blade, through the table that the kernels use [N]."""
    s = load_soil(soil)
    return float(
        resistance(
            factor_table(s.metal_friction, s.internal_friction), math.radians(rake_deg), depth_m,
            depth_m, s.specific_weight, s.cohesion, 1e3 * adhesion_kpa, 1e3 * surcharge_kpa,
            speed_m_s, GRAVITY,
        )
    )  # fmt: skip


def _bearing_factor(friction_deg: float, factor: str) -> float:
    soil = load_soil("loam").model_copy(update={"internal_friction": math.radians(friction_deg)})
    return soil.bearing_factors[("c", "q", "gamma").index(factor)]


def _wall_height(soil: str) -> float:
    return load_soil(soil).wall_height


def _implement_draft(
    implement: str,
    a: float,
    b: float,
    c: float,
    texture: float,
    width: float,
    depth_cm: float,
    speed_km_h: float,
) -> float:
    return float(draft(a, b, c, texture, speed_km_h / 3.6, width, depth_cm / 100))


def _mobility_number(
    cone_index_kpa: float,
    width_m: float,
    diameter_m: float,
    load_kn: float,
    deflection_m: float,
    section_m: float,
) -> float:
    return float(
        mobility_number(
            1e3 * cone_index_kpa, width_m, diameter_m, 1e3 * load_kn, deflection_m, section_m
        )
    )


def _net_traction(mobility: float, slip: float) -> float:
    return float(gross_traction(mobility, slip) - motion_resistance(mobility, slip))


def _tractive_efficiency(mobility: float, slip: float) -> float:
    return (1.0 - slip) * _net_traction(mobility, slip) / float(gross_traction(mobility, slip))


def _bekker(
    terrain: str,
    n: float,
    k_c: float,
    k_phi: float,
    width_m: float,
    pressure_kpa: float,
) -> float:
    return float(bekker_sinkage(1e3 * pressure_kpa, n, 1e3 * k_c, 1e3 * k_phi, width_m))


def _compaction(
    terrain: str, n: float, k_c: float, k_phi: float, width_m: float, pressure_kpa: float
) -> float:
    z = _bekker(terrain, n, k_c, k_phi, width_m, pressure_kpa)
    return float(compaction_resistance(z, n, 1e3 * k_c, 1e3 * k_phi, width_m))


def _shear_stress(tau_max_kpa: float, displacement_mm: float, modulus_mm: float) -> float:
    return float(janosi(1e3 * tau_max_kpa, displacement_mm, modulus_mm))


def _track_thrust(
    cohesion_kpa: float,
    friction_deg: float,
    weight_kn: float,
    tracks: float,
    width_m: float,
    length_m: float,
    slip: float,
    modulus_mm: float,
) -> float:
    area = tracks * width_m * length_m
    strength = 1e3 * (cohesion_kpa + weight_kn / area * math.tan(math.radians(friction_deg)))
    return float(track_thrust(strength, area, slip, length_m, modulus_mm / 1e3))


MODELS: dict[str, Callable[..., Any]] = {
    "earthmoving_factor": _earthmoving_factor,
    "earthmoving_force": _earthmoving_force,
    "bearing_factor": _bearing_factor,
    "wall_height": _wall_height,
    "implement_draft": _implement_draft,
    "mobility_number": _mobility_number,
    "gross_traction": lambda mobility, slip: gross_traction(mobility, slip),
    "motion_resistance": lambda mobility, slip: motion_resistance(mobility, slip),
    "net_traction": _net_traction,
    "tractive_efficiency": _tractive_efficiency,
    "bekker_sinkage": _bekker,
    "compaction_resistance": _compaction,
    "shear_stress": _shear_stress,
    "track_thrust": _track_thrust,
    "bucket_edge_force": bucket_edge_force,
    "blade_edge_force": blade_edge_force,
    "plough_draft": plough_draft,
    "tyre_contact_net_traction": tyre_contact_net_traction,
    "track_contact_thrust": track_contact_thrust,
    "track_contact_resistance": track_contact_resistance,
    "track_contact_sinkage": track_contact_sinkage,
}
