"""Checks of a set as a whole: its files, labels, copies and whose episodes they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import layout, tables, video
from kuwa_policies.datasets.doctor.finding import Finding
from kuwa_policies.datasets.features import ACTION, STATE
from kuwa_policies.datasets.reader import Dataset

SHORT = 0.5
"""Seconds below which a success is not believed [s]."""


def videos(dataset: Dataset, index: int, decode: bool) -> Iterator[Finding]:
    """Find videos that are cut short.

    Args:
        decode: every picture; else only what the file says of itself is looked at.
    """
    episode = dataset.episodes[index]
    for name, (path, start) in episode.videos.items():
        file = dataset.folder / path
        try:
            if decode:
                found = sum(1 for _ in video.decode(file, start, episode.length))
            else:
                needed = round(start * dataset.fps) + episode.length
                found = video.frames_in(file) - (needed - episode.length)
        except KuwaError as error:
            text = str(error).removeprefix(f"{file}: ")
            yield Finding("truncated_video", index, name, text, f"{episode.length} pictures")
            continue
        if found < episode.length:
            yield Finding("truncated_video", index, name, f"{found} pictures", f"{episode.length}")


def fingerprint(columns: Mapping[str, NDArray[Any]]) -> str:
    """Return a hash of what an episode saw and did."""
    found = hashlib.sha256()
    for name in (STATE, ACTION):
        if name in columns:
            found.update(np.ascontiguousarray(columns[name]).tobytes())
    return found.hexdigest()


def changed(dataset: Dataset, index: int, columns: Mapping[str, NDArray[Any]]) -> Iterator[Finding]:
    """Compare the actions with the hash that was taken when they were saved."""
    told = dataset.episodes[index].notes.get("action_sha256")
    if told is None or ACTION not in columns:
        return
    now = hashlib.sha256(np.ascontiguousarray(columns[ACTION]).tobytes()).hexdigest()
    if now != told:
        yield Finding("changed", index, ACTION, f"hash {now[:12]}…", f"{str(told)[:12]}…")


def labels(dataset: Dataset, index: int, columns: Mapping[str, NDArray[Any]]) -> Iterator[Finding]:
    """Find labels that contradict what is known."""
    episode = dataset.episodes[index]
    notes = episode.notes
    if not any(text.strip() for text in episode.tasks):
        yield Finding("label_error", index, "task", "no words", "what was to be done")
    missed, fault = notes.get("missed"), notes.get("fault")
    if missed is not None:
        wrong = [str(text) for text in missed] + ([str(fault)] if fault else [])
        if episode.success and wrong:
            yield Finding("label_error", index, "success", f"true, but {'; '.join(wrong)}", "false")
        if episode.success is False and not wrong:
            yield Finding(
                "label_error", index, "success", "false, but every bound was kept", "true"
            )
    elif episode.success and episode.length < SHORT * dataset.fps:
        yield Finding(
            "label_error", index, "success", f"true after {episode.length} frames", "false"
        )


def task_indices(
    dataset: Dataset, index: int, columns: Mapping[str, NDArray[Any]], tasks: Sequence[str]
) -> Iterator[Finding]:
    """Find frames whose task is not the one that the episode names."""
    if "task_index" not in columns or not tasks:
        return
    used = np.unique(columns["task_index"])
    named = dataset.episodes[index].tasks
    for number in used:
        text = tasks[int(number)] if 0 <= number < len(tasks) else None
        if text not in named:
            shown = "none" if text is None else f"{text!r}"
            yield Finding(
                "label_error", index, "task_index", f"{number}, which is {shown}",
                f"one of {list(named)}",
            )  # fmt: skip


def tasks_of(dataset: Dataset) -> list[str]:
    """Return the tasks of a set, none where the table cannot be read."""
    try:
        return tables.read_tasks(dataset.folder / layout.TASKS)
    except KuwaError:
        return []


def duplicates(prints: Mapping[int, str]) -> Iterator[Finding]:
    """Find episodes that are the same."""
    first: dict[str, int] = {}
    for index, each in prints.items():
        if each in first:
            yield Finding(
                "duplicate_episodes", index, "states and actions",
                f"those of episode {first[each]}", "its own",
            )  # fmt: skip
        first.setdefault(each, index)


def machines(dataset: Dataset) -> Iterator[Finding]:
    """Find episodes that say another machine than the set, or than most."""
    said = {
        episode.index: str(name)
        for episode in dataset.episodes
        if (name := episode.notes.get("machine")) is not None
    }
    if not said:
        return
    usual = dataset.robot_type
    if usual not in said.values():
        usual = Counter(said.values()).most_common(1)[0][0]
    for index, name in said.items():
        if name != usual:
            yield Finding("mixed_machines", index, "machine", name, usual)
