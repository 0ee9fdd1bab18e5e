"""``kuwa up``: the stack of a real machine, until Ctrl-C; it moves nothing before it is armed."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import typer
from rich.console import Console

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import SIMULATED, NodeSpec, stack
from kuwa_cli.ros_run import unbroken
from kuwa_cli.statefolder import StateFolder, state_folder
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine
from kuwa_robot.kinds import KINDS

LOOK = 0.1
"""Between two looks at what the stack says [s]."""


def command(
    machine: str = typer.Option("zx200", help="By the name of its folder."),
    robot: str = typer.Option(..., help="Kind of robot: com3_can, isobus, opera, mock."),
    bus: str = typer.Option("", help="How it is reached, e.g. socketcan:can0."),
    controller: str = typer.Option("", help="By name. [default: the control node's own]"),
    controller_state: Path = typer.Option(None, help="What it learnt in an earlier run."),
    parameters: Path = typer.Option(None, help="Identified numbers in place of the machine's."),
    key: Path = typer.Option(None, help="Key for codes on commands (kuwa security key)."),
    zones: Path = typer.Option(None, help="Zones of the site that are kept out."),
    preflight: Path = typer.Option(None, help="Record of the preflight. [default: in --state]"),
    planner: str = typer.Option("expert", help="By name; '' for none, in teleoperation."),
    realtime: bool = typer.Option(False, "--realtime", help="Real-time priority for the loops."),
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
    files = {
        "key": key, "zones": zones, "parameters": parameters, "preflight": preflight,
        "controller-state": controller_state,
    }  # fmt: skip
    for name, path in files.items():
        if path is not None and not path.is_file():
            raise KuwaError(f"--{name} {path}: there is no such file")
    kept = state_folder(machine, state)
    record = kept.preflight if preflight is None else preflight
    specs = stack(
        machine, robot, planner=planner, controller=controller,
        controller_state=_text(controller_state),
        controller_states_out={machine: str(kept.path / "controller.npz")},
        auto_arm=False, bus=bus, parameters={machine: _text(parameters)} if parameters else None,
        latch_file=str(kept.latch), key_file=_text(key), zones=_text(zones),
        preflight="" if robot in SIMULATED else str(record.absolute()),
        blackbox=str(kept.blackbox), realtime=realtime, cpus=cpus,
    )  # fmt: skip
    sys.exit(_run(machine, specs, kept))


def _text(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())


def _run(machine: str, specs: tuple[NodeSpec, ...], kept: StateFolder) -> int:
    """Start it, tell what changes, end it; return the exit code."""
    from kuwa_cli.asking import Asking

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    domain = int(os.environ.get("ROS_DOMAIN_ID") or 0)
    processes = Processes(specs, kept.logs, respawn=True)
    told = ""
    code = 0
    asking = Asking(machine, domain)
    try:
        with unbroken():
            processes.start()
        console.print(f"kuwa {machine}: {len(specs)} nodes started; logs in {kept.logs}")
        while True:
            time.sleep(LOOK)
            asking.look()
            if asking.words != told:
                told = asking.words
                console.print(told)
            if "supervisor" in processes.ended():
                console.print(f"the supervisor ended:\n{processes.tail('supervisor')}")
                code = 1
                break
    except KeyboardInterrupt:
        console.print("ending: valves to neutral, then node by node")
    finally:
        with unbroken():
            asking.close()
            codes = processes.stop()
        bad = {name: each for name, each in codes.items() if each}
        if bad:
            console.print(f"ended with an error: {bad}; logs in {kept.logs}")
            code = code or 1
    return code
