"""Rows of the failure table that the ISOBUS driver and the CANopen sensors find.

On the clock of the rig, in ticks of 10 ms: the driver reports the fault and its level is what the
gate steps down to; at the machine's side the valves are in neutral.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from failure_rows import Seen, row
from kuwa_hardware.failures import failure
from kuwa_hardware.j1939.name import Name
from kuwa_machines.contracts import Level

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from canopen_rig import TICK as SENSOR_TICK
from canopen_rig import CanopenRig
from isobus_rig import TICK, IsobusRig, working

PATIENCE = 1.0


def until(said: Callable[[], bool], step: Callable[[], object], tick: float) -> float:
    """Step until something is said; return the time [ms]."""
    waited = 0.0
    while not said():
        assert waited < PATIENCE, "nothing was said"
        step()
        waited += tick
    return 1e3 * waited


def reacted(rig: IsobusRig, code: str) -> tuple[float, str]:
    """Go on commanding until the driver says ``code`` and the valves are in neutral."""
    state = rig.driver.read()

    def step() -> None:
        nonlocal state
        state = rig.tick(rig.all(0.3))

    waited = until(lambda: code in state.faults and not rig.tractor.valves.any(), step, TICK)
    return waited, failure(code).reaction.value


@row("address_lost")
def address_lost(tmp_path: Path) -> Seen:
    """A node with a lower NAME claims our address; we take another and go on."""
    rig = working()
    lower = Name(identity_number=0, industry_group=0, arbitrary_address_capable=False)
    rig.stranger_claims(lower, rig.driver.claim.address)
    after, reaction = reacted(rig, "address_lost")
    state = rig.run(rig.all(0.3), 0.8)
    again = state.faults == () and bool(rig.tractor.valves.any())
    rig.close()
    return Seen(reaction, after, again)


@row("all_implements_stop")
def all_implements_stop(tmp_path: Path) -> Seen:
    """The switch is pushed; the gate stops and latches by the level that the row demands."""
    from kuwa_hardware.gate import Gate
    from kuwa_machines.contracts import Mode

    rig = working()
    gate = Gate(rig.spec)
    gate.step(rig.now, rig.tick(rig.all(0.3)), None)
    for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
        granted, why = gate.set_mode(mode, "person")
        assert granted, why
    rig.tractor.stop_pressed = True
    after, _ = reacted(rig, "all_implements_stop")
    state = rig.driver.read()
    assert failure("all_implements_stop").reaction.level is Level.STOPPED
    safety = gate.step(rig.now, state, None).safety
    rig.tractor.stop_pressed = False
    freed = rig.run(None, 0.3)
    # The switch is released; the stop stays until a person releases it.
    still = gate.step(rig.now, freed, None).safety.mode is Mode.STOPPED
    rig.close()
    return Seen("stopped" if safety.mode is Mode.STOPPED else safety.mode.value, after, still)


def sensing() -> CanopenRig:
    rig = CanopenRig()
    rig.connect()
    rig.run(0.1)
    assert rig.sensors.faults() == ()
    return rig


@row("sensor_silent")
def sensor_silent(tmp_path: Path) -> Seen:
    """A sensor loses its supply."""
    rig = sensing()
    rig.there.mute.add(10)
    after = until(
        lambda: "sensor_silent" in rig.sensors.faults(), lambda: rig.run(SENSOR_TICK), SENSOR_TICK
    )
    rig.there.mute.clear()
    rig.run(0.1)
    again = rig.sensors.faults() == ()
    rig.close()
    return Seen(failure("sensor_silent").reaction.value, after, again)


@row("sensor_emergency")
def sensor_emergency(tmp_path: Path) -> Seen:
    """A sensor reports a defect of its own, and that it is gone."""
    rig = sensing()
    rig.there.emergency(12, 0x5030)
    after = until(
        lambda: "sensor_emergency" in rig.sensors.faults(),
        lambda: rig.run(SENSOR_TICK), SENSOR_TICK,
    )  # fmt: skip
    said = rig.sensors.emergencies[12]
    rig.there.emergency(12, 0)
    rig.run(SENSOR_TICK)
    again = rig.sensors.faults() == ()
    rig.close()
    return Seen(failure("sensor_emergency").reaction.value, after, again, said)


@row("sensor_frozen")
def sensor_frozen(tmp_path: Path) -> Seen:
    """A sensor's shaft comes loose while the joint turns at 0.1 rad/s."""
    from kuwa_hardware.canopen_sensors.robot import SensedRobot
    from kuwa_hardware.mock import MockRobot
    from kuwa_machines.contracts import CommandKind, JointCommand

    rig = sensing()
    plant = MockRobot(rig.spec)
    robot = SensedRobot(plant, rig.sensors)
    robot.connect()
    names = tuple(rig.spec.joint_names)
    faults: tuple[str, ...] = ()

    def step() -> None:
        nonlocal faults
        u = -0.1 / rig.spec.qd_max * (np.array(names) == "lift_joint")
        robot.write(JointCommand(0.0, 1, "control", CommandKind.VALVE, names, u))
        rig.q = dict(zip(names, map(float, plant.advance().q), strict=True))
        rig.now += SENSOR_TICK
        rig.there.step(rig.q)
        faults = robot.read().faults

    for _ in range(50):
        step()
    assert faults == ()
    rig.there.stuck.add(10)
    after = until(lambda: "sensor_frozen" in faults, step, SENSOR_TICK)
    rig.there.stuck.clear()
    step()
    again = faults == ()
    robot.close()
    rig.close()
    return Seen(failure("sensor_frozen").reaction.value, after, again)
