"""The gate at a simulated clock, for the tests of rows that it answers for."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from failure_rows import Seen
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    GateOutput,
    JointCommand,
    Level,
    MachineState,
    Mode,
)
from kuwa_machines.linkage import lever_arm
from kuwa_machines.loader import load_machine
from kuwa_machines.spec import CylinderDrive

TICK = 0.01
SPEC = load_machine("zx200")
SMALL = np.array([0.1, 0.0, 0.15, 0.15])


class Bench:
    """An excavator at rest, or in motion as told, and its gate; ``change`` spoils what it measures.

    Args:
        mode: to bring the gate into. gate: arguments of the gate.
    """

    def __init__(self, mode: Mode = Mode.AUTO, spec: Any = SPEC, **gate: Any) -> None:
        self.spec, self.names = spec, tuple(spec.joint_names)
        self.gate = Gate(spec, **gate)
        self.seal: Callable[[JointCommand], JointCommand] = lambda command: command
        self.change: Callable[[MachineState], MachineState | None] = lambda state: state
        self.now, self.sequence = 1000.0, 1_000_000
        self.rng = np.random.default_rng(0)
        self.q = np.array(spec.home, dtype=float)
        self.qd = np.zeros(len(self.q))
        self.told: list[Array] = []
        self.trail: list[tuple[Array, Array]] = []
        """Positions and velocities that the gate saw at each tick."""
        self.last: GateOutput | None = None
        self.source = {Mode.TELEOP: "teleop", Mode.ARMED: "preflight"}.get(mode, "control")
        self.tick(None)
        self.engage(mode)

    def engage(self, mode: Mode) -> None:
        """Ask for a mode step by step, as a person."""
        if mode is Mode.STOPPED:
            return
        if mode is Mode.TELEOP:
            self.gate.deadman(self.now, True)
        for step in (Mode.READY, Mode.ARMED, mode):
            granted, why = self.gate.set_mode(step, "Ada")
            assert granted, why
            if step is mode:
                break

    def state(self) -> MachineState:
        """What is measured now: the joints follow the commands after their dead time."""
        n = len(self.q)
        return MachineState(
            stamp=self.now,
            q=self.q + 1e-4 * self.rng.standard_normal(n),
            qd=self.qd + 1e-3 * self.rng.standard_normal(n),
            effort=np.zeros(n),
            pressure=np.full((n, 2), 5e6),
            pump_pressure=8e6,
            pump_flow=0.0,
            pump_power=0.0,
            base_position=np.zeros(3),
            base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
            base_velocity=np.zeros(6),
            tool_load=0.0,
        )

    def request(self, values: Any = SMALL, **changes: Any) -> JointCommand:
        """The next request of the source that may move the machine."""
        self.sequence += 1
        parts: dict[str, Any] = {
            "stamp": self.now,
            "sequence": self.sequence,
            "source": self.source,
            "kind": CommandKind.VALVE,
            "names": self.names,
            "values": np.asarray(values, dtype=float),
        }
        return self.seal(JointCommand(**(parts | changes)))

    def tick(self, request: JointCommand | None) -> GateOutput:
        """One tick of 10 ms; the deadman is held."""
        self.now += TICK
        self._move()
        self.trail.append((self.q.copy(), self.qd.copy()))
        out = self.gate.step(self.now, self.change(self.state()), request)
        self.told.append(out.applied.values)
        self.last = out
        return out

    def run(self, ticks: int, values: Any = SMALL) -> GateOutput:
        """Good requests for some ticks."""
        for _ in range(ticks):
            if self.source == "teleop":
                self.gate.deadman(self.now, True)
            out = self.tick(self.request(values))
        return out

    def _move(self) -> None:
        """Dead time, dead band, curve, the cylinder's lever and the valve's lag, as in the data."""
        for j, joint in enumerate(self.spec.joints.values()):
            valve = joint.drive.valve
            k = len(self.told) - round(valve.dead_time / TICK)
            target = self.steady(j, self.told[k][j] if k >= 0 else 0.0)
            change = (target - self.qd[j]) * (1.0 - np.exp(-TICK / valve.time_constant))
            if joint.axis == "z":
                most = joint.acceleration * TICK
                change = np.clip(target - self.qd[j], -most, most)
            self.qd[j] += change
        self.q = self.q + TICK * self.qd

    def steady(self, j: int, u: float) -> float:
        """Velocity that a command of a joint leads to where the joint is now [rad/s]."""
        drive = list(self.spec.joints.values())[j].drive
        valve = drive.valve
        s = max(abs(u) - valve.dead_band, 0.0) / (1.0 - valve.dead_band)
        full = valve.max_flow_positive if u > 0 else valve.max_flow_negative
        if isinstance(drive, CylinderDrive):
            lever = float(lever_arm(drive.linkage, self.q[j]))
            area = drive.head_area if (lever > 0) == (u > 0) else drive.rod_area
            volume = abs(lever) * area
        else:
            volume = drive.displacement
        return float(np.copysign(s**valve.curve * full / volume, u))

    def without_gate(self, tick: int, until: int, values: Any) -> Bench:
        """This machine, were ``values`` let through from ``tick`` on, up to ``until``."""
        other = self._from(tick, values)
        other.trail = self.trail[: tick + 1]
        for _ in range(tick, until):
            other._move()
            other.trail.append((other.q.copy(), other.qd.copy()))
            other.told.append(other.told[-1])
        return other

    def rest(self, tick: int, values: Any) -> Array:
        """Every position from ``tick`` on until rest, shape (ticks, n) [rad].

        ``values`` are let through at that tick, and from then on neutral, which is all that a gate
        could still do.
        """
        other = self._from(tick, values)
        valves = [joint.drive.valve for joint in self.spec.joints.values()]
        longest = max(v.dead_time + 8.0 * v.time_constant for v in valves)
        path: list[Array] = []
        while len(path) * TICK < longest or np.abs(other.qd).max() > 1e-3:
            other._move()
            other.told.append(np.zeros(len(other.q)))
            path.append(other.q)
        return np.array(path)

    def _from(self, tick: int, values: Any) -> Bench:
        """This machine at an earlier tick, with other values let through there."""
        other = copy(self)
        other.told = [*self.told[:tick], np.asarray(values, dtype=float)]
        other.q, other.qd = (x.copy() for x in self.trail[tick])
        return other

    def until(
        self,
        reaction: Callable[[GateOutput], bool],
        tick: Callable[[], GateOutput],
        within: float = 5.0,
    ) -> float:
        """Return the time from now until the reaction [ms]."""
        began = self.now
        while self.now - began < within:
            if reaction(tick()):
                return 1e3 * (self.now - began)
        raise AssertionError(f"no reaction within {within} s; last: {self.last}")

    def good(self) -> GateOutput:
        """A tick with a good request."""
        return self.run(1)

    def passes(self, ticks: int = 60) -> bool:
        """Whether good requests move the machine again."""
        return bool(self.run(ticks).applied.values.any())

    def refused(self, make: Callable[[], JointCommand], code: str) -> Seen:
        """A bad request among good ones: it is refused with its code, and leaves no trace."""
        before = self.run(30)
        bad = make()
        out = self.tick(bad)
        assert out.safety.refused == before.safety.refused + 1, out.safety
        assert code in out.safety.alarms, out.safety
        np.testing.assert_array_equal(out.applied.values, before.applied.values)
        took = 1e3 * TICK
        return Seen("refuse", took, self.passes(), out.safety.reasons[0])


def neutral(out: GateOutput) -> bool:
    """Whether the valves are in neutral."""
    return not out.applied.values.any()


def level(wanted: Level) -> Callable[[GateOutput], bool]:
    """Whether the gate has stepped down so far."""
    return lambda out: out.safety.level >= wanted


def changed(state: MachineState, **changes: Any) -> MachineState:
    """A state with other values."""
    return replace(state, **changes)
