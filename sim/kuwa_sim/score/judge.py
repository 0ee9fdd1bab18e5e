"""From a run and a scenario's station to a score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kuwa_machines.contracts import Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.scenario import Station
from kuwa_sim.score.earthwork import score_earthwork
from kuwa_sim.score.guidance import score_guidance
from kuwa_sim.score.haul import score_haul
from kuwa_sim.score.log import ScoreError, Values, WorkLog
from kuwa_sim.score.maps import Maps
from kuwa_sim.soil import SoilParameters

Scorer = Callable[[Task, Maps, WorkLog, MachineSpec, SoilParameters], Values]

SCORERS: Final[dict[str, Scorer]] = {
    "earthwork": score_earthwork,
    "haul": score_haul,
    "guidance": score_guidance,
}
"""By family of tasks."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one machine's run was worth.

    Args:
        success: every bound of the scenario is kept.
        done: the planner called the task finished.
        family: of the task, see :data:`kuwa_sim.score.figures.FIGURES`.
        figures: by name, in SI units or the unit at the end of the name; None where a run gives no
            such figure.
        missed: the bounds that were not kept, in words.
    """

    success: bool
    done: bool
    family: str
    figures: Values
    missed: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, flat."""
        return {
            "success": self.success, "done": self.done, "family": self.family,
            "missed": list(self.missed), **self.figures,
        }  # fmt: skip


def score_run(
    station: Station,
    maps: Maps,
    log: WorkLog,
    spec: MachineSpec,
    soil: SoilParameters,
) -> Score:
    """Score one machine's run.

    Args:
        station: the machine's task and bounds.
        maps: the ground before and after.

    Raises:
        ScoreError: no task, or maps and logs that do not fit together.
    """
    if station.task is None:
        raise ScoreError(f"machine {station.machine!r} had no task")
    family = station.task.family
    figures = SCORERS[family](station.task.task, maps, log, spec, soil)
    missed = tuple(
        f"{name} {value if value is None else format(value, '.4g')}, needs {bound}"
        for name, bound in station.success.items()
        if not bound.holds(value := figures[name])
    )
    return Score(not missed, log.finished, family, figures, missed)
