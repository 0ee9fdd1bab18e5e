"""Figures of a network's activity: rates, irregularity, balance of excitation and inhibition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.ebn.watch import Activity

ENOUGH = 5
"""Intervals without which a neuron's irregularity says nothing."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one network.

    Args:
        mean_rate, max_rate: over the living neurons [Hz].
        isi_cv: coefficient of variation of the intervals between spikes, mean over neurons; 1 for
            a Poisson process. NaN until there are intervals. A rate that changes raises it as well.
        isi_cv2: mean of 2|I₁ − I₂|/(I₁ + I₂) over neighbouring intervals (Holt et al. 1996), mean
            over neurons: the irregularity apart from slow changes of the rate; 1 for a Poisson
            process.
        ei_correlation: between filtered excitation and inhibition, mean over the watched neurons.
    """

    mean_rate: float
    max_rate: float
    isi_cv: float
    isi_cv2: float
    ei_correlation: float


def figures(activity: Activity, dt: float, alive: NDArray[np.bool_] | None = None) -> Figures:
    """Return the figures of what a network did since its last reset.

    Args:
        dt: neuron step [s].
        alive: neurons that count, shape (N,); by default all.
    """
    counted = np.ones(len(activity.spikes), np.bool_) if alive is None else np.asarray(alive)
    spikes = activity.spikes[counted]
    time = max(float(activity.steps[0]) * dt, dt)
    n, mean, square, _, cv2 = activity.isi
    seen = (n >= ENOUGH) & counted
    cv = np.sqrt(np.maximum(square[seen] - mean[seen] ** 2, 0.0)) / mean[seen]
    watched = counted[: activity.moments.shape[1]]
    weight, E, I, EE, II, EI = activity.moments[:, watched]  # noqa: E741
    with np.errstate(divide="ignore", invalid="ignore"):
        E, I, EE, II, EI = (row / weight for row in (E, I, EE, II, EI))  # noqa: E741
        rho = (EI - E * I) / np.sqrt((EE - E**2) * (II - I**2))
    rho = rho[np.isfinite(rho)]
    return Figures(
        float(spikes.mean() / time) if len(spikes) else 0.0,
        float(spikes.max() / time) if len(spikes) else 0.0,
        float(cv.mean()) if len(cv) else float("nan"),
        float(cv2[seen].mean()) if len(cv) else float("nan"),
        float(rho.mean()) if len(rho) else float("nan"),
    )
