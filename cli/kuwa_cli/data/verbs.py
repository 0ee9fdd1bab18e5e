"""The verbs below ``kuwa data``; each module is imported only when it is used."""

from __future__ import annotations

import typer

from kuwa_cli.data import replay_verb

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)
app.command("replay", help=replay_verb.command.__doc__)(replay_verb.command)
