"""A log of commands and joint states, checked: what is wrong is named, what lacks is left out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_policies.identification.model import functions

LEAST_SECONDS = 30.0
LEAST_RATE = 20.0
"""Slower sampling cannot show a lag of 50 ms [Hz]."""
MOST_ROWS = 20_000_000
MOST_MISSING = 0.5
"""Share of missing samples above which a joint's column is no measurement any more."""
GAP = 0.1
"""A pause in the stamps longer than this, and than five samples, cuts the log [s]."""
OUTSIDE = 0.2
"""A joint this far outside its limits is not this machine's joint, or not in radians [rad]."""


class LogError(KuwaError):
    """A log that cannot be used, with what would be right."""


@dataclass(frozen=True)
class JointLog:
    """Commands and joint states of one machine on one clock.

    Attributes:
        joints: names, in the order of the columns.
        t: stamps of the joint states, rising, shape (N,) [s].
        q: positions, shape (N, n) [rad]; NaN where a sample is missing.
        qd: velocities, shape (N, n) [rad/s], NaN where missing; None where not measured.
        t_command: when each command began, rising, shape (C,) [s].
        command: valve commands in [−1, 1], each held until the next, shape (C, n).
        source: what to call the log in reports, e.g. its file name and hash.
    """

    joints: tuple[str, ...]
    t: Array
    q: Array
    qd: Array | None
    t_command: Array
    command: Array
    source: str = "log"

    @property
    def seconds(self) -> float:
        """Length of the log [s]."""
        return float(self.t[-1] - self.t[0])


def checked(log: JointLog, spec: MachineSpec) -> tuple[JointLog, list[str]]:
    """Return the log of the machine's functions in order, bad rows left out, and remarks.

    Raises:
        LogError: naming the column or the joint, its value and what would be right.
    """
    _check_names(log.joints, spec)
    notes: list[str] = []
    t, rows = _stamps(log.source, "joint states", log.t, notes)
    t_command, command_rows = _stamps(log.source, "commands", log.t_command, notes)
    names = functions(spec)
    order = [log.joints.index(name) for name in names]
    for label, array, length in (
        ("q", log.q, log.t), ("qd", log.qd, log.t), ("command", log.command, log.t_command),
    ):  # fmt: skip
        if array is not None and array.shape != (len(length), len(log.joints)):
            raise LogError(
                f"{log.source}: {label} has shape {array.shape}; its stamps and joints ask for "
                f"({len(length)}, {len(log.joints)})"
            )
    out = replace(
        log, joints=names, t=t, q=log.q[rows][:, order],
        qd=None if log.qd is None else log.qd[rows][:, order],
        t_command=t_command, command=log.command[command_rows][:, order],
    )  # fmt: skip
    if out.seconds < LEAST_SECONDS:
        raise LogError(
            f"{log.source}: {out.seconds:.1f} s of joint states; at least {LEAST_SECONDS:g} s are "
            "needed, 10 minutes are good"
        )
    rate = 1.0 / float(np.median(np.diff(t)))
    if rate < LEAST_RATE:
        raise LogError(
            f"{log.source}: joint states at {rate:.1f} Hz; at least {LEAST_RATE:g} Hz are needed"
        )
    _check_commands(out)
    return replace(out, q=_positions(out, spec, notes)), notes


def _check_names(joints: tuple[str, ...], spec: MachineSpec) -> None:
    for name in joints:
        if name not in spec.joint_names:
            raise LogError(
                f"the log has a joint {name!r} that {spec.name} lacks; "
                f"{choices(name, spec.joint_names)}"
            )
    for name in functions(spec):
        if joints.count(name) != 1:
            raise LogError(
                f"the log has joint {name!r} {joints.count(name)} times; {spec.name} needs each of "
                f"{', '.join(functions(spec))} once"
            )


def _stamps(source: str, what: str, t: Array, notes: list[str]) -> tuple[Array, NDArray[np.intp]]:
    """Return the finite stamps and their rows."""
    if t.ndim != 1 or not 2 <= len(t) <= MOST_ROWS:
        raise LogError(f"{source}: {len(t)} {what}; expected 2 to {MOST_ROWS}")
    rows = np.flatnonzero(np.isfinite(t))
    if len(rows) < len(t):
        notes.append(f"{len(t) - len(rows)} of {len(t)} {what} have no stamp and are left out")
    kept = t[rows]
    # The same stamp twice is the same message twice.
    repeated = np.flatnonzero(np.diff(kept) == 0) + 1
    if repeated.size:
        notes.append(f"{repeated.size} {what} repeat a stamp and are left out")
        rows, kept = np.delete(rows, repeated), np.delete(kept, repeated)
    if len(kept) < 2:
        raise LogError(f"{source}: {len(kept)} {what} with a stamp; expected at least 2")
    back = np.flatnonzero(np.diff(kept) < 0)
    if back.size:
        k = int(back[0])
        raise LogError(
            f"{source}: the stamps of the {what} step back from {kept[k]:.3f} s to "
            f"{kept[k + 1]:.3f} s at row {int(rows[k + 1])}; they must rise"
        )
    return kept, rows


def _check_commands(log: JointLog) -> None:
    for j, name in enumerate(log.joints):
        u = log.command[:, j]
        finite = np.isfinite(u)
        if finite.mean() < 1 - MOST_MISSING:
            raise LogError(
                f"{log.source}: {name}: {np.count_nonzero(~finite)} of {len(u)} commands are no "
                "number; expected one in [-1, 1] at each stamp"
            )
        wrong = np.flatnonzero(np.abs(u[finite]) > 1.0 + 1e-9)
        if wrong.size:
            k = int(np.flatnonzero(finite)[wrong[0]])
            raise LogError(
                f"{log.source}: {name}: command {u[k]:.4g} at {log.t_command[k]:.3f} s; valve "
                "commands lie in [-1, 1] (a percentage? divide by 100)"
            )


def _positions(log: JointLog, spec: MachineSpec, notes: list[str]) -> Array:
    """Return q with outliers taken out; refuse what is not the joint's angle in radians."""
    q = log.q.copy()
    for j, name in enumerate(log.joints):
        finite = np.isfinite(q[:, j])
        if finite.mean() < 1 - MOST_MISSING:
            raise LogError(
                f"{log.source}: {name}: {np.count_nonzero(~finite)} of {len(q)} positions are no "
                f"number; at most {100 * MOST_MISSING:.0f} % may be missing"
            )
        if not finite.all():
            notes.append(f"{name}: {np.count_nonzero(~finite)} of {len(q)} positions missing")
        spikes = _spikes(log.t[finite], q[finite, j], spec.joints[name].velocity)
        if spikes.any():
            q[np.flatnonzero(finite)[spikes], j] = np.nan
            count = np.count_nonzero(spikes)
            notes.append(f"{name}: {count} positions jump alone and are left out")
        low, high = float(np.nanmin(q[:, j])), float(np.nanmax(q[:, j]))
        limits = spec.joints[name].position
        if low < limits.min - OUTSIDE or high > limits.max + OUTSIDE:
            raise LogError(
                f"{log.source}: {name}: positions from {low:.3f} to {high:.3f}; {spec.name} goes "
                f"from {limits.min:.3f} to {limits.max:.3f} rad (degrees? another zero?)"
            )
    return q


def _spikes(t: Array, q: Array, speed: float) -> NDArray[np.bool_]:
    """Return which samples lie off both neighbours by more than the joint can turn."""
    off = np.abs(np.diff(q)) > 3 * speed * np.diff(t) + 0.01
    return np.append(False, off) & np.append(off, False)


def pieces(log: JointLog) -> list[tuple[float, float]]:
    """Return the times (first, last) between which neither states nor commands have a gap [s].

    A command that is no number is a gap: nobody knows what the valve was told.
    """
    known = np.isfinite(log.command).all(1)
    cuts = [*_gaps(log.t), *_gaps(log.t_command[known])]
    # Before the first command nobody knows what was commanded.
    start = max(float(log.t[0]), float(log.t_command[known][0]))
    out = []
    for a, b in sorted(cuts):
        if a > start:
            out.append((start, a))
        start = max(start, b)
    out.append((start, float(log.t[-1])))
    return [(a, b) for a, b in out if b - a > GAP]


def _gaps(t: Array) -> list[tuple[float, float]]:
    step = np.diff(t)
    wide = np.flatnonzero(step > max(GAP, 5 * float(np.median(step))))
    return [(float(t[k]), float(t[k + 1])) for k in wide]
