"""Statistics of a data set as LeRobot keeps them: of each episode, and of all together.

Of all together, the quantiles are means of the episodes' quantiles weighted by their counts, as
LeRobot's ``aggregate_stats`` has them; everything else is exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
NAMES: Final = ("min", "max", "mean", "std", "count", *QUANTILES)
STRIDE: Final = 4
"""Of the pixels that are counted."""

Stats = dict[str, NDArray[Any]]
"""Statistic → array of the feature's shape, (3, 1, 1) for pictures; ``count`` has shape (1,)."""


def of_array(values: NDArray[Any]) -> Stats:
    """Return the statistics over the first axis of values, shape (frames, n)."""
    x = np.asarray(values, np.float64).reshape(len(values), -1)
    result = {
        "min": x.min(0), "max": x.max(0), "mean": x.mean(0), "std": x.std(0),
        "count": np.array([len(x)], np.int64),
    }  # fmt: skip
    return result | dict(zip(QUANTILES, np.quantile(x, list(QUANTILES.values()), 0), strict=True))


class ImageStats:
    """Statistics of pictures in 0 … 1 by channel, from histograms of every fourth pixel."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Count a picture, shape (height, width, 3)."""
        small = image[::STRIDE, ::STRIDE]
        for channel in range(3):
            self._counts[channel] += np.bincount(small[:, :, channel].ravel(), minlength=256)
        self._pictures += 1

    def result(self) -> Stats:
        """Return the statistics; there must have been a picture."""
        levels = np.arange(256) / 255.0
        total = self._counts.sum(1)
        share = self._counts / total[:, None]
        mean = share @ levels
        std = np.sqrt(np.maximum(share @ levels**2 - mean**2, 0.0))
        seen = self._counts > 0
        low = levels[seen.argmax(1)]
        high = levels[255 - seen[:, ::-1].argmax(1)]
        below = share.cumsum(1)
        found = {"min": low, "max": high, "mean": mean, "std": std}
        for name, q in QUANTILES.items():
            found[name] = levels[(below >= q - 1e-12).argmax(1)]
        shaped = {name: value.reshape(3, 1, 1) for name, value in found.items()}
        return shaped | {"count": np.array([self._pictures], np.int64)}


def together(parts: Iterable[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Return the statistics of all episodes; ``parts`` are those of each, by feature."""
    episodes = list(parts)
    names = episodes[0] if episodes else {}
    return {name: _merged([each[name] for each in episodes]) for name in names}


def _merged(parts: list[Stats]) -> Stats:
    counts = np.array([int(part["count"][0]) for part in parts], np.float64)
    weight = counts / counts.sum()

    def mean_of(values: list[NDArray[Any]]) -> NDArray[Any]:
        return np.tensordot(weight, np.stack(values), 1)

    mean = mean_of([part["mean"] for part in parts])
    variance = mean_of([part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in parts])
    result = {
        "min": np.min([part["min"] for part in parts], 0),
        "max": np.max([part["max"] for part in parts], 0),
        "mean": mean,
        "std": np.sqrt(variance),
        "count": np.array([counts.sum()], np.int64),
    }
    return result | {q: mean_of([part[q] for part in parts]) for q in QUANTILES}


def as_lists(stats: Mapping[str, Stats]) -> dict[str, Any]:
    """Return them as ``stats.json`` has them."""
    return {
        name: {key: value.tolist() for key, value in each.items()} for name, each in stats.items()
    }


def from_lists(values: Mapping[str, Any]) -> dict[str, Stats]:
    """Return what :func:`as_lists` made lists of.

    Raises:
        KeyError, TypeError, ValueError: it made nothing of the kind.
    """
    return {
        name: {key: np.asarray(each[key], None if key == "count" else np.float64) for key in NAMES}
        for name, each in values.items()
    }
