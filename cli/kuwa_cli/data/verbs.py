"""The verbs below ``kuwa data``: a table, as that of ``kuwa`` itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Final

import typer

VERBS: Final = {
    "info": ("kuwa_cli.data.info", "command", "Say what a data set holds."),
    "doctor": ("kuwa_cli.data.doctor", "command", "Find what is wrong with a data set."),
    "view": ("kuwa_cli.data.view", "command", "Write a page to look at a data set."),
    "replay": ("kuwa_cli.data.replay_verb", "command", "Give the actions to a simulator again."),
    "merge": ("kuwa_cli.data.change", "merge", "Make one data set of several."),
    "split": ("kuwa_cli.data.change", "split", "Make data sets of some episodes."),
    "export": ("kuwa_cli.data.export", "command", "Write HDF5 or Parquet."),
    "convert": ("kuwa_cli.data.convert", "command", "Make a data set of bags."),
    "push": ("kuwa_cli.data.push", "command", "Upload a data set, when asked."),
}
"""Module, function and line of help; a module is imported only when its verb is named."""


def build(arguments: list[str]) -> typer.Typer:
    """Return the verbs; only what ``arguments`` name is loaded, all for the reference pages."""
    made = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    named = arguments[1] if arguments[:1] == ["data"] and len(arguments) > 1 else ""
    for name, (module, function, text) in VERBS.items():
        command: Callable[..., None] = _stub
        if named == name or arguments[:1] != ["data"]:
            command = getattr(import_module(module), function)
            made.command(name)(command)
        else:
            made.command(name, help=text)(command)
    return made


def _stub() -> None:
    """Stand for a verb on the help page, where its module is not needed."""


app = build(sys.argv[1:])
