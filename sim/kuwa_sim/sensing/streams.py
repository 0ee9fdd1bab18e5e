"""Random streams of sensors: each its own, so that what one draws moves no other."""

from __future__ import annotations

import numpy as np


def stream(seed: int | tuple[int, ...], *sensor: int) -> np.random.Generator:
    """Return the stream of a sensor.

    Args:
        seed: of the run and, where there are several, the machine's number.
        sensor: the sensor's number.
    """
    seeds = (seed,) if isinstance(seed, int) else seed
    return np.random.default_rng([*seeds, 1, *sensor])
