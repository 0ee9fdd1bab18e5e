"""Real-time settings: what is a list of processors, and what the thread has afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from kuwa_ros import realtime


@pytest.mark.parametrize("text", ["x", "1-", "-2", "0;1", "1.5"])
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(realtime.RealtimeError, match=r"write e\.g\."):
        realtime.processors(text)


def test_a_processor_that_is_not_there_is_refused() -> None:
    absent = max(os.sched_getaffinity(0)) + 1
    with pytest.raises(realtime.RealtimeError, match=f"no processor {absent}"):
        realtime.processors(str(absent))


def test_lists_and_ranges() -> None:
    first = min(os.sched_getaffinity(0))
    assert realtime.processors("") == frozenset()
    assert realtime.processors(f" {first} , {first}-{first}") == {first}


def test_the_thread_gets_the_processors_it_asks_for() -> None:
    first = min(os.sched_getaffinity(0))
    seen: dict[str, object] = {}

    def work() -> None:
        seen["refused"] = realtime.apply(0, str(first))
        seen["cpus"] = os.sched_getaffinity(0)

    before = os.sched_getaffinity(0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen["refused"] == [] and seen["cpus"] == {first}
    assert os.sched_getaffinity(0) == before, "only the thread that asked is pinned"


def test_all_threads_of_the_process_go_first_or_it_says_why_not() -> None:
    program = """
import os, threading
from kuwa_ros import realtime
end = threading.Event()
threading.Thread(target=end.wait).start()
worker = threading.Thread(target=lambda: print(realtime.apply(1, "")))
worker.start()
worker.join()
print({os.sched_getscheduler(int(each)) for each in os.listdir("/proc/self/task")})
end.set()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    told, policies = done.stdout.splitlines()
    assert policies == str({os.SCHED_FIFO}) or "SCHED_FIFO priority 1 is not permitted" in told
