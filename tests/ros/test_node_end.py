"""How a node's process ends: by a signal in good order, by its own error with a status."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

NODE = """
import os, signal, sys
from rclpy.node import Node
from kuwa_ros.main import run

class Ending(Node):
    def __init__(self):
        super().__init__("ending")
        self.create_timer(0.01, self.work)

    def work(self):
        if len(sys.argv) < 2:
            print("working", flush=True)
            return
        try:
            if sys.argv[1] == "signalled":
                os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            pass
        # As a binding says in place of the interrupt that was raised inside its call.
        raise RuntimeError("Unable to convert call argument")

    def finish(self):
        print("finished", flush=True)

run(Ending)
"""


def node(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", NODE, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(ros_domain: int, number: signal.Signals) -> None:
    process = node()
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20.0)
    assert (process.returncode, err) == (0, "") and out.endswith("finished\n")


def test_a_signal_inside_a_binding_is_no_error(ros_domain: int) -> None:
    out, err = (process := node("signalled")).communicate(timeout=20.0)
    assert (process.returncode, out, err) == (0, "finished\n", "")


def test_its_own_error_ends_it_with_a_status_and_the_reason(ros_domain: int) -> None:
    out, err = (process := node("failing")).communicate(timeout=20.0)
    assert (process.returncode, out) == (1, "finished\n")
    assert "RuntimeError: Unable to convert call argument" in err
