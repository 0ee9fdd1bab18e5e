"""The reference page of what the doctor of data sets looks for."""

from __future__ import annotations

from kuwa_policies.datasets.doctor.finding import markdown

INTRODUCTION = """
`./kuwa data doctor` looks for these in every episode. What it cannot judge, because a column is
missing or nothing moved, it leaves alone; sets that Kuwa did not write are examined as far as their
columns go.
"""


def page(note: str) -> str:
    """Return the page; ``note`` says who writes it."""
    return f"# What the doctor of data sets finds\n\n{note}\n{INTRODUCTION}\n{markdown()}\n"
