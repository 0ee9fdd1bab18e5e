"""The ``kuwa`` command: a table of verbs, each in a module imported only when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer


@dataclass(frozen=True)
class Verb:
    """One verb.

    Its module has a function ``command`` with typer's annotations, and may have
    ``CONTEXT_SETTINGS`` for typer (say, to pass unknown options on). A verb with verbs below it
    has ``app``, a ``typer.Typer``, in place of ``command``.
    """

    name: str
    module: str
    help: str


# In the order of the help page: what a newcomer needs first.
VERBS = (
    Verb("sim", "kuwa_cli.sim", "Run a scenario in simulation and write a report."),
    Verb("teleop", "kuwa_cli.teleop", "Drive a machine yourself, on a page in the browser."),
    Verb("demo", "kuwa_cli.demo", "Record demonstrations of the expert, none like another."),
    Verb("data", "kuwa_cli.data.verbs", "Look at data sets, check, replay, change and convert."),
    Verb("record", "kuwa_cli.record", "Record a running stack: bags, and episodes to train on."),
    Verb("recover", "kuwa_cli.recover", "Salvage what is whole in a torn bag."),
    Verb("scenarios", "kuwa_cli.scenarios", "List the scenarios there are."),
    Verb("identify", "kuwa_cli.identify", "Find a machine's valve parameters in a log of it."),
    Verb("tune", "kuwa_cli.tune", "Propose a spiking network from a log of a machine."),
    Verb("preflight", "kuwa_cli.preflight", "Check a machine against its file before arming it."),
    Verb("up", "kuwa_cli.up", "Run the stack of a real machine."),
    Verb("mode", "kuwa_cli.mode", "Say which mode a running stack is in, or ask for another."),
    Verb("security", "kuwa_cli.security", "Make keys and permissions of a stack."),
    Verb("blackbox", "kuwa_cli.blackbox", "Tell what a black box holds."),
    Verb("doctor", "kuwa_cli.doctor", "Say what was found on this computer and what is wrong."),
    Verb("test", "kuwa_cli.test", "Run the checks and the tests."),
    Verb("bench", "kuwa_cli.bench", "Measure one of the figures that Kuwa promises."),
    Verb("docs", "kuwa_cli.docs", "Write the reference pages that come from code and data."),
    Verb("setup", "kuwa_cli.setup", "Install and build what is missing, and do no more."),
    Verb("exec", "kuwa_cli.execute", "Run any program in Kuwa's environment."),
    Verb("env", "kuwa_cli.env", "Print Kuwa's environment for a shell to evaluate."),
)


def _stub() -> None:
    """Stand for a verb on the help page, where its module is not needed."""


def build(arguments: list[str]) -> typer.Typer:
    """Return the command line; only the verb that ``arguments`` name is loaded."""
    app = typer.Typer(
        name="kuwa",
        help="Robot control for construction and farm machines on ROS 2.",
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    for verb in VERBS:
        command: Callable[..., None] = _stub
        settings: dict[str, Any] | None = None
        text: str | None = verb.help
        if arguments[:1] == [verb.name]:
            module = import_module(verb.module)
            if hasattr(module, "app"):
                app.add_typer(module.app, name=verb.name, help=verb.help)
                continue
            command, text = module.command, None
            settings = getattr(module, "CONTEXT_SETTINGS", None)
        app.command(verb.name, help=text, context_settings=settings)(command)
    return app


def main() -> None:
    """Run the command line of this process."""
    app = build(sys.argv[1:])
    try:
        app(prog_name="kuwa")
    except Exception as error:
        from kuwa_machines.errors import KuwaError

        if not isinstance(error, KuwaError):
            raise
        print(f"kuwa: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
