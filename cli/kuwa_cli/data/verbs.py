"""The verbs below ``kuwa data``."""

from __future__ import annotations

import sys
from typing import Final

import typer

from kuwa_cli.verbs import Verb, add_verbs

VERBS: Final = (
    Verb("info", "kuwa_cli.data.info", "Say what a data set holds."),
    Verb("doctor", "kuwa_cli.data.doctor", "Find what is wrong with a data set."),
    Verb("view", "kuwa_cli.data.view", "Write a page to look at a data set."),
    Verb("replay", "kuwa_cli.data.replay_verb", "Give the actions to a simulator again."),
    Verb("merge", "kuwa_cli.data.change", "Make one data set of several.", "merge"),
    Verb("split", "kuwa_cli.data.change", "Make data sets of some episodes.", "split"),
    Verb("export", "kuwa_cli.data.export", "Write HDF5 or Parquet."),
    Verb("convert", "kuwa_cli.data.convert", "Make a data set of bags."),
    Verb("push", "kuwa_cli.data.push", "Upload a data set, when asked."),
)


def build(arguments: list[str]) -> typer.Typer:
    """Return the verbs; only what ``arguments`` name is loaded, all for the reference pages."""
    made = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
    add_verbs(made, VERBS, arguments[1:2] if arguments[:1] == ["data"] else None)
    return made


app = build(sys.argv[1:])
