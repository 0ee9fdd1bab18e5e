"""``kuwa record``: records a running stack, every topic into a bag and episodes into a data set."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.live import Live

from kuwa_bringup.stack import IMAGES, recorder
from kuwa_cli.terminal import Terminal
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.loader import load_machine

HEARD: Final = 20.0
"""The recorder speaks within this [s]."""
LOOK: Final = 0.1
KEYS: Final = {
    "s": "start", " ": "stop", "y": "success", "n": "failure", "d": "discard", "r": "redo",
    "u": "undo",
}  # fmt: skip
LABELS: Final = ("success", "failure", "none")


def command(
    machine: str = typer.Option("zx200", help="By the name of its folder."),
    namespace: str = typer.Option("", help="Of the stack. [default: the machine's name]"),
    out: Path = typer.Option(None, help="Folder. [default: runs/recordings/MACHINE]"),
    task: str = typer.Option("", help="What the operator is asked to do, in words."),
    fps: int = typer.Option(20, help="Frames a second of the data set.", min=1, max=100),
    countdown: float = typer.Option(0.0, help="Between start and first frame [s].", min=0.0),
    bag: bool = typer.Option(True, "--bag/--no-bag", help="Record every topic into a bag."),
    images: str = typer.Option("jpeg", help="Pictures in the bag: jpeg, raw or none."),
    seconds: float = typer.Option(0.0, help="Record one episode of this length, and end."),
    label: str = typer.Option("none", help="Of that episode: success, failure or none."),
) -> None:
    """Record a running stack until Ctrl-C; attaching to it disturbs nothing.

    In a terminal: s start, space stop, y success, n failure, d discard, r redo, u undo, q quit.
    What is open at the end is saved without a label. Giving the same folder again goes on there.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    load_machine(machine)
    if images not in IMAGES:
        raise KuwaError(f"--images {images!r}; {choices(images, IMAGES)}")
    if label not in LABELS:
        raise KuwaError(f"--label {label!r}; {choices(label, LABELS)}")
    if seconds and not task:
        raise KuwaError("--seconds needs a --task: say what is being done")
    folder = (out or Path("runs", "recordings", machine)).absolute()
    space = (namespace or machine).strip("/")
    sys.exit(_run(machine, space, folder, task, fps, countdown, bag, images, seconds, label))


def _run(
    machine: str, space: str, folder: Path, task: str, fps: int, countdown: float, bag: bool,
    images: str, seconds: float, label: str,
) -> int:  # fmt: skip
    from kuwa_bringup.processes import Processes
    from kuwa_cli.episodes import Episodes
    from kuwa_cli.ros_run import unbroken

    spec = recorder(
        machine, str(folder), f"/{space}", task=task, fps=fps, countdown=countdown, bag=bag,
        images=images,
    )  # fmt: skip
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    processes = Processes((spec,), folder / "logs")
    episodes = Episodes(space, int(os.environ.get("ROS_DOMAIN_ID") or 0))
    code = 0
    try:
        processes.start()
        _wait_until_heard(episodes, processes)
        if seconds:
            _one(episodes, seconds, label)
        else:
            _interactive(episodes, processes, console)
    except KeyboardInterrupt:
        pass
    finally:
        # What is open is being saved: neither Ctrl-C nor SIGTERM cuts that in two.
        with suppress(KeyboardInterrupt), unbroken():
            codes = processes.stop()
            episodes.close()
        code = max(map(abs, codes.values()))
    print(f"{folder / 'dataset'}: {episodes.saved} episodes")
    if code:
        console.print(f"the recorder ended with an error:\n{processes.tail('record')}")
    return 1 if code else 0


def _wait_until_heard(episodes: Any, processes: Any) -> None:
    until = time.monotonic() + HEARD
    while episodes.newest is None:
        time.sleep(0.02)
        episodes.look()
        if processes.ended() or time.monotonic() > until:
            raise KuwaError(f"the recorder does not answer:\n{processes.tail('record')}")


def _one(episodes: Any, seconds: float, label: str) -> None:
    """Record one episode."""
    until, why = time.monotonic() + HEARD, "nothing"
    done = False
    while not done:
        # A machine that has just been attached to was not heard yet.
        done, why = episodes.ask("start")
        if not done and time.monotonic() > until:
            raise KuwaError(f"no episode: {why}")
        time.sleep(0.0 if done else 0.2)
    episodes.wait("recording", HEARD + 60.0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        episodes.look()
    before = episodes.saved
    if label == "none":
        episodes.ask("stop")
        done, why = episodes.ask("stop")
    else:
        done, why = episodes.ask(label)
    episodes.wait("idle", 60.0)
    if episodes.saved != before + 1:
        raise KuwaError(f"the episode is not saved: {episodes.newest.message or why}")


def _interactive(episodes: Any, processes: Any, console: Console) -> None:
    terminal = Terminal() if sys.stdin.isatty() else None
    with (
        terminal or nullcontext(),
        Live(console=console, refresh_per_second=5, transient=True) as live,
    ):
        while not processes.ended():
            episodes.look()
            live.update(episodes.words())
            if terminal is None:
                time.sleep(LOOK)
                continue
            pressed = terminal.read(LOOK, 1)
            if pressed in ("q", "\x03"):
                return
            if pressed in KEYS:
                done, why = episodes.ask(KEYS[pressed])
                console.print(why if done else f"not done: {why}")
