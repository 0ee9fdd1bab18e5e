"""``kuwa exec``: run any program in the environment of Kuwa's processes."""

from __future__ import annotations

import os
import sys

import typer

# Everything after the program's name belongs to the program.
CONTEXT_SETTINGS = {
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}


def command(program: list[str] = typer.Argument(..., metavar="PROGRAM [ARGUMENTS]...")) -> None:
    """Run any program in Kuwa's environment, e.g. kuwa exec python my_node.py."""
    try:
        os.execvp(program[0], program)
    except OSError as error:
        print(f"kuwa exec: {program[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)
