"""Compile every numba kernel once, so that the first run does not stand still for half a minute.

Numba notices a change in a kernel's own file but not in a file whose kernels it calls, so the old
compiled code is thrown away first.
"""

from __future__ import annotations

from pathlib import Path

import kuwa_hardware.kernels
import kuwa_policies
import kuwa_sim
from kuwa_hardware.gate import Gate
from kuwa_policies.control.controllers import CONTROLLERS, make_controller
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import run_lockstep
from kuwa_sim.robot import SimRobot

SCENARIO = "dig_trench"
SECONDS, SHORT = 1.0, 0.05
"""Of the first controller's run, which sees the whole simulation, and of the others'."""


def forget() -> None:
    """Delete the compiled kernels of simulation, policies and gate."""
    for package in (kuwa_sim, kuwa_policies, kuwa_hardware.kernels):
        for folder in package.__path__:
            for kind in ("*.nbi", "*.nbc"):
                for file in Path(folder).rglob(kind):
                    file.unlink(missing_ok=True)


def warm() -> None:
    """Run some of a scenario in lock-step with each controller: what is compiled gets compiled."""
    robot = SimRobot(SCENARIO)
    robot.connect()
    assert robot.task is not None
    try:
        for k, name in enumerate(CONTROLLERS):
            robot.reset(0)
            run_lockstep(
                robot, make_expert(robot.spec),
                make_controller(name, robot.spec, robot.control_period),
                Gate(robot.spec), robot.task, SHORT if k else SECONDS,
            )  # fmt: skip
    finally:
        robot.close()


if __name__ == "__main__":
    forget()
    warm()
