"""``kuwa teleop``: drive a machine yourself, simulated or real, on a page in the browser."""

from __future__ import annotations

import os
import signal
import sys
import time
import webbrowser
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import SIMULATED, NodeSpec, stack
from kuwa_cli import runfolder
from kuwa_cli.ros_run import free_domain, unbroken
from kuwa_cli.runfolder import LOGS
from kuwa_cli.statefolder import state_folder
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine
from kuwa_machines.operator import pattern_of

LOOK = 0.1
"""Between two looks at what the stack says [s]."""
PAGE = 60.0
"""The page must be there within this; compiling kernels for the first time takes most [s]."""
URL = "page.url"
"""The page's address with its token, readable by nobody else; there while the stack runs."""


def command(
    scenario: str = typer.Argument(
        "dig_trench", help="Of a simulated machine, see kuwa scenarios."
    ),
    machine: str = typer.Option(None, help="Another machine than the scenario's own."),
    robot: str = typer.Option("sim", help="Kind of robot: sim, mock, com3_can, isobus, opera."),
    pattern: str = typer.Option("", help="Control pattern: iso, sae … [default: the machine's]"),
    planner: str = typer.Option("", help="Planner from which to take over, e.g. expert."),
    record: Path = typer.Option(None, help="Folder into which to record episodes and a bag."),
    task: str = typer.Option("", help="What is to be done, in words, for the recorded episodes."),
    controller: str = typer.Option("", help="By name. [default: the control node's own]"),
    joystick: str = typer.Option("game_controller", help="Layout of the topic joy; none."),
    seed: int = typer.Option(0, help="Of a simulated machine."),
    host: str = typer.Option("127.0.0.1", help="Where the page listens."),
    port: int = typer.Option(8765, help="Of the page; 0: any free one."),
    certificate: Path = typer.Option(None, help="PEM, for any host beyond this computer."),
    certificate_key: Path = typer.Option(None, help="PEM with its key."),
    scene: bool = typer.Option(True, "--scene/--no-scene", help="The view in three dimensions."),
    cameras: bool = typer.Option(False, "--cameras", help="Pictures of a simulated machine's."),
    picture_timeout: float = typer.Option(0.5, help="A page that draws less often drives nothing."),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page."),
    out: Path = typer.Option(None, help="Folder for logs. [default: a new one below runs]"),
    bus: str = typer.Option("", help="How a real machine is reached, e.g. socketcan:can0."),
    key: Path = typer.Option(None, help="Key for codes on commands (kuwa security key)."),
    zones: Path = typer.Option(None, help="Zones of the site that are kept out."),
    preflight: Path = typer.Option(None, help="Record of the preflight. [default: in --state]"),
    state: Path = typer.Option(None, help="Folder of a real machine for latch and records."),
) -> None:
    """Drive a machine yourself: sticks, keys or a touch screen on a page in the browser.

    It waits in mode ready until you arm it. A real machine needs a preflight that has passed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for option, path in (("certificate", certificate), ("certificate-key", certificate_key),
                         ("key", key), ("zones", zones), ("preflight", preflight)):  # fmt: skip
        if path is not None and not path.is_file():
            raise KuwaError(f"--{option} {path}: there is no such file")
    console: dict[str, Any] = {
        "pattern": pattern, "joystick": joystick, "host": host, "port": port, "scene": scene,
        "picture_timeout": float(picture_timeout), "certificate": _text(certificate),
        "certificate_key": _text(certificate_key),
    }  # fmt: skip
    common: dict[str, Any] = {
        "planner": planner, "controller": controller, "key_file": _text(key),
        "record": _text(record), "task": task,
    }  # fmt: skip
    if robot == "sim":
        from kuwa_sim.scenario import load_scenario

        loaded = load_scenario(scenario).with_machine(machine)
        name = next(iter(loaded.machines))
        machine = loaded.lead.machine
        folder = runfolder.prepare(out or runfolder.default_folder(f"teleop-{scenario}", seed))
        where = str(Path(scenario).absolute()) if scenario.endswith(".yaml") else scenario
        common |= {"scenario": where, "seed": seed, "namespace": name}
    else:
        name, machine, folder, more = _real(robot, machine, out, state, preflight)
        common |= more | {"bus": bus, "zones": _text(zones)}
    pattern_of(load_machine(machine), pattern)
    console["url_file"] = str(folder / URL)
    specs = stack(machine, robot, auto_arm=False, console=console, **common)
    if cameras and robot == "sim":
        next(s for s in specs if s.executable == "robot").parameters["cameras"] = True
    sys.exit(_run(name, specs, folder, browser, robot == "sim"))


def _real(
    robot: str, machine: str | None, out: Path | None, state: Path | None, preflight: Path | None
) -> tuple[str, str, Path, dict[str, Any]]:
    """Return namespace, machine, folder and what else the stack of a real machine needs."""
    from kuwa_robot.kinds import KINDS

    if robot not in KINDS:
        raise KuwaError(f"--robot: no kind {robot!r}; {choices(robot, KINDS)}")
    name = machine or "zx200"
    load_machine(name)
    kept = state_folder(name, state)
    record = kept.preflight if preflight is None else preflight
    return name, name, out or kept.path, {
        "controller_states_out": {name: str(kept.path / "controller.npz")},
        "latch_file": str(kept.latch), "blackbox": str(kept.blackbox),
        "preflight": "" if robot in SIMULATED else str(record.absolute()),
    }  # fmt: skip


def _text(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())


def _run(name: str, specs: tuple[NodeSpec, ...], folder: Path, browser: bool, alone: bool) -> int:
    """Start the stack, say where the page is, end it; return the exit code."""
    from kuwa_cli.asking import Asking

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    given = os.environ.get("ROS_DOMAIN_ID")
    domain = int(given) if given else free_domain() if alone else 0
    url_file = folder / URL
    url_file.unlink(missing_ok=True)
    environment = {"ROS_DOMAIN_ID": str(domain)}
    processes = Processes(specs, folder / LOGS, environment=environment, respawn=True)
    asking = Asking(name, domain)
    code, told, url, began = 0, "", "", time.monotonic()
    try:
        with unbroken():
            processes.start()
        console.print(f"kuwa {name}: {len(specs)} nodes started; logs in {folder / LOGS}")
        while True:
            time.sleep(LOOK)
            asking.look()
            found = url_file.read_text().strip() if url_file.is_file() else ""
            if found and found != url:
                url = found
                print(url, flush=True)
                console.print("[bold]Open this address in a browser.[/] It holds the token.")
                if browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                    webbrowser.open(url)
            if asking.mode and asking.words != told:
                told = asking.words
                console.print(told)
            if not url and time.monotonic() - began > PAGE:
                console.print(f"no page within {PAGE:.0f} s:\n{processes.tail('teleop')}")
                code = 1
                break
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
            url_file.unlink(missing_ok=True)
        bad = {title: each for title, each in codes.items() if each}
        if bad:
            console.print(f"ended with an error: {bad}; logs in {folder / LOGS}")
            code = code or 1
    return code
