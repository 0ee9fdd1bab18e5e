"""COM3 in numbers: what a frame costs, how full the bus is, how soon a lost command is neutral.

The machine's controllers and the driver talk over the loopback in two processes, in real time;
behind the controllers is the mock plant, so that the computer's time goes to the bus.
"""

from __future__ import annotations

import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import can
import numpy as np

from kuwa_cli.figure import Figure
from kuwa_hardware.canbus import GROUP, BusSettings
from kuwa_hardware.com3.codec import LENGTH, by_id, messages
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_hardware.mock import MockRobot
from kuwa_machines import load_machine

DRIVER = Path(__file__).with_name("_can_driver.py")
TICK = 0.01
MACHINE = "zx200"
RUNS = 100
"""Lost commands, at least; each in another phase of the cycles."""
GAP = 3
"""Between two frames at least [bits]."""
CRC15 = 0x4599


@dataclass
class Measured:
    """What came of it.

    Args:
        codec_us: to decode and encode a frame, mean over all messages.
        round_trip_us: of one frame between two processes and back, median.
        frames_hz, load_kbit_s: all frames of the bus while the machine works, with stuff bits.
        lost_ms: from the last command to valves in neutral, one a run.
        killed_ms: the same from SIGKILL of the driver's process, stopped_ms: from SIGSTOP.
    """

    codec_us: float = 0.0
    round_trip_us: float = 0.0
    frames_hz: float = 0.0
    load_kbit_s: float = 0.0
    lost_ms: list[float] = field(default_factory=list)
    killed_ms: list[float] = field(default_factory=list)
    stopped_ms: list[float] = field(default_factory=list)


def figures(runs: int = RUNS) -> list[Figure]:
    """Measure; return the figures for ``benchmarks/safety.py``.

    Args:
        runs: of lost commands, and of each signal to the driver's process.
    """
    m = measure(runs)
    worst = {"lost": m.lost_ms, "killed": m.killed_ms, "stopped": m.stopped_ms}
    return [
        Figure("safety.com3.codec", m.codec_us, "µs a frame"),
        Figure("safety.com3.round_trip", m.round_trip_us, "µs"),
        Figure("safety.com3.frames", m.frames_hz, "1/s"),
        Figure("safety.com3.bus_load", m.load_kbit_s, "kbit/s", "<= 500"),
        Figure("safety.com3.command_loss.median", float(np.median(m.lost_ms)), "ms"),
        Figure("safety.com3.command_loss.worst", max(worst["lost"]), "ms", "<= 150"),
        Figure("safety.com3.robot_killed.worst", max(worst["killed"]), "ms", "<= 200"),
        Figure("safety.com3.robot_stopped.worst", max(worst["stopped"]), "ms", "<= 200"),
    ]


def measure(runs: int = RUNS) -> Measured:
    """Return everything measured."""
    out = Measured(codec_us=codec_us(), round_trip_us=round_trip_us())
    with _Works() as works:
        out.frames_hz, out.load_kbit_s = works.load(5.0)
        rng = np.random.default_rng(0)
        for _ in range(runs):
            out.lost_ms.append(works.lose("pause", float(rng.uniform(0.0, TICK))))
            works.go_on("go")
        for _ in range(runs):
            out.stopped_ms.append(works.lose(signal.SIGSTOP, float(rng.uniform(0.0, TICK))))
            works.go_on(signal.SIGCONT)
        for _ in range(runs):
            out.killed_ms.append(works.lose(signal.SIGKILL, float(rng.uniform(0.0, TICK))))
            works.go_on("start")
    return out


def codec_us(repeats: int = 2000) -> float:
    """Return the time to decode a frame and encode it again, mean over all messages [µs]."""
    frames = {m: bytes(range(1, 1 + LENGTH)) for m in messages().values()}
    start = time.process_time()
    for _ in range(repeats):
        for message, data in frames.items():
            message.encode_raw(message.decode_raw(data))
            message.decode(data)
    return 1e6 * (time.process_time() - start) / (repeats * len(frames))


def round_trip_us(count: int = 500) -> float:
    """Return how long a frame is on its way to another process and back, median [µs]."""
    settings = _settings()
    bus = settings.open()
    with subprocess.Popen([sys.executable, str(DRIVER), "echo", str(settings)]) as other:
        took: list[float] = []
        try:
            until = time.monotonic() + 30.0
            while len(took) < count and time.monotonic() < until:
                start = time.perf_counter()
                bus.send(can.Message(arbitration_id=1, data=bytes(8)))
                while (frame := bus.recv(0.1)) is not None and frame.arbitration_id != 2:
                    pass
                if frame is not None:
                    took.append(time.perf_counter() - start)
        finally:
            other.kill()
            bus.shutdown()
    return 1e6 * float(np.median(took))


def frame_bits(identifier: int, data: bytes) -> int:
    """Return the length of an extended data frame on the wire, with its stuff bits, without gap.

    ISO 11898-1: after five equal bits from start of frame to the end of the check sum one of the
    other kind is put in; delimiters, acknowledgement and end of frame (10 bits) are not stuffed.
    """
    bits = [0, *_bits(identifier >> 18, 11), 1, 1, *_bits(identifier & 0x3FFFF, 18), 0, 0, 0]
    bits += _bits(len(data), 4)
    for byte in data:
        bits += _bits(byte, 8)
    check = 0
    for bit in bits:
        carry = (check >> 14 & 1) ^ bit
        check = check << 1 & 0x7FFF
        if carry:
            check ^= CRC15
    bits += _bits(check, 15)
    stuffed, last, run = 0, -1, 0
    for bit in bits:
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:
            stuffed += 1
            last, run = 1 - bit, 1
    return len(bits) + stuffed + 10


def _bits(value: int, count: int) -> list[int]:
    return [value >> i & 1 for i in reversed(range(count))]


def _settings() -> BusSettings:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return BusSettings("udp_multicast", GROUP, probe.getsockname()[1])


class _Works:
    """The machine in this process, the driver in another one."""

    def __enter__(self) -> _Works:
        self.settings = _settings()
        plant = MockRobot(load_machine(MACHINE))
        plant.connect()
        self.bus = self.settings.open()
        self.machine = EmulatedMachine(plant, self.bus)
        self._deadline = time.monotonic()
        self._start()
        self._until(self._moves)
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.kill()
        self._driver.wait()
        self.bus.shutdown()

    def load(self, seconds: float) -> tuple[float, float]:
        """Return frames [1/s] and load [kbit/s] of the bus, as a third node hears it."""
        ears = self.settings.open()
        frames = bits = 0
        start = time.monotonic()
        while time.monotonic() - start < seconds:
            self._tick()
            while (frame := ears.recv(0.0)) is not None:
                if frame.arbitration_id in by_id():
                    frames += 1
                    bits += frame_bits(frame.arbitration_id, bytes(frame.data)) + GAP
        took = time.monotonic() - start
        ears.shutdown()
        return frames / took, 1e-3 * bits / took

    def lose(self, how: str | signal.Signals, phase: float) -> float:
        """Let commands stay away; return the time until the valves are in neutral [ms]."""
        self._until(self._moves)
        self._tick()
        time.sleep(phase)
        if isinstance(how, signal.Signals):
            self._driver.send_signal(how)
            start = time.monotonic()
        else:
            start = self._order(how)
        self._until(self._stands)
        return 1e3 * (time.monotonic() - start)

    def go_on(self, how: str | signal.Signals) -> None:
        """Let commands come again, and wait until the valves are open."""
        if isinstance(how, signal.Signals):
            self._driver.send_signal(how)
        elif how == "start":
            self._driver.wait()
            self._start()
        else:
            self._order(how)
        self._until(self._moves)

    def _start(self) -> None:
        self._driver = subprocess.Popen(
            [sys.executable, str(DRIVER), str(self.settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def _order(self, word: str) -> float:
        """Tell the driver; return the time at which it obeyed [s]."""
        assert self._driver.stdin is not None and self._driver.stdout is not None
        self._driver.stdin.write(word + "\n")
        self._driver.stdin.flush()
        while not select.select([self._driver.stdout], [], [], 0.0)[0]:
            self._tick()
        return float(self._driver.stdout.readline())

    def _moves(self) -> bool:
        return bool(self.machine.valves.all())

    def _stands(self) -> bool:
        return not self.machine.valves.any()

    def _tick(self) -> None:
        self.machine.step()
        self._deadline = max(self._deadline + TICK, time.monotonic())
        time.sleep(max(self._deadline - time.monotonic(), 0.0))

    def _until(self, holds: Callable[[], bool]) -> None:
        until = time.monotonic() + 30.0
        while not holds():
            if time.monotonic() > until:
                raise RuntimeError(f"not within 30 s: {holds.__name__}")
            self._tick()


if __name__ == "__main__":
    for figure in figures():
        print(f"{figure.name:40s} {figure.value:10.2f} {figure.unit}  {figure.goal}")
