"""The driver's process of ``_can.py``: half a stroke every 10 ms, unless it is told to pause.

Argument: the bus. A line on standard input, ``pause`` or ``go``, is answered with the steady time
from which on it holds. With ``echo`` before the bus it only answers frames.
"""

from __future__ import annotations

import select
import sys
import time
from typing import NoReturn

import can
import numpy as np

from kuwa_hardware.canbus import BusSettings
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_machines import load_machine
from kuwa_machines.contracts import CommandKind, JointCommand

TICK = 0.01
MACHINE = "zx200"


def main() -> None:
    """Drive until the process is ended."""
    settings = BusSettings.parse(sys.argv[-1])
    if sys.argv[1] == "echo":
        echo(settings.open())
    spec = load_machine(MACHINE)
    robot = Com3Robot(spec, settings.opener)
    robot.connect()
    half = np.full(len(spec.joints), 0.5)
    deadline, sequence, silent = time.monotonic(), 0, False
    while True:
        if select.select([sys.stdin], [], [], 0.0)[0]:
            order = sys.stdin.readline()
            if not order:
                return
            silent = order == "pause\n"
            print(time.monotonic(), flush=True)
        if not silent:
            sequence += 1
            robot.write(
                JointCommand(0.0, sequence, "gate", CommandKind.VALVE, spec.joint_names, half)
            )
        robot.read()
        deadline = max(deadline + TICK, time.monotonic() - TICK)
        time.sleep(max(deadline - time.monotonic(), 0.0))


def echo(bus: can.BusABC) -> NoReturn:
    """Answer every frame of identifier 1 with one of identifier 2."""
    while True:
        frame = bus.recv(1.0)
        if frame is not None and frame.arbitration_id == 1:
            bus.send(can.Message(arbitration_id=2, data=frame.data))


if __name__ == "__main__":
    main()
