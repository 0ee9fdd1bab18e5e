"""An episode as the checks see it: arrays by what they mean, and what is known of the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets.features import ACTION, STATE
from kuwa_policies.datasets.reader import Dataset

Array = NDArray[np.float64]
MOVES = 0.05
"""A joint acts above this share of its maximum velocity."""


@dataclass(frozen=True)
class Known:
    """What is known of the machine; infinite or NaN where nothing is.

    Args:
        name: of the machine. joints: in the order of the columns.
        q_min, q_max: [rad]. qd_max: [rad/s]. latest: until a joint answers at the latest [s].
    """

    name: str
    joints: tuple[str, ...]
    q_min: Array
    q_max: Array
    qd_max: Array
    latest: Array


@dataclass(frozen=True)
class Subject:
    """One episode.

    Args:
        index: of the episode. fps: as it is written down.
        columns: as :meth:`Dataset.episode` gives them. known: of the machine.
        q, qd, action: shape (frames, n); empty where the set has no such columns.
    """

    index: int
    fps: int
    columns: Mapping[str, NDArray[Any]]
    known: Known
    q: Array
    qd: Array
    action: Array

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the joints."""
        return self.known.joints

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.columns["frame_index"])


def known_of(dataset: Dataset) -> Known:
    """Return what the set, and the machine's own data, say of the machine."""
    joints = dataset.joints or _joints(dataset)
    n = len(joints)
    nothing = np.full(n, math.nan)
    qd_max = np.asarray(dataset.kuwa.get("qd_max", nothing), np.float64)
    if qd_max.shape != (n,):
        qd_max = nothing
    low, high, latest = np.full(n, -math.inf), np.full(n, math.inf), np.full(n, 1.5)
    try:
        spec = load_machine(dataset.robot_type)
    except KuwaError:
        return Known(dataset.robot_type, joints, low, high, qd_max, latest)
    if spec.joint_names == joints:
        valves = [joint.drive.valve for joint in spec.joints.values()]
        slow = np.array([v.dead_time + v.time_constant for v in valves])
        return Known(
            spec.name, joints, spec.q_min, spec.q_max,
            np.where(np.isfinite(qd_max), qd_max, spec.qd_max), np.maximum(2.0 * slow + 0.5, 1.5),
        )  # fmt: skip
    return Known(dataset.robot_type, joints, low, high, qd_max, latest)


def subject_of(
    dataset: Dataset, index: int, columns: Mapping[str, NDArray[Any]], known: Known
) -> Subject:
    """Return an episode for the checks."""
    n, frames = len(known.joints), len(columns["frame_index"])
    empty: Array = np.empty((frames, 0))
    state = np.asarray(columns.get(STATE, empty), np.float64).reshape(frames, -1)
    action = np.asarray(columns.get(ACTION, empty), np.float64).reshape(frames, -1)
    told = state.shape[1] == 2 * n and n > 0
    return Subject(
        index, dataset.fps, columns, known,
        state[:, :n] if told else empty, state[:, n:] if told else empty,
        action if action.shape[1] == n else empty,
    )  # fmt: skip


def _joints(dataset: Dataset) -> tuple[str, ...]:
    """Return the joints that ``action`` names, for a set that Kuwa did not write."""
    feature = dataset.features.get(ACTION)
    if feature is None:
        return ()
    names = feature.names or tuple(map(str, range(feature.shape[0])))
    return tuple(name.removesuffix(".vel").removesuffix(".pos") for name in names)


def longest_run(flags: NDArray[np.bool_]) -> tuple[int, int]:
    """Return (length, start) of the longest run of true values."""
    if not flags.any():
        return 0, -1
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    k = int(np.argmax(ends - starts))
    return int(ends[k] - starts[k]), int(starts[k])
