"""Commands that make a machine show its valves: small steps about the dead band, steps, holds.

One function moves at a time, first in a staircase through the dead band, then in steps of several
sizes in both directions, always back to rest for longer than the dead time; at the end all move
together. A move is chosen by where the joint is, so that it stays in a window about its home
posture, within its limits and in the air; a joint that leaves its window is stopped.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.identification.model import MachineModel, functions, prior
from kuwa_policies.identification.rigid import RigidTree

STAIRS = (0.5, 0.8, 1.1, 1.4, 1.7, 2.0, 3.0)
"""Small levels, as multiples of the dead band that the data file claims."""
STAIR_TIME = 1.0
STEPS = (0.17, 0.23, 0.3, 0.38)
"""Levels of sharp steps, as fractions of the full command: they show dead time and lag, and are
small, because a machine that rocks on its tracks shows its soil instead."""
STEP_TIME = (0.4, 1.5)
TOWERS = (0.5, 0.7)
"""Levels that are reached and left by way of ``TOWER``: they show the curve and the full flow."""
TOWER = (0.4, 0.6, 0.8, 1.0, 0.8, 0.6, 0.4)
TOWER_TIME = (0.1, 0.5)
CLEARANCES = (0.5, 0.2, 0.05)
"""Everything that moves stays this far above the ground, the first that can be had [m]."""
HOLD = 30.0
"""Rest at the beginning and at the end, for the drift [s]."""
COMBINED = 0.1
"""Share of the time in which all functions move."""
MINIMUM = 140.0
"""Shorter than this, no function shows all its levels [s]."""

Script = Generator[Array, Array, None]


@dataclass(frozen=True)
class Windows:
    """Where each joint may go: ``centre`` ± ``half``, both of shape (n,) [rad]."""

    centre: Array
    half: Array


def windows(spec: MachineSpec) -> Windows:
    """Return windows that keep every link above the ground, as near home as can be.

    Raises:
        KuwaError: no posture within the joints' limits is high enough.
    """
    names = functions(spec)
    tree = RigidTree(spec, names)
    # What a joint about a horizontal axis moves must not come down to the ground.
    high = [
        k for k in range(len(tree.joints))
        if any(tree.joints[j].axis != "z" for j in tree.chain(k))
    ]  # fmt: skip
    q_min = np.array([spec.joints[name].position.min for name in names])
    q_max = np.array([spec.joints[name].position.max for name in names])
    home = np.array([spec.joints[name].home for name in names])
    lifted = [j for j in range(tree.n) if j in high]
    half = np.minimum(0.5, 0.25 * (q_max - q_min))
    for clearance in CLEARANCES:
        shrunk = half.copy()
        for _ in range(6):
            # A move overshoots where the machine is faster than its data file says.
            room = 1.3 * shrunk
            low, top = q_min + room, q_max - room
            rest = np.clip(home, low, top)
            places = [
                np.append(np.linspace(low[j], top[j], 5), rest[j]) if j in high else rest[j : j + 1]
                for j in range(tree.n)
            ]
            centres = np.array(np.meshgrid(*places)).reshape(tree.n, -1).T
            corners = (centres[:, None] + room * _signs(tree.n)).reshape(-1, tree.n)
            lowest = tree.lowest(corners)[:, high].min(1, initial=np.inf)
            fits = lowest.reshape(len(centres), -1).min(1) > clearance
            if fits.any():
                far = np.abs((centres - home) / (q_max - q_min)).max(1)
                return Windows(centres[int(np.argmin(np.where(fits, far, np.inf)))], shrunk)
            shrunk[lifted] *= 0.85
    raise KuwaError(
        f"{spec.name}: no posture holds every link {CLEARANCES[-1]} m above the ground; check the "
        "links' sizes and the joints' limits"
    )


def _signs(n: int) -> Array:
    """Return every corner of the cube [−1, 1]ⁿ, shape (2ⁿ, n)."""
    return np.array(np.meshgrid(*[[-1.0, 1.0]] * n)).reshape(n, -1).T


class Excitation:
    """A script of commands that watches the joints, the same for the same seed and motion.

    Args:
        spec: the machine; its data need only be roughly right. Arrays follow its functions.
        seconds: length of the whole.
        seed: of the order and the exact size of the steps.
        period: between two calls of :meth:`step` [s].

    Raises:
        KuwaError: too short a time, or a posture that is too low.
    """

    def __init__(self, spec: MachineSpec, seconds: float, seed: int, period: float) -> None:
        n = len(functions(spec))
        self.least = 2 * HOLD + (MINIMUM - 2 * HOLD) * n / 4
        if not self.least <= seconds <= 36_000:
            raise KuwaError(
                f"{seconds:g} s of excitation; {spec.name} with {n} functions needs "
                f"{self.least:g} s at least and 36000 s at most"
            )
        self.windows = windows(spec)
        self.period, self.seconds = period, seconds
        self.n = n
        self._rng = np.random.default_rng(seed)
        self._prior = prior(spec)
        # Slowest oil per radian in the window: the fastest that the joint may turn.
        c, h = self.windows.centre, self.windows.half
        q = np.stack([c - h, c, c + h])
        self._oil = MachineModel(spec).displacement(q).min(0)
        self._pump = spec.hydraulics.pump_flow
        self._tick = 0
        self._script = self._run()
        next(self._script)

    def step(self, q: Array) -> Array | None:
        """Return the commands for the next period, shape (n,), or None at the end.

        Args:
            q: measured posture, shape (n,) [rad].
        """
        try:
            self._tick += 1
            return self._script.send(q)
        except StopIteration:
            return None

    def _ticks(self, seconds: float) -> int:
        return max(round(seconds / self.period), 1)

    def _run(self) -> Script:
        total = self._ticks(self.seconds)
        hold = self._ticks(HOLD)
        each = int((1 - COMBINED) * (total - 2 * hold) / self.n)
        q = yield np.zeros(self.n)
        q = yield from self._hold(q, np.zeros(self.n), HOLD)
        for j in range(self.n):
            end = hold + (j + 1) * each
            q = yield from self._home(q, end)
            q = yield from self._function(q, j, end)
        q = yield from self._home(q, total - hold)
        q = yield from self._all(q, total - hold - self._tick)
        yield from self._hold(q, np.zeros(self.n), (total - self._tick) * self.period)

    def _hold(self, q: Array, u: Array, seconds: float) -> Generator[Array, Array, Array]:
        """Command ``u``, less what would drive a joint further out of its window."""
        w = self.windows
        for _ in range(self._ticks(seconds)):
            away = (q - w.centre) * np.sign(u) > w.half
            q = yield np.where(away, 0.0, u)
        return q

    def _pause(self, j: int) -> float:
        """Long enough for the motion to end if the dead time is half as long again as claimed."""
        f = self._prior[j]
        return max(1.5 * f.dead_time + 4 * f.time_constant + 0.3, 1.5)

    def _speed(self, j: int, u: float) -> float:
        """Speed of joint ``j`` that the data file promises for a command [rad/s]."""
        f = self._prior[j]
        flow = abs(float(f.flow_fraction(np.array(u))))
        flow *= f.max_flow_positive if u > 0 else f.max_flow_negative
        return min(flow, self._pump) / float(self._oil[j, int(u > 0)])

    def _function(self, q: Array, j: int, end: int) -> Generator[Array, Array, Array]:
        w, f = self.windows, self._prior[j]
        band = max(f.dead_band, 0.02)
        todo: list[tuple[str, float]] = []
        while True:
            if not todo:
                todo = [("stairs", 1.0), ("stairs", -1.0)]
                todo += [("step", sign * u) for u in STEPS for sign in (1.0, -1.0)]
                todo += [("tower", sign * u) for u in TOWERS for sign in (1.0, -1.0)]
                order = self._rng.permutation(len(todo))
                todo = [todo[k] for k in order]
            side = (q[j] - w.centre[j]) / w.half[j]
            fits = [k for k, (_, u) in enumerate(todo) if side * np.sign(u) <= 0.1]
            kind, u = todo.pop(fits[0]) if fits else ("step", -0.3 * float(np.sign(side)))
            u *= self._rng.uniform(0.9, 1.1)
            travel = 0.65 * w.half[j]
            if kind == "stairs":
                moves = [(u * k * band, STAIR_TIME) for k in STAIRS]
            elif kind == "tower":
                levels = [k * u for k in TOWER]
                seconds = travel / max(sum(self._speed(j, v) for v in levels), 1e-3)
                moves = [(v, float(np.clip(seconds, *TOWER_TIME))) for v in levels]
            else:
                seconds = travel / max(self._speed(j, u), 1e-3)
                moves = [(u, float(np.clip(seconds, *STEP_TIME)))]
            moves.append((0.0, self._pause(j)))
            if self._tick + sum(self._ticks(seconds) for _, seconds in moves) > end:
                break
            for level, seconds in moves:
                q = yield from self._hold(q, self._only(j, level), seconds)
        return q

    def _only(self, j: int, u: float) -> Array:
        out = np.zeros(self.n)
        out[j] = u
        return out

    def _home(self, q: Array, end: int) -> Generator[Array, Array, Array]:
        """Bring one joint after the other near its centre by short steps."""
        w = self.windows
        for j in range(self.n):
            while self._tick < end:
                off = q[j] - w.centre[j]
                if abs(off) < 0.3 * w.half[j]:
                    break
                u = -0.3 * float(np.sign(off))
                seconds = float(np.clip(abs(off) / max(self._speed(j, u), 1e-3), 0.2, 3.0))
                q = yield from self._hold(q, self._only(j, u), seconds)
                q = yield from self._hold(q, np.zeros(self.n), self._pause(j))
        return q

    def _all(self, q: Array, ticks: int) -> Generator[Array, Array, Array]:
        """All functions at once, each with a random staircase of its own."""
        w, rng = self.windows, self._rng
        levels = [self._levels(j) for j in range(self.n)]
        ends = np.zeros(self.n, dtype=int)
        u = np.zeros(self.n)
        for k in range(ticks):
            for j in np.flatnonzero(ends <= k).tolist():
                level, seconds = next(levels[j])
                side = (q[j] - w.centre[j]) / w.half[j]
                sign = -np.sign(side) if abs(side) > 0.25 else rng.choice([-1.0, 1.0])
                # A pause after each move keeps the dead time from letting it drift off.
                u[j] = 0.0 if u[j] != 0.0 else sign * level
                ends[j] = k + self._ticks(seconds if u[j] != 0.0 else self._pause(j) / 2)
            away = (q - w.centre) * np.sign(u) > w.half
            q = yield np.where(away, 0.0, u)
        return q

    def _levels(self, j: int) -> Iterator[tuple[float, float]]:
        while True:
            u = float(self._rng.uniform(0.15, 0.6))
            travel = 0.4 * self.windows.half[j] / max(self._speed(j, u), 1e-3)
            yield u, float(np.clip(travel, 0.3, 1.5))
