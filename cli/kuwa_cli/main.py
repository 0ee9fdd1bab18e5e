"""The ``kuwa`` command: a table of verbs, each in a module imported only when it is used."""

from __future__ import annotations

import sys

import typer

from kuwa_cli.verbs import Verb, add_verbs

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
    add_verbs(app, VERBS, arguments[:1])
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
