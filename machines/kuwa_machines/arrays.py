"""The one array type of every interface, in a module of its own so that all others may use it."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
