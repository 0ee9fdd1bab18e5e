"""Tunes every method on the arm with the same budget: DRAWS random draws, TRIALS trials of each.

Tuning trials are other trials than those that are reported. Run it as

    ./kuwa exec python benchmarks/_arm_tuning.py [METHOD …]

and put what it prints into TUNED of _arm_methods.py.
"""

from __future__ import annotations

import math
import sys

import numpy as np
from _arm import Trial, rmse, run
from _arm_methods import SPACES, method, nengo_python

DRAWS = 16
TRIALS = (1000,)
SHORT = 20.0
"""Length of a tuning trial [s]."""
DIVERGED = 90.0
"""What a run without finite errors counts as [°]."""


def tune(name: str) -> tuple[dict[str, float], float]:
    """Return the best numbers of a method and their mean RMSE [°]."""
    python = nengo_python()
    rng = np.random.default_rng(0)
    best, least = {}, math.inf
    for draw in range(DRAWS):
        space = SPACES[name]
        numbers = {
            key: float(np.exp(rng.uniform(np.log(low), np.log(high))))
            for key, (low, high) in space.items()
        }
        errors = []
        for seed in TRIALS:
            with np.errstate(all="ignore"):
                error = rmse(run(method(name, numbers, python), Trial(seed), seconds=SHORT))
            errors.append(min(error, DIVERGED) if math.isfinite(error) else DIVERGED)
        mean = float(np.mean(errors))
        if mean < least:
            best, least = numbers, mean
        shown = {key: float(f"{value:.3g}") for key, value in numbers.items()}
        print(f"{name} {draw}: {shown} {mean:.3f}", file=sys.stderr, flush=True)
    return {key: float(f"{value:.4g}") for key, value in best.items()}, least


def main() -> None:
    """Tune what was named, or everything."""
    for name in sys.argv[1:] or SPACES:
        numbers, error = tune(name)
        print(f'    "{name}": {numbers},  # {error:.3f}', flush=True)


if __name__ == "__main__":
    main()
