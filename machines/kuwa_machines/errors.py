"""The errors a person can cause, each with the thing, the value and what would have been right."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class KuwaError(Exception):
    """Base of every error that names a person's mistake rather than a defect of Kuwa."""


class MachineError(KuwaError):
    """A machine folder is missing, incomplete or contradicts itself."""


class CommandError(KuwaError):
    """A command that no machine may be given: wrong joints, wrong kind, not finite."""


def choices(value: str, valid: Iterable[str]) -> str:
    """Say which values are valid, the nearest one first: ``"did you mean 'boom'? valid: …"``."""
    names = sorted(valid)
    near = get_close_matches(value, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}valid: {', '.join(names) if names else '(none)'}"
