"""The ``kuwa`` command: a table of verbs, each in a module that is imported only when it is used."""

import typer

app = typer.Typer()


@app.command()
def version() -> None:
    """Say which version this is."""
    print("kuwa 0.1.0")
