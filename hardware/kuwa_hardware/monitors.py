"""Whether what the machine measures can be true, and whether the machine does what it is told.

The clock of the states is held against the steady clock, positions against velocities and limits,
motion against commands, pump and engine against their least. Joints are looked at by the compiled
:mod:`kuwa_hardware.kernels.monitoring`; here signs become faults by the rows of the failure table.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from kuwa_hardware.failures import failure, timeout
from kuwa_hardware.kernels import monitoring as look
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.watch import Demand
from kuwa_machines.arrays import Array
from kuwa_machines.contracts import Level, MachineState
from kuwa_machines.safety import pump_pressure_min
from kuwa_machines.spec import HydrostaticDrive

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec

CLOCK_JUMP: Final = 1.0
"""Stamps that gain or lose more than this on the steady clock at once have jumped [s]."""
CALM: Final = 0.3
"""For which a sign must be away before its fault is [s]."""
RETRY: Final = 1.0
"""The same where the sign goes away in neutral, whatever its cause [s]."""
SIGNS: Final[dict[int, tuple[str, str]]] = {
    look.FROZEN: ("state_frozen", "its position and velocity stay the same to the last bit"),
    look.JUMP: ("state_jump", "its position jumped farther than it can move"),
    look.BIAS: ("velocity_bias", "its velocity is not the change of its position"),
    look.IMPOSSIBLE: ("position_impossible", "its position is far outside of its range"),
    look.FAST: ("joint_overspeed", "faster than it may be"),
    look.UNCOMMANDED: ("uncommanded_motion", "moves though its valve is in neutral"),
    look.STUCK: ("joint_stuck", "does not move though it is told to, and nothing holds it"),
}
AFTERWARDS: Final = {"state_frozen": RETRY, "joint_stuck": RETRY, "pressure_loss": CALM}
LEVELS: Final = {
    code: failure(code).reaction.level
    for code in (
        *(code for code, _ in SIGNS.values()), "clock_jump", "pressure_loss", "engine_slow",
    )
}  # fmt: skip


class Monitors:
    """Looks at each new state of one machine.

    Args:
        spec: the machine. limits: of the gate, for the overspeed.
    """

    def __init__(self, spec: MachineSpec, limits: GateLimits) -> None:
        n = len(spec.joint_names)
        self._names = tuple(spec.joint_names)
        self._p = _parameters(spec)
        self._m = np.zeros((n, look.N_MEMORY))
        self._s = np.array(
            [
                timeout("safety.frozen_time"), timeout("safety.bias_window"),
                timeout("safety.overspeed_time"), timeout("safety.uncommanded_time"),
                timeout("safety.stuck_time"), limits.overspeed,
            ]
        )  # fmt: skip
        self._flags = np.zeros(n, dtype=np.int64)
        self._pressure_time = timeout("safety.pressure_time")
        self._engine_time = timeout("safety.engine_time")
        known = bool(spec.joints)
        self._pump_min = pump_pressure_min(spec) if known else 0.0
        self._pump_stall = 0.9 * spec.hydraulics.pump_relief if known else math.inf
        self._engine_min = (spec.safety.engine_speed_min if known else None) or 0.0
        self._cold = (spec.safety.oil_cold if known else None) or -math.inf
        self._seen: dict[str, tuple[float, Demand]] = {}
        self._stamp = math.nan
        self._at = 0.0
        self._low_for = self._slow_for = 0.0
        self._base_since = 0.0
        none = np.zeros(n)
        look.look(
            0.01, none, none, none, none, np.zeros((n, 2)), none, False, False, self._p, self._m,
            self._s, self._flags,
        )  # fmt: skip
        self._m[:] = 0.0

    def stamped(self, now: float, stamp: float) -> tuple[str, str]:
        """Return whether a state's stamp is new: code and words of why not, or two ``""``.

        Args:
            now: of receipt, steady [s]. stamp: of the measurement [s].
        """
        if not math.isfinite(stamp):
            return "state_nan", "its stamp is no number"
        if math.isnan(self._stamp):  # no guard: NaN passes what follows as well
            return "", ""
        ahead, passed = stamp - self._stamp, now - self._at
        if ahead < -CLOCK_JUMP or ahead - passed > CLOCK_JUMP:
            self._put(now, ("clock_jump", LEVELS["clock_jump"], "the clock of the states jumped"))
            # From here on the new time counts.
            self._stamp, self._at = stamp, now
            self._m[:, look.DRIFT] = 0.0
            return "", ""
        if ahead == 0.0:
            return "state_stamp_frozen", "it comes with the same stamp again"
        if ahead < 0.0:
            return "state_stamp_back", "it is older than the one before"
        return "", ""

    def look(
        self, now: float, state: MachineState, told: Array, applied: Array, moving: bool
    ) -> None:
        """Look at a new state, received at steady time ``now`` [s].

        Args:
            told: velocities that the joints should have now, by their model, shape (n,) [rad/s].
            applied: the command in force, shape (n,). moving: whether the mode lets things move.
        """
        if math.isnan(self._stamp):
            self._m[:, look.LAST_Q], self._m[:, look.LAST_QD] = state.q, state.qd
            dt = 0.0
        else:
            # A late state had more time to move, by either clock.
            dt = max(state.stamp - self._stamp, now - self._at, 0.0)
        self._stamp, self._at = state.stamp, now
        stalled = state.pump_pressure > self._pump_stall
        busy = look.look(
            dt, state.q, state.qd, told, applied, state.pressure, state.effort, stalled, moving,
            self._p, self._m, self._s, self._flags,
        )  # fmt: skip
        if any(self._flags.tolist()):
            self._take_signs(now)
        low = busy > 0 and moving and state.pump_pressure < self._pump_min
        self._low_for = self._low_for + dt if low else 0.0
        if self._low_for > self._pressure_time:
            self._put(now, (
                "pressure_loss", LEVELS["pressure_loss"],
                f"pump pressure below {1e-6 * self._pump_min:.3g} MPa with joints told to move",
            ))  # fmt: skip
        slow = moving and state.engine_speed < self._engine_min
        self._slow_for = self._slow_for + dt if slow else 0.0
        if self._slow_for > self._engine_time:
            self._put(now, (
                "engine_slow", LEVELS["engine_slow"],
                f"engine below {self._engine_min * 30 / math.pi:.0f} rpm",
            ))  # fmt: skip
        if state.oil_temperature < self._cold:
            self._put(now, (
                "oil_cold", Level.NONE,
                f"oil below {self._cold:g} °C: joints answer late, the gate brakes earlier",
            ))  # fmt: skip

    def demands(self, now: float) -> list[Demand]:
        """Return the faults in force at steady time ``now`` [s]."""
        if not self._seen:  # no guard: a short cut
            return []
        for code, (at, _) in list(self._seen.items()):
            if now - at > AFTERWARDS.get(code, CALM):
                del self._seen[code]
        return [demand for _, demand in self._seen.values()]

    def _take_signs(self, now: float) -> None:
        values = self._flags.tolist()
        for bit, (code, why) in SIGNS.items():
            joints = [n for n, value in zip(self._names, values, strict=True) if value & bit]
            if joints:
                self._put(now, (code, LEVELS[code], f"{', '.join(joints)}: {why}"))

    def _put(self, now: float, demand: Demand) -> None:
        self._seen[demand[0]] = (now, demand)


def _parameters(spec: MachineSpec) -> Array:
    p = np.zeros((len(spec.joint_names), look.N_PARAMETERS))
    p[:, look.LOW], p[:, look.HIGH] = spec.q_min, spec.q_max
    p[:, look.FASTEST] = spec.qd_max
    p[:, look.ENDLESS] = ~np.isfinite(np.asarray(spec.q_max, dtype=float))
    p[:, look.QUIET], p[:, look.STALL] = 0.5, math.inf
    for j, name in enumerate(spec.joint_names):
        joint = spec.joints.get(name)
        if joint is None:
            continue
        drive = joint.drive
        p[j, look.BAND] = drive.valve.dead_band
        p[j, look.QUIET] = 0.5 + 3.0 * drive.valve.time_constant
        p[j, look.TRAVELS] = isinstance(drive, HydrostaticDrive)
        p[j, look.STALL] = drive.torque if isinstance(drive, HydrostaticDrive) else drive.relief
    return p
