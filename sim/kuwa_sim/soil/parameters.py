"""What a soil is: its strength and its looseness, loaded strictly from a data file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from kuwa_machines.datafile import Data, DataFile, load_data
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.units import (
    Angle,
    CohesiveModulus,
    FrictionalModulus,
    Length,
    Pressure,
    Ratio,
    SpecificWeight,
)

SOILS = Path(__file__).parents[2] / "soils"
"""Folder of the soils that come with Kuwa."""

MAX_LAYERS = 4
"""Layers below the topmost soil."""

GRAVITY = 9.81
"""[m/s²]"""


class SoilError(KuwaError):
    """A soil's data file is missing, incomplete or describes no soil that can exist."""


class Layer(Data):
    """Ground from ``top`` below the original surface down to the next layer.

    Args:
        top: depth of its upper side [m]. cohesion: of undisturbed soil in it [Pa].
    """

    top: Length
    cohesion: Pressure


class SoilParameters(DataFile):
    """A soil; angles in radians, everything else in SI.

    Args:
        name: equals the file's name.
        specific_weight: gamma, of undisturbed soil [N/m³].
        cohesion: c [Pa]. adhesion: c_a, of soil on metal [Pa].
        internal_friction: phi. metal_friction: delta, of soil on metal.
        swell: volume of the loosened soil over that of the undisturbed.
        repose: steepest slope of loose soil.
        moisture: mass of water over that of the dry soil, to which the other numbers belong.
        texture: class of ASABE D497, which scales the draft of implements.
        sinkage_exponent, cohesive_modulus, frictional_modulus: n, k_c, k_phi of Bekker's
            p = (k_c/b + k_phi) z**n [-], [N/m^(n+1)], [N/m^(n+2)].
        shear_deformation: K of Janosi and Hanamoto [m].
        cone_index: mean of the upper 15 cm [Pa], for tyres.
        layers: ground below others, from the top down; none is one soil throughout.
    """

    name: str
    specific_weight: SpecificWeight
    cohesion: Pressure
    internal_friction: Angle
    metal_friction: Angle
    adhesion: Pressure
    swell: Ratio
    repose: Angle
    moisture: Ratio
    texture: Literal["fine", "medium", "coarse"]
    sinkage_exponent: Ratio
    cohesive_modulus: CohesiveModulus
    frictional_modulus: FrictionalModulus
    shear_deformation: Length
    cone_index: Pressure
    layers: tuple[Layer, ...] = ()

    @model_validator(mode="after")
    def _possible(self) -> Self:
        degree = math.pi / 180
        bounds = {
            "specific_weight": (5e3, 30e3, 1.0, "N/m3"),
            "cohesion": (0.0, 500e3, 1.0, "Pa"),
            "adhesion": (0.0, 500e3, 1.0, "Pa"),
            "internal_friction": (0.0, 50 * degree, degree, "deg"),
            "metal_friction": (0.0, 40 * degree, degree, "deg"),
            "swell": (1.0, 2.0, 1.0, "(ratio)"),
            "repose": (5 * degree, 50 * degree, degree, "deg"),
            "moisture": (0.0, 1.0, 1.0, "(ratio)"),
            "sinkage_exponent": (0.1, 2.0, 1.0, "(ratio)"),
            "cohesive_modulus": (0.0, 500e3, 1e3, "kN/m^(n+1)"),
            "frictional_modulus": (50e3, 20e6, 1e3, "kN/m^(n+2)"),
            "shear_deformation": (0.002, 0.1, 1.0, "m"),
            "cone_index": (100e3, 5e6, 1e3, "kPa"),
        }
        for key, (low, high, unit, word) in bounds.items():
            value = getattr(self, key)
            if not low - 1e-9 <= value <= high + 1e-9:
                raise ValueError(
                    f"{key}: {value / unit:g} {word} is not possible; "
                    f"expected {low / unit:g} to {high / unit:g} {word}"
                )
        tops = [layer.top for layer in self.layers]
        if any(b <= a for a, b in zip([0.0, *tops], tops, strict=False)):
            raise ValueError(f"layers: tops {tops} m must be positive and increase downward")
        if len(tops) > MAX_LAYERS:
            raise ValueError(f"layers: {len(tops)} given; at most {MAX_LAYERS}")
        if self.metal_friction > self.internal_friction + 1e-9:
            raise ValueError(
                f"metal_friction: {math.degrees(self.metal_friction):g} deg exceeds "
                f"internal_friction {math.degrees(self.internal_friction):g} deg; soil would "
                "shear in itself first"
            )
        if self.cohesion == 0.0 and self.internal_friction < 5 * degree:
            raise ValueError(
                "cohesion: 0 with internal_friction below 5 deg is a liquid; give it one of the two"
            )
        return self

    @property
    def density(self) -> float:
        """Of undisturbed soil [kg/m³]."""
        return self.specific_weight / GRAVITY

    @property
    def wall_height(self) -> float:
        """Height a vertical wall stands: Hc = 4c/gamma tan(45° + phi/2) [m] (Terzaghi 1943)."""
        ratio = 4.0 * self.cohesion / self.specific_weight
        return ratio * math.tan(math.pi / 4 + self.internal_friction / 2)

    @property
    def bearing_factors(self) -> tuple[float, float, float]:
        """N_c, N_q (Prandtl 1921, Reissner 1924) and N_gamma (Vesic 1973) of a strip footing."""
        phi = self.internal_friction
        n_q = math.exp(math.pi * math.tan(phi)) * math.tan(math.pi / 4 + phi / 2) ** 2
        n_c = (n_q - 1.0) / math.tan(phi) if phi > 1e-6 else 2.0 + math.pi
        return n_c, n_q, 2.0 * (n_q + 1.0) * math.tan(phi)


def load_soil(soil: str | Path) -> SoilParameters:
    """Load a soil by name (``"sandy_loam"``) or from a file.

    Raises:
        SoilError: naming the file, the key, the value and what would have been right.
    """
    path = soil if isinstance(soil, Path) else SOILS / f"{soil}.yaml"
    if not isinstance(soil, Path) and not path.is_file():
        raise SoilError(
            f"no soil {soil!r}; {choices(soil, (file.stem for file in SOILS.glob('*.yaml')))}"
        )
    parameters = load_data(path, SoilParameters, SoilError)
    if parameters.name != path.stem:
        raise SoilError(f"{path}: name: {parameters.name!r} must equal the file's {path.stem!r}")
    return parameters
