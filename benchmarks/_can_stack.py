"""Reactions of the whole stack through CAN, seen at the valves of the machine at its other end.

The machine's controllers are another process, with the simulated plant behind them. What shows the
reaction is the pilot pressure that they measure and tell every 10 ms, read from the bus by a third
node of it. Times are from just before the fault to the receipt of the first such frame in which all
valves are in neutral.
"""

from __future__ import annotations

import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _forked import Forked, running
from _listener import MACHINE, Listener

from kuwa_hardware.canbus import GROUP, BusSettings
from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.mapping import load_map
from kuwa_machines.loader import load_machine

ENDED = ("control", "safety", "robot")
"""Nodes whose end has to bring the valves to neutral; that of the others makes the machine hold."""


class Valves:
    """The machine's valves, as a node hears them that only listens; a context manager."""

    def __init__(self, settings: BusSettings) -> None:
        self._signals = load_map(load_machine(MACHINE))
        self._message = messages()["Pilot_Pressure_1"]
        self._bus = settings.open()
        self._heard: list[tuple[float, bool]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Valves:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._bus.shutdown()

    def open(self) -> bool:
        """Return whether any valve was open when last heard."""
        return bool(self._heard) and self._heard[-1][1]

    def neutral(self, since: float) -> float | None:
        """Return when all were first heard in neutral after a time [s]; None: not yet."""
        return next((at for at, moves in self._heard if at >= since and not moves), None)

    def forget(self) -> None:
        """Forget all but what was heard last."""
        del self._heard[:-1]

    def _listen(self) -> None:
        while not self._end.is_set():
            frame = self._bus.recv(0.1)
            if frame is not None and frame.arbitration_id == self._message.id:
                pilot = self._message.decode(bytes(frame.data))
                moves = bool(self._signals.valves(pilot, measured=True).any())
                self._heard.append((frame.timestamp or time.time(), moves))


def reactions(folder: Path, count: int) -> Iterator[tuple[str, list[float]]]:
    """Yield name and times [ms] of emergency stops, and of the end of each node that moves it."""
    settings = _own_bus()
    options = {"scenario": "dig_trench", "emulated": True, "bus": str(settings)}
    with (
        Valves(settings) as valves,
        running(folder, "com3_can", **options) as (listener, processes),
    ):
        yield "emergency_stop", [_stop(listener, valves) for _ in range(count)]
        for name in ENDED:
            yield name, [_kill(listener, processes, valves, name) for _ in range(count)]


def _stop(listener: Listener, valves: Valves) -> float:
    took = _reaction(listener, valves, lambda: listener.stop(True))
    listener.wait("the latch", lambda: listener.mode == "stopped")
    listener.stop(False)
    return took


def _kill(listener: Listener, processes: Forked, valves: Valves, name: str) -> float:
    took = _reaction(listener, valves, lambda: processes.send(name, signal.SIGKILL))
    processes.start_one(name)
    listener.wait(f"the stop after {name}", lambda: listener.mode == "stopped")
    return took


def _reaction(listener: Listener, valves: Valves, fault: Callable[[], None]) -> float:
    """Strike the moving machine; return how long the valves took to neutral [ms]."""
    listener.drive()
    listener.wait("open valves", valves.open)
    time.sleep(random.uniform(0.0, 0.1))
    listener.mark()
    valves.forget()
    since = time.time()
    fault()
    listener.wait("valves in neutral", lambda: valves.neutral(since) is not None, 10.0)
    at = valves.neutral(since)
    assert at is not None
    return 1e3 * (at - since)


def _own_bus() -> BusSettings:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return BusSettings("udp_multicast", GROUP, probe.getsockname()[1])
