"""Fuzzing of the buses: strange frames between each driver and its machine.

Driver and machine work while a stranger sends frames: damaged copies of those that were on the
bus, their identifiers with other data, and noise. Nothing may raise, states and valves stay sound,
and afterwards the driver says that all is well, or why a person has to act.

It needs tests/contract and tests/safety on PYTHONPATH; arguments: [seconds] [seed].
"""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import can
import numpy as np

from kuwa_hardware.failures import failure
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from robot_benches import BENCHES, ON_ROS, Bench, BusBench

SETTLE = 300
"""Ticks without strange frames after which the driver knows where it stands."""
ROUND = 400
"""Ticks with strange frames before each such rest."""
CLAIMS = frozenset({"sensor_emergency"})
"""Said in another node's name, which is the only one that takes it back."""

Identifier = tuple[int, bool]
"""Of a frame, and whether it has 29 bits."""


@dataclass
class Found:
    """What came of it.

    Args:
        frames: strange ones. bad: what was wrong, how often. faults: told by the driver.
    """

    frames: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)


class Listener:
    """Keeps the last frames of the bus, to damage copies of them."""

    def __init__(self, bus: can.BusABC) -> None:
        self.bus = bus
        self.seen: dict[Identifier, bytes] = {}

    def look(self) -> None:
        while (frame := self.bus.recv(0.0)) is not None:
            identifier = frame.arbitration_id, frame.is_extended_id
            if len(self.seen) < 200 or identifier in self.seen:
                self.seen[identifier] = bytes(frame.data)


def strange(rng: random.Random, seen: dict[Identifier, bytes]) -> can.Message:
    """Return a frame that nobody expects."""
    how = rng.random()
    if seen and how < 0.7:
        identifier, extended = copied = rng.choice(list(seen))
        data = bytearray(seen[copied])
        if how < 0.35 and data:
            data[rng.randrange(len(data))] = rng.randrange(256)
        elif how < 0.5:
            data = bytearray(rng.randbytes(len(data)))
        elif how < 0.6:
            data = data[: rng.randrange(len(data) + 1)]
        else:
            data = bytearray(rng.choice((b"\xff", b"\x00", b"\xfe")) * 8)
        if rng.random() < 0.2:
            # The last byte is J1939's source; a CANopen node's number is in the last seven bits.
            own = 0xFF if extended else 0x7F
            identifier = (identifier & ~own) | (rng.getrandbits(8) & own)
        return can.Message(arbitration_id=identifier, data=bytes(data), is_extended_id=extended)
    extended = rng.random() < 0.8
    return can.Message(
        arbitration_id=rng.getrandbits(29 if extended else 11),
        data=rng.randbytes(rng.randrange(9)),
        is_extended_id=extended,
        is_remote_frame=False,
        is_error_frame=rng.random() < 0.05,
    )


def _check(state: MachineState, last: float, bench: BusBench, found: Found) -> None:
    n = len(bench.robot.spec.joint_names)
    if state.q.shape != (n,) or state.qd.shape != (n,):
        found.bad["a state of another shape"] += 1
    if np.isinf(state.q).any() or np.isinf(state.qd).any():
        found.bad["an infinite state"] += 1
    if state.stamp < last:
        found.bad["a stamp that goes back"] += 1
    if not np.isfinite(bench.valves).all() or (np.abs(bench.valves) > 1.0).any():
        found.bad[f"valves {bench.valves}"] += 1


def _work(
    bench: BusBench, rng: random.Random, ticks: int, per_tick: int, found: Found
) -> MachineState:
    listener = Listener(bench._settings.open())
    names = bench.robot.spec.joint_names
    last, state = -np.inf, bench.robot.read()
    try:
        for k in range(ticks):
            values = np.array([rng.uniform(-1, 1) for _ in names])
            command = JointCommand(state.stamp, k + 1, "gate", CommandKind.VALVE, names, values)
            sent = bench.robot.write(command).values
            if not np.isfinite(sent).all() or (np.abs(sent) > 1.0).any():
                found.bad[f"sent {sent}"] += 1
            listener.look()
            for _ in range(per_tick):
                listener.bus.send(strange(rng, listener.seen))
                found.frames += 1
            state = bench.tick()
            _check(state, last, bench, found)
            last = state.stamp
            for code in state.faults:
                found.faults[code] += 1
    finally:
        listener.bus.shutdown()
    return state


def fuzz(seconds: float, seed: int) -> Iterator[tuple[str, Found]]:
    """Put every driver with a bus through its share of the time; yield what came of it."""
    buses = {name: make for name, make in BENCHES.items() if name not in ON_ROS and _on_bus(make)}
    for name, make in buses.items():
        rng, found = random.Random(f"{seed} {name}"), Found()
        until = time.monotonic() + seconds / len(buses)
        while time.monotonic() < until:
            bench = make()
            try:
                bench.robot.connect()
                _work(bench, rng, SETTLE // 3, 0, Found())
                _work(bench, rng, ROUND, rng.choice((1, 3, 10)), found)
                state = _work(bench, rng, SETTLE, 0, Found())
                for code in state.faults:
                    if failure(code).recovery != "person" and code not in CLAIMS:
                        found.bad[f"{code} does not go away"] += 1
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(frame.filename).name}:{frame.lineno}"
                found.bad[f"{type(error).__name__}: {str(error)[:100]} ({where})"] += 1
            finally:
                bench.close()
        yield name, found


def _on_bus(make: Callable[[], Bench]) -> bool:
    bench = make()
    try:
        return isinstance(bench, BusBench)
    finally:
        bench.close()


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    failed = 0
    for title, result in fuzz(given[0] if given else 20.0, int(given[1]) if len(given) > 1 else 0):
        print(f"{title}: {result.frames} strange frames, {result.bad.total()} bad; "
              f"faults told: {dict(result.faults.most_common())}")  # fmt: skip
        for what, count in result.bad.most_common(10):
            print(f"    {count} × {what}")
        failed += result.bad.total()
    sys.exit(1 if failed else 0)
