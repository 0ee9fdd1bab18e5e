"""``kuwa preflight``: the machine against its file, by small guided motions, before it is armed."""

from __future__ import annotations

import getpass
import json
import math
import os
import signal
import sys
import time
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.prompt import Confirm
from rich.table import Table

from kuwa_bringup.preflight import PreflightRun
from kuwa_bringup.processes import Processes
from kuwa_cli import runfolder
from kuwa_cli.preflight_stack import minimal_stack
from kuwa_cli.ros_run import free_domain
from kuwa_cli.statefolder import state_folder
from kuwa_hardware.modes import PROGRAMS
from kuwa_hardware.preflight import (
    Check,
    Plan,
    Preflight,
    PreflightError,
    Record,
    Verdict,
    make_record,
    write_record,
)
from kuwa_hardware.preflight.record import SIMULATED
from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_machines.overlay import load_machine_as
from kuwa_machines.spec import MachineSpec
from kuwa_ros.sealing import envelope_of

START_TIMEOUT = 90.0
"""The stack must be ready within this [s]."""
FAILED = 3
"""Exit code of a preflight that found something."""
INTERRUPTED = 130
RECORD = "preflight.json"
COLOURS = {Verdict.PASS: "green", Verdict.FAIL: "red", Verdict.SKIPPED: "yellow"}


def command(
    machine: str = typer.Option("zx200", help="By the name of its folder."),
    robot: str = typer.Option("sim", help="Kind of robot: sim, mock, or the driver of a real one."),
    bus: str = typer.Option("", help="How a real one is reached, in the words of its driver."),
    sensors_bus: str = typer.Option("", help="Of CANopen joint sensors, e.g. socketcan:can1."),
    sensors: Path = typer.Option(None, help="Their file. [default: canopen.yaml of the machine]"),
    attach: bool = typer.Option(False, help="Use the stack that runs, instead of starting one."),
    emulated: bool = typer.Option(False, help="Start an emulated machine behind the driver."),
    namespace: str = typer.Option("", help="Of the stack. [default: the machine's]"),
    parameters: Path = typer.Option(None, help="The parameter file that the stack runs with."),
    pose: str = typer.Option("", help="Measured angles: boom_joint=-45,arm_joint=90 [degrees]."),
    roll: bool = typer.Option(False, help="The machine may roll by some centimetres."),
    scenario: str = typer.Option("", help="Of a simulated robot. [default: one of its own]"),
    seed: int = typer.Option(0, help="Of a simulated robot."),
    who: str = typer.Option("", help="Who answers for it. [default: who is logged in]"),
    key: Path = typer.Option(None, help="Key for codes on commands (kuwa security key)."),
    record: Path = typer.Option(
        None, help="Copy of a record that passed, for the gate. [default: where kuwa up looks]"
    ),
    state: Path = typer.Option(None, help="Folder of kuwa up, by default that of the machine."),
    yes: bool = typer.Option(False, "--yes", help="Ask nothing; for simulated robots only."),
    out: Path = typer.Option(None, help="Folder of record and report. [default: below runs]"),
    as_json: bool = typer.Option(False, "--json", help="Print the record as JSON."),
) -> None:
    """Check joint order, signs, offsets, scales, units, rates, delays and limits of a machine.

    Each joint moves by about two degrees, after a question. Writes preflight.json, which the gate
    of a real machine asks for, and report.html. Exit code: 0 passed, 3 failed, 130 interrupted.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    simulated = robot in SIMULATED or emulated
    if yes and not simulated:
        raise PreflightError(f"--yes: a person stands beside a {robot!r} and answers each question")
    person = who or getpass.getuser()
    if person in PROGRAMS:
        raise PreflightError(f"--who: {person!r} is a program of the stack; give a person's name")
    file = load_machine(machine)
    spec = load_machine_as(machine, "" if parameters is None else str(parameters))
    angles = _pose(pose, file)
    key_file = "" if key is None else str(key.absolute())
    if record is None and not simulated:
        record = state_folder(machine, state).preflight
    folder = runfolder.prepare(out or runfolder.default_folder(f"preflight-{machine}", seed))
    console = Console(stderr=True)
    domain = int(os.environ.get("ROS_DOMAIN_ID") or (0 if attach else free_domain()))
    processes = None
    run = None
    session: Preflight | None = None
    try:
        if not attach:
            specs = minimal_stack(
                machine, robot, bus, emulated, scenario, seed, namespace,
                "" if parameters is None else str(parameters.absolute()), key_file,
                "" if sensors is None else str(sensors.absolute()), sensors_bus,
            )  # fmt: skip
            processes = Processes(
                specs, folder / runfolder.LOGS, environment={"ROS_DOMAIN_ID": str(domain)}
            )
            console.print(f"starting {', '.join(s.title for s in specs)}", style="dim")
            processes.start()
        space = "/" + (namespace or machine).strip("/")
        run = PreflightRun(spec, space, domain, envelope_of(key_file, space), simulated)
        run.wait(START_TIMEOUT if processes else 10.0, lambda: _alive(processes))
        if run.kind != robot:
            raise PreflightError(f"the stack drives a {run.kind!r}, not a {robot!r}")
        session, extra = _work(
            run, console, Plan(
                spec, file, robot, simulated, angles, roll, names=run.names,
            ), person, yes,
        )  # fmt: skip
    except KeyboardInterrupt:
        console.print("interrupted: neutral", style="bold yellow")
        if session is None and run is None:
            sys.exit(INTERRUPTED)
        if run is not None:
            run.neutral()
        sys.exit(INTERRUPTED)
    finally:
        if run is not None:
            run.close()
        if processes is not None:
            processes.stop()
    made = make_record(
        spec, robot, bus, person, [extra, *session.checks], time.time(), session.refused,
        fingerprint=run.fingerprint,
    )  # fmt: skip
    _finish(folder, record, made, session, console, as_json)
    sys.exit(0 if session.passed and not made.failed else FAILED)


def _work(
    run: PreflightRun, console: Console, plan: Plan, person: str, yes: bool
) -> tuple[Preflight, Check]:
    """Press the stop, then run the session with a bar; return it and the check of the stop."""
    if run.mode in ("", "off"):
        run.ask_ready(person)
    if plan.pose is None and not yes:
        plan = _confirmed(plan, run, console)
    stop = run.check_stop(person)
    console.print(f"emergency stop: {stop.measured}", style=COLOURS[stop.verdict])
    session = Preflight(plan)
    columns = (TextColumn("{task.description}"), BarColumn(30), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        job = bar.add_task(session.words, total=1.0)
        shown = 0

        def show(session: Preflight) -> None:
            nonlocal shown
            bar.update(job, completed=session.progress, description=session.words)
            for check in session.checks[shown:]:
                if check.verdict is Verdict.FAIL:
                    console.print(_line(check), style="red")
            shown = len(session.checks)

        def answer(question: str) -> bool:
            if yes:
                return True
            bar.stop()
            try:
                return Confirm.ask(question, console=console, default=False)
            finally:
                bar.start()

        try:
            run.go(session, answer, show)
        except KeyboardInterrupt:
            session.abort("interrupted")
            run.neutral()
    return session, stop


def _confirmed(plan: Plan, run: PreflightRun, console: Console) -> Plan:
    """Ask the person whether the machine stands as its sensors say."""
    assert run.state is not None
    console.print("Measure each link, or compare with the marks. The sensors say:")
    told: dict[str, float] = {}
    for name, q, top in zip(plan.spec.joint_names, run.state.q, plan.spec.q_max, strict=True):
        if math.isfinite(top):
            told[name] = float(q)
            console.print(f"  {name:24} {math.degrees(q):7.1f}°")
    if Confirm.ask("Is each within 2° of that?", console=console, default=False):
        return replace(plan, pose=told)
    raise PreflightError(
        "the pose was not confirmed; measure it and give it: --pose boom_joint=-45,arm_joint=90"
    )


def _pose(text: str, spec: MachineSpec) -> dict[str, float] | None:
    if not text:
        return None
    angles = {}
    for part in text.split(","):
        name, _, value = part.strip().partition("=")
        if name not in spec.joints:
            raise PreflightError(
                f"--pose: {spec.name} has no joint {name!r}; valid: {', '.join(spec.joints)}"
            )
        try:
            angles[name] = math.radians(float(value))
        except ValueError:
            raise PreflightError(f"--pose: {name}: {value!r} is no number of degrees") from None
    return angles


def _alive(processes: Processes | None) -> None:
    for name, code in (processes.ended() if processes else {}).items():
        assert processes is not None
        raise KuwaError(f"node {name} ended with code {code}:\n{processes.tail(name)}")


def _finish(
    folder: Path, copy: Path | None, made: Record, session: Preflight, console: Console,
    as_json: bool,
) -> None:  # fmt: skip
    from kuwa_cli.preflight_report import write_page

    digest = write_record(folder / RECORD, made)
    passed = session.passed and not made.failed
    if copy is not None and passed:
        write_record(copy.expanduser().absolute(), made)
    write_page(folder / "report.html", made, session.traces, digest)
    if as_json:
        print(json.dumps({**asdict(made), "sha256": digest}, ensure_ascii=False))
        return
    console.print(_table(session.checks))
    for check in session.failures:
        console.print(_line(check), style="red", soft_wrap=True)
    if session.refused:
        console.print(f"broken off: {session.refused}", style="yellow")
    colour, word = ("green", "passed") if passed else ("red", "not passed")
    until = datetime.fromtimestamp(made.made + 3600.0 * made.hours).astimezone()
    valid = f", counts until {until:%H:%M of %d %B}" if passed else ""
    console.print(f"[bold {colour}]{word}[/]{valid}")
    for name in (RECORD, "report.html"):
        console.print(f"  {runfolder.shown(folder / name)}", soft_wrap=True)
    if copy is not None and passed:
        console.print(f"  {copy}", soft_wrap=True)


def _line(check: Check) -> str:
    where = f"{check.joint}: " if check.joint else ""
    return f"{where}{check.title}: {check.measured}, expected {check.expected}. {check.remedy}"


def _table(checks: list[Check]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in ("", "passed", "failed", "skipped"):
        table.add_column(head, justify="left" if not head else "right")
    places = dict.fromkeys(check.joint for check in checks)
    for place in places:
        of = [check.verdict for check in checks if check.joint == place]
        table.add_row(
            place.removesuffix("_joint") or "machine",
            *(str(of.count(v) or "") for v in (Verdict.PASS, Verdict.FAIL, Verdict.SKIPPED)),
        )
    return table
