"""Checks of what was measured and done: frozen, constant, clipped, reversed, of another machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets.doctor.finding import Finding
from kuwa_policies.datasets.doctor.subject import MOVES, Array, Subject, longest_run
from kuwa_policies.datasets.doctor.timing import (
    CLEAR,
    ENOUGH,
    IMAGE_STAMPS,
    correlations,
    velocity_signs,
)
from kuwa_policies.datasets.features import ACTION, IMU, PRESSURE, STATE

FROZEN = 0.5
"""A position that keeps its bits for so long while it moves is frozen [s]."""
SLOW_FROZEN = 2.0
"""The same of pressures and attitudes [s]."""
AT_BOUND = 0.999
BOUND_SHARE = 0.2
BEYOND = 1.0 + 1e-3
THROWN = 0.3
"""A lever is thrown to its end within this: a key of the console needs a quarter second [s]."""
CLEARLY = 0.2
"""What a led lever asks for at least, so that the answer stands out."""
LED = 8
"""Frames of a led lever below which nothing is judged."""
BEST = 90
"""Per cent of the frames above which a joint is as free as it ever was."""
FLAT = 0.65
"""Below its bound, a joint at its best does less than this share of what is asked for, if the
action is on too large a scale."""
GOES_ON = 1.1
"""And at the bound it is faster than that by this, if what lies there was cut off."""
LIMIT = 0.1
"""A position may lie so far beyond its limit, where stops are soft [rad]."""
SCALE = (0.5, 2.0)
"""Velocities may be so many times what the actions ask for."""


def not_finite(s: Subject) -> Iterator[Finding]:
    """Find NaN and infinity."""
    for name, values in s.columns.items():
        if values.dtype.kind != "f":
            continue
        wrong = ~np.isfinite(values)
        if wrong.any():
            at = int(np.flatnonzero(wrong.reshape(len(values), -1).any(1))[0])
            yield Finding(
                "nan", s.index, name, f"{int(wrong.sum())} of {wrong.size} numbers", "finite", at
            )


def frozen_sensor(s: Subject) -> Iterator[Finding]:
    """Find readings that keep their bits while they cannot."""
    if not s.q.size or not s.action.size:
        return
    still_q = np.diff(s.q, axis=0) == 0.0
    still_qd = np.diff(s.qd, axis=0) == 0.0
    need = max(round(FROZEN * s.fps), 3)
    for j, joint in enumerate(s.names):
        speed = np.abs(s.qd[1:, j])
        fast = speed > 0.03 * _or(s.known.qd_max[j], 1.0)
        length, start = longest_run(still_q[:, j] & fast)
        if length >= need:
            yield _frozen(s, f"{joint}.pos", length, start)
            continue
        moved = np.abs(np.diff(s.q[:, j])) * s.fps > 0.03 * _or(s.known.qd_max[j], 1.0)
        length, start = longest_run(still_qd[:, j] & moved)
        if length >= need:
            yield _frozen(s, f"{joint}.vel", length, start)
            continue
        # Both at once: whoever asks a joint to move for longer than it needs to answer sees it
        # move, or at least tremble.
        wait = round(s.known.latest[j] * s.fps)
        asked = np.abs(s.action[1:, j]) > 2 * MOVES
        length, start = longest_run(still_q[:, j] & still_qd[:, j] & asked)
        if length >= wait + need:
            yield _frozen(s, f"{joint}.pos and .vel", length, start)
    yield from _slow_frozen(s)


def _slow_frozen(s: Subject) -> Iterator[Finding]:
    """Find pressures and attitudes that keep their bits while joints move."""
    moving = (np.abs(s.qd[1:]) > 0.05 * _or_all(s.known.qd_max)).any(1)
    need = round(SLOW_FROZEN * s.fps)
    for name, values in s.columns.items():
        if name.startswith(IMAGE_STAMPS):
            length, start = longest_run((np.diff(values) == 0.0) & moving)
            if length >= need:
                yield _frozen(s, name, length, start)
    for name in (PRESSURE, IMU):
        readings = s.columns.get(name)
        if readings is None or readings.ndim != 2:
            continue
        still = np.diff(readings, axis=0) == 0.0
        # What is not there reads one number from beginning to end.
        alive = ~still.all(0)
        for k in np.flatnonzero(alive):
            length, start = longest_run(still[:, k] & moving & (readings[1:, k] != 0.0))
            # Bounded readings rest at their bound; a frozen one rests anywhere.
            inside = readings[:, k].min() < readings[start, k] < readings[:, k].max()
            if length >= need and inside:
                yield _frozen(s, f"{name}[{k}]", length, start)
                break


def _frozen(s: Subject, where: str, length: int, start: int) -> Finding:
    return Finding(
        "frozen_sensor", s.index, where, f"the same number for {length / s.fps:.2g} s",
        "numbers that change while the machine moves", start,
    )  # fmt: skip


def constant_action(s: Subject) -> Iterator[Finding]:
    """Find actions that never change."""
    if not s.action.size or s.frames < ENOUGH:
        return
    same = np.ptp(s.action, axis=0) < 1e-6
    if same.all():
        values = np.round(s.action[0], 3).tolist()
        yield Finding("constant_action", s.index, ACTION, f"always {values}", "a motion")
        return
    for j in np.flatnonzero(same & (np.abs(s.action[0]) > 1e-3)):
        yield Finding(
            "constant_action", s.index, s.names[j], f"always {s.action[0, j]:.3g}",
            "0, or a motion",
        )  # fmt: skip


def clipped_action(s: Subject) -> Iterator[Finding]:
    """Find actions beyond their bound, or cut off at it.

    To lie at ±1 for long is no defect by itself: keys, buttons and thumbs throw a lever to its end.
    The machine tells the two apart, since it did what was really asked. Let y = q̇(t + lag)/q̇_max.
    At its best, when neither oil nor ground holds it back, a joint's y/a reaches g ≈ 1 where a
    lever is led below its bound, for longer than it takes to throw it, and no more at the bound:
    h ≈ g. If the action was multiplied by k and cut off, it reaches g ≈ 1/k below the bound, and
    what lies there stands for larger deflections, which the machine still answered: h > g. Both
    must be clear (:data:`FLAT`, :data:`GOES_ON`). A lever that was only thrown, never led, has
    lost nothing by being cut off, and is left alone.
    """
    if not s.action.size:
        return
    size = np.abs(s.action)
    for j, joint in enumerate(s.names):
        top = float(size[:, j].max(initial=0.0))
        if top > BEYOND:
            yield Finding(
                "clipped_action", s.index, joint, f"up to {top:.3g}", "−1 to 1",
                int(size[:, j].argmax()),
            )  # fmt: skip
            continue
        acts = int(np.count_nonzero(size[:, j] > MOVES))
        share = np.count_nonzero(size[:, j] >= AT_BOUND) / max(acts, 1)
        if acts < ENOUGH or share <= BOUND_SHARE:
            continue
        speeds = _speeds(s, j)
        if speeds is None:
            continue
        below, above = speeds
        # Where the maximum velocity is not known, only their ratio says something.
        flat = below < FLAT or not np.isfinite(s.known.qd_max[j])
        if flat and above > GOES_ON * below:
            yield Finding(
                "clipped_action", s.index, joint,
                f"{share:.0%} of what it does lies at ±1, where it moves {above / below:.2g} times "
                "as fast as its smaller actions promise",
                f"at most {GOES_ON:g} times",
            )  # fmt: skip


def _speeds(s: Subject, j: int) -> tuple[float, float] | None:
    """Return g and h of :func:`clipped_action` for a joint; None where they are not clear."""
    if not s.qd.size or s.frames < 4 * ENOUGH:
        return None
    reach = min(round(s.known.latest[j] * s.fps), s.frames // 3)
    lag = int(correlations(s.action[:, j], s.qd[:, j], reach)[reach:].argmax())
    a = s.action[: s.frames - lag, j]
    y = s.qd[lag:, j] / _or(s.known.qd_max[j], 1.0)
    size = np.abs(a)
    led = _long_runs((size > MOVES) & (size < AT_BOUND), round(THROWN * s.fps) + 1)
    led &= size > CLEARLY
    bound = size >= AT_BOUND
    if min(np.count_nonzero(led), np.count_nonzero(bound)) < LED:
        return None
    below = float(np.percentile(y[led] / a[led], BEST))
    above = float(np.percentile(y[bound] / a[bound], BEST))
    return (below, above) if below > 0.0 else None


def _long_runs(flags: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """Return the flags without runs that are shorter than ``least``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    out = np.zeros_like(flags)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        out[start:end] = end - start >= least
    return out


def wrong_sign(s: Subject) -> Iterator[Finding]:
    """Find joints that move against their action, and positions against their velocity."""
    for j in velocity_signs(s):
        yield Finding(
            "wrong_sign", s.index, f"{s.names[j]}.vel", "positions change against it",
            "the derivative of the position",
        )  # fmt: skip
        return
    if not s.action.size or not s.qd.size or s.frames < 4 * ENOUGH:
        return
    for j, joint in enumerate(s.names):
        if np.count_nonzero(np.abs(s.action[:, j]) > MOVES) < 2 * ENOUGH:
            continue
        reach = min(round(s.known.latest[j] * s.fps), s.frames // 3)
        c = correlations(s.action[:, j], s.qd[:, j], reach)[reach:]
        low, high = float(c.min()), float(c.max())
        # One that swings to and fro has correlations of both signs; the answer is the larger one.
        if low < -CLEAR and -low > 1.5 * max(high, 0.0):
            yield Finding(
                "wrong_sign", s.index, joint, f"correlation of action and motion {low:.2f}",
                "positive",
            )  # fmt: skip


def other_machine(s: Subject) -> Iterator[Finding]:
    """Find positions that the machine cannot take, and velocities on another scale."""
    if not s.q.size:
        return
    known = s.known
    # A wheel or a sprocket has no limits.
    below, above = known.q_min - s.q.min(0), s.q.max(0) - known.q_max
    for j in np.flatnonzero(np.maximum(below, above) > LIMIT):
        yield Finding(
            "mixed_machines", s.index, s.names[j],
            f"positions from {s.q[:, j].min():.3g} to {s.q[:, j].max():.3g} rad",
            f"{known.q_min[j]:.3g} to {known.q_max[j]:.3g} rad of a {known.name}",
        )  # fmt: skip
        return
    scale = velocity_scale(s)
    if scale is None:
        return
    usual, best = scale
    # Joints that share their oil, or meet the ground, are slower than asked for; now and then they
    # are free. Faster than asked for they never are.
    if best <= SCALE[0] or usual >= SCALE[1]:
        wrong = best if best <= SCALE[0] else usual
        yield Finding(
            "mixed_machines", s.index, STATE,
            f"joints move {'at best ' if wrong is best else ''}{wrong:.2g} times as fast as the "
            "actions ask",
            f"{SCALE[0]:g} to {SCALE[1]:g}",
        )  # fmt: skip


def velocity_scale(s: Subject) -> tuple[float, float] | None:
    """Return how fast the joints move over what is asked for: as a rule, and at their best.

    The best is the 90th per cent of the frames in which at least half of the largest action is
    asked for. Both are medians over the joints that moved.
    """
    if not s.action.size or not np.isfinite(s.known.qd_max).all() or s.frames < 4 * ENOUGH:
        return None
    found = []
    for j in range(len(s.names)):
        wanted = s.action[:, j] * s.known.qd_max[j]
        reach = min(round(s.known.latest[j] * s.fps), s.frames // 3)
        c = correlations(wanted, s.qd[:, j], reach)[reach:]
        lag = int(c.argmax())
        # Only where the answer is clear does its size say anything.
        if c[lag] < 0.8 or np.count_nonzero(np.abs(s.action[:, j]) > MOVES) < 2 * ENOUGH:
            continue
        a, b = wanted[: s.frames - lag], s.qd[lag:, j]
        much = np.abs(a) >= 0.5 * np.abs(a).max()
        found.append((float(a @ b / (a @ a)), float(np.percentile(b[much] / a[much], BEST))))
    if not found:
        return None
    usual, best = np.median(found, axis=0)
    return float(usual), float(best)


def _or(value: float, other: float) -> float:
    return float(value) if np.isfinite(value) else other


def _or_all(values: Array) -> Array:
    out: Array = np.where(np.isfinite(values), values, 1.0)
    return out
