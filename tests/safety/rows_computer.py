"""Rows about the computer: no processor time, no room on the disk, no power."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from failure_rows import Seen, row
from kuwa_bringup.alarms import of_box
from kuwa_hardware.blackbox import BlackBox, files_of, read
from kuwa_hardware.blackbox.files import ASIDE
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import Level
from kuwa_ros import topics
from shared_stack import neutral, shared

ROS = pytest.mark.ros


def threads(pid: int) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{pid}/task")]


@contextmanager
def starving(pid: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process only gets what others leave on its one processor; a busy one waits beside it."""
    cpu = min(os.sched_getaffinity(0))
    before = {tid: os.sched_getaffinity(tid) for tid in threads(pid)}
    for tid in before:
        os.sched_setaffinity(tid, {cpu})
        os.sched_setscheduler(tid, os.SCHED_IDLE, os.sched_param(0))
    code = f"import os\nos.sched_setaffinity(0, {{{cpu}}})\nprint(flush=True)\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert busy.stdout is not None
    os.kill(busy.pid, signal.SIGSTOP)
    # Without leave for it the scheduler may go on for a second to give small turns.
    with suppress(PermissionError):
        os.sched_setscheduler(busy.pid, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield busy
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()
        for tid, cpus in before.items():
            if os.path.exists(f"/proc/{pid}/task/{tid}"):
                os.sched_setscheduler(tid, os.SCHED_OTHER, os.sched_param(0))
                os.sched_setaffinity(tid, cpus)


@row("cpu_starved", ROS)
def cpu_starved(tmp_path: Path) -> Seen:
    """Another program takes control's processor."""
    stack = shared()
    listener = stack.listener

    def once() -> float:
        with starving(stack.processes.pid("control")) as busy:
            since = listener.mark()
            os.kill(busy.pid, signal.SIGCONT)
            return listener.first(topics.APPLIED, neutral, since, "neutral")

    after = stack.fastest(once, failure("cpu_starved").within_ms)
    said = listener.words()
    stack.healthy()
    return Seen("neutral", after, listener.works(), said)


@row("disk_full", ROS)
def disk_full(tmp_path: Path) -> Seen:
    """The kernel takes no byte more of the black box; the machine works on."""
    stack = shared()
    listener, pid = stack.listener, stack.processes.pid("supervisor")
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    since = time.time()
    listener.mark()
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        after = listener.first(
            topics.ALARMS, lambda m: any(a.code == "disk_full" for a in m.alarms), since, "alarm"
        )
        said = listener.alarms()["disk_full"].reason
        assert listener.works() and listener.level is Level.NONE, listener.words()
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
    listener.wait("no more alarm", lambda: "disk_full" not in listener.alarms())
    listener.wait("the disk has it", lambda: _recorded(stack.blackbox) > since + 3.0)
    times = [r.time for r in read(stack.blackbox).records if r.topic.endswith("applied")]
    gaps = [b - a for a, b in pairwise(times) if a > since - 1.0]
    return Seen("warn", after, max(gaps) < 0.5, said)


def _recorded(folder: Path) -> float:
    return max((record.time for record in read(folder).records), default=0.0)


@row("black_box_idle")
def black_box_idle(tmp_path: Path) -> Seen:
    """Who feeds the black box ends; a new one, with the stack, is fed again."""
    box, end = BlackBox(tmp_path / "one"), threading.Event()
    feeder = threading.Thread(target=end.wait, name="recorder")
    feeder.start()
    box.start()
    box.watch(feeder)
    assert of_box(box, 0.0) == {}
    start = time.monotonic()
    end.set()
    while not (told := of_box(box, 0.0)):
        time.sleep(0.001)
    after = 1e3 * (time.monotonic() - start)
    time.sleep(0.2)
    stays = of_box(box, 0.0) == told
    box.stop()
    again = BlackBox(tmp_path / "two")
    again.start()
    went_on = of_box(again, 0.0) == {}
    again.stop()
    code, said = next(iter(told.items()))
    return Seen("warn" if code == "black_box_idle" else "", after, stays and went_on, said)


@row("black_box_torn")
def black_box_torn(tmp_path: Path) -> Seen:
    """A writing process dies with the power, in the midst of a record."""
    script = textwrap.dedent(
        f"""
        import os, signal, time
        from pathlib import Path
        from kuwa_hardware.blackbox import BlackBox
        box = BlackBox(Path({str(tmp_path)!r}))
        box.start()
        for number in range(60):
            box.record("/zx200/applied", "x", float(number), b"%d" % number)
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    path = files_of(tmp_path)[-1]
    whole = len(read(tmp_path).records)
    os.truncate(path, path.stat().st_size - 3)
    start = time.monotonic()
    box = BlackBox(tmp_path)
    box.work()
    after = 1e3 * (time.monotonic() - start)
    (kept,) = (tmp_path / ASIDE).iterdir()
    numbers = [int(record.data) for record in read(kept).records]
    recovered = numbers == list(range(whole - 1)) and whole >= 20 and not box.problem
    return Seen("warn" if box.torn else "", after, recovered, box.torn)
