"""The gate: the only place that decides what the actuators are told.

A request is taken when it is whole, newest of its source, from the source that the mode allows,
and answers a state the gate knows. What is taken is then bounded: range, slew rate, position
limits with braking distance, measured velocity. A refused request never moves the machine: the
last one taken holds until it is stale, then the valves go to neutral at the slew rate; when
stopped they go there at once.

Ages are measured from the steady time at which something was received, never from its stamp.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kuwa_hardware.braking import BrakingModel
from kuwa_hardware.modes import SOURCE, ModeMachine
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    GateOutput,
    JointCommand,
    Level,
    MachineState,
    Mode,
    SafetyState,
)
from kuwa_machines.errors import CommandError

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

_NEVER = -1e9


@dataclass(frozen=True, slots=True)
class GateLimits:
    """What the gate enforces beyond the machine's own limits.

    Args:
        request_timeout: a request older than this since its receipt is stale [s].
        state_timeout: a state older than this since its receipt is stale [s].
        answer_age: a request that answers a state further from the newest is refused [s, on the
            clock of the states].
        slew: fastest change of a valve command [1/s].
        margin: distance kept from the position limits [rad].
        overspeed: a joint faster than this times its maximum gets no more command that way.
    """

    request_timeout: float = 0.1
    state_timeout: float = 0.2
    answer_age: float = 0.5
    slew: float = 10.0
    margin: float = 0.01
    overspeed: float = 1.25

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (np.isfinite(value) and value > 0.0):
                raise CommandError(f"gate limit {item.name} is {value!r}; it must be above 0")


class Gate:
    """The sole writer of applied commands; satisfies :class:`kuwa_machines.contracts.Gate`."""

    def __init__(self, spec: MachineSpec, limits: GateLimits | None = None) -> None:
        self.spec = spec
        self.limits = limits or GateLimits()
        self._names = tuple(spec.joint_names)
        self._n = len(self._names)
        self._over = self.limits.overspeed * np.asarray(spec.qd_max, dtype=float)
        self._braking = BrakingModel(spec, self.limits.margin)
        self._modes = ModeMachine()
        self._neutral = np.zeros(self._n)
        self._applied = np.zeros(self._n)
        self._now: float | None = None
        self._state: MachineState | None = None
        self._state_at = _NEVER
        self._bad_state = ""
        self._request: JointCommand | None = None
        self._target = self._neutral
        self._request_at = _NEVER
        self._newest: dict[str, int] = {}
        self._sequence = 0
        self._refused = 0
        self._faults: dict[str, tuple[Level, str]] = {}

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._modes.mode

    def set_mode(self, mode: Mode, who: str) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why)."""
        before = self.mode
        if mode in (Mode.ARMED, *SOURCE) and before is not mode and not self._state_fresh():
            return False, f"no fresh joint state: {self._state_reason()}"
        granted, why = self._modes.request(mode, who)
        if self.mode is not before:
            # A request taken in another mode must not move anything in this one.
            self._request, self._request_at = None, _NEVER
            if self.mode is Mode.ARMED and before is Mode.READY:
                # A source that was restarted on another computer may count from anywhere.
                self._newest.clear()
        return granted, why

    def emergency_stop(self, active: bool, who: str) -> None:
        """Stop at once and latch; ``active=False`` only withdraws the demand, releasing nothing."""
        if active:
            self._modes.stop(who)
            self._request, self._request_at = None, _NEVER
        else:
            self._modes.withdraw(who)

    def degrade(self, level: Level, code: str, why: str) -> None:
        """Step down at least to ``level`` while the fault ``code`` lasts; ``STOPPED`` latches."""
        self._faults[code] = (level, why)
        if level is Level.STOPPED:
            self.emergency_stop(True, code)

    def recover(self, code: str) -> None:
        """The fault ``code`` is gone; a latched stop stays latched."""
        if self._faults.pop(code, (Level.NONE, ""))[0] is Level.STOPPED:
            self.emergency_stop(False, code)

    def step(
        self, now: float, state: MachineState | None, request: JointCommand | None
    ) -> GateOutput:
        """Decide on a request (None: no new one) at steady time ``now`` [s].

        ``state`` is one that was received since the last step, or None.
        """
        dt = 0.0 if self._now is None else min(max(now - self._now, 0.0), 10.0)
        self._now = now
        self._braking.advance(dt, self._applied)
        if state is not None:
            self._observe(now, state)
        reasons: list[str] = []
        if request is not None:
            refusal = self._refusal(request)
            if refusal:
                self._refused += 1
                reasons.append(refusal)
            else:
                self._newest[request.source] = request.sequence
                self._request, self._request_at = request, now
                self._target = request.ordered(self._names)
        wanted = self._wanted(now, reasons)
        if self.mode is Mode.STOPPED:
            applied = self._neutral.copy()
        else:
            applied = self._bounded(wanted, dt, reasons)
        self._applied = applied
        return GateOutput(self._command(applied), self._safety(applied, wanted, reasons))

    # What comes in ---------------------------------------------------------------------------

    def _observe(self, now: float, state: MachineState) -> None:
        whole = len(state.q) == self._n and len(state.qd) == self._n
        if not whole or not (np.isfinite(state.q).all() and np.isfinite(state.qd).all()):
            self._bad_state = f"; the last one was not {self._n} finite positions and velocities"
            return
        self._state, self._state_at, self._bad_state = state, now, ""

    def _refusal(self, request: JointCommand) -> str:
        """Return why the request is not taken, or ``""``."""
        head = f"request {request.sequence} of {request.source!r} refused: "
        if request.kind is not CommandKind.VALVE:
            return f"{head}its kind is {request.kind.name}, the gate takes VALVE"
        try:
            values = request.ordered(self._names)
        except CommandError as error:
            return f"{head}{error}"
        if len(values) != self._n or not np.isfinite(values).all():
            return f"{head}values {values.tolist()} are not {self._n} finite numbers"
        allowed = SOURCE.get(self.mode)
        if request.source != allowed:
            who = f"only {allowed!r} moves the machine" if allowed else "nothing moves"
            return f"{head}in mode {self.mode.value!r} {who}"
        newest = self._newest.get(request.source)
        if newest is not None and request.sequence <= newest:
            return f"{head}sequence {newest} was taken before, the next must be higher"
        if self._state is not None:
            age = self._state.stamp - request.stamp
            if not abs(age) <= self.limits.answer_age:
                return (
                    f"{head}it answers a state {age:.3f} s before the newest, "
                    f"at most ±{self.limits.answer_age:g} s is allowed"
                )
        return ""

    # What goes out ---------------------------------------------------------------------------

    def _wanted(self, now: float, reasons: list[str]) -> Array:
        """Return what to steer for: the request in force, or neutral with the reason."""
        mode = self.mode
        if mode is Mode.STOPPED:
            reasons.append(f"{self._modes.why}; a person must release it")
            return self._neutral
        if mode not in SOURCE:
            return self._neutral
        for level, why in self._faults.values():
            if level is not Level.NONE:
                reasons.append(f"neutral: {why}")
                return self._neutral
        if not self._state_fresh():
            reasons.append(f"neutral: {self._state_reason()}")
            return self._neutral
        if self._request is None:
            reasons.append(f"neutral: no request from {SOURCE[mode]!r} yet")
            return self._neutral
        age = now - self._request_at
        if age > self.limits.request_timeout:
            reasons.append(
                f"neutral: no good request from {SOURCE[mode]!r} for {age:.2f} s, "
                f"at most {self.limits.request_timeout:g} s is allowed"
            )
            return self._neutral
        return self._target

    def _bounded(self, wanted: Array, dt: float, reasons: list[str]) -> Array:
        names = self._names
        out = np.minimum(np.maximum(wanted, -1.0), 1.0)
        if not (out == wanted).all():
            _say(reasons, names, out != wanted, "asked for more than ±1")
        step = self.limits.slew * dt
        slewed = np.minimum(np.maximum(out, self._applied - step), self._applied + step)
        if not (slewed == out).all():
            _say(reasons, names, slewed != out, f"changes faster than {self.limits.slew:g} 1/s")
        out = slewed
        state = self._state
        if state is None or not out.any():
            return out
        # These two bound towards neutral and so come after the slew rate: stopping in time
        # matters more than stopping softly.
        low, high = self._braking.bounds(state.q, state.qd)
        held = np.minimum(np.maximum(out, low), high)
        if not (held == out).all():
            _say(reasons, names, held != out, "could not stop before its position limit")
        fast = (np.abs(state.qd) > self._over) & (held * state.qd > 0.0)
        if fast.any():
            _say(reasons, names, fast, f"faster than {self.limits.overspeed:g} × its maximum")
            held[fast] = 0.0
        return held

    def _command(self, applied: Array) -> JointCommand:
        self._sequence += 1
        if self._request is not None:
            stamp = self._request.stamp
        else:
            stamp = 0.0 if self._state is None else self._state.stamp
        return JointCommand(stamp, self._sequence, "gate", CommandKind.VALVE, self._names, applied)

    def _safety(self, applied: Array, wanted: Array, reasons: list[str]) -> SafetyState:
        asked = wanted if self._request is None else self._target
        limited = tuple((applied != asked).tolist())
        return SafetyState(self.mode, tuple(reasons), limited, self._refused)

    def _state_fresh(self) -> bool:
        now = self._now
        return now is not None and now - self._state_at <= self.limits.state_timeout

    def _state_reason(self) -> str:
        if self._state is None or self._now is None:
            return f"none received yet{self._bad_state}"
        return (
            f"none for {self._now - self._state_at:.2f} s, "
            f"at most {self.limits.state_timeout:g} s is allowed{self._bad_state}"
        )


def _say(reasons: list[str], names: tuple[str, ...], which: NDArray[np.bool_], why: str) -> None:
    reasons.append(f"{', '.join(n for n, hit in zip(names, which, strict=True) if hit)}: {why}")
