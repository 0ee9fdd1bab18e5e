"""Reaction times of the running stack, seen by a listener beside it.

Every time is from just before the fault, a signal or a message, to the receipt of the first message
that shows the reaction. The machine is in full motion at each fault.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _forked import Forked, running
from _listener import Listener, at_least, neutral, tripped

from kuwa_bringup.processes import Processes
from kuwa_machines.contracts import Level
from kuwa_ros import topics

REACTIONS: dict[str, tuple[topics.Topic, Callable[[Any], bool]]] = {
    "control": (topics.APPLIED, neutral),
    "safety": (topics.ROBOT_STATUS, tripped),
    "planning": (topics.SAFETY, at_least(Level.HOLD)),
    "supervisor": (topics.SAFETY, at_least(Level.HOLD)),
}
"""What shows the reaction to the end of each node."""


def reaction(listener: Listener, processes: Processes, name: str, number: signal.Signals) -> float:
    """End or freeze a node of the moving machine; return how long the reaction took [ms]."""
    topic, shows = REACTIONS[name]
    listener.drive()
    time.sleep(random.uniform(0.0, 0.1))
    since = listener.mark()
    processes.send(name, number)
    return listener.first(topic, shows, since, f"the reaction to {name}")


def signalled(
    listener: Listener, processes: Forked, name: str, number: signal.Signals, count: int
) -> list[float]:
    """Return how long the reaction to the end or the freeze of a node took, each time [ms]."""
    times = []
    for _ in range(count):
        times.append(reaction(listener, processes, name, number))
        if number == signal.SIGSTOP:
            processes.send(name, signal.SIGCONT)
        else:
            processes.start_one(name)
            if name != "supervisor":
                # It stops the machine and brings the node up; then a person releases the stop.
                listener.wait(f"the stop after {name}", lambda: listener.mode == "stopped")
    return times


def emergency_stops(listener: Listener, count: int) -> list[float]:
    """Return the times from an emergency stop to neutral valves [ms]."""
    times = []
    for _ in range(count):
        listener.drive()
        time.sleep(random.uniform(0.0, 0.1))
        since = listener.mark()
        listener.stop(True)
        times.append(listener.first(topics.APPLIED, neutral, since, "neutral"))
        listener.wait("the latch", lambda: listener.mode == "stopped")
        listener.stop(False)
    return times


def command_losses(listener: Listener, processes: Forked, count: int) -> list[float]:
    """Return the times from control's last request to neutral valves [ms]."""
    times = []
    for _ in range(count):
        listener.drive()
        time.sleep(random.uniform(0.0, 0.1))
        since = listener.mark()
        processes.send("control", signal.SIGSTOP)
        listener.first(topics.APPLIED, neutral, since, "neutral")
        processes.send("control", signal.SIGCONT)
        neutral_at = next(t for t, m in listener.heard[topics.APPLIED].since if neutral(m))
        before = [t for t, _ in listener.heard[topics.REQUEST].since if t < neutral_at]
        times.append(1e3 * (neutral_at - max(before, default=since)))
    return times


def stops(folder: Path, count: int) -> Iterator[tuple[str, list[float]]]:
    """Yield name and times [ms] of emergency stops and of lost commands."""
    with running(folder, "sim") as (listener, processes):
        yield "emergency_stop", emergency_stops(listener, count)
        yield "command_loss", command_losses(listener, processes, count)


def ends(folder: Path, count: int, number: signal.Signals) -> Iterator[tuple[str, list[float]]]:
    """Yield name and times [ms] of every node's death, or freeze."""
    with running(folder, "sim") as (listener, processes):
        for name in REACTIONS:
            yield name, signalled(listener, processes, name, number, count)
