"""``kuwa up``, ``kuwa mode``, ``kuwa security``: a stack as on a machine, with key and latch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

KUWA = [sys.executable, "-m", "kuwa_cli.main"]
PATIENCE = 90.0
"""For a stack to come up or go down on a busy computer [s]."""


def kuwa(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KUWA, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@contextmanager
def up(key: Path, state: Path) -> Iterator[None]:
    """A stack of the mock robot, ended by Ctrl-C."""
    command = ["up", "--robot", "mock", "--planner", "", "--key", str(key), "--state", str(state)]
    log = state.with_suffix(".log")
    with log.open("a") as out:
        process = subprocess.Popen(
            [*KUWA, *command], stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()  # its nodes end with it
    assert code == 0, log.read_text()


@pytest.mark.ros
def test_a_person_arms_with_the_key_and_a_stop_outlives_the_stack(
    tmp_path: Path, ros_domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "KUWA_ROOT" not in os.environ:
        pytest.skip("needs Kuwa's environment: ./kuwa test")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain))
    key, other, state = tmp_path / "key", tmp_path / "other", tmp_path / "state"
    for path in (key, other):
        assert kuwa("security", "key", str(path)).returncode == 0
        assert path.stat().st_mode & 0o077 == 0
    with up(key, state):
        said = wait_for("ready", key)
        assert "ready" in said
        for wrong in ([], ["--key", str(other)]):
            refused = kuwa("mode", "armed", "--who", "anna", *wrong)
            assert refused.returncode == 1 and "refused" in refused.stdout
        granted = kuwa("mode", "armed", "--who", "anna", "--key", str(key))
        assert granted.returncode == 0, granted.stdout + granted.stderr
        # To stop needs no key.
        stopped = kuwa("mode", "stopped", "--who", "anna")
        assert stopped.returncode == 0 and "granted" in stopped.stdout
    with up(key, state):
        assert "stopped" in wait_for("stopped", key)
        program = kuwa("mode", "ready", "--who", "supervisor", "--key", str(key))
        assert program.returncode == 1 and "give a person's name" in program.stderr
        released = kuwa("mode", "ready", "--who", "anna", "--key", str(key))
        assert released.returncode == 0, released.stdout + released.stderr


def wait_for(mode: str, key: Path) -> str:
    """Ask until the stack is in a mode, or three times in vain; return its words."""
    said = ""
    for _ in range(3):
        done = kuwa("mode", "--key", str(key))
        said = done.stdout + done.stderr
        if mode in done.stdout:
            break
    return said


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--robot", "sim"], "run by kuwa sim"),
        (["--robot", "com3can"], "no kind 'com3can'"),
        (["--robot", "mock", "--machine", "zx2000"], "no machine 'zx2000'"),
        (["--robot", "mock", "--key", "nowhere"], "--key nowhere: there is no such file"),
    ],
)
def test_what_cannot_come_up_is_refused_before_anything_starts(
    arguments: list[str], why: str, tmp_path: Path
) -> None:
    done = kuwa("up", *arguments, "--state", str(tmp_path / "state"))
    assert done.returncode == 1 and why in done.stderr
    assert not (tmp_path / "state").exists()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert kuwa("security", "key", str(path)).returncode == 0
    before = path.read_text()
    again = kuwa("security", "key", str(path))
    assert again.returncode == 1 and "never overwritten" in again.stderr
    assert path.read_text() == before


@pytest.mark.skipif(os.environ.get("AMENT_PREFIX_PATH", "").startswith("/opt"), reason="has sros2")
def test_without_sros2_a_keystore_is_refused_with_the_way_to_it(tmp_path: Path) -> None:
    done = kuwa("security", "keystore", str(tmp_path / "store"))
    assert done.returncode == 1 and "sros2" in done.stderr
    assert not (tmp_path / "store").exists()
