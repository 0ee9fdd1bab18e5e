"""Headland turns: the shortest of Dubins' words, with curvature that ramps as the steering can.

Dubins (1957) joins two poses by arcs of the smallest radius and a straight line, or by three arcs.
A machine cannot jump from arc to arc: here each arc is a clothoid in, an arc and a clothoid out
(Fraichard and Scheuer, 2004), of which an angle a takes the length

    a/K + K/σ            with the curvature K and its change σ per metre, or
    2 √(a/σ)             where the angle is too small to reach K.

The angles and the straight length are those of Dubins at first, and then Newton's method makes
the end meet the goal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.errors import KuwaError

WORDS = ("LSL", "RSR", "LSR", "RSL", "RLR", "LRL")
SIGN = {"L": 1.0, "R": -1.0, "S": 0.0}
STEP = 0.02
"""Of the integration along a turn [m]."""
GENTLER = (1.0, 0.9, 0.8)
"""Shares of the greatest curvature that are tried: two clothoids between the quarters of a U-turn
leave a range of widths which only a gentler half circle fits."""
CLOSE = 1e-4
"""A turn's end meets its goal to this [m, rad]."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A place and a direction: [m], [rad]."""

    x: float
    y: float
    yaw: float


def turn(start: Pose, goal: Pose, curvature: float, sharpness: float, step: float) -> Array:
    """Return the way from start to goal, points shape (N, 2) [m], ``step`` apart.

    Args:
        curvature: greatest one, to either side [1/m]. sharpness: greatest change of it [1/m²].

    Raises:
        KuwaError: no such turn was found.
    """
    best: Array | None = None
    dx, dy = goal.x - start.x, goal.y - start.y
    c, s = math.cos(start.yaw), math.sin(start.yaw)
    target = np.array([c * dx + s * dy, c * dy - s * dx, goal.yaw - start.yaw])
    for k in (share * curvature for share in GENTLER):
        for word in WORDS:
            for guess in _dubins(word, target, 1.0 / k):
                sizes = _meet(word, guess, target, k, sharpness)
                if sizes is None:
                    continue
                way = _way(word, sizes, k, sharpness, step)
                if best is None or len(way) < len(best):
                    best = way
    if best is None:
        raise KuwaError(
            f"no turn of {1 / curvature:.2f} m radius leads from ({start.x:.1f}, {start.y:.1f}) m "
            f"to ({goal.x:.1f}, {goal.y:.1f}) m"
        )
    x = start.x + c * best[:, 0] - s * best[:, 1]
    y = start.y + s * best[:, 0] + c * best[:, 1]
    return np.column_stack([x, y])


def _dubins(word: str, target: Array, radius: float) -> list[Array]:
    """Return sizes of a word's three parts: angles [rad], of S a length [m]; none, one or two."""
    x, y, yaw = target[0] / radius, target[1] / radius, target[2]
    first, last = SIGN[word[0]], SIGN[word[2]]
    # Centres of the first and the last circle.
    ax, ay = 0.0, first
    bx, by = x - last * math.sin(yaw), y + last * math.cos(yaw)
    dx, dy = bx - ax, by - ay
    d, towards = math.hypot(dx, dy), math.atan2(dy, dx)
    full = 2 * math.pi
    if word[1] != "S":
        if d > 4.0:
            return []
        # The middle circle touches both, on one side or the other.
        bend = math.acos(d / 4.0)
        out = []
        for middle in (towards - bend, towards + bend):
            mx, my = ax + 2 * math.cos(middle), ay + 2 * math.sin(middle)
            # At a point of contact the way is across the line between the centres.
            heading_1 = middle + first * math.pi / 2
            heading_2 = math.atan2(by - my, bx - mx) - first * math.pi / 2
            a1 = (first * heading_1) % full
            a2 = (-first * (heading_2 - heading_1)) % full
            a3 = (first * (yaw - heading_2)) % full
            out.append(np.array([a1, a2, a3]))
        return out
    if first == last:
        heading, length = towards, d
    else:
        if d < 2.0:
            return []
        length = math.sqrt(d * d - 4.0)
        heading = towards + first * math.atan2(2.0, length)
    a1 = (first * heading) % full
    a3 = (last * (yaw - heading)) % full
    return [np.array([a1, length * radius, a3])]


def _curvatures(word: str, sizes: Array, curvature: float, sharpness: float) -> tuple[Array, Array]:
    """Return the corners of the curvature over the arc length: s [m], κ [1/m]."""
    s, k = [0.0], [0.0]
    for letter, size in zip(word, sizes, strict=True):
        if letter == "S":
            parts = [(max(float(size), 0.0), 0.0)]
        else:
            a = max(float(size), 0.0)
            peak = min(curvature, math.sqrt(a * sharpness))
            ramp = peak / sharpness
            flat = a / peak - ramp if peak > 0 else 0.0
            parts = [(ramp, peak), (max(flat, 0.0), peak), (ramp, 0.0)]
        for length, value in parts:
            s.append(s[-1] + length)
            k.append(SIGN[letter] * value)
    return np.array(s), np.array(k)


def _run(corner_s: Array, corner_k: Array, step: float) -> Array:
    """Integrate a curvature; return (x, y, yaw) at steps, shape (N, 3), and at the end."""
    n = max(math.ceil(corner_s[-1] / step), 1)
    s = np.linspace(0.0, corner_s[-1], n + 1)
    h = s[1] - s[0]
    middle = s[:-1] + h / 2
    # The exact integral of a piecewise linear curvature, taken at the ends of the steps.
    area = np.concatenate(
        [[0.0], np.cumsum([(b - a) * (u + v) / 2 for (a, b), (u, v) in zip(
            pairwise(corner_s), pairwise(corner_k), strict=True)])]
    )  # fmt: skip

    def yaw_at(where: Array) -> Array:
        i = np.clip(np.searchsorted(corner_s, where, side="right") - 1, 0, len(corner_s) - 2)
        d = where - corner_s[i]
        return np.asarray(area[i] + d * (corner_k[i] + np.interp(where, corner_s, corner_k)) / 2)

    yaw = yaw_at(middle)
    x = np.concatenate([[0.0], np.cumsum(h * np.cos(yaw))])
    y = np.concatenate([[0.0], np.cumsum(h * np.sin(yaw))])
    return np.column_stack([x, y, yaw_at(s)])


def _meet(
    word: str, sizes: Array, target: Array, curvature: float, sharpness: float
) -> Array | None:
    """Change the sizes until the end is at the target; None where that does not succeed."""

    def miss(p: Array) -> Array:
        end = _run(*_curvatures(word, p, curvature, sharpness), STEP)[-1]
        out = end - target
        out[2] = (out[2] + math.pi) % (2 * math.pi) - math.pi
        return np.asarray(out)

    p = np.maximum(sizes, 1e-3)
    error = miss(p)
    for _ in range(25):
        if np.abs(error).max() < CLOSE:
            return p
        J = np.column_stack([(miss(p + 1e-4 * e) - error) / 1e-4 for e in np.eye(3)])
        change = np.linalg.lstsq(J, -error, rcond=None)[0]
        share = 1.0
        while share > 0.1:
            trial = np.maximum(p + share * change, 0.0)
            error_then = miss(trial)
            if error_then @ error_then < error @ error:
                break
            share /= 2
        else:
            return None
        p, error = trial, error_then
    return None


def _way(word: str, sizes: Array, curvature: float, sharpness: float, step: float) -> Array:
    return _run(*_curvatures(word, sizes, curvature, sharpness), step)[:, :2]
