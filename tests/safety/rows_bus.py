"""Rows about the bus and the machine on it, with COM3: driver, gate and machine in step."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import can
import numpy as np

from failure_rows import Seen, row
from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.driver import WrongMachineError
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import CommandKind, GateOutput, JointCommand, Level, Mode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "unit"))

from com3_rig import TICK, Com3Rig

PATIENCE = 100
"""Ticks that a reaction, or the way back, is waited for."""
WISH = np.array([0.2, 0.0, 0.3, 0.3])
PASSIVE, ACTIVE = 0x20, 0x40


class Loop:
    """Driver, gate and machine at 100 Hz, in mode auto, the machine in motion."""

    def __init__(self) -> None:
        self.rig = Com3Rig()
        self.gate = Gate(self.rig.driver.spec)
        self.sequence = 0
        self.stamp = 0.0
        self.out: GateOutput | None = None
        self.rig.waiting = self.rig.machine.step
        self.rig.driver.connect()
        self.rig.waiting = None
        for _ in range(5):
            self.tick()
        self.engage()
        self.until(self.moves)

    def engage(self) -> None:
        for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
            granted, why = self.gate.set_mode(mode, "Ada")
            assert granted, why

    def tick(self) -> None:
        """One period: read, decide, write, let the machine go on."""
        rig = self.rig
        state = rig.driver.read()
        new = state.stamp > self.stamp
        self.stamp = state.stamp
        self.sequence += 1
        request = JointCommand(
            state.stamp, self.sequence, "control", CommandKind.VALVE, rig.names, WISH
        )
        self.out = self.gate.step(rig.now, state if new else None, request)
        rig.driver.write(self.out.applied)
        rig.machine.step()
        rig.now += TICK

    def moves(self) -> bool:
        return bool(np.abs(self.rig.machine.valves).max() > 0.1)

    def stands(self) -> bool:
        """Valves in neutral at the machine, and the gate means it."""
        assert self.out is not None
        return not self.rig.machine.valves.any() and self.out.safety.level >= Level.NEUTRAL

    def until(self, holds: Callable[[], bool]) -> float:
        """Go on until it holds; return how long that took [ms]."""
        start = self.rig.now
        for _ in range(PATIENCE):
            if holds():
                return 1e3 * (self.rig.now - start)
            self.tick()
        raise AssertionError(f"not within {PATIENCE} ticks: {holds.__name__}, {self.out}")

    @property
    def reaction(self) -> str:
        return "stopped" if self.gate.mode is Mode.STOPPED else "neutral"

    def seen(self, code: str, undo: Callable[[], object]) -> Seen:
        """The fault was made: wait for valves in neutral and its code, undo it, go on."""
        assert self.moves()
        after = self.until(self.stands)
        self.until(lambda: code in self.rig.driver.why)
        reaction, said = self.reaction, self.rig.driver.why[code]
        for _ in range(60):
            self.tick()
            assert self.stands(), "it went on while the fault was there"
        undo()
        self.until(self.moves)
        self.rig.close()
        return Seen(reaction, after, code not in self.rig.driver.why, said)


@row("driver_disconnected")
def driver_disconnected(tmp_path: Path) -> Seen:
    loop = Loop()
    loop.rig.unplug()
    return loop.seen("driver_disconnected", lambda: setattr(loop.rig, "unplugged", False))


def _from_adapter(rig: Com3Rig, kind: int, detail: int = 0) -> None:
    """The adapter's own controller speaks, in a frame as Linux makes them."""
    rig.stranger.send(
        can.Message(arbitration_id=kind, is_error_frame=True, is_extended_id=False,
                    data=[0, detail, 0, 0, 0, 0, 0, 0])
    )  # fmt: skip


@row("bus_off")
def bus_off(tmp_path: Path) -> Seen:
    """The adapter says so, and neither sends nor receives from then on."""
    loop = Loop()
    _from_adapter(loop.rig, 0x40)
    loop.rig.severed = True
    return loop.seen("bus_off", lambda: setattr(loop.rig, "severed", False))


@row("bus_passive")
def bus_passive(tmp_path: Path) -> Seen:
    loop = Loop()
    _from_adapter(loop.rig, 0x04, PASSIVE)
    after = loop.until(lambda: "bus_passive" in loop.rig.driver.why)
    said = loop.rig.driver.why["bus_passive"]
    for _ in range(15):
        loop.tick()
        assert loop.moves() and loop.out is not None
        assert "bus_passive" in loop.out.safety.alarms
    _from_adapter(loop.rig, 0x04, ACTIVE)
    loop.until(lambda: not loop.rig.driver.why)
    # Where nobody says that it is well again, good frames do.
    _from_adapter(loop.rig, 0x04, PASSIVE)
    loop.until(lambda: "bus_passive" in loop.rig.driver.why)
    loop.until(lambda: not loop.rig.driver.why)
    loop.rig.close()
    return Seen("warn", after, loop.moves(), said)


@row("machine_silent")
def machine_silent(tmp_path: Path) -> Seen:
    """One of the messages stays away while all others come."""
    loop = Loop()
    loop.rig.machine.panel.mute.add("Pressure_1")
    return loop.seen("machine_silent", loop.rig.machine.panel.mute.clear)


@row("alive_counter_lost")
def alive_counter_lost(tmp_path: Path) -> Seen:
    loop = Loop()
    loop.rig.machine.panel.hanging = True
    return loop.seen(
        "alive_counter_lost", lambda: setattr(loop.rig.machine.panel, "hanging", False)
    )


@row("machine_not_external")
def machine_not_external(tmp_path: Path) -> Seen:
    """The operator turns the switch; then he shuts the pilot oil off."""
    loop = Loop()
    panel = loop.rig.machine.panel
    panel.external = False
    first = loop.seen("machine_not_external", lambda: setattr(panel, "external", True))
    loop = Loop()
    panel = loop.rig.machine.panel
    panel.unlocked = False
    second = loop.seen("machine_not_external", lambda: setattr(panel, "unlocked", True))
    return max(first, second, key=lambda seen: seen.after_ms)


@row("machine_error")
def machine_error(tmp_path: Path) -> Seen:
    loop = Loop()
    loop.rig.machine.panel.errors.add("can_error_body")
    return loop.seen("machine_error", loop.rig.machine.panel.errors.clear)


@row("frame_corrupt")
def frame_corrupt(tmp_path: Path) -> Seen:
    """Short frames and angles that say error, under the machine's own identifier."""
    loop = Loop()
    rig = loop.rig
    angle = messages()["Front_Angle"]
    worst = 0.0
    for data in (bytes(5), angle.encode_raw({n: s.error for n, s in angle.signals.items()})):
        loop.tick()
        before, start = rig.driver.read(), rig.now
        rig.stranger_sends("Front_Angle", data)
        rig.driver.read()
        after = rig.driver.read()
        assert np.array_equal(after.q, before.q) and after.stamp == before.stamp
        assert "frame_corrupt" in after.faults
        worst = max(worst, 1e3 * (rig.now - start))
        said = rig.driver.why["frame_corrupt"]
    for _ in range(60):
        loop.tick()
        assert loop.moves()
    rig.close()
    return Seen("refuse", worst, not rig.driver.why, said)


@row("foreign_commander")
def foreign_commander(tmp_path: Path) -> Seen:
    """Another node moves the boom, once with our address, once with its own."""
    seen = []
    for source in (None, 0x21):
        loop = Loop()
        command = messages()["Pilot_Pressure_Cmd_1"]
        raws = dict.fromkeys(command.signals, 0) | {"boom_up": 200}
        loop.rig.stranger_sends(command.name, command.encode_raw(raws), source)
        after = loop.until(loop.stands)
        said, reaction = loop.rig.driver.why["foreign_commander"], loop.reaction
        for _ in range(100):
            loop.tick()
            assert loop.stands(), "a stop lasts until a person releases it"
        assert not loop.rig.driver.why
        loop.engage()
        loop.until(loop.moves)
        loop.rig.close()
        seen.append(Seen(reaction, after, True, said))
    return max(seen, key=lambda one: one.after_ms)


@row("machine_wrong")
def machine_wrong(tmp_path: Path) -> Seen:
    """The stack is for a ZX200, on the bus is a ZX120; later it is exchanged."""
    rig = Com3Rig("zx200", there="zx120")
    rig.waiting = rig.machine.step
    start, said = rig.now, ""
    try:
        rig.driver.connect()
    except WrongMachineError as error:
        said = str(error)
    after = 1e3 * (rig.now - start)
    # A machine that comes later is found wrong as well, and gets nothing but neutral.
    late = Com3Rig("zx200", there="zx120")
    late.driver.connect()
    for _ in range(60):
        late.tick()
    assert "machine_wrong" in late.driver.why
    assert not late.sent.any() and not late.machine.valves.any()
    right = Com3Rig()
    right.waiting = right.machine.step
    right.driver.connect()
    right.waiting = None
    right.run(0.2)
    moved = bool(right.machine.valves.any())
    for one in (rig, late, right):
        one.close()
    return Seen("refuse" if said else "", after, moved, said)
