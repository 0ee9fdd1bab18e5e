"""Digging through CAN frames: stack and machine are processes that share nothing but a bus."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from kuwa_cli.runlog import RunLog
from kuwa_hardware.canbus import GROUP, PORT, BusSettings
from kuwa_hardware.com3.codec import by_id, messages

pytestmark = pytest.mark.ros
KUWA = [sys.executable, "-m", "kuwa_cli.main"]


@contextmanager
def listening(domain: int) -> Iterator[Counter[str]]:
    """Count the frames of a run's bus by message, as a third node hears them."""
    heard: Counter[str] = Counter()
    end = threading.Event()
    bus = BusSettings("udp_multicast", GROUP, PORT + domain).open()

    def listen() -> None:
        pilot = messages()["Pilot_Pressure_Cmd_1"]
        while not end.is_set():
            frame = bus.recv(0.1)
            message = None if frame is None else by_id().get(frame.arbitration_id)
            if frame is not None and message is not None:
                heard[message.name] += 1
                if message is pilot and any(frame.data):
                    heard["valves open"] += 1

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        end.set()
        thread.join()
        bus.shutdown()


def kuwa(*arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*KUWA, *arguments], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_the_stack_digs_through_can_frames(tmp_path: Path, ros_domain: int) -> None:
    """A few seconds of motion: every message is on the bus, valves open by frames, joints move."""
    out = tmp_path / "run"
    with listening(ros_domain) as heard:
        done = kuwa(
            "sim", "dig_trench", "--robot", "com3_can", "--duration", "5", "--no-report",
            "--out", str(out), "--json", timeout=200.0,
        )  # fmt: skip
    assert done.stdout, done.stderr[-2000:]
    printed = json.loads(done.stdout)
    assert printed["ended_by"] == "duration", done.stderr[-2000:]
    cyclic = {name for name, m in messages().items() if m.sender == "machine"}
    assert cyclic | {"Machine_Setting_Cmd", "Pilot_Pressure_Cmd_1"} <= set(heard)
    assert not {"Velocity_Cmd_1", "Velocity_Cmd_2", "Pilot_Pressure_Cmd_2"} & set(heard)
    assert heard["valves open"] > 100
    log = RunLog.load(out / "log.npz")
    q = log.state["q"]
    assert np.ptp(q, axis=0).max() > 0.1
    # On the bus an angle has steps of 0.4 mrad, and so it has in the stack.
    steps = (q + 10.0) / 0.0004
    assert np.abs(steps - np.round(steps)).max() < 1e-6
    # Both clocks are the system's: what the site's sensors tell belongs to the joint states.
    assert abs(log.truth.t[-1] - log.state.t[-1]) < 0.5
    assert abs(log.state.t[-1] - time.time()) < 120.0
    assert printed["score"]["limit_violations"] == 0


@pytest.mark.full
@pytest.mark.timeout(600)
def test_a_whole_trench_through_can_frames(tmp_path: Path, ros_domain: int) -> None:
    done = kuwa(
        "sim", "dig_trench", "--robot", "com3_can", "--out", str(tmp_path / "run"), "--json",
        timeout=550.0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    printed = json.loads(done.stdout)
    assert printed["success"] and printed["ended_by"] == "done"
    assert printed["score"]["share_within_tolerance"] >= 0.95
    assert (tmp_path / "run" / "report.html").is_file()
