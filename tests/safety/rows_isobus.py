"""Rows of the failure table that the ISOBUS driver and the CANopen sensors find.

Driver, gate and machine in step, on the clock of the rig, in ticks of 10 ms. The driver reports the
fault; what counts is what the gate makes of it, and that the machine's own valves are in neutral.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from failure_rows import Seen, row
from kuwa_hardware.canopen_sensors.robot import SensedRobot
from kuwa_hardware.gate import Gate
from kuwa_hardware.j1939.name import Name
from kuwa_hardware.mock import MockRobot
from kuwa_machines.contracts import (
    Array,
    CommandKind,
    GateOutput,
    JointCommand,
    Level,
    Mode,
    Robot,
)

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from canopen_rig import CanopenRig
from isobus_rig import TICK, IsobusRig, working

PATIENCE = 300
"""Ticks that a reaction, or the way back, is waited for; its bound is the table's."""
HELD = 0.01
"""Largest opening by which a tractor's own controller holds the curvature it was left at."""


class Loop:
    """Gate and driver at 100 Hz, in mode auto, the machine in motion.

    Args:
        robot: the driver. wish: what control asks for. clock: steady time [s].
        goes_on: the machine's own tick. valves: of the machine itself.
    """

    def __init__(
        self, robot: Robot, wish: Array, clock: Callable[[], float],
        goes_on: Callable[[], None], valves: Callable[[], Array],
    ) -> None:  # fmt: skip
        self.robot, self.wish, self.clock = robot, wish, clock
        self.goes_on, self.valves = goes_on, valves
        self.gate = Gate(robot.spec)
        self.names = tuple(robot.spec.joint_names)
        self.sequence, self.stamp = 0, 0.0
        self.tick()
        self.engage()
        self.until(self.moves)
        for _ in range(30):
            out = self.tick()
            assert out.safety.level is Level.NONE, out.safety

    def engage(self) -> None:
        for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
            granted, why = self.gate.set_mode(mode, "Ada")
            assert granted, why

    def tick(self) -> GateOutput:
        """One period: read, decide, write, let the machine go on."""
        state = self.robot.read()
        new = state.stamp > self.stamp
        self.stamp = state.stamp
        self.sequence += 1
        request = JointCommand(
            state.stamp, self.sequence, "control", CommandKind.VALVE, self.names, self.wish
        )
        self.out = self.gate.step(self.clock(), state if new else None, request)
        self.robot.write(self.out.applied)
        self.goes_on()
        return self.out

    def moves(self) -> bool:
        """Whether the valves of the machine are open as wished."""
        return bool(np.abs(self.valves()).max() > 0.5 * np.abs(self.wish).max())

    def stands(self) -> bool:
        """Valves in neutral at the machine, and the gate means it."""
        return not self.valves().any() and self.out.safety.level >= Level.NEUTRAL

    def rests(self) -> bool:
        """The gate means neutral, and no valve does more than hold."""
        told = self.out.applied.values.any() or self.out.safety.level < Level.NEUTRAL
        return not told and bool(np.abs(self.valves()).max() < HELD)

    def until(self, holds: Callable[[], bool]) -> float:
        """Go on until it holds; return how long that took [ms]."""
        start = self.clock()
        for _ in range(PATIENCE):
            if holds():
                return 1e3 * (self.clock() - start)
            self.tick()
        raise AssertionError(f"not within {PATIENCE} ticks: {holds.__name__}, {self.out.safety}")

    def seen(self, code: str, undo: Callable[[], object], lasts: int = 60) -> Seen:
        """The fault was made: wait for neutral and its code, undo it, go on as the mode allows.

        Args:
            lasts: ticks that the fault goes on after the reaction.
        """
        assert self.moves()
        after = self.until(self.stands)
        safety = self.out.safety
        assert code in safety.alarms, safety
        stopped = safety.mode is Mode.STOPPED
        assert stopped == (safety.level is Level.STOPPED), safety
        for _ in range(lasts):
            self.tick()
            assert self.stands(), "it went on while the fault was there"
        undo()
        if stopped:
            for _ in range(PATIENCE):
                self.tick()
                assert self.rests(), "a stop lasts until a person releases it"
            self.engage()
        self.until(self.moves)
        gone = code not in self.tick().safety.alarms
        return Seen("stopped" if stopped else "neutral", after, gone, " ".join(safety.reasons))


def tractor() -> tuple[IsobusRig, Loop]:
    """An ISOBUS tractor that works."""
    rig = working()

    def goes_on() -> None:
        rig.tractor.step()
        rig.now += TICK

    return rig, Loop(rig.driver, rig.all(0.3), rig.clock, goes_on, lambda: rig.tractor.valves)


@row("address_lost")
def address_lost(tmp_path: Path) -> Seen:
    """A node with a lower NAME claims our address; we take another and go on."""
    rig, loop = tractor()
    lower = Name(identity_number=0, industry_group=0, arbitrary_address_capable=False)
    before = rig.driver.claim.address
    rig.stranger_claims(lower, before)
    # It is over as soon as another address is ours.
    seen = loop.seen("address_lost", lambda: None, lasts=0)
    assert rig.driver.claim.address != before
    rig.close()
    return seen


@row("all_implements_stop")
def all_implements_stop(tmp_path: Path) -> Seen:
    """The switch is pushed; released again, the stop stays until a person releases it."""
    rig, loop = tractor()
    rig.tractor.stop_pressed = True
    seen = loop.seen("all_implements_stop", lambda: setattr(rig.tractor, "stop_pressed", False))
    rig.close()
    return seen


class Sensed:
    """A tractor whose sensors are on CANopen beside its own, its lift turning at 0.1 rad/s."""

    def __init__(self) -> None:
        self.rig = rig = CanopenRig()
        plant = MockRobot(rig.spec)
        names = tuple(rig.spec.joint_names)
        rig.q = dict(zip(names, map(float, rig.spec.home), strict=True))
        rig.connect()
        plant.connect()
        rig.run(0.1)
        self.robot = SensedRobot(plant, rig.sensors)
        self.valves = np.zeros(len(names))
        write = self.robot.write

        def keep(command: JointCommand) -> JointCommand:
            self.valves = command.ordered(names)
            return write(command)

        def goes_on() -> None:
            rig.q = dict(zip(names, map(float, plant.advance().q), strict=True))
            rig.now += TICK
            rig.there.step(rig.q)
            if rig.sensors.faults():
                # A silent sensor is told everything again, by the wall's clock.
                rig.answer(TICK)

        self.robot.write = keep  # type: ignore[method-assign]
        wish = -0.1 / rig.spec.qd_max * (np.array(names) == "lift_joint")
        goes_on()
        self.loop = Loop(self.robot, wish, rig.clock, goes_on, lambda: self.valves)

    def seen(self, code: str, undo: Callable[[], object]) -> Seen:
        seen = self.loop.seen(code, undo)
        self.robot.close()
        self.rig.close()
        return seen


@row("sensor_silent")
def sensor_silent(tmp_path: Path) -> Seen:
    """A sensor loses its supply."""
    sensed = Sensed()
    sensed.rig.there.mute.add(10)
    return sensed.seen("sensor_silent", sensed.rig.there.mute.clear)


@row("sensor_emergency")
def sensor_emergency(tmp_path: Path) -> Seen:
    """A sensor reports a defect of its own, and that it is gone."""
    sensed = Sensed()
    sensed.rig.there.emergency(12, 0x5030)
    said = []

    def mend() -> None:
        said.append(sensed.rig.sensors.emergencies[12])
        sensed.rig.there.emergency(12, 0)

    seen = sensed.seen("sensor_emergency", mend)
    assert not sensed.rig.sensors.emergencies.get(12), "it is gone"
    return replace(seen, said=said[0])


@row("sensor_frozen")
def sensor_frozen(tmp_path: Path) -> Seen:
    """A sensor's shaft comes loose while the joint turns at 0.1 rad/s."""
    sensed = Sensed()
    sensed.rig.there.stuck.add(10)
    return sensed.seen("sensor_frozen", sensed.rig.there.stuck.clear)
