"""When this computer itself stood still, and which tests failed then.

``python stall_watch.py FILE``: a thread on each processor sleeps for 20 ms at a time; where it
wakes later than :data:`STALL_S` it appends a line ``begin end`` to FILE, of the steady clock, which
is the same for all processes. A virtual machine whose host gives its processors to others, or takes
its memory, shows just this. What is measured in such a moment says nothing about what is tested.

As a plugin of pytest, with ``--stalls FILE``, it lists the tests that failed in such a moment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STALL_S = 0.1
"""A wake-up that is later than this is a stall: less than the shortest limit of a test [s]."""
SLEEP_S = 0.02


def worst_during(path: Path, begin: float, end: float) -> float:
    """Return the longest stall between two times of the steady clock, or 0 [s]."""
    during = [u - s for s, u in _stalls(path) if u > begin and s < end]
    return max(during, default=0.0)


def _stalls(path: Path) -> list[tuple[float, float]]:
    lines = path.read_text().splitlines() if path.is_file() else []
    return [(float(since), float(until)) for since, until in map(str.split, lines)]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--stalls", type=Path, help="list the tests here that failed while the computer stood still"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Watch, if asked to."""
    listed: Path | None = config.getoption("--stalls")
    if listed is not None:
        config.pluginmanager.register(Stalls(listed))


class Stalls:
    """Lists ``seconds<tab>node id`` of each test that failed while the computer stood still."""

    def __init__(self, listed: Path) -> None:
        self._listed, self._seen = listed, listed.with_suffix(".seen")
        self._watch: subprocess.Popen[bytes] | None = None
        self._failed: set[str] = set()
        self._module: tuple[Path | None, float] = (None, 0.0)

    def pytest_sessionstart(self) -> None:
        self._watch = subprocess.Popen([sys.executable, __file__, str(self._seen)])

    def pytest_sessionfinish(self) -> None:
        if self._watch is not None:
            self._watch.kill()
            self._watch.wait()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        stalls = [until - since for since, until in _stalls(self._seen)]
        if stalls:
            told = ", ".join(f"{stall:.2f}" for stall in sorted(stalls, reverse=True)[:10])
            terminalreporter.write_line(
                f"the computer stood still for {told} s ({len(stalls)} times longer than "
                f"{STALL_S:g} s)"
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.when or "")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        began = time.monotonic()
        if item.path != self._module[0]:
            self._module = (item.path, began)
        self._failed.clear()
        try:
            return (yield)
        finally:
            # What a test is given may have been made for another one of its module.
            since = self._module[1] if "setup" in self._failed else began
            worst = worst_during(self._seen, since, time.monotonic())
            if self._failed and worst:
                with self._listed.open("a") as file:
                    file.write(f"{worst:.3f}\t{item.nodeid}\n")


def _watch(processor: int, path: Path) -> None:
    os.sched_setaffinity(0, {processor})  # 0 is the calling thread
    while True:
        due = time.monotonic() + SLEEP_S
        time.sleep(SLEEP_S)
        now = time.monotonic()
        if now - due > STALL_S:
            with path.open("a") as file:
                file.write(f"{due:.3f} {now:.3f}\n")


def main() -> None:
    """Watch until whoever started this is gone."""
    parent = os.getppid()
    for processor in os.sched_getaffinity(0):
        threading.Thread(target=_watch, args=(processor, Path(sys.argv[1])), daemon=True).start()
    while os.getppid() == parent:
        time.sleep(0.5)


if __name__ == "__main__":
    main()
