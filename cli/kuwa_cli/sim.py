"""``kuwa sim``: run a scenario in simulation, watch it live, and leave a report."""

from __future__ import annotations

import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kuwa_cli import runfolder
from kuwa_cli.live import LiveStatus
from kuwa_cli.outcome import Outcome, command_line, finite, result, write_result
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings, settings
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT
from kuwa_sim.mounts import tool_points
from kuwa_sim.score.figures import FIGURES

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
FAULT = 1
NOT_REACHED = 3
"""Exit code of a run that went through and did not reach what the scenario asks."""
STARTS = 2
"""So often a stack is started that was stopped while it started."""


def command(
    scenario: str = typer.Argument("dig_trench", help="A name (see kuwa scenarios) or a .yaml."),
    machine: str = typer.Option(None, help="Another machine than the scenario's own."),
    parameters: Path = typer.Option(
        None, help="File with numbers in place of the machine's own, as kuwa identify writes it."
    ),
    controller: str = typer.Option(
        None, help=f"Who makes the joints follow: {', '.join(CONTROLLERS)}. [default: {DEFAULT}]"
    ),
    controller_state: Path = typer.Option(
        None, help="What it learnt in an earlier run: the controller.npz of that run's folder."
    ),
    robot: str = typer.Option(
        "sim", help="How the stack reaches it: sim; com3_can, isobus: by CAN; opera: its topics."
    ),
    sensors: Path = typer.Option(
        None, help="File of CANopen joint sensors, emulated, through which it is measured."
    ),
    seed: int = typer.Option(0, help="Of ground, soil, start pose and sensor noise."),
    view: bool = typer.Option(False, "--view/--headless", help="Open a window."),
    lockstep: bool = typer.Option(False, help="Without ROS 2, as fast as possible; repeatable."),
    speed: float = typer.Option(None, help="Simulated seconds in a second. [default: 1]"),
    duration: float = typer.Option(None, help="Seconds, instead of the scenario's."),
    out: Path = typer.Option(None, help="Run folder. [default: a new one below runs]"),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
    report: bool = typer.Option(True, help="Write report.html with film and figures."),
) -> None:
    """Run a scenario in simulation and write a report.

    Exit code: 0 success, 3 the goal was not reached, 130 interrupted, 1 anything else.
    """
    # A service manager's SIGTERM ends a run as cleanly as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asked = settings(
            scenario, machine, seed, lockstep, speed, duration, view, parameters,
            controller, controller_state, robot, sensors,
        )  # fmt: skip
        folder = out or runfolder.default_folder(scenario, seed)
        folder = runfolder.prepare(folder, asked.controller_state)
        sys.exit(simulate(asked, folder, lockstep, as_json, report))
    except KeyboardInterrupt:
        print("kuwa: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)


def simulate(asked: Settings, folder: Path, lockstep: bool, as_json: bool, report: bool) -> int:
    """Run, score, report; return the exit code."""
    how = "lock-step" if lockstep else "ROS 2"
    if asked.emulated:
        how += f", {asked.robot}"
    if asked.sensors:
        how += ", CANopen sensors"
    machines = " + ".join(spec.name for spec in asked.specs.values())
    title = f"{asked.scenario.name} · {machines} · {asked.controller} · seed {asked.seed} · {how}"
    with LiveStatus(title) as live:
        logs, outcome = (_in_lockstep if lockstep else _through_ros)(asked, folder, live)
        console = live.console
    log = next(iter(logs.values()))
    values = finite(result(logs, outcome, asked, "lockstep" if lockstep else "ros", command_line()))
    interrupted = outcome.ended_by == "interrupt"
    try:
        if len(log.state):
            for name, one in logs.items():
                one.save(folder / ("log.npz" if one is log else f"log-{name}.npz"))
        write_result(folder / "result.json", values)
        if report and len(log.state):
            _report(folder, values, logs, asked, outcome, live)
            write_result(folder / "result.json", values)
    except OSError as error:
        raise KuwaError(f"{folder}: cannot be written: {error.strerror}") from None
    except KeyboardInterrupt:
        interrupted = True
    _say(console, values, folder, report and len(log.state) > 0)
    if as_json:
        print(json.dumps({**values, "folder": str(folder)}, ensure_ascii=False))
    if interrupted:
        return INTERRUPTED
    if outcome.ended_by == "fault":
        return FAULT
    return 0 if values["success"] else NOT_REACHED


def _in_lockstep(
    asked: Settings, folder: Path, live: LiveStatus
) -> tuple[dict[str, RunLog], Outcome]:
    from kuwa_cli.lockstep_run import run

    logs = new_logs(asked, exact=True)
    return logs, run(asked, folder, logs, live)


def _through_ros(
    asked: Settings, folder: Path, live: LiveStatus
) -> tuple[dict[str, RunLog], Outcome]:
    """Run through ROS 2. A computer that stands still for a second while it starts stops a gate,
    rightly; a simulated machine, which has not moved, is then simply started again."""
    from kuwa_cli.ros_run import StoppedAtStart, run

    for start in range(1, STARTS + 1):
        logs = new_logs(asked, exact=False)
        try:
            outcome = run(asked, folder, logs, live)
        except StoppedAtStart as stop:
            if start == STARTS:
                raise
            live.console.print(f"  [yellow]stopped while it started; starting again[/]: {stop}")
        else:
            break
    outcome.timing["starts"] = start
    return logs, outcome


def new_logs(asked: Settings, exact: bool) -> dict[str, RunLog]:
    """Return an empty log for each machine; they share the record of the ground.

    Args:
        exact: the ground is known exactly, not as a sensor sees it.
    """
    logs: dict[str, RunLog] = {}
    terrain = None
    for name, station in asked.scenario.machines.items():
        spec = asked.specs[name]
        scan = spec.sensors.terrain
        noise = 0.0 if exact or scan is None else scan.noise
        log = logs[name] = RunLog(spec.joint_names, noise, tool_points(spec))
        task = None if station.task is None else asdict(station.task.task)
        log.meta = {
            "machine": spec.name, "name": name, "task": task, "seed": asked.seed,
            "controller": asked.controller,
            "obstacles": [
                [body.kind, body.centre, body.half, body.yaw] for body in asked.obstacles
            ],
        }  # fmt: skip
        terrain = log.terrain = terrain or log.terrain
    return logs


def _report(
    folder: Path,
    values: dict[str, Any],
    logs: dict[str, RunLog],
    asked: Settings,
    outcome: Outcome,
    live: LiveStatus,
) -> None:
    """Draw the film with a progress bar, then the page; a film that fails costs only the film."""
    from kuwa_cli.report.page import write_page
    from kuwa_cli.report.runs import MachineRun
    from kuwa_cli.report.video import make_pictures

    log = next(iter(logs.values()))
    runs = {
        name: MachineRun(name, asked.specs[name], asked.tasks[name], one)
        for name, one in logs.items()
    }
    columns = (TextColumn("  {task.description}"), BarColumn(24), TimeElapsedColumn())
    again = None
    with Progress(*columns, console=live.console, transient=True) as bar:
        try:
            if outcome.ended_by == "interrupt":
                values["no_film"] = "the run was interrupted"
            elif log.terrain.start is None:
                values["no_film"] = "no ground was measured"
            else:
                job = bar.add_task("drawing the film", total=1.0)
                make_pictures(folder, log, lambda share: bar.update(job, completed=share))
        except KuwaError as error:
            values["no_film"] = str(error)
        except KeyboardInterrupt as error:
            values["no_film"], again = "drawing it was interrupted", error
        bar.add_task("writing the report", total=None)
        write_page(folder / "report.html", values, runs, outcome.panels)
    if again is not None:
        raise again


def _say(console: Any, values: dict[str, Any], folder: Path, report: bool) -> None:
    """Print what came of the run, in a few lines."""
    from kuwa_cli.report.page import verdict

    kind, word = verdict(values)
    colour = {"good": "green", "bad": "red", "open": "yellow"}[kind]
    timing = values["timing"]
    console.print(f"[bold {colour}]{word}[/] {values['note']}".rstrip())
    for name, machine in values["machines"].items():
        if machine["score"] is not None:
            who = f"{name}: " if len(values["machines"]) > 1 else ""
            console.print(f"  {who}{in_words(machine['score'])}", soft_wrap=True)
            for missed in machine["score"]["missed"]:
                console.print(f"  missed: {missed}", style="red", soft_wrap=True)
    if timing.get("real_time_factor"):
        console.print(f"  {timing['real_time_factor']:.2f} × real time")
    if values.get("no_film") and kind != "open":
        console.print(f"  no film: {values['no_film']}", style="yellow")
    name = "report.html" if report else "result.json"
    console.print(f"  {runfolder.shown(folder / name)}", soft_wrap=True)


SAID = (
    "share_within_tolerance", "rmse_m", "volume_moved_m3", "fill_factor", "delivered_m3",
    "cross_track_sd_m", "depth_rms_m", "height_share", "cycles", "cycle_mean_s", "energy_kwh",
    "limit_violations",
)  # fmt: skip
"""Figures that the command line tells, where a run has them."""


def in_words(score: dict[str, Any]) -> str:
    """Return the most important figures of a score on one line."""
    table = FIGURES[score["family"]]
    parts = [
        f"{table[name].text(score[name])} {table[name].unit} {table[name].label}"
        for name in SAID
        if score.get(name) is not None
    ]
    return " · ".join(" ".join(part.split()) for part in parts)
