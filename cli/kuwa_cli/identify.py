"""``kuwa identify``: what a machine's valves do, from a log of commands and joint states."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kuwa_cli import runfolder
from kuwa_cli.runlog import RunLog
from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_machines.overlay import load_machine_with
from kuwa_machines.spec import MachineSpec
from kuwa_policies.identification import Estimate, Identification, JointLog, identify
from kuwa_policies.identification.csv_file import read_csv
from kuwa_policies.identification.parameter_file import FORM, in_unit, parameter_file

PARAMETERS = "machine_identified.yaml"


def command(
    log: Path = typer.Argument(None, help="A run's log.npz, or a .csv (see the how-to)."),
    machine: str = typer.Option(None, help="The log's machine, where the log does not say."),
    record: bool = typer.Option(False, "--record", help="Make the log first, in simulation."),
    minutes: float = typer.Option(10.0, help="Length of the recording."),
    seed: int = typer.Option(0, help="Of the recording's script and sensor noise."),
    parameters: Path = typer.Option(None, help="Record a machine with these numbers."),
    out: Path = typer.Option(None, help="Run folder. [default: a new one below runs]"),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
    report: bool = typer.Option(True, help="Write report.html."),
) -> None:
    """Identify a machine's valves from a log: dead time, dead band, curve, flows, lag, leakage.

    Writes machine_identified.yaml, which --record --parameters takes, and report.html.
    """
    if record == (log is not None):
        raise KuwaError("give either a log or --record, which makes one")
    if parameters is not None and not record:
        raise KuwaError("--parameters is for --record: the machine that is simulated")
    if record:
        name = machine or "zx200"
        truth = load_machine(name) if parameters is None else load_machine_with(name, parameters)
        folder = runfolder.prepare(out or runfolder.default_folder(f"identify-{name}", seed))
        log = _record(truth, minutes, seed, folder)
        spec, joint_log = load_machine(name), read(log)[0]
    else:
        # Read before the folder is made: a refused log leaves nothing behind.
        joint_log, says = read(log)
        spec = load_machine(_machine(log, machine, says))
        folder = runfolder.prepare(out or runfolder.default_folder(f"identify-{log.stem}", seed))
    found = identify(joint_log, spec)
    (folder / PARAMETERS).write_text(parameter_file(found, date.today()), "utf-8")
    load_machine_with(spec.name, folder / PARAMETERS)
    if report:
        from kuwa_cli.identify_report import write_page

        write_page(folder / "report.html", found, spec)
    if as_json:
        print(json.dumps(as_dictionary(found), ensure_ascii=False))
    else:
        _print(found, folder, report)


def read(path: Path) -> tuple[JointLog, str | None]:
    """Return a log and the machine that it names, if it does.

    Raises:
        KuwaError: the file is no log.
    """
    if not path.is_file():
        raise KuwaError(f"{path}: no such log; give a run's log.npz or a .csv")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    source = f"{path.name} (sha256 {digest[:12]})"
    if path.suffix == ".csv":
        return read_csv(path, source), None
    run = RunLog.load(path)
    says = run.meta.get("machine")
    return joint_log(run, source), says if isinstance(says, str) else None


def joint_log(run: RunLog, source: str) -> JointLog:
    """Return what identification needs of a run: joint states, and the commands as applied."""
    return JointLog(
        run.joints, run.state.t, _wide(run.state["q"]), _wide(run.state["qd"]),
        run.applied.t, _wide(run.applied["values"]), source,
    )  # fmt: skip


def _wide(block: Any) -> Any:
    return block[:, None] if block.ndim == 1 else block


def _machine(log: Path, asked: str | None, says: str | None) -> str:
    if asked and says and asked != says:
        raise KuwaError(f"{log} is a log of {says!r}, not of {asked!r}")
    name = asked or says
    if name is None:
        raise KuwaError(f"{log} does not say which machine it is of; give --machine NAME")
    return name


def _record(spec: MachineSpec, minutes: float, seed: int, folder: Path) -> Path:
    from kuwa_cli.identify_record import record

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"recording {minutes:g} min of {spec.name}", total=1.0)
        run = record(spec, 60 * minutes, seed, lambda share: bar.update(task, completed=share))
    path = folder / "log.npz"
    run.save(path)
    return path


def as_dictionary(found: Identification) -> dict[str, Any]:
    """Return the result in published units, for JSON; numbers that are none become null."""
    return {
        "machine": found.machine,
        "log": found.source,
        "seconds": found.seconds,
        "remarks": list(found.remarks),
        "functions": {
            name: {
                "remarks": list(function.remarks),
                "rms_rad": _number(function.rms_q),
                "explained": _number(function.explained),
                "parameters": {
                    key: _estimate(key, estimate) for key, estimate in function.estimates.items()
                },
            }
            for name, function in found.functions.items()
        },
    }


def _estimate(key: str, estimate: Estimate) -> dict[str, Any]:
    value, low, high = (in_unit(key, x) for x in (estimate.value, estimate.low, estimate.high))
    interval = [low, high] if estimate.identified else None
    out = {"value": value, "unit": FORM[key][1], "interval_95": interval}
    return out | ({} if estimate.identified else {"kept_because": estimate.remark})


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _print(found: Identification, folder: Path, report: bool) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("")
    for name in found.functions:
        table.add_column(name.removesuffix("_joint"), justify="right")
    for key, (_, unit, _) in FORM.items():
        cells = []
        for function in found.functions.values():
            estimate = function.estimates[key]
            value = in_unit(key, estimate.value)
            half = in_unit(key, (estimate.high - estimate.low) / 2)
            cells.append(f"{value:.4g} ± {half:.2g}" if estimate.identified else f"({value:.4g})")
        words = key.replace("_", " ").replace("max ", "").replace("time constant", "lag")
        words += f" [dim]{'' if unit == '1' else unit.replace('percent', '%')}[/]"
        table.add_row(words, *cells)
    console = Console(highlight=False)
    console.print(table)
    kept = any(not e.identified for f in found.functions.values() for e in f.estimates.values())
    if kept:
        console.print("[dim]( ) kept from machine.yaml: the log does not tell; reasons in the file")
    for remark in found.remarks:
        console.print(f"[yellow]{remark}")
    print(f"\nparameters  {runfolder.shown(folder / PARAMETERS)}")
    if report:
        print(f"report      {runfolder.shown(folder / 'report.html')}")
