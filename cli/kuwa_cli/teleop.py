"""``kuwa teleop``: drive a machine yourself, simulated or real, on a page in the browser."""

from __future__ import annotations

import os
import signal
import ssl
import sys
import time
import webbrowser
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import typer
from rich.console import Console

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import IMAGES, NodeSpec, stack
from kuwa_cli import runfolder
from kuwa_cli.attend import attend
from kuwa_cli.ros_run import free_domain
from kuwa_cli.runfolder import LOGS
from kuwa_cli.statefolder import given_files, state_folder
from kuwa_hardware.operator.core import BLIND
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine
from kuwa_machines.operator import pattern_of
from kuwa_teleop.access import check_host

PAGE = 60.0
"""The page must be there within this; compiling kernels for the first time takes most [s]."""
ANSWER = 2.0
"""The page gives a ticket within this [s]."""
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
    fps: int = typer.Option(20, help="Frames a second of the data set.", min=1, max=100),
    countdown: float = typer.Option(
        0.0, help="Between an episode's start and its first frame [s].", min=0.0, max=60.0
    ),
    images: str = typer.Option("jpeg", help="Pictures in the bag: jpeg, raw or none."),
    controller: str = typer.Option("", help="By name. [default: the control node's own]"),
    joystick: str = typer.Option("game_controller", help="Layout of the topic joy; none."),
    open_joystick: bool = typer.Option(
        False, "--open-joystick", help="Topic joy needs no code in spite of --key."
    ),
    seed: int = typer.Option(0, help="Of a simulated machine."),
    host: str = typer.Option("127.0.0.1", help="Where the page listens."),
    port: int = typer.Option(8765, help="Of the page; 0: any free one."),
    certificate: Path = typer.Option(None, help="PEM, for any host beyond this computer."),
    certificate_key: Path = typer.Option(None, help="PEM with its key."),
    scene: bool = typer.Option(True, "--scene/--no-scene", help="The view in three dimensions."),
    cameras: bool = typer.Option(False, "--cameras", help="Pictures of a simulated machine's."),
    picture_timeout: float = typer.Option(BLIND, help="What a page shows may be so old [s]."),
    browser: bool = typer.Option(True, "--browser/--no-browser", help="Open the page."),
    out: Path = typer.Option(None, help="Folder for logs. [default: a new one below runs]"),
    bus: str = typer.Option("", help="How a real machine is reached, e.g. socketcan:can0."),
    sensors_bus: str = typer.Option("", help="Of CANopen joint sensors, e.g. socketcan:can1."),
    sensors: Path = typer.Option(None, help="Their file. [default: canopen.yaml of the machine]"),
    key: Path = typer.Option(None, help="Key for codes on commands (kuwa security key)."),
    zones: Path = typer.Option(None, help="Zones of the site that are kept out."),
    preflight: Path = typer.Option(None, help="Record of the preflight. [default: in --state]"),
    state: Path = typer.Option(None, help="Folder of a real machine for latch and records."),
) -> None:
    """Drive a machine yourself: sticks, keys or a touch screen on a page in the browser.

    It waits in mode ready until you arm it. A real machine needs a preflight that has passed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    files = given_files(
        certificate=certificate, certificate_key=certificate_key, key=key, zones=zones,
        preflight=preflight, sensors=sensors,
    )  # fmt: skip
    check_host(host, files["certificate"])
    if images not in IMAGES:
        raise KuwaError(f"--images {images!r}; {choices(images, IMAGES)}")
    console: dict[str, Any] = {
        "pattern": pattern, "joystick": joystick, "open_joystick": open_joystick,
        "host": host, "port": port, "scene": scene,
        "picture_timeout": float(picture_timeout), "certificate": files["certificate"],
        "certificate_key": files["certificate_key"],
    }  # fmt: skip
    common: dict[str, Any] = {
        "planner": planner, "controller": controller, "key_file": files["key"],
        "record": "" if record is None else str(record.absolute()), "task": task,
        "sensors": files["sensors"], "sensors_bus": sensors_bus,
        "recording": {"fps": fps, "countdown": float(countdown), "images": images},
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
        common |= more | {"bus": bus, "zones": files["zones"]}
    pattern_of(load_machine(machine), pattern)
    console["url_file"] = str(folder / URL)
    specs = stack(machine, robot, auto_arm=False, console=console, **common)
    if cameras and robot == "sim":
        next(s for s in specs if s.executable == "robot").parameters["cameras"] = True
    page = _Page(folder / URL, browser, files["certificate"])
    sys.exit(_run(name, specs, folder, page, robot == "sim"))


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
    return name, name, out or kept.path, kept.parameters(name, robot, preflight)


def _run(name: str, specs: tuple[NodeSpec, ...], folder: Path, page: _Page, alone: bool) -> int:
    """Start the stack, say where the page is, end it; return the exit code."""
    given = os.environ.get("ROS_DOMAIN_ID")
    domain = int(given) if given else free_domain() if alone else 0
    try:
        environment = {"ROS_DOMAIN_ID": str(domain)}
        return attend(name, specs, folder / LOGS, domain, environment, page.look)
    finally:
        page.file.unlink(missing_ok=True)


class _Page:
    """Waits for the page's address, says it, and opens it.

    Args:
        file: with the address. browser: whether to open it.
        certificate: of the page, if it has one.
    """

    def __init__(self, file: Path, browser: bool, certificate: str = "") -> None:
        self.file, self._browser, self._certificate = file, browser, certificate
        self._url, self._began = "", time.monotonic()
        file.unlink(missing_ok=True)

    def look(self, console: Console, processes: Processes) -> bool:
        """Return False if there should be a page and is none."""
        found = self.file.read_text().strip() if self.file.is_file() else ""
        if found and found != self._url:
            self._url = found
            print(found, flush=True)
            console.print("[bold]Open this address in a browser.[/] It holds the token.")
            if self._browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
                self._open(console)
        if self._url or time.monotonic() - self._began <= PAGE:
            return True
        console.print(f"no page within {PAGE:.0f} s:\n{processes.tail('teleop')}")
        return False

    def _open(self, console: Console) -> None:
        """Start a browser, on whose command line every user of this computer can read."""
        try:
            webbrowser.open(with_ticket(self._url, self._certificate))
        except (OSError, HTTPException) as error:
            console.print(f"no browser is opened: {error}")


def with_ticket(url: str, certificate: str = "") -> str:
    """Return the page's address with a ticket in place of the token: good once, and soon only.

    Args:
        certificate: PEM of an https page, which nobody else can show; no other is trusted.

    Raises:
        OSError: the page gives none.
        HTTPException: it does not speak HTTP.
    """
    at = urlsplit(url)
    host, port = at.hostname or "", at.port
    link = HTTPConnection(host, port, timeout=ANSWER)
    if at.scheme == "https":
        trusted = ssl.create_default_context(cafile=certificate)
        # It need not be a root's, nor name the address by which this computer reaches itself.
        trusted.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        trusted.check_hostname = False
        link = HTTPSConnection(host, port, timeout=ANSWER, context=trusted)
    with closing(link):
        link.request("GET", "/ticket", headers={"Authorization": f"Bearer {at.fragment}"})
        answer = link.getresponse()
        words = answer.read().decode()
    if answer.status != HTTPStatus.OK:
        raise OSError(words)
    return urlunsplit(at._replace(fragment=words))
