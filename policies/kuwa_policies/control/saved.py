"""What a controller has learnt, as a file; see :mod:`kuwa_policies.statefile`.

A controller whose network is drawn from a seed writes it as ``seed``, so that the same network can
be drawn again, whatever the seed of the run.
"""

from __future__ import annotations

from pathlib import Path

from kuwa_machines.contracts import Learner
from kuwa_policies.statefile import open_state, read_state, whole, write_state

__all__ = ["keep", "read_state", "seed_of", "write_state"]


def keep(controller: Learner, path: Path) -> None:
    """Save what a controller has learnt; a file that is there is replaced as a whole or kept.

    Raises:
        KuwaError: it cannot be written, or is not finite.
    """
    with whole(path) as partial:
        controller.save(partial)


def seed_of(path: Path) -> int | None:
    """Return the ``seed`` in the header of a file, from which its network was drawn, or None.

    Raises:
        KuwaError: the file is no saved state.
    """
    seed = open_state(path)[0].get("seed")
    return seed if isinstance(seed, int) else None
