"""The gate: the only place that decides what the actuators are told.

A request is taken when it is whole, genuine, newest of its source, from the source that the mode
allows, and answers a state the gate knows. What is taken is then bounded: range, slew rate,
position and space with braking distance and dead time, velocity, power. A refused request never
moves the machine: the last one taken holds until it is stale, then the valves go to neutral, faster
than any command may; when stopped they go there at once.

Faults make it step down by levels: hold (the controller brings the joints to rest, the gate sees to
it that they come), neutral, stopped. Ages are measured from the steady time at which something was
received, never from its stamp.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import ne
from typing import TYPE_CHECKING, Final

import numpy as np

from kuwa_hardware.bounds import SHAPING, Bounds, words
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.failures import failures
from kuwa_hardware.faults import Faults
from kuwa_hardware.hold import Hold
from kuwa_hardware.intake import Intake
from kuwa_hardware.keepout import KeepOut
from kuwa_hardware.latch import Latch
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.modes import PREFLIGHT, SOURCE, ModeMachine
from kuwa_hardware.monitors import Monitors
from kuwa_hardware.watch import NEVER, Deadman, Doubt, Heartbeats, Place
from kuwa_machines.arrays import finite
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

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

__all__ = ["Gate", "GateLimits"]

PREFLIGHT_STROKE: Final = 0.3
"""Of the command, in the guided motions of mode ARMED."""
PREFLIGHT_SPEED: Final = 0.2
"""Of the joint's velocity, likewise."""
_MOVING: Final = frozenset({Mode.ARMED, Mode.TELEOP, Mode.AUTO})
_ENGAGED: Final = frozenset({Mode.TELEOP, Mode.AUTO})


class Gate:
    """The sole writer of applied commands; satisfies :class:`kuwa_machines.contracts.Gate`.

    Args:
        spec: the machine.
        limits: beyond the machine's own.
        latch: keeps a stop over a restart; without one a restart begins in mode OFF.
        envelope: of the key that sources, gate and driver share; without one codes are not asked
            for. What is applied is sealed with it.
        zones: that no part of the machine may enter.
        preflight: returns why arming must be refused, or ``""``.
    """

    def __init__(
        self,
        spec: MachineSpec,
        limits: GateLimits | None = None,
        *,
        latch: Latch | None = None,
        envelope: Envelope | None = None,
        zones: KeepOut | None = None,
        preflight: Callable[[], str] | None = None,
    ) -> None:
        self.spec = spec
        self.limits = limits or GateLimits()
        self._names = tuple(spec.joint_names)
        self._n = len(self._names)
        self._qd_max = np.asarray(spec.qd_max, dtype=float)
        self._bounds = Bounds(spec, self.limits, zones)
        self._guided = self._bounds.guided(PREFLIGHT_STROKE, PREFLIGHT_SPEED)
        self._modes = ModeMachine()
        self._faults = Faults()
        self._intake = Intake(self._names, self.limits, envelope)
        self._heartbeats = Heartbeats(self.limits)
        self._deadman = Deadman(self.limits)
        self._doubt = Doubt(self.limits)
        self._place = Place(self.limits, self._bounds.placed)
        self._hold = Hold(spec)
        self._monitors = Monitors(spec, self.limits)
        self._latch, self._envelope, self._preflight = latch, envelope, preflight
        self._watched: set[str] = set()
        self._driver: tuple[str, ...] = ()
        self._stops: list[str] = []
        self._refusals: list[str] = []
        self._unlatched = False
        self._neutral = np.zeros(self._n)
        self._applied = np.zeros(self._n)
        self._now: float | None = None
        self._state: MachineState | None = None
        self._state_at = NEVER
        self._stale: tuple[str, str] = ("state_lost", "")
        self._request: JointCommand | None = None
        self._target = self._neutral
        self._request_at = NEVER
        self._sequence = 0
        if latch is not None and latch.stopped:
            self._modes.stop(latch.code, latch.why)
            self._modes.withdraw(latch.code)
            self._stops.append(latch.code)

    @property
    def mode(self) -> Mode:
        """The mode in force."""
        return self._modes.mode

    @property
    def why(self) -> str:
        """Who asked for the mode in force, or what brought it about, in words."""
        return self._modes.why

    # What others say -------------------------------------------------------------------------

    def set_mode(self, mode: Mode, who: str) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why)."""
        before = self.mode
        if mode in (Mode.READY, Mode.ARMED) and self._now is not None:
            for code in self._heartbeats.go_on_without(self._now):
                self.recover(code)
        refused = self._modes.refusal(mode, who) or self._not_now(mode, who)
        if refused:
            return False, refused
        if before is Mode.STOPPED and mode is not Mode.STOPPED and self._latch is not None:
            refused = self._latch.clear()
            if refused:
                return False, refused
        granted, why = self._modes.request(mode, who)
        if self.mode is not before:
            # A request taken in another mode must not move anything in this one.
            self._request = None
            self._request_at = NEVER if self._now is None else self._now
            if before is Mode.STOPPED:
                self._stops.clear()
                # Who releases it has looked: what was in doubt then must be said again.
                self._doubt = Doubt(self.limits)
            if self.mode is Mode.STOPPED:
                self._unlatched = True
            if self.mode in _ENGAGED:
                for code in ("deadman_released", "teleop_killed"):
                    self._faults.take(code)
            if self.mode is Mode.ARMED and before is Mode.READY:
                self._intake.forget()
        return granted, why

    def emergency_stop(self, active: bool, who: str) -> None:
        """Stop at once and latch; ``active=False`` only withdraws the demand, releasing nothing."""
        if active:
            self._stop(who, "")
        else:
            self._modes.withdraw(who)

    def degrade(self, level: Level, code: str, why: str) -> None:
        """Step down at least to ``level`` while the fault ``code`` lasts; ``STOPPED`` latches."""
        self._faults.put(code, level, why)
        if level is Level.STOPPED:
            self._stop(code, why)

    def recover(self, code: str) -> None:
        """The fault ``code`` is gone; a latched stop stays latched."""
        stopped = self._faults.level_of(code) is Level.STOPPED
        if self._faults.take(code) and stopped:
            self._modes.withdraw(code)

    def heard(self, now: float, node: str, state: str, problem: str) -> None:
        """A heartbeat was received at steady time ``now`` [s].

        Args:
            state: of the node's life cycle. problem: in its own words; the supervisor acts on it.
        """
        self._heartbeats.heard(now, node, state, problem)

    def deadman(self, now: float, held: bool) -> None:
        """A word of the operator's deadman was received at steady time ``now`` [s]."""
        self._deadman.said(now, held)

    def refuse(self, now: float, code: str, why: str) -> None:
        """A message for the gate was refused before it, at steady time ``now`` [s]; it is told."""
        self._faults.note(code, now)
        self._refusals.append(f"{code}: {why}")

    def latent(self, now: float, free_energy: float, limit: float) -> None:
        """A latent was received at steady time ``now`` [s]; energies in nat."""
        self._doubt.said(now, free_energy, limit)

    # The step --------------------------------------------------------------------------------

    def step(
        self, now: float, state: MachineState | None, request: JointCommand | None
    ) -> GateOutput:
        """Decide on a request (None: no new one) at steady time ``now`` [s].

        ``state`` is one that was received since the last step, or None.
        """
        if self._now is None:
            dt = 0.0
            self._sequence = int(1e3 * now)
        else:
            dt = max(now - self._now, 0.0)
        self._now = now
        self._write_latch()
        self._bounds.advance(dt, self._applied)
        if state is not None:
            self._observe(now, state)
        self._watch(now)
        reasons, self._refusals = self._refusals, []
        if request is not None:
            self._take(now, request, reasons)
        level, wanted = self._wanted(now, reasons)
        if self.mode is Mode.STOPPED:
            applied = self._neutral.copy()
        else:
            applied = self._bounded(now, wanted, dt, level, reasons)
        self._applied = applied
        return GateOutput(
            self._command(now, applied), self._safety(now, level, applied, wanted, reasons)
        )

    # What comes in ---------------------------------------------------------------------------

    def _observe(self, now: float, state: MachineState) -> None:
        if state.faults != self._driver:
            self._take_driver(state.faults)
        whole = len(state.q) == self._n and len(state.qd) == self._n
        if not whole or not (finite(state.q) and finite(state.qd)):
            self._stale = (
                "state_nan",
                f"; the last one was not {self._n} finite positions and velocities",
            )
            return
        code, why = self._monitors.stamped(now, state.stamp)
        if code:
            self._stale = code, f"; the last one is not new: {why}"
            return
        self._bounds.learn(state)
        self._place.measured(now, state.base_position, state.base_stamp)
        moving = self.mode in _MOVING
        self._monitors.look(now, state, self._bounds.told(), self._applied, moving)
        self._state, self._state_at, self._stale = state, now, ("state_lost", "")

    def _take_driver(self, codes: tuple[str, ...]) -> None:
        """The driver says other faults than before: rows of the table, else taken for neutral."""
        for code in self._driver:
            if code not in codes:
                self.recover(code)
        rows = failures()
        for code in codes:
            if code not in self._driver:
                row = rows.get(code)
                level = Level.NEUTRAL if row is None else row.reaction.level
                why = "unknown to the failure table" if row is None else row.fault
                self.degrade(level, code, f"the driver says {code}: {why}")
        self._driver = codes

    def _take(self, now: float, request: JointCommand, reasons: list[str]) -> None:
        newest = np.nan if self._state is None else self._state.stamp
        allowed = SOURCE.get(self.mode, "")
        code, why = self._intake.take(now, request, allowed, self.mode.value, newest)
        if code:
            self._faults.note(code, now)
            reasons.append(why)
        else:
            self._request, self._request_at = request, now
            self._target = request.ordered(self._names)

    def _watch(self, now: float) -> None:
        """Look at what should have been heard, and at whether a hold holds."""
        demands = self._heartbeats.silent(now) + self._monitors.demands(now)
        demands += [
            demand for demand in (self._doubt.demand(now), self._place.demand(now)) if demand
        ]
        if demands or self._watched:
            codes = {code for code, _, _ in demands}
            for code in self._watched - codes:
                self.recover(code)
            for code, level, why in demands:
                if code not in self._watched:
                    self.degrade(level, code, why)
            self._watched = codes
        if self.mode is Mode.TELEOP:
            code, why = self._deadman.trouble(now)
            if code:
                self._faults.put(code, Level.NONE, f"{why}; arm again and hold it")
                self._modes.fall_back(why)
                self._request = None

    # What goes out ---------------------------------------------------------------------------

    def _wanted(self, now: float, reasons: list[str]) -> tuple[Level, Array]:
        """Return the level in force and what to steer for: the request, or neutral."""
        mode, level = self.mode, self._faults.level
        if mode is Mode.STOPPED:
            reasons.append(f"{self._modes.why}; a person must release it")
            return Level.STOPPED, self._neutral
        if mode not in _MOVING:
            return level, self._neutral
        if level is Level.HOLD and self._state is not None:
            failed = self._hold.watch(now, self._state.qd, self._applied)
            reasons += [f"hold: {why}" for why in self._faults.reasons(level)]
            if failed:
                reasons.append("neutral: the hold does not bring the joints to rest")
                level = Level.NEUTRAL
        else:
            self._hold.end()
            if level is not Level.NONE:
                reasons += [f"neutral: {why}" for why in self._faults.reasons(level)]
        if not self._state_fresh():
            code = self._stale[0]
            self._faults.note(code, now)
            reasons.append(f"neutral: {self._state_reason()}")
            return max(level, Level.NEUTRAL), self._neutral
        age = now - self._request_at
        if mode is Mode.ARMED and (self._request is None or age > self.limits.request_timeout):
            # Nobody is expected to move anything here; silence is no fault.
            return level, self._neutral
        source = SOURCE[mode]
        if age > self.limits.request_timeout:
            self._faults.note("request_lost", now)
            reasons.append(
                f"neutral: no good request from {source!r} for {age:.2f} s, "
                f"at most {self.limits.request_timeout:g} s is allowed"
            )
            return max(level, Level.NEUTRAL), self._neutral
        if self._request is None:
            reasons.append(f"neutral: no request from {source!r} yet")
            return level, self._neutral
        return level, self._neutral if level >= Level.NEUTRAL else self._target

    def _bounded(
        self, now: float, wanted: Array, dt: float, level: Level, reasons: list[str]
    ) -> Array:
        """Return what may be applied of what is wanted, with the reasons."""
        cap = self._bounds.full
        if self.mode is Mode.ARMED:
            cap = self._slowly()
        elif level is Level.HOLD:
            cap = self._hold.cap
        loss = wanted is self._neutral
        applied = self._bounds.bound(wanted, self._applied, self._state, cap, loss, dt)
        flags = tuple(self._bounds.flags.tolist())
        if any(flags):
            for code, why in words(flags, self._names):
                if code and code not in SHAPING:
                    self._faults.note(code, now)
                reasons.append(why)
        return applied

    def _slowly(self) -> Array:
        """Return the strokes of guided motions; none for a joint that is too fast for one."""
        assert self._state is not None, "nobody arms before a state was heard"
        fast = np.abs(self._state.qd) > 1.1 * PREFLIGHT_SPEED * self._qd_max
        return np.where(fast, 0.0, self._guided)

    def _command(self, now: float, applied: Array) -> JointCommand:
        self._sequence += 1
        # Of what it answers; never an old one, which the watchdog would take for a recording.
        stamp = 0.0 if self._state is None else self._state.stamp
        if self._request is not None and now - self._request_at <= self.limits.request_timeout:
            stamp = self._request.stamp
        command = JointCommand(
            stamp, self._sequence, "gate", CommandKind.VALVE, self._names, applied
        )
        return command if self._envelope is None else self._envelope.seal(command)

    def _safety(
        self, now: float, level: Level, applied: Array, wanted: Array, reasons: list[str]
    ) -> SafetyState:
        asked = wanted if self._request is None else self._target
        limited = tuple(map(ne, applied.tolist(), asked.tolist()))
        alarms = self._faults.codes(now)
        if self._stops:
            alarms = tuple(dict.fromkeys((*self._stops, *alarms)))
        return SafetyState(self.mode, tuple(reasons), limited, self._intake.refused, level, alarms)

    # Helpers ---------------------------------------------------------------------------------

    def _stop(self, who: str, why: str) -> None:
        if self.mode is not Mode.STOPPED:
            self._unlatched = True
        self._modes.stop(who, why)
        code = who if who in failures() else "emergency_stop"
        if code not in self._stops:
            self._stops.append(code)
        self._request, self._request_at = None, NEVER

    def _write_latch(self) -> None:
        # One step after the stop: the neutral command must not wait for a disk.
        if not self._unlatched or self.mode is not Mode.STOPPED or any(self._applied.tolist()):
            return
        self._unlatched = False
        if self._latch is not None:
            trouble = self._latch.set(self._modes.why)
            if trouble:
                self.degrade(Level.NEUTRAL, "latch_unreadable", f"the latch: {trouble}")

    def _not_now(self, mode: Mode | str, who: str) -> str:
        """Return why the machine must not be armed or engaged now, or ``""``."""
        if mode not in _MOVING or mode is self.mode:
            return ""
        if not self._state_fresh():
            return f"no fresh joint state: {self._state_reason()}"
        if self._faults.level >= Level.HOLD:
            return f"a fault is in force: {'; '.join(self._faults.reasons(Level.HOLD))}"
        if self._preflight is not None and (mode is not Mode.ARMED or who != PREFLIGHT):
            missing = self._preflight()
            # The way back from a mode in which things move is never barred.
            if missing and self.mode not in _ENGAGED:
                return f"preflight: {missing}"
        if mode is Mode.TELEOP and self._now is not None:
            _, why = self._deadman.trouble(self._now)
            if why:
                return f"{why}; hold it, and ask again"
        return ""

    def _state_fresh(self) -> bool:
        now = self._now
        return now is not None and now - self._state_at <= self.limits.state_timeout

    def _state_reason(self) -> str:
        if self._state is None or self._now is None:
            return f"none received yet{self._stale[1]}"
        return (
            f"none for {self._now - self._state_at:.2f} s, "
            f"at most {self.limits.state_timeout:g} s is allowed{self._stale[1]}"
        )
