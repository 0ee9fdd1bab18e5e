"""Checks of when things were measured: frames dropped, the wrong rate, streams out of step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets.doctor.finding import Finding
from kuwa_policies.datasets.doctor.subject import MOVES, Array, Subject, longest_run
from kuwa_policies.datasets.features import IMAGES, RECEIPT, STAMP, image_stamp

GAP = 1.5
"""Frames between two stamps above which one was dropped."""
OLD = 0.25
"""A state may be as old as this when it is recorded [s]."""
IMAGE_STAMPS = image_stamp(IMAGES)
SPREAD = 0.1
"""Its age may vary by this between the 2nd and the 98th per cent [s]."""
RATE = 0.1
"""The rate may differ by this share."""
EARLY = 0.1
"""Motion may seem to come before the action by this, which noise can bring about [s]."""
CLEAR = 0.5
"""A correlation above this says something."""
ENOUGH = 20
"""Frames of motion below which nothing is judged."""


def dropped_frames(s: Subject) -> Iterator[Finding]:
    """Find gaps and repetitions in the stamps of the states."""
    stamps = s.columns.get(STAMP)
    if stamps is None or len(stamps) < 3:
        return
    step = np.diff(stamps)
    usual = float(np.median(step))
    if usual <= 0.0:
        return
    gaps = step > GAP * usual + 1e-6
    if gaps.any():
        lost = int(np.rint(step[gaps] / usual - 1.0).sum())
        at = int(np.flatnonzero(gaps)[0]) + 1
        yield Finding(
            "dropped_frames", s.index, STAMP,
            f"{lost} frames missing in {int(gaps.sum())} gaps, the longest {step.max():.3g} s",
            f"steps of {usual:.3g} s", at,
        )  # fmt: skip
        return
    length, start = longest_run(step <= 1e-9)
    if length > GAP:
        yield Finding(
            "dropped_frames", s.index, STAMP, f"one state repeated {length} times",
            "a new state at each frame", start,
        )  # fmt: skip


def wrong_fps(s: Subject) -> Iterator[Finding]:
    """Compare the rate with the stamps, and positions with velocities."""
    stamps = s.columns.get(STAMP)
    if stamps is not None and len(stamps) >= 3:
        usual = float(np.median(np.diff(stamps)))
        if usual > 0.0 and abs(usual * s.fps - 1.0) > RATE:
            yield Finding(
                "wrong_fps", s.index, STAMP, f"{1 / usual:.3g} frames a second", f"{s.fps}"
            )
            return
    grid = s.columns["timestamp"].astype(np.float64)
    if len(grid) >= 3 and abs(float(np.median(np.diff(grid))) * s.fps - 1.0) > RATE:
        usual = float(np.median(np.diff(grid)))
        yield Finding(
            "wrong_fps", s.index, "timestamp", f"steps of {usual:.3g} s", f"{1 / s.fps:.3g} s"
        )
        return
    slopes = [slope for _, slope, clear in _slopes(s) if clear and slope > 0]
    if slopes:
        slope = float(np.median(slopes))
        if not 0.75 < slope < 1.35:
            yield Finding(
                "wrong_fps", s.index, "observation.state",
                f"positions change {slope:.3g} times as fast as the velocities say", "1",
            )  # fmt: skip


def skew(s: Subject) -> Iterator[Finding]:
    """Find states that are old, clocks that drift, and motion out of step with the action."""
    stamps, receipt = s.columns.get(STAMP), s.columns.get(RECEIPT)
    if stamps is not None and receipt is not None and len(stamps) > 10:
        # The clocks of machine and computer may begin anywhere; what counts is what changes,
        # and the age itself where both count the same seconds.
        age = np.asarray(receipt, np.float64) - stamps
        low, middle, high = np.percentile(age, [2, 50, 98])
        if high - low > SPREAD:
            yield Finding(
                "skew", s.index, RECEIPT, f"the age of the states varies by {high - low:.3g} s",
                f"less than {SPREAD:g} s",
            )  # fmt: skip
            return
        if OLD < abs(middle) < 60.0:
            yield Finding(
                "skew", s.index, RECEIPT, f"states {middle:.3g} s old", f"less than {OLD:g} s"
            )
            return
    late = list(_pictures(s))
    if late:
        yield late[0]
        return
    lag = answer_lag(s)
    latest = float(np.max(s.known.latest, initial=0.0))
    if lag is not None and not -EARLY - 0.5 / s.fps <= lag <= latest:
        yield Finding(
            "skew", s.index, "action", f"motion comes {lag:.2f} s after the action",
            f"0 to {latest:.2f} s after",
        )  # fmt: skip


def _pictures(s: Subject) -> Iterator[Finding]:
    """Find cameras whose pictures are not of the time of the states."""
    stamps = s.columns.get(STAMP)
    for name, values in s.columns.items():
        if not name.startswith(IMAGE_STAMPS) or stamps is None:
            continue
        age = float(np.median(stamps - values))
        if not -OLD < age < 2 * OLD:
            yield Finding(
                "skew", s.index, name, f"pictures {age:.3g} s older than the states",
                f"less than {2 * OLD:g} s",
            )  # fmt: skip


def answer_lag(s: Subject) -> float | None:
    """Return by how much the velocities come after the actions [s]; None where nothing says.

    The lag at which the correlations of all joints that moved, weighted alike, are largest.
    """
    if not s.action.size or not s.qd.size or s.frames < 4 * ENOUGH:
        return None
    reach = min(round(4.0 * s.fps), s.frames // 3)
    total = np.zeros(2 * reach + 1)
    used = 0
    for j in range(len(s.names)):
        if np.count_nonzero(np.abs(s.action[:, j]) > MOVES) < ENOUGH:
            continue
        c = correlations(s.action[:, j], s.qd[:, j], reach)
        # A sign that is wrong is another check's.
        total += np.abs(c)
        used += 1
    if not used or total.max() / used < CLEAR:
        return None
    return float((int(total.argmax()) - reach) / s.fps)


def correlations(a: Array, b: Array, reach: int) -> Array:
    """Return the correlation of a(t) and b(t + lag) for lags −reach … reach, shape (2 reach + 1,).

    By the fast Fourier transform, over the whole length: what hangs over counts as zero.
    """
    x, y = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    if scale == 0.0:
        return np.zeros(2 * reach + 1)
    size = 1 << int(np.ceil(np.log2(2 * len(x))))
    full = np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)
    out: Array = np.concatenate([full[-reach:], full[: reach + 1]]) / scale
    return out


def _slopes(s: Subject) -> Iterator[tuple[int, float, bool]]:
    """Yield (joint, slope of Δq·fps over q̇, whether it is clear) for joints that moved."""
    if not s.q.size or s.frames < ENOUGH:
        return
    change = np.diff(s.q, axis=0) * s.fps
    mean = (s.qd[1:] + s.qd[:-1]) / 2
    for j in range(len(s.names)):
        x, y = mean[:, j], change[:, j]
        moving = np.abs(x) > _floor(x)
        if np.count_nonzero(moving) < ENOUGH:
            continue
        x, y = x[moving], y[moving]
        spread = float(np.sqrt((x @ x) * (y @ y)))
        if spread > 0.0:
            yield j, float(x @ y / (x @ x)), abs(float(x @ y)) / spread > 0.8


def _floor(x: NDArray[np.float64]) -> float:
    return max(0.02, 0.1 * float(np.abs(x).max(initial=0.0)))


def velocity_signs(s: Subject) -> Iterator[int]:
    """Yield the joints whose positions change against their velocities."""
    for j, slope, clear in _slopes(s):
        if clear and slope < 0:
            yield j
