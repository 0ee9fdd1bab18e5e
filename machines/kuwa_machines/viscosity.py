"""How thick oil is at a temperature, and what that does to leakage and to pilot circuits.

Ubbelohde and Walther's law in the form of ASTM D341, ν in mm²/s and T in K,

    lg lg(ν + 0.7) = A − B lg T

through the two viscosities of the oil's sheet. Laminar leakage goes with 1/ν, and so does the flow
in pilot lines, hence the time that a share of dead time and lag takes goes with ν (Merritt 1967,
*Hydraulic Control Systems*, ch. 2). The density changes by less than 4 % over 50 K and is taken as
constant.
"""

from __future__ import annotations

import math

from kuwa_machines.hydraulics import Oil

KELVIN = 273.15
COLDEST, HOTTEST = -30.0, 110.0
"""Temperatures for which oil is oil [°C]."""


def viscosity(oil: Oil, temperature: float) -> float:
    """Return the kinematic viscosity [m²/s] at a temperature [°C] between COLDEST and HOTTEST."""
    sheet = (oil.viscosity_40, oil.viscosity_100)
    y40, y100 = (math.log10(math.log10(v * 1e6 + 0.7)) for v in sheet)
    x40, x100 = math.log10(40 + KELVIN), math.log10(100 + KELVIN)
    slope = (y40 - y100) / (x100 - x40)
    y = y40 - slope * (math.log10(temperature + KELVIN) - x40)
    return (10 ** (10**y) - 0.7) * 1e-6


def thickening(oil: Oil, temperature: float) -> float:
    """Return viscosity over that at the oil's reference temperature, exactly 1 there."""
    return viscosity(oil, temperature) / viscosity(oil, oil.reference_temperature)


def slowing(oil: Oil, temperature: float) -> float:
    """Return dead time and lag over those at the reference temperature, exactly 1 there."""
    return 1.0 + oil.pilot_share * (thickening(oil, temperature) - 1.0)
