"""Machines of one make that differ: quantities drawn about those of the data file.

    randomised(spec, {"joints.*.drive.valve.dead_time": 0.2, "hydraulics.pump_power": 0.1}, rng)

multiplies every quantity that a pattern names by a number drawn uniformly from 1 ± its share.
"""

from __future__ import annotations

import fnmatch
import math
import zlib
from collections.abc import Mapping

import numpy as np

from kuwa_machines.build import scaled
from kuwa_machines.datafile import quantities
from kuwa_machines.errors import MachineError, choices
from kuwa_machines.spec import MachineSpec


def randomised(
    spec: MachineSpec, shares: Mapping[str, float], rng: np.random.Generator
) -> MachineSpec:
    """Return a machine that differs from ``spec`` by chance; ``spec`` stays as it was.

    Args:
        shares: half width of the change by pattern, in [0, 1). A pattern is a key of
            ``machine.yaml`` in which ``*`` stands for anything between two dots.
        rng: one number is drawn from it. The factor of a quantity depends on that number and on the
            quantity's key alone, not on what else is randomised.

    Raises:
        MachineError: a pattern that names no quantity, one that names what another names too, a
            share out of range, or a result that is no machine.
    """
    seed = int(rng.integers(2**63))
    if not shares:
        return spec
    factors: dict[str, float] = {}
    for key, share in matched(spec, shares).items():
        own = np.random.default_rng([seed, zlib.crc32(key.encode())])
        factors[key] = 1.0 + share * float(own.uniform(-1.0, 1.0))
    return scaled(spec, factors, "randomised")


def matched(spec: MachineSpec, shares: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each quantity that the patterns name; see :func:`randomised`."""
    keys = [key for key, _ in quantities(spec.raw)]
    found: dict[str, float] = {}
    origin: dict[str, str] = {}
    for pattern, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise MachineError(f"randomise: {pattern}: {share!r} is no number")
        if not (math.isfinite(share) and 0 <= share < 1):
            raise MachineError(f"randomise: {pattern}: share {share} must be in [0, 1)")
        names = [key for key in keys if _matches(pattern, key)]
        if not names:
            raise MachineError(f"randomise: {pattern}: {_remedy(pattern, keys, spec.name)}")
        for key in names:
            if key in origin:
                raise MachineError(
                    f"randomise: {pattern}: {key} is named by {origin[key]} already; "
                    "name a quantity once"
                )
            found[key], origin[key] = float(share), pattern
    return found


def _matches(pattern: str, key: str) -> bool:
    parts, names = pattern.split("."), key.split(".")
    return len(parts) == len(names) and all(map(fnmatch.fnmatchcase, names, parts))


def _remedy(pattern: str, keys: list[str], machine: str) -> str:
    """Say where the pattern leaves what the machine has, and what there is at that place."""
    rest = [key.split(".") for key in keys]
    above: list[str] = []
    for part in pattern.split("."):
        depth = len(above)
        below = [key for key in rest if len(key) > depth and fnmatch.fnmatchcase(key[depth], part)]
        if not below:
            there = {key[depth] for key in rest if len(key) > depth}
            if not there:
                return f"{'.'.join(above)} is a quantity of {machine}; nothing lies below it"
            place = ".".join(above)
            return f"{machine} has no {part!r} in {place or 'its data'}; {choices(part, there)}"
        rest, above = below, [*above, part]
    there = {key[len(above)] for key in rest if len(key) > len(above)}
    return f"is no quantity of {machine} but holds some; add one of {', '.join(sorted(there))}"
