"""``kuwa demo``: record demonstrations of the expert, as many as wanted, none like another."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kuwa_cli.demos.noise import DEFAULT as HUMAN
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT

INTERRUPTED = 130
NOT_REACHED = 3
"""Exit code where no episode at all reached what the scenario asks."""
GUESS = 4_000_000
"""An episode without pictures, before one is there to be weighed [B]."""
GUESS_PICTURES = 30_000
"""A second of one camera [B]."""
SPARE = 500_000_000
"""So much of the disk is left alone [B]."""


def command(
    scenario: str = typer.Argument("dig_trench", help="A name (see kuwa scenarios) or a .yaml."),
    count: int = typer.Option(10, "-n", "--episodes", help="How many; those there are count."),
    noise: str = typer.Option(
        HUMAN, help="How much they differ: none, low, human, high or a .yaml."
    ),
    seed: int = typer.Option(0, help="Of everything random; episode k depends on it and on k."),
    controller: str = typer.Option(DEFAULT, help=f"Who follows: {', '.join(CONTROLLERS)}."),
    machine: str = typer.Option(None, help="Another machine than the scenario's own."),
    fps: int = typer.Option(20, help="Frames in a second; the control rate is a multiple."),
    cameras: bool = typer.Option(False, "--cameras", help="Record pictures; much slower."),
    task: str = typer.Option("", help="In words. [default: the scenario's title]"),
    duration: float = typer.Option(None, help="Longest episode [s]. [default: the scenario's]"),
    workers: int = typer.Option(0, help="Processes. [default: one for each core]"),
    out: Path = typer.Option(None, help="Folder of the set. [default: datasets/SCENARIO-sSEED]"),
    only_success: bool = typer.Option(False, help="Leave out episodes that failed."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Record demonstrations of the expert in simulation, in lock-step, on all cores.

    The same call goes on where an earlier one was stopped. Exit code: 0 recorded, 3 recorded and
    no episode reached its goal, 130 interrupted, 1 anything else.
    """
    from kuwa_cli.demos.episode import Job, info_of, ticks_per_frame
    from kuwa_cli.demos.gather import Gathering
    from kuwa_cli.demos.noise import load_noise
    from kuwa_cli.outcome import versions
    from kuwa_cli.settings import MAX_SEED
    from kuwa_policies.control.controllers import entry
    from kuwa_sim.scenario import check_tools, load_scenario
    from kuwa_sim.world import specs_of

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loaded = load_scenario(scenario).with_machine(machine)
    check_tools(loaded, specs_of(loaded))
    entry(controller)
    ticks_per_frame(fps)
    if not 1 <= count <= 1_000_000:
        raise KuwaError(f"-n {count}: give 1 to 1000000 episodes")
    if not 0 <= seed <= MAX_SEED:
        raise KuwaError(f"--seed {seed}: give a whole number from 0 to {MAX_SEED}")
    length = loaded.duration_s if duration is None else duration
    if not 1.0 <= length <= 36_000:
        raise KuwaError(f"--duration {length}: give seconds from 1 to 36000")
    cores = len(os.sched_getaffinity(0))
    if not 0 <= workers <= 256:
        raise KuwaError(f"--workers {workers}: give 1 to 256; here are {cores} cores")
    job = Job(
        loaded, load_noise(noise), seed, controller, fps, cameras, length,
        task.strip() or loaded.title,
    )  # fmt: skip
    info = info_of(job, versions())
    folder = (out or Path("datasets") / f"{loaded.name}-s{seed}").expanduser().absolute()
    console = Console(stderr=True, highlight=False)
    with Gathering(folder, info, only_success) as gathering:
        code = _record(job, info, gathering, count, min(workers or cores, count), console)
        values = _summary(folder, gathering, count)
    _say(console, values, folder)
    if as_json:
        print(json.dumps(values, ensure_ascii=False))
    none_good = values["episodes"] > 0 and values["successes"] == 0
    sys.exit(code or (NOT_REACHED if none_good else 0))


def _record(job: Any, info: Any, gathering: Any, count: int, workers: int, console: Console) -> int:
    """Record what is missing; return the exit code so far."""
    from kuwa_cli.demos.crew import Crew

    began, first = time.monotonic(), gathering.next
    if first:
        console.print(f"  {first} of {count} are there already", style="dim")
    _forecast(job, info, gathering, count, console)
    columns = (
        TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    good = done = 0
    try:
        with (
            Progress(*columns, console=console, transient=True) as bar,
            Crew(job, info, gathering.staging, workers) as crew,
        ):
            line = bar.add_task("recording", total=count, completed=first)
            gathering.take(count)
            for result in crew.run(gathering.todo(count)):
                done, good = done + 1, good + result.success
                gathering.take(count)
                rate = 60.0 * done / (time.monotonic() - began)
                text = f"{good} of {done} reached the goal, {rate:.1f}/min"
                bar.update(line, completed=first + done, description=text)
                if not result.success and result.missed:
                    console.print(
                        f"  episode {result.episode}: {'; '.join(result.missed)}", style="dim"
                    )
                _check_disk(gathering.folder)
            gathering.take(count)
    except KeyboardInterrupt:
        console.print(
            "  interrupted; everything that was finished is kept, the same call goes on",
            style="yellow",
        )
        return INTERRUPTED
    return 0


def _forecast(job: Any, info: Any, gathering: Any, count: int, console: Console) -> None:
    """Say how much the set will take, and refuse what the disk cannot hold."""
    there = gathering.writer.episodes
    size = _size(gathering.folder)
    seconds = job.duration / 2
    each = size / there if there else GUESS + GUESS_PICTURES * seconds * len(info.videos)
    needed = each * max(count - gathering.next, 0)
    free = shutil.disk_usage(gathering.folder).free
    about = "" if there else "about "
    console.print(f"  {about}{needed / 1e6:.0f} MB to come, {free / 1e9:.1f} GB free", style="dim")
    if needed + SPARE > free:
        raise KuwaError(
            f"{gathering.folder}: {count} episodes would take {needed / 1e9:.1f} GB more and "
            f"{free / 1e9:.1f} GB are free, of which {SPARE / 1e9:.1f} GB are left alone; record "
            "fewer, or elsewhere"
        )


def _check_disk(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPARE / 5:
        raise KuwaError(
            f"{folder}: {free / 1e6:.0f} MB are free, too little to go on; everything that was "
            "finished is kept, and the same call goes on when there is room"
        )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _summary(folder: Path, gathering: Any, count: int) -> dict[str, Any]:
    from kuwa_policies.datasets import Dataset

    found = Dataset(folder)
    episodes = found.episodes
    return {
        "folder": str(folder), "episodes": len(episodes), "asked": count,
        "successes": sum(bool(episode.success) for episode in episodes),
        "left_out": gathering.left_out,
        "frames": found.frames_total, "seconds": found.frames_total / found.fps,
        "bytes": _size(folder),
    }  # fmt: skip


def _say(console: Console, values: dict[str, Any], folder: Path) -> None:
    from kuwa_cli.runfolder import shown

    each = values["bytes"] / max(values["episodes"], 1)
    console.print(
        f"[bold green]{values['episodes']} episodes[/], {values['successes']} reached the goal; "
        f"{values['seconds'] / 60:.1f} min, {values['bytes'] / 1e6:.1f} MB "
        f"({each / 1e6:.2f} MB each)"
    )
    if values["left_out"]:
        console.print(f"  left out: {len(values['left_out'])} that did not", style="dim")
    console.print(f"  {shown(folder)}", soft_wrap=True)
