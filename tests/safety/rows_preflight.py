"""Rows of the failure table that the preflight finds: injected into a machine in lock-step."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from failure_rows import Seen, row
from kuwa_hardware.gate import Gate
from kuwa_hardware.preflight import make_record, preflight_reason, write_record
from kuwa_machines.contracts import Mode
from kuwa_sim.miswired import Mistake, MiswiredRobot
from preflight_rig import BOOM, SPEC, ValveRobot, checked

NOW = 1_800_000_000.0


@row("position_bias")
def position_bias(tmp_path: Path) -> Seen:
    """A sensor is off by 5°: the preflight fails and arming is refused; mended, it passes."""
    path = tmp_path / "preflight.json"
    robot = MiswiredRobot(ValveRobot(), Mistake("offset", BOOM, size=np.radians(5.0)))
    session = checked(robot)
    spent = robot.read().stamp
    write_record(path, make_record(SPEC, "com3_can", "", "Ada", session.checks, NOW))
    said = _arming(path)
    found = [check.remedy for check in session.failures if check.joint == "boom_joint"]
    assert found and "-5.0 deg" in found[0], found
    mended = checked(ValveRobot())
    write_record(path, make_record(SPEC, "com3_can", "", "Ada", mended.checks, NOW))
    reaction = "refuse" if "pose boom_joint" in said else "none"
    return Seen(reaction, 1e3 * spent, not _arming(path), said)


def _arming(path: Path) -> str:
    """Return why a gate of a real machine refuses to arm, or ``""``."""
    gate = Gate(SPEC, preflight=lambda: preflight_reason(path, "zx200", SPEC, "com3_can", NOW))
    gate.step(0.0, ValveRobot().read(), None)
    gate.set_mode(Mode.READY, "Ada")
    granted, why = gate.set_mode(Mode.ARMED, "Ada")
    return "" if granted else why
