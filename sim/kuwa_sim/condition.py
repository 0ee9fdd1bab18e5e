"""The condition that a machine is in: how warm its oil is and how worn it is.

    leakage   × (1 + wear_leakage + hours · growth) · ν_ref/ν(T)
    dead band × (1 + wear_dead_band + hours · growth)
    dead time, lag × (1 + pilot_share (ν(T)/ν_ref − 1))
    pump flow × (1 − (wear_pump + hours · growth) · ν_ref/ν(T))

with the growths of the machine's data (``hydraulics.wear``) and its oil's viscosity ν
(:mod:`kuwa_machines.viscosity`). The droop of a travel drive is the leakage of its closed circuit.
"""

from __future__ import annotations

from pydantic import Field

from kuwa_machines.build import scaled
from kuwa_machines.datafile import Data
from kuwa_machines.drives import HydrostaticDrive
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import MachineSpec
from kuwa_machines.viscosity import COLDEST, HOTTEST, slowing, thickening

LEAST_PUMP = 0.2
"""A pump that delivers less than this share of its flow is broken, not worn."""


class Condition(Data):
    """Temperature and wear of one machine; as it is written, a new machine on warm oil."""

    oil_temperature_c: float | None = Field(default=None, ge=COLDEST, le=HOTTEST)
    """None: at which the machine's data hold."""
    working_hours: float = Field(default=0.0, ge=0, le=1e5)
    wear_leakage: float = Field(default=0.0, ge=0, le=1e3)
    """Share by which leakage has grown, beyond that of the hours."""
    wear_dead_band: float = Field(default=0.0, ge=0, le=10)
    wear_pump: float = Field(default=0.0, ge=0, lt=1)
    """Share of the pump's flow that is lost on warm oil, beyond that of the hours."""


def apply(spec: MachineSpec, condition: Condition) -> MachineSpec:
    """Return the machine as its condition lets it be; ``spec`` stays as it was.

    What the condition leaves alone keeps its bits; a new machine on warm oil is ``spec`` itself.

    Raises:
        MachineError: the machine could not work so: oil too thick for its pilot circuits, a dead
            band of half the stroke, a pump that delivers next to nothing.
    """
    oil, wear = spec.hydraulics.oil, spec.hydraulics.wear
    temperature = condition.oil_temperature_c
    if temperature is None:
        temperature = oil.reference_temperature
    hours = condition.working_hours
    thick, slow = thickening(oil, temperature), slowing(oil, temperature)
    leakage = (1.0 + condition.wear_leakage + hours * wear.leakage) / thick
    band = 1.0 + condition.wear_dead_band + hours * wear.dead_band
    pump = 1.0 - (condition.wear_pump + hours * wear.pump_loss) / thick
    where = (
        f"condition: oil at {temperature:.4g} degC, {hours:.4g} h, wear of leakage "
        f"{condition.wear_leakage:.4g}, dead band {condition.wear_dead_band:.4g}, pump "
        f"{condition.wear_pump:.4g}"
    )
    if pump < LEAST_PUMP:
        raise MachineError(
            f"{where}: {spec.name}'s pump would deliver {pump:.3g} of its flow; wear_pump, "
            f"working_hours or the temperature must leave it {LEAST_PUMP}"
        )
    factors = {"hydraulics.pump_flow": pump}
    for name, joint in spec.joints.items():
        drive = f"joints.{name}.drive"
        leak = "droop" if isinstance(joint.drive, HydrostaticDrive) else "leakage"
        factors[f"{drive}.{leak}"] = leakage
        factors[f"{drive}.valve.dead_band"] = band
        factors[f"{drive}.valve.dead_time"] = slow
        factors[f"{drive}.valve.time_constant"] = slow
    changed = {key: factor for key, factor in factors.items() if factor != 1.0}
    return scaled(spec, changed, where) if changed else spec
