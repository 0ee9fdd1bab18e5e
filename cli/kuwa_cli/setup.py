"""``kuwa setup``: the front door has set everything up before this runs; say so."""

from __future__ import annotations

import os

import typer


def command(
    learn: bool = typer.Option(False, "--learn", help="PyTorch and what learns with it, too."),
) -> None:
    """Install and build what is missing, and do no more."""
    print(f"Kuwa is set up in {os.environ.get('KUWA_ROOT', 'this environment')}.")
    print("Next: ./kuwa sim")
