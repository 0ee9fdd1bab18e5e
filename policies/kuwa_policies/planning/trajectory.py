"""Time-parametrisation: legs of edge motion become one smooth joint path within all limits.

A leg is a polyline of the edge in the vertical plane of the front, (r, z, p): distance from the
swing axis, height, bucket pitch. The polyline is run at constant speed per segment and then
averaged over a moving window, which rounds corners and bounds acceleration (a step Δv becomes
Δv/T); where a joint, a valve or the pump would be asked for too much, the segment is stretched and
the path made again. The swing runs beside it with its own trapezoids of velocity, so that phases
overlap.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics, ReachError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.drive import DriveModel

DT = 0.02
"""Grid of a compiled path [s]."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One phase of a cycle, as data.

    Args:
        name: the phase in words.
        points: where the edge goes, shape (k, 3): r [m], z [m], p [rad].
        speed: of the edge [m/s].
        turn: of the bucket's pitch [rad/s].
        swing_to: swing angle to head for from the beginning of this leg on, or None [rad].
        swing_left: begin only when the swing has no more than this left to go, or None [rad].
        pause: and so long after that [s].
        dwell: stand still for this long at the end [s].
    """

    name: str
    points: Array
    speed: float
    turn: float = 0.8
    swing_to: float | None = None
    swing_left: float | None = None
    pause: float = 0.0
    dwell: float = 0.0


@dataclass(frozen=True, slots=True)
class Margins:
    """Shares of the machine's limits that a plan may use, and the windows that smooth it [s]."""

    velocity: float = 0.9
    acceleration: float = 0.9
    valve: float = 0.85
    pump: float = 0.8
    windows: tuple[float, float] = (0.4, 0.25)
    swing_window: float = 0.5


@dataclass(frozen=True, slots=True)
class JointPath:
    """Joint positions on a uniform grid of path time, cubic between, at rest at both ends.

    Args:
        q, qd: shape (N, n). names: phase of each grid point. edge: (N, 4): swing, r, z, p.
    """

    q: Array
    qd: Array
    names: tuple[str, ...]
    edge: Array

    @property
    def duration(self) -> float:
        """[s]."""
        return (len(self.q) - 1) * DT

    def sample(self, s: Array) -> Array:
        """Return q at path times s, shape (K, n)."""
        x = np.clip(s / DT, 0, len(self.q) - 1)
        k = np.minimum(x.astype(int), len(self.q) - 2)
        u = (x - k)[:, None]
        q0, q1, m0, m1 = self.q[k], self.q[k + 1], DT * self.qd[k], DT * self.qd[k + 1]
        c, d = 3 * (q1 - q0) - 2 * m0 - m1, 2 * (q0 - q1) + m0 + m1
        return q0 + u * (m0 + u * (c + u * d))

    def phase(self, s: float) -> str:
        """Return the name of the phase at path time s."""
        return self.names[min(max(round(s / DT), 0), len(self.names) - 1)]


def moving_average(x: Array, window: float) -> Array:
    """Average over ``window`` [s] along axis 0, centred, with the ends held."""
    half = max(round(window / DT / 2), 0)
    if half == 0:
        return x
    padded = np.concatenate([np.repeat(x[:1], half, 0), x, np.repeat(x[-1:], half, 0)])
    total = np.cumsum(np.concatenate([np.zeros_like(x[:1]), padded]), axis=0)
    n = 2 * half + 1
    return (total[n:] - total[:-n]) / n


class PathCompiler:
    """Turns legs into joint paths for one machine.

    Args:
        spec: the machine.
        margins: shares of its limits.
    """

    def __init__(self, spec: MachineSpec, margins: Margins | None = None) -> None:
        self.kin = ExcavatorKinematics(spec)
        self._drive = DriveModel(spec)
        self._margins = margins or Margins()
        self._qd_max, self._qdd_max = spec.qd_max, spec.qdd_max

    def swing_times(self, distance: float) -> tuple[float, float]:
        """Return the acceleration time and the whole time of a swing from rest to rest [s]."""
        v = self._margins.velocity * self._qd_max[0]
        a = self._margins.acceleration * self._qdd_max[0]
        v = min(v, np.sqrt(max(abs(distance), 1e-9) * a))
        return v / a, abs(distance) / v + v / a + self._margins.swing_window

    def swing_lead(self, distance: float, left: float) -> float:
        """Return how long after its start a swing has ``left`` to go [rad] → [s]."""
        accelerate, whole = self.swing_times(distance)
        if abs(distance) <= left:
            return 0.0
        ramp = abs(distance) / (whole - accelerate - self._margins.swing_window)
        a = ramp / accelerate
        return whole - self._margins.swing_window / 2 - min(np.sqrt(2 * left / a), accelerate)

    def compile(self, start: Array, legs: list[Leg]) -> JointPath:
        """Return the joint path from rest at ``start`` (swing, r, z, p) through all legs to rest.

        Raises:
            ReachError: a leg leaves the machine's reach; says which leg.
        """
        stretch = [np.ones(len(leg.points)) for leg in legs]
        for _ in range(12):
            t, edge, owner, spans = self._lay_out(start, legs, stretch)
            q = self._inverse(edge, legs, owner)
            qd = np.gradient(q, DT, axis=0)
            over = self._overload(q, qd)
            if over.max() <= 1.02:
                break
            for k, leg_spans in enumerate(spans):
                for i, (t0, t1) in enumerate(leg_spans):
                    reach = sum(self._margins.windows) / 2
                    window = over[(t >= t0 - reach) & (t <= t1 + reach)]
                    if len(window) and window.max() > 1.0:
                        stretch[k][i] *= min(window.max(), 1.5)
        qd[0] = qd[-1] = 0.0
        names = tuple(legs[k].name for k in owner)
        return JointPath(q, qd, names, edge)

    def _lay_out(
        self, start: Array, legs: list[Leg], stretch: list[Array]
    ) -> tuple[Array, Array, Array, list[list[tuple[float, float]]]]:
        """Return grid times, edge (N, 4), leg index (N,), and each segment's time span."""
        m = self._margins
        times, knots, owners = [0.0], [start[1:]], [0]
        spans: list[list[tuple[float, float]]] = []
        swings: list[tuple[float, float, float]] = []
        swing, swing_from = start[0], start[0]
        now = 0.0
        for k, leg in enumerate(legs):
            if leg.swing_to is not None and leg.swing_to != swing:
                # The first one need not wait for the windows of the front.
                swings.append((now if k else -sum(m.windows) / 2, swing, leg.swing_to))
                swing_from, swing = swing, leg.swing_to
            if leg.swing_left is not None and swings:
                ready = swings[-1][0] + self.swing_lead(swing - swing_from, leg.swing_left)
                ready += leg.pause
                if ready > now:
                    now = ready
                    times.append(now)
                    knots.append(knots[-1])
                    owners.append(k - 1 if k else 0)
            leg_spans = []
            for i, point in enumerate(leg.points):
                d = point - knots[-1]
                need = max(np.hypot(d[0], d[1]) / leg.speed, abs(d[2]) / leg.turn, DT)
                leg_spans.append((now, now + need * stretch[k][i]))
                now += need * stretch[k][i]
                times.append(now)
                knots.append(point)
                owners.append(k)
            if leg.dwell:
                now += leg.dwell
                times.append(now)
                knots.append(knots[-1])
                owners.append(k)
            spans.append(leg_spans)
        end = max([now, *(t0 + self.swing_times(b - a)[1] for t0, a, b in swings)])
        pad = sum(m.windows) / 2
        t = np.asarray(np.arange(round((end + 2 * pad) / DT) + 2) * DT - pad, dtype=float)
        front = np.column_stack([np.interp(t, times, np.array(knots)[:, c]) for c in range(3)])
        for window in m.windows:
            front = moving_average(front, window)
        column = np.full(len(t), start[0])
        for t0, a, b in swings:
            accelerate, whole = self.swing_times(b - a)
            middle = t0 + whole / 2
            half = (whole - accelerate - m.swing_window) / 2
            ramp = np.interp(t, [middle - half, middle + half], [0.0, b - a])
            column += moving_average(moving_average(ramp, accelerate), m.swing_window)
        owner = np.array(owners)[np.clip(np.searchsorted(times, t), 0, len(times) - 1)]
        return t, np.column_stack([column, front]), owner, spans

    def _inverse(self, edge: Array, legs: list[Leg], owner: Array) -> Array:
        """Inverse kinematics of the front; the swing is taken as it is."""
        kin = self.kin
        # The arm stays folded in: a path never changes branch.
        front = kin.inverse_in_plane(edge[:, 1], edge[:, 2] - kin.base[2], edge[:, 3])
        q = np.column_stack([edge[:, 0], front])
        with np.errstate(invalid="ignore"):
            ok = np.all((q >= kin.q_min) & (q <= kin.q_max), axis=-1)
        if not ok.all():
            k = int(np.argmin(ok))
            where = legs[owner[k]].name
            if not kin.q_min[0] <= q[k, 0] <= kin.q_max[0]:
                raise ReachError(
                    f"phase {where!r}: swing to {np.degrees(q[k, 0]):.0f}° leaves its limits "
                    f"[{np.degrees(kin.q_min[0]):.0f}°, {np.degrees(kin.q_max[0]):.0f}°]"
                )
            try:
                kin.inverse(kin.base * [1, 1, 0] + [edge[k, 1], 0, edge[k, 2]], float(edge[k, 3]))
            except ReachError as error:
                raise ReachError(f"phase {where!r}: {error}") from None
        return q

    def _overload(self, q: Array, qd: Array) -> Array:
        """Return, per grid point, the largest share of an allowed limit, shape (N,).

        Slowing by a factor f divides velocity and flow by f and acceleration by f².
        """
        m = self._margins
        qdd = np.gradient(qd, DT, axis=0)
        flow = self._drive.flow(q, qd)
        side = (qd > 0).astype(int)
        valve = np.take_along_axis(self._drive.max_flow.T, side, axis=0)
        front = slice(1, None)  # the swing is within its limits by construction
        shares = [
            (np.abs(qd) / (m.velocity * self._qd_max))[:, front].max(-1),
            np.sqrt(np.abs(qdd) / (m.acceleration * self._qdd_max))[:, front].max(-1),
            (flow / (m.valve * valve))[:, front].max(-1),
            flow.sum(-1) / (m.pump * self._drive.pump_flow),
        ]
        return np.max(shares, axis=0)


def polyline(points: list[tuple[float, float, float]]) -> Array:
    """Return waypoints as an array, shape (k, 3), without repeated ones."""
    kept = [points[0], *(b for a, b in pairwise(points) if np.abs(np.subtract(a, b)).max() > 1e-9)]
    return np.array(kept, dtype=float)
