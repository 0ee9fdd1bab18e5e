"""What a run's log says of the neurons of its controller, in figures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from kuwa_cli.runlog import RunLog
from kuwa_machines.contracts import Array


def rates(log: RunLog) -> tuple[Array, Array]:
    """Return times, shape (N − 1,) [s], and the mean rate of the living between two samples [Hz].

    NaN where the controller was reset in between, since its count begins anew then.
    """
    t, count = log.spikes.t, log.spikes["spikes"]
    fired = np.diff(count)
    fired[fired < 0.0] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        return t[1:], fired / (np.diff(t) * log.spikes["alive"][1:])


def not_learning(log: RunLog) -> dict[str, float]:
    """Return why nothing was learnt, the most frequent reason first, and the share of the time."""
    counts = Counter(log.frozen[int(k)] for k in log.spikes["reason"])
    total = sum(counts.values())
    return {reason: n / total for reason, n in counts.most_common() if reason}


def summary(log: RunLog) -> dict[str, Any] | None:
    """Return figures of a run for ``result.json``; None where there were no neurons.

    Rates, irregularity and balance are the controller's own at the end of the run.
    """
    s = log.spikes
    if not len(s):
        return None
    span = s.t[-1] - s.t[0]
    operations = np.diff(s["synaptic_operations"])
    error = np.degrees(s["error"][np.isfinite(s["error"]).all(axis=1)])
    return {
        "neurons": int(s["neurons"][-1]),
        "alive": int(s["alive"][-1]),
        "mean_rate_hz": float(s["mean_rate"][-1]),
        "max_rate_hz": float(s["max_rate"][-1]),
        "isi_cv": float(s["isi_cv"][-1]),
        "ei_correlation": float(s["ei_correlation"][-1]),
        "synaptic_operations_hz": float(operations[operations > 0.0].sum() / span)
        if span > 0.0
        else None,
        "weight_norm": float(s["weight_norm"][-1]),
        "learning_share": float(s["learning"].mean()),
        "not_learning": not_learning(log),
        "prediction_error_deg": np.sqrt((error**2).mean(axis=0)).tolist() if len(error) else None,
    }
