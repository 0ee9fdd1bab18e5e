"""A preflight of a simulated robot in lock-step: for tests and benchmarks, without ROS."""

from __future__ import annotations

import numpy as np

from kuwa_hardware.preflight.session import SOURCE, Preflight
from kuwa_machines.contracts import CommandKind, Gate, JointCommand, Mode, SimulatedRobot

LONGEST = 300.0
"""A preflight that takes longer is broken off [s]."""


def run(preflight: Preflight, robot: SimulatedRobot, gate: Gate | None = None) -> Preflight:
    """Run it to its end with yes to every question; return it.

    Args:
        robot: connected. gate: every request passes it, its modes are asked for; None: no gate.
    """
    names = tuple(robot.spec.joint_names)
    state = robot.advance()
    applied = np.zeros(len(names))
    mode, begun, tick = Mode.OFF, state.stamp, 0
    while not preflight.finished:
        preflight.reply(True)
        now = tick * robot.control_period
        if gate is not None and preflight.mode is not mode:
            granted, why = gate.set_mode(preflight.mode, SOURCE)
            if not granted:
                preflight.abort(f"the gate refuses mode {preflight.mode.value!r}: {why}")
                break
            mode = preflight.mode
        wanted = preflight.step(now, state, applied)
        command = JointCommand(
            state.stamp, tick + 1, SOURCE, CommandKind.VALVE, names, wanted.copy()
        )
        if gate is not None:
            command = gate.step(now, state, command).applied
        applied = command.values
        robot.write(command)
        state = robot.advance()
        tick += 1
        if state.stamp - begun > LONGEST:
            preflight.abort(f"not done within {LONGEST:g} s")
    robot.neutral()
    return preflight
