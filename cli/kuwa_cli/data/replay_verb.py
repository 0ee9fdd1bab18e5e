"""``kuwa data replay``: the recorded actions once more, in the simulator or on a machine."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kuwa_cli.data.opening import open_set

DIFFERS = 3
"""Exit code of a replay that did not go as it was recorded."""


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    episode: int = typer.Option(0, "-e", "--episode", help="Which one, from 0."),
    every: bool = typer.Option(False, "--all", help="Every episode, one after the other."),
    robot: bool = typer.Option(False, "--robot", help="On a running stack, through its gate."),
    machine: str = typer.Option("", help="Namespace of that stack. [default: the set's machine]"),
    who: str = typer.Option("", help="Who answers for it. [default: who is logged in]"),
    key: Path = typer.Option(None, help="Key of that stack, where it has one."),
    speed: float = typer.Option(1.0, help="Share of the recorded velocities, with --robot."),
    scenario: str = typer.Option(None, help="Another simulation than the episode's own."),
    seed: int = typer.Option(None, help="Another seed than the episode's own."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Give an episode's actions to the simulator, or to a machine, and compare the states.

    In lock-step an episode of kuwa demo goes as it was recorded, to the bit. Exit code: 0 it did
    (or, of actions that were not recorded in lock-step, it was compared), 3 it did not, 1 anything
    else.
    """
    # A service manager's SIGTERM ends it as cleanly as Ctrl-C: nothing stays armed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = open_set(dataset)
    console = Console(stderr=True, highlight=False)
    if robot:
        from kuwa_cli.data.replay_robot import on_robot

        values = on_robot(found, episode, machine or found.robot_type, who, key, speed, console)
        if as_json:
            print(json.dumps(values, ensure_ascii=False))
        sys.exit(0)
    from kuwa_cli.data.replay import replay

    results = []
    which = range(len(found.episodes)) if every else [episode]
    columns = (TextColumn("  {task.description}"), BarColumn(28), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("replaying", total=len(which))
        for count, index in enumerate(which):
            bar.update(line, description=f"episode {index}", completed=count)
            result = replay(
                found, index, scenario, seed,
                lambda share, done=count: bar.update(line, completed=done + share),  # type: ignore[misc]
            )  # fmt: skip
            results.append(result)
            console.print(f"  episode {index}: {_words(result)}", soft_wrap=True)
    if as_json:
        print(json.dumps([result.as_dict() for result in results], ensure_ascii=False))
    sys.exit(DIFFERS if any(r.exact and not r.same for r in results) else 0)


def _words(result: object) -> str:
    from kuwa_cli.data.replay import Replayed

    assert isinstance(result, Replayed)
    about = "".join(f"; {note}" for note in result.notes)
    if result.same:
        return (
            f"[bold green]state error 0[/] over {result.frames} frames, {result.ticks} control "
            f"ticks{about}"
        )
    rms = ", ".join(f"{joint} {value:.3g}" for joint, value in result.rms.items())
    kind = "bold red" if result.exact else "yellow"
    why = "" if result.exact else " (not recorded in lock-step: no exact replay)"
    return (
        f"[{kind}]state error {result.error:.3g}[/]{why}, first at frame {result.first}; rms of "
        f"positions in rad: {rms}{about}"
    )
