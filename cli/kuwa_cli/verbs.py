"""Tables of verbs, each in a module that is imported only when it is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer


@dataclass(frozen=True)
class Verb:
    """One verb.

    Its module has a function with typer's annotations, and may have ``CONTEXT_SETTINGS`` for typer
    (say, to pass unknown options on). A verb with verbs below it has ``app``, a ``typer.Typer``, in
    place of the function.
    """

    name: str
    module: str
    help: str
    function: str = "command"


def add_verbs(app: typer.Typer, verbs: Iterable[Verb], named: Sequence[str] | None) -> None:
    """Add verbs to a command line; of those that are not ``named`` only the line of help.

    Args:
        named: the words of the command line that may be verbs; None: all are loaded.
    """
    for verb in verbs:
        command: Callable[..., None] = _stub
        settings: dict[str, Any] | None = None
        text: str | None = verb.help
        if named is None or verb.name in named:
            module = import_module(verb.module)
            if hasattr(module, "app"):
                app.add_typer(module.app, name=verb.name, help=verb.help)
                continue
            command, text = getattr(module, verb.function), None
            settings = getattr(module, "CONTEXT_SETTINGS", None)
        app.command(verb.name, help=text, context_settings=settings)(command)


def _stub() -> None:
    """Stand for a verb on the help page, where its module is not needed."""
