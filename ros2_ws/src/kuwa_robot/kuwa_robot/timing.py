"""How long the stack takes to answer, and how well the robot keeps its period."""

from __future__ import annotations

import json
from array import array
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

_WAITING = 500
"""Published stamps that are remembered; an answer to an older one is not counted."""
_KEPT = 1_000_000
BIN_MS = 0.5


class Timing:
    """Collects latencies from a state's publication to the first applied command that answers it.

    Both times are of this process's steady clock; the state's stamp, which the command carries
    back, only says which belong together.
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, float] = OrderedDict()
        self.latency_ms = array("d")
        self.interval_ms = array("d")

    def published(self, stamp: float, now: float) -> None:
        """The state with this stamp was handed to the middleware at ``now`` [s]."""
        self._waiting[_key(stamp)] = now
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def answered(self, stamp: float, now: float) -> None:
        """An applied command that answers this stamp arrived at ``now`` [s]."""
        sent = self._waiting.pop(_key(stamp), None)
        if sent is not None and len(self.latency_ms) < _KEPT:
            self.latency_ms.append(1e3 * (now - sent))

    def ticked(self, interval: float) -> None:
        """A tick began this long after the one before [s]."""
        if len(self.interval_ms) < _KEPT:
            self.interval_ms.append(1e3 * interval)

    def summary(self) -> dict[str, object]:
        """Return the figures of the latency and of the tick interval so far [ms]."""
        return {"latency_ms": _figures(self.latency_ms), "interval_ms": _figures(self.interval_ms)}

    def recent(self, count: int = 200) -> tuple[float, float]:
        """Return median and 99th percentile of the last ``count`` latencies [ms]."""
        last = np.array(self.latency_ms[-count:])
        if not len(last):
            return (float("nan"), float("nan"))
        return (float(np.median(last)), float(np.percentile(last, 99)))

    def write(self, path: Path, **more: object) -> None:
        """Write everything as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.summary() | more, indent=1) + "\n")


def _key(stamp: float) -> int:
    # A stamp passes through seconds and nanoseconds twice on its way; 10 µs tell ticks apart.
    return round(1e5 * stamp)


def _figures(values: array[float]) -> dict[str, Any]:
    data = np.array(values)
    if not len(data):
        return {"count": 0}
    top = BIN_MS * np.ceil(min(float(data.max()), 100.0) / BIN_MS) + BIN_MS
    edges = np.arange(0.0, top + BIN_MS, BIN_MS)
    counts, _ = np.histogram(np.minimum(data, top), bins=edges)
    return {
        "count": len(data),
        "median": round(float(np.median(data)), 3),
        "p90": round(float(np.percentile(data, 90)), 3),
        "p99": round(float(np.percentile(data, 99)), 3),
        "max": round(float(data.max()), 3),
        "histogram": {"bin_ms": BIN_MS, "counts": counts.tolist()},
    }
