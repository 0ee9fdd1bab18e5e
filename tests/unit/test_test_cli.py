"""``kuwa test``: what it says at the end of several runs of pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import stall_watch

from kuwa_cli import test as cli_test
from kuwa_cli.test import forgiven, together

ONE = "= 2 failed, 3 passed, 1 skipped, 9 deselected, 2 warnings in 12.50s ="


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([ONE], ONE),
        (
            [ONE, "=== 40 passed, 4 skipped in 1088.26s (0:18:08) ==="],
            "2 failed, 43 passed, 5 skipped, 2 warnings in 1100.76s",
        ),
        (
            [ONE, "pytest ended without a closing line, status 3"],
            "pytest ended without a closing line, status 3",
        ),
    ],
)
def test_the_closing_lines_are_added_up(lines: list[str], said: str) -> None:
    assert together(lines) == said


@pytest.mark.parametrize(
    ("line", "count", "said"),
    [
        (ONE, 2, "5 passed, 1 skipped, 9 deselected, 2 warnings in 12.50s ="),
        (ONE, 1, ""),
        ("1 error in 3.00s", 1, "1 passed in 3.00s"),
    ],
)
def test_only_what_a_stall_failed_is_forgiven(line: str, count: int, said: str) -> None:
    assert forgiven(line, count) == said


@pytest.mark.parametrize(
    ("listed", "first", "second", "status", "said"),
    [
        ("0.3\ta.py::b\n", "1 failed, 2 passed in 3.00s", 0, 0, "3 passed in 3.00s"),
        ("0.3\ta.py::b\n", "1 failed, 2 passed in 3.00s", 1, 1, "1 failed, 2 passed in 3.00s"),
        ("0.3\ta.py::b\n", "2 failed, 1 passed in 3.00s", None, 1, "2 failed, 1 passed in 3.00s"),
        ("", "1 failed, 2 passed in 3.00s", None, 1, "1 failed, 2 passed in 3.00s"),
    ],
)
def test_what_failed_in_a_stall_runs_once_more(
    monkeypatch: pytest.MonkeyPatch,
    listed: str, first: str, second: int | None, status: int, said: str,
) -> None:  # fmt: skip
    runs: list[list[str]] = []

    def run(arguments: list[str]) -> tuple[int, str]:
        runs.append(arguments)
        if len(runs) == 1:
            Path(arguments[-1]).write_text(listed)
            return 1, first
        assert arguments == ["a.py::b"] and second is not None
        return second, "whatever"

    monkeypatch.setattr(cli_test, "_run_pytest", run)
    assert cli_test._run_again_what_a_stall_failed([]) == (status, said)
    assert len(runs) == (1 if second is None else 2)


FLAKY = """
import pathlib, time
def test_flaky():
    done = pathlib.Path({mark!r})
    stood = done.exists()
    done.touch()
    {stall}
    assert stood
"""


@pytest.mark.parametrize("stalls", [True, False])
def test_a_test_is_listed_only_if_the_computer_stood_still(
    tmp_path: Path, root: Path, stalls: bool
) -> None:
    listed = tmp_path / "stalls.txt"
    seen = listed.with_suffix(".seen")
    now = "time.monotonic()"
    stall = f"pathlib.Path({str(seen)!r}).write_text(f'{{{now}}} {{{now} + 0.3}}\\n')"
    test = tmp_path / "test_it.py"
    test.write_text(FLAKY.format(mark=str(tmp_path / "mark"), stall=stall if stalls else "pass"))
    options = ["-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    options += ["-p", "stall_watch", "--stalls", str(listed)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(test)],
        env={**os.environ, "PYTHONPATH": str(root / "tests")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ("the computer stood still for 0.30 s" in done.stdout) is stalls
    assert done.returncode == 1, done.stdout + done.stderr
    lines = listed.read_text().splitlines() if listed.is_file() else []
    assert [line.split("\t")[1] for line in lines] == (["test_it.py::test_flaky"] if stalls else [])


def test_a_stopped_watcher_tells_of_a_stall(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    began = time.monotonic()
    watch = subprocess.Popen([sys.executable, stall_watch.__file__, str(seen)])
    try:
        time.sleep(1.0)
        watch.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        watch.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + 10.0
        while stall_watch.worst_during(seen, began, time.monotonic()) < 0.4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        watch.kill()
        watch.wait()
    assert stall_watch.worst_during(seen, 0.0, began) == 0.0
