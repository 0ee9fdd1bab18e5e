"""The figures by which work is judged: one table, from which success, reports and docs are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a run.

    Args:
        label: in words. unit: it is shown in. scale: from SI to that unit. digits: shown.
    """

    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 1

    def text(self, value: float | None) -> str:
        """Return the value in the figure's unit, without the unit."""
        return "–" if value is None else f"{self.scale * value:.{self.digits}f}"


COMMON: Final = {
    "duration_s": Figure("until the task was done, or the end of the run", "s", digits=0),
    "energy_kwh": Figure("hydraulic energy", "kWh", digits=2),
    "limit_violations": Figure("ticks outside joint limits", digits=0),
}
CYCLES: Final = {
    "cycles": Figure("work cycles", digits=0),
    "cycle_mean_s": Figure("a cycle, mean", "s"),
    "cycle_min_s": Figure("a cycle, shortest", "s"),
    "cycle_max_s": Figure("a cycle, longest", "s"),
}
EARTHWORK: Final = {
    "share_within_tolerance": Figure("of the surface within its tolerance", "%", 100),
    "rmse_m": Figure("rms distance of the surface from its target", "cm", 100),
    "bias_m": Figure("mean distance of the surface from its target", "cm", 100),
    "rmse_before_m": Figure("rms distance before the work", "cm", 100),
    "volume_target_m3": Figure("to be cut", "m³", digits=2),
    "volume_moved_m3": Figure("cut, as it lay", "m³", digits=2),
    "ramp_volume_m3": Figure("of that in the ramps at both ends", "m³", digits=2),
    "over_dig_m3": Figure("cut where nothing was to be cut", "m³", digits=2),
    "spoil_volume_m3": Figure("lying loose outside", "m³", digits=2),
    "spoil_off_heap_m3": Figure("of that beside the spoil heap", "m³", digits=2),
    "remaining_m3": Figure("still above the target", "m³", digits=2),
    "carried_m3": Figure("carried in the tool, loose", "m³", digits=2),
    "fill_factor": Figure("mean fill of the tool", "% of heaped", 100, 0),
    "slip": Figure("slip while driving, mean", "%", 100),
    "energy_per_volume_kwh_m3": Figure("energy for a volume cut", "kWh/m³", digits=2),
    "rate_m3_h": Figure("cut in an hour", "m³/h", digits=0),
}
HAUL: Final = {
    "loaded_m3": Figure("in the body at most", "m³", digits=2),
    "delivered_m3": Figure("tipped", "m³", digits=2),
    "delivered_share": Figure("of the asked volume tipped at its place", "%", 100),
    "left_m3": Figure("left in the body", "m³", digits=2),
    "cross_track_rms_m": Figure("rms distance from the way", "cm", 100),
    "slip": Figure("slip while driving, mean", "%", 100),
}
GUIDANCE: Final = {
    "cross_track_sd_m": Figure("SD of the distance from the way (ISO 12188-2)", "cm", 100),
    "cross_track_mean_m": Figure("mean distance from the way", "cm", 100),
    "cross_track_p95_m": Figure("95 % closer to the way than", "cm", 100),
    "worked_share": Figure("of the way worked", "%", 100),
    "speed_km_h": Figure("speed at work, mean", "km/h"),
    "slip": Figure("slip at work, mean", "%", 100),
    "depth_mean_m": Figure("working depth, mean", "cm", 100),
    "depth_rms_m": Figure("rms deviation of the depth", "cm", 100),
    "height_mean_m": Figure("height over the ground, mean", "cm", 100),
    "height_rms_m": Figure("rms deviation of the height", "cm", 100),
    "height_share": Figure("of the boom's points within the height's tolerance", "%", 100),
    "energy_per_area_kwh_ha": Figure("energy for an area", "kWh/ha"),
}

FIGURES: Final[dict[str, dict[str, Figure]]] = {
    "earthwork": COMMON | CYCLES | EARTHWORK,
    "haul": COMMON | CYCLES | HAUL,
    "guidance": COMMON | GUIDANCE,
}
"""By family of tasks."""
