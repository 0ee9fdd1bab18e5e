"""``kuwa mode``: what mode a running stack is in, and asking it for another."""

from __future__ import annotations

import getpass
import os
import sys
import time
from pathlib import Path

import typer

from kuwa_hardware.modes import PROGRAMS, VALID
from kuwa_machines.errors import KuwaError, choices

HEARD = 10.0
"""A running gate is heard within this [s]."""
KEEP = 0.5
"""A latched message needs its writer for this long to reach its readers [s]."""


def command(
    mode: str = typer.Argument(None, help="off, ready, armed, teleop, auto or stopped."),
    machine: str = typer.Option("zx200", help="Namespace of the stack: its machine's name."),
    who: str = typer.Option("", help="Who answers for it. [default: who is logged in]"),
    key: Path = typer.Option(None, help="Key of the stack, where it has one."),
) -> None:
    """Say in which mode a running stack is and why, or ask for another one.

    "stopped" stops at once and needs no key. "ready" releases a stop once nobody demands it.
    """
    from kuwa_cli.asking import Asking
    from kuwa_ros.sealing import envelope_of

    if mode is not None and mode not in VALID:
        raise KuwaError(f"no mode {mode!r}; {choices(mode, VALID)}")
    person = who or getpass.getuser()
    if person in PROGRAMS:
        raise KuwaError(f"--who: {person!r} is a program of the stack; give a person's name")
    envelope = envelope_of("" if key is None else str(key), machine)
    asking = Asking(machine, int(os.environ.get("ROS_DOMAIN_ID") or 0))
    try:
        if mode == "stopped":
            asking.stop(True)
        asking.wait(HEARD)
        granted, why = True, ""
        if mode == "stopped":
            # Heard by now; the demand is withdrawn, the stop stays until a person releases it.
            time.sleep(KEEP)
            asking.stop(False)
            time.sleep(KEEP)
            asking.look()
            granted, why = asking.mode == "stopped", "; ".join(asking.reasons)
        elif mode is not None:
            granted, why = asking.ask(mode, person, envelope)
        asking.look()
    finally:
        asking.close()
    if mode is None:
        print(asking.words)
    else:
        print(f"{'granted' if granted else 'refused'}: {why}")
    sys.exit(0 if granted else 1)
