"""Examines a whole set: every check on every episode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets.doctor import sets, signals, timing
from kuwa_policies.datasets.doctor.finding import CHECKS, Finding
from kuwa_policies.datasets.doctor.subject import Subject, known_of, subject_of
from kuwa_policies.datasets.reader import Dataset

OF_EPISODES: Final[tuple[Callable[[Subject], Iterator[Finding]], ...]] = (
    timing.dropped_frames, timing.wrong_fps, timing.skew, signals.frozen_sensor,
    signals.constant_action, signals.clipped_action, signals.wrong_sign, signals.other_machine,
)  # fmt: skip
"""Checks of one episode's columns, all of them finite."""


@dataclass(frozen=True)
class Report:
    """What the doctor found.

    Args:
        episodes: that were looked at. findings: in the order of :data:`CHECKS`.
    """

    episodes: int
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def of(self, episode: int) -> tuple[Finding, ...]:
        """Return what concerns one episode."""
        return tuple(f for f in self.findings if f.episode == episode)

    def as_dict(self) -> dict[str, Any]:
        """Return everything by name, with the remedies."""
        rows = [
            {**asdict(f), "title": CHECKS[f.code].title, "remedy": CHECKS[f.code].remedy}
            for f in self.findings
        ]
        return {"episodes": self.episodes, "healthy": self.healthy, "findings": rows}


def examine(
    dataset: Dataset,
    episodes: Iterable[int] | None = None,
    decode: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Examine a set; nothing is changed.

    Args:
        episodes: which; all if None.
        decode: every picture of every video, which takes most of the time.
        progress: told how many episodes are done.
    """
    known, tasks = known_of(dataset), sets.tasks_of(dataset)
    which = list(range(len(dataset.episodes)) if episodes is None else episodes)
    found: list[Finding] = [f for f in sets.machines(dataset) if f.episode in set(which)]
    prints: dict[int, str] = {}
    for done, index in enumerate(which):
        if progress is not None:
            progress(done)
        found += sets.videos(dataset, index, decode)
        try:
            columns = dataset.episode(index)
        except KuwaError as error:
            found.append(_unreadable(dataset, index, str(error)))
            continue
        prints[index] = sets.fingerprint(columns)
        found += sets.changed(dataset, index, columns)
        found += sets.labels(dataset, index, columns)
        found += sets.task_indices(dataset, index, columns, tasks)
        subject = subject_of(dataset, index, columns, known)
        lost = list(signals.not_finite(subject))
        found += lost
        # Of numbers that are none nothing else can be said.
        if not lost:
            for check in OF_EPISODES:
                found += check(subject)
        try:
            dataset.actions(index)
        except KuwaError as error:
            found.append(_unreadable(dataset, index, str(error)))
    found += sets.duplicates(prints)
    order = list(CHECKS)
    found.sort(key=lambda f: (order.index(f.code), f.episode))
    return Report(len(which), tuple(found))


def _unreadable(dataset: Dataset, index: int, text: str) -> Finding:
    where = dataset.episodes[index].data
    return Finding(
        "unreadable", index, where, text.removeprefix(f"{dataset.folder}/"), "a whole file"
    )
