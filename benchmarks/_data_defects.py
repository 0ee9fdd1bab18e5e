"""Seeded defects in data sets: each makes a copy with one thing wrong in one episode."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_policies.datasets import Dataset, DatasetWriter, tables
from kuwa_policies.datasets.adopt import adopt, info_of
from kuwa_policies.datasets.features import ACTION, RECEIPT, STAMP, STATE
from kuwa_policies.datasets.layout import Place

Columns = dict[str, Any]
Change = Callable[[Columns, np.random.Generator, float], None]
"""Changes an episode's columns in place; given the frames in a second."""


def _dropped(c: Columns, rng: np.random.Generator, fps: float) -> None:
    at = int(rng.integers(len(c[STAMP]) // 4, 3 * len(c[STAMP]) // 4))
    for name in (STAMP, RECEIPT):
        c[name][at:] += int(rng.integers(2, 12)) / fps if name == STAMP else 0.0
    c[RECEIPT][at:] += c[STAMP][at] - c[STAMP][at - 1] - 1 / fps


def _skewed(c: Columns, rng: np.random.Generator, fps: float) -> None:
    kind, n = int(rng.integers(3)), len(c[STAMP])
    if kind == 0:
        c[RECEIPT] += np.linspace(0.0, rng.uniform(0.2, 1.0), n)
    elif kind == 1:
        c[RECEIPT] += rng.uniform(0.4, 2.0)
    else:
        # The actions are those of a moment later than the states.
        later = max(round(rng.uniform(1.5, 2.5) * fps), 1)
        c[ACTION][:] = np.concatenate([np.zeros_like(c[ACTION][:later]), c[ACTION][:-later]])


def _frozen(c: Columns, rng: np.random.Generator, fps: float) -> None:
    state = c[STATE]
    n = state.shape[1] // 2
    speed = np.abs(state[:, n:])
    length = round(rng.uniform(1.0, 3.0) * fps)
    # Where a joint moves for that long; a sensor that freezes while nothing moves is no loss.
    smooth = np.stack([np.convolve(speed[:, j], np.ones(length), "valid") for j in range(n)])
    j = int(smooth.max(1).argmax())
    at = int(smooth[j].argmax())
    state[at : at + length, j] = state[at, j]


def _constant(c: Columns, rng: np.random.Generator, fps: float) -> None:
    c[ACTION][:] = c[ACTION][int(rng.integers(len(c[ACTION])))]


def _clipped(c: Columns, rng: np.random.Generator, fps: float) -> None:
    # On a scale on which half of what the joints do lies beyond full deflection.
    size = np.abs(c[ACTION])
    scale = rng.uniform(1.2, 3.0) / np.median(size[size > 0.05])
    c[ACTION][:] = np.clip(c[ACTION] * scale, -1.0, 1.0)


def _reversed(c: Columns, rng: np.random.Generator, fps: float) -> None:
    moves = np.abs(c[ACTION]).sum(0)
    j = int(rng.choice(np.flatnonzero(moves > 0.5 * moves.max())))
    c[ACTION][:, j] *= -1.0


def _rate(c: Columns, rng: np.random.Generator, fps: float) -> None:
    factor = float(rng.choice([0.5, 0.667, 1.5, 2.0]))
    for name in (STAMP, RECEIPT):
        c[name][:] = c[name][0] + (c[name] - c[name][0]) * factor


def _machine(c: Columns, rng: np.random.Generator, fps: float) -> None:
    state = c[STATE]
    n = state.shape[1] // 2
    if rng.integers(2):
        state[:, 1] += 2.0
    else:
        state[:, n:] *= 3.0
        state[:, :n] = state[0, :n] + 3.0 * (state[:, :n] - state[0, :n])


def _nan(c: Columns, rng: np.random.Generator, fps: float) -> None:
    name = str(rng.choice([STATE, ACTION]))
    at = int(rng.integers(len(c[name])))
    c[name][at : at + int(rng.integers(1, 5)), int(rng.integers(c[name].shape[1]))] = np.nan


CHANGES: dict[str, Change] = {
    "dropped_frames": _dropped, "skew": _skewed, "frozen_sensor": _frozen,
    "constant_action": _constant, "clipped_action": _clipped, "wrong_sign": _reversed,
    "wrong_fps": _rate, "mixed_machines": _machine, "nan": _nan,
}  # fmt: skip
CODES = (*CHANGES, "truncated_video", "duplicate_episodes", "label_error")
"""The twelve, as the doctor calls them."""


def seeded(source: Dataset, folder: Path, code: str, seed: int) -> int:
    """Copy a set with two episodes or more into ``folder`` and spoil one; return which."""
    rng = np.random.default_rng([seed, CODES.index(code)])
    index = int(rng.integers(len(source.episodes)))
    if code == "duplicate_episodes":
        return _doubled(source, folder, index)
    shutil.copytree(source.folder, folder)
    place = Place(index)
    notes_file = folder / place.notes
    notes = json.loads(notes_file.read_text("utf-8"))
    if code == "truncated_video":
        path, _ = source.episodes[index].videos[info_of(source).videos[0]]
        data = (folder / path).read_bytes()
        (folder / path).write_bytes(data[: int(len(data) * rng.uniform(0.4, 0.95))])
    elif code == "label_error":
        notes["success"] = not notes["success"]
    else:
        columns = {name: np.array(values) for name, values in source.episode(index).items()}
        CHANGES[code](columns, rng, source.fps)
        # The defect was there when it was recorded: the hash is of what was saved.
        notes["action_sha256"] = hashlib.sha256(columns[ACTION].tobytes()).hexdigest()
        (folder / place.data).write_bytes(tables.data_bytes(info_of(source), columns))
    notes_file.write_text(json.dumps(notes), "utf-8")
    return index


def _doubled(source: Dataset, folder: Path, index: int) -> int:
    with DatasetWriter(folder, info_of(source)) as writer:
        for each in range(len(source.episodes)):
            adopt(writer, source, each)
        return adopt(writer, source, index)
