"""A process that drives a COM3 machine: both neutral, then a command held, until it is ended."""

from __future__ import annotations

import sys
import time

import numpy as np

from kuwa_hardware.canbus import BusSettings
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.loader import load_machine

TICK = 0.01


def main() -> None:
    """Command half a stroke every 10 ms on absolute deadlines."""
    settings = BusSettings.parse(sys.argv[1])
    spec = load_machine("zx200")
    robot = Com3Robot(spec, settings.opener)
    robot.connect()
    deadline, sequence = time.monotonic(), 0
    while True:
        sequence += 1
        robot.write(
            JointCommand(0.0, sequence, "gate", CommandKind.VALVE, spec.joint_names,
                         np.full(len(spec.joints), 0.5))
        )  # fmt: skip
        robot.read()
        deadline = max(deadline + TICK, time.monotonic() - TICK)
        time.sleep(max(deadline - time.monotonic(), 0.0))


if __name__ == "__main__":
    main()
