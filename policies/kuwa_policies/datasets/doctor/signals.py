"""Checks of what was measured and done: frozen, constant, clipped, reversed, of another machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

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
    """Find actions beyond their bound, or at it for long."""
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
        constant = np.ptp(s.action[:, j]) < 1e-6
        if acts >= ENOUGH and share > BOUND_SHARE and not constant:
            yield Finding(
                "clipped_action", s.index, joint, f"{share:.0%} of what it does lies at ±1",
                f"less than {BOUND_SHARE:.0%}",
            )  # fmt: skip


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
    if scale is not None and not SCALE[0] < scale < SCALE[1]:
        yield Finding(
            "mixed_machines", s.index, STATE,
            f"joints move {scale:.2g} times as fast as the actions ask",
            f"{SCALE[0]:g} to {SCALE[1]:g}",
        )  # fmt: skip


def velocity_scale(s: Subject) -> float | None:
    """Return how fast the joints move over what is asked for, median over joints that moved."""
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
        found.append(float(a @ b / (a @ a)))
    return float(np.median(found)) if found else None


def _or(value: float, other: float) -> float:
    return float(value) if np.isfinite(value) else other


def _or_all(values: Array) -> Array:
    out: Array = np.where(np.isfinite(values), values, 1.0)
    return out
