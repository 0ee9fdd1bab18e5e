"""Real-time priority, pinned processors and locked memory, where the system permits them.

A Python loop at 100 Hz needs no real-time kernel, but on a busy computer it needs to go before what
else runs. Whoever starts the stack says so by parameters; what the system refuses is told once and
the loop runs all the same: a machine that stands still because of a missing privilege helps nobody,
and a loop that is late is found by the gate and the watchdog.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from kuwa_machines.errors import KuwaError
from kuwa_ros.parameters import parameter

MCL_CURRENT: Final = 1
MCL_FUTURE: Final = 2
PERMIT: Final = "see docs/how-to/deploy.md for how to permit it"


class RealtimeError(KuwaError):
    """A setting for real time cannot be what it is."""


@dataclass(frozen=True)
class RealtimeParameters:
    """Parameters that every node has."""

    rt_priority: int = parameter(
        0, "SCHED_FIFO priority of the node's threads, where permitted; 0: none", low=0, high=99
    )
    cpus: str = parameter("", "processors of the node's loop, e.g. 2,3 or 2-5; empty: all")


def processors(text: str) -> frozenset[int]:
    """Return the processors of e.g. ``"2,3"`` or ``"2-5"``; none of an empty text.

    Raises:
        RealtimeError: the text is no such list, or names a processor that is not there.
    """
    found: set[int] = set()
    for part in filter(None, (each.strip() for each in text.split(","))):
        low, dash, high = part.partition("-")
        if not (low.isdigit() and (high.isdigit() if dash else True)):
            raise RealtimeError(
                f"cpus {text!r}: {part!r} is no processor; write e.g. '2,3' or '2-5'"
            )
        found |= set(range(int(low), int(high or low) + 1))
    there = os.sched_getaffinity(0)
    absent = sorted(found - there)
    if absent:
        raise RealtimeError(
            f"cpus {text!r}: there is no processor {absent[0]}; this process may use "
            f"{', '.join(map(str, sorted(there)))}"
        )
    return frozenset(found)


def apply(priority: int, cpus: str) -> list[str]:
    """Give this process its priority, the calling thread its processors; return what was refused.

    Args:
        priority: of SCHED_FIFO for all threads, 1 to 99; 0 leaves them as they are. The loop's
            own would not do: what it waits for comes through a thread of the middleware, and any
            thread that is kept from a processor while it holds the interpreter's lock holds up
            the loop.
        cpus: as :func:`processors` reads them; empty: all.

    Raises:
        RealtimeError: ``cpus`` is no list of processors.
    """
    refused = []
    pinned = processors(cpus)
    if pinned:
        os.sched_setaffinity(0, pinned)
    if priority:
        try:
            for thread in map(int, os.listdir("/proc/self/task")):
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(priority))
        except PermissionError:
            refused.append(f"SCHED_FIFO priority {priority} is not permitted; {PERMIT}")
        if not _lock_memory():
            refused.append(f"memory cannot be locked against swapping; {PERMIT}")
    return refused


def _lock_memory() -> bool:
    """Keep this process in memory; a page that must be fetched from disk takes milliseconds."""
    return ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT | MCL_FUTURE) == 0
