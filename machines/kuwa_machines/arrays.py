"""The one array type of every interface, in a module of its own so that all others may use it."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def finite(values: Array) -> bool:
    """Return whether a short array of shape (n,) holds finite numbers only; faster than NumPy."""
    return all(map(math.isfinite, values.tolist()))
