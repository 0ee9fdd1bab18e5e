"""A joystick: what moves the machine, and that its silence is neutral until it is armed again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from console_rig import BUSY, NEUTRAL, Console, Repeating, console
from stack_rig import wait_for

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def run(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console(tmp_path_factory.mktemp("console")) as run:
        yield run


def test_a_joystick_drives_and_its_silence_is_neutral_until_armed_again(run: Console) -> None:
    run.rest()
    ears, joy = run.ears, Repeating(run.ears)

    def up() -> bool:
        """Arm, press the deadman, pull the stick; a busy computer may need more than one try."""
        joy.axes[3], joy.buttons[9], joy.buttons[6] = 0.0, 0, 0
        time.sleep(0.1)
        joy.buttons[6] = 1
        time.sleep(0.2)
        joy.buttons[6], joy.buttons[9] = 0, 0
        time.sleep(0.1)
        joy.buttons[9] = 1
        time.sleep(0.4)
        joy.axes[3] = -1.0  # towards the operator: boom up, which is negative
        time.sleep(0.3)
        return run.probe.mode == "teleop" and ears.boom() < -0.95

    try:
        wait_for("boom up", up, 20.0)
        start = run.probe.position("boom_joint")
        wait_for("it moves up", lambda: run.probe.position("boom_joint") < start - 0.02, 5.0)
    finally:
        at = joy.stop()
    wait_for("armed, not driving", lambda: run.probe.mode == "armed", 2.0)
    time.sleep(0.2)
    assert ears.last_motion(at) < NEUTRAL + BUSY
    # It comes back with stick and deadman as they were: nothing moves.
    joy, at = Repeating(ears), time.monotonic()
    joy.axes[3], joy.buttons[9] = -1.0, 1
    time.sleep(0.5)
    joy.stop()
    assert ears.last_motion(at) == 0.0 and run.probe.mode == "armed"
