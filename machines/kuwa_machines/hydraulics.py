"""The pump, the oil and how they age, as data."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kuwa_machines.datafile import Data
from kuwa_machines.units import (
    Flow,
    Growth,
    KinematicViscosity,
    Power,
    Pressure,
    Ratio,
    Temperature,
    Time,
)


class Oil(Data):
    """The hydraulic oil; :mod:`kuwa_machines.viscosity` says what its temperature does."""

    viscosity_40: KinematicViscosity
    viscosity_100: KinematicViscosity
    """At 40 and 100 °C, as every oil's sheet gives them."""
    reference_temperature: Temperature
    """At which leakage, dead times and lags of this file hold [°C]."""
    pilot_share: Ratio
    """Share of dead times and lags that goes with viscosity: laminar flow in pilot lines."""

    @model_validator(mode="after")
    def _plausible(self) -> Oil:
        if not 2e-6 < self.viscosity_100 < self.viscosity_40:
            # The law's constant of 0.7 mm²/s holds above 2 mm²/s only.
            raise ValueError(
                f"viscosity_100 {self.viscosity_100 * 1e6:.4g} mm2/s must be above 2 and below "
                f"viscosity_40 {self.viscosity_40 * 1e6:.4g} mm2/s"
            )
        if not 0 <= self.reference_temperature <= 100:
            raise ValueError(
                f"reference_temperature {self.reference_temperature:.4g} degC must be in [0, 100]"
            )
        if not 0 <= self.pilot_share <= 1:
            raise ValueError(f"pilot_share {self.pilot_share:.4g} must be in [0, 1]")
        return self


class Wear(Data):
    """What an hour of work adds, as a share of the new machine's value."""

    leakage: Growth
    dead_band: Growth
    pump_loss: Growth
    """Share of the pump's flow that leaks back inside it."""

    @model_validator(mode="after")
    def _not_healing(self) -> Wear:
        if min(self.leakage, self.dead_band, self.pump_loss) < 0:
            raise ValueError("wear must not be negative: machines do not heal")
        return self


class _Pump(Data):
    engine_power: Power
    """Of the engine at its pumps: what the travel drives together have is this less what the
    working pump takes."""
    pump_flow: Flow
    pump_power: Power
    pump_relief: Pressure
    tank_pressure: Pressure
    bulk_modulus: Pressure
    engine_efficiency: Ratio
    oil: Oil
    wear: Wear

    @model_validator(mode="after")
    def _pump_fits(self) -> _Pump:
        for key in ("pump_flow", "pump_power", "bulk_modulus", "engine_efficiency"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} {getattr(self, key):.4g} must be positive")
        if not 0 <= self.tank_pressure < self.pump_relief:
            raise ValueError(
                f"tank_pressure {self.tank_pressure:.4g} Pa must be in [0, pump_relief "
                f"{self.pump_relief:.4g} Pa)"
            )
        if self.pump_power > self.engine_power:
            raise ValueError(
                f"pump_power {self.pump_power:.4g} W must be at most engine_power "
                f"{self.engine_power:.4g} W"
            )
        return self


class LoadSensing(_Pump):
    """Pump pressure is the highest load plus a margin; what is short is shared by demand."""

    type: Literal["load_sensing"]
    load_sensing_margin: Pressure

    @model_validator(mode="after")
    def _positive_margin(self) -> LoadSensing:
        if self.load_sensing_margin <= 0:
            raise ValueError(
                f"load_sensing_margin {self.load_sensing_margin:.4g} Pa must be positive"
            )
        return self


class Edges(Data):
    """For what one function's spool was made, in one direction of its joint."""

    load: Pressure
    """Of the function's inlet, at which its flow goes with the opening; negative: it is pulled."""
    outlet_drop: Pressure
    """Where oil leaves the function at full flow, times the outlet's area over the inlet's."""

    @model_validator(mode="after")
    def _positive(self) -> Edges:
        if self.outlet_drop <= 0:
            raise ValueError(f"outlet_drop {self.outlet_drop:.4g} Pa must be positive")
        return self


class Spool(Data):
    """One function's spool: on which pump it is, and for what it was made."""

    pump: int = Field(ge=1)
    positive: Edges
    """In the positive direction of the joint."""
    negative: Edges


class NegativeFlow(_Pump):
    """Open-centre valves in a row; what runs through all of them sets their pump back.

    The oil that no function takes passes the bypass of every spool on its pump and then an orifice
    before the tank. The pressure before that orifice brings the pump's flow linearly from its
    largest, at ``control_low``, to ``standby_flow``, at ``control_high``; the orifice is such that
    the standby flow alone keeps it there. ``pump_flow`` and ``pump_power`` are of all pumps, which
    are equal.
    """

    type: Literal["negative_flow"]
    pumps: int = Field(ge=1, le=4)
    standby_flow: Flow
    """Of each pump."""
    control_low: Pressure
    control_high: Pressure
    pump_time_constant: Time
    bypass_drop: Pressure
    """Across one neutral spool's bypass at ``standby_flow``."""
    bypass_notch: Ratio
    """Opening within which a bypass leaves its neutral width."""
    inlet_drop: Pressure
    """Where oil enters a function at full flow."""
    spools: dict[str, Spool]
    """By joint: every cylinder and motor on this pump."""

    @model_validator(mode="after")
    def _bypass_fits(self) -> NegativeFlow:
        if not 0 < self.standby_flow < self.pump_flow / self.pumps:
            raise ValueError(
                f"standby_flow {self.standby_flow:.4g} m3/s must be positive and below the flow of "
                f"one pump, {self.pump_flow / self.pumps:.4g} m3/s"
            )
        for name, spool in self.spools.items():
            if spool.pump > self.pumps:
                raise ValueError(
                    f"spools.{name}.pump: {spool.pump}; there are {self.pumps} pump(s)"
                )
        if not 0 <= self.control_low < self.control_high < self.pump_relief:
            raise ValueError(
                f"control_low {self.control_low:.4g} Pa must be below control_high "
                f"{self.control_high:.4g} Pa, and that below pump_relief"
            )
        if min(self.bypass_drop, self.inlet_drop, self.pump_time_constant) <= 0:
            raise ValueError("bypass_drop, inlet_drop and pump_time_constant must be positive")
        if not 0 < self.bypass_notch <= 0.5:
            raise ValueError(f"bypass_notch {self.bypass_notch:.4g} must be in (0, 0.5]")
        return self


Hydraulics = Annotated[LoadSensing | NegativeFlow, Field(discriminator="type")]
