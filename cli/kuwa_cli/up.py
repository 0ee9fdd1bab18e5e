"""``kuwa up``: the stack of a real machine, until Ctrl-C; it moves nothing before it is armed."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import typer

from kuwa_bringup.stack import stack
from kuwa_cli.attend import attend
from kuwa_cli.statefolder import given_files, state_folder
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine
from kuwa_robot.kinds import KINDS


def command(
    machine: str = typer.Option("zx200", help="By the name of its folder."),
    robot: str = typer.Option(..., help="Kind of robot: com3_can, isobus, opera, mock."),
    bus: str = typer.Option("", help="How it is reached, e.g. socketcan:can0."),
    sensors_bus: str = typer.Option("", help="Of CANopen joint sensors, e.g. socketcan:can1."),
    sensors: Path = typer.Option(None, help="Their file. [default: canopen.yaml of the machine]"),
    controller: str = typer.Option("", help="By name. [default: the control node's own]"),
    controller_state: Path = typer.Option(None, help="What it learnt in an earlier run."),
    parameters: Path = typer.Option(None, help="Identified numbers in place of the machine's."),
    key: Path = typer.Option(None, help="Key for codes on commands (kuwa security key)."),
    zones: Path = typer.Option(None, help="Zones of the site that are kept out."),
    preflight: Path = typer.Option(None, help="Record of the preflight. [default: in --state]"),
    planner: str = typer.Option("expert", help="By name; '' for none, in teleoperation."),
    realtime: bool = typer.Option(
        None,
        help="Real-time priority of the loops; --no-realtime: none. [default: unless mock]",
    ),
    cpus: str = typer.Option("", help="Processors for the loops, e.g. 2,3."),
    state: Path = typer.Option(None, help="Folder for latch, records and black boxes."),
) -> None:
    """Run the stack of a real machine until Ctrl-C.

    It waits in mode ready. A preflight must have passed before it may be armed (kuwa preflight),
    a person arms it (kuwa mode armed), and a stop is kept over a restart.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if robot not in KINDS:
        raise KuwaError(f"--robot: no kind {robot!r}; {choices(robot, KINDS)}")
    if robot == "sim":
        raise KuwaError("--robot sim: a simulated machine is run by kuwa sim")
    load_machine(machine)
    files = given_files(
        key=key, zones=zones, parameters=parameters, preflight=preflight,
        controller_state=controller_state, sensors=sensors,
    )  # fmt: skip
    kept = state_folder(machine, state)
    specs = stack(
        machine, robot, planner=planner, controller=controller, auto_arm=False, bus=bus,
        controller_state=files["controller_state"], key_file=files["key"], zones=files["zones"],
        parameters={machine: files["parameters"]} if parameters else None,
        sensors=files["sensors"], sensors_bus=sensors_bus,
        realtime=realtime, cpus=cpus, **kept.parameters(machine, robot, preflight),
    )  # fmt: skip
    sys.exit(attend(machine, specs, kept.logs, int(os.environ.get("ROS_DOMAIN_ID") or 0)))
