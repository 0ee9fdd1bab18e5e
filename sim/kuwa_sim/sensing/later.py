"""A sensor whose readings are whole things, a height map or a picture: sampled, lost, delayed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from kuwa_machines.sensors import Sampled
from kuwa_sim.faults import Fault

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spoil:
    """What faults add to a reading: ``offset``, and noise of standard deviation ``noise``."""

    offset: float = 0.0
    noise: float = 0.0


class Later(Generic[T]):
    """Takes readings at a sensor's rate and hands them on when their delay has passed.

    Args:
        sensor: rate, delay and drop-out.
        faults: of this sensor.
        rng: decides which readings are lost.
        dt: length of a tick [s].
        first: the reading of before the first tick.
    """

    def __init__(
        self,
        sensor: Sampled,
        faults: Sequence[Fault],
        rng: np.random.Generator,
        dt: float,
        first: T,
    ) -> None:
        self._sensor, self._faults, self._rng, self._dt = sensor, faults, rng, dt
        self._newest = first
        self._queue: list[tuple[int, T]] = [(0, first)]

    def step(self, tick: int, take: Callable[[Spoil], T]) -> T | None:
        """Return the reading that arrives at this tick, if one does.

        Args:
            take: makes a reading of this instant; called only when one is due.
        """
        period = self._sensor.rate * self._dt
        if math.floor(tick * period + 1e-9) > math.floor((tick - 1) * period + 1e-9):
            self._sample(tick, take)
        arrived = None
        while self._queue and self._queue[0][0] <= tick:
            arrived = self._queue.pop(0)[1]
        return arrived

    def _sample(self, tick: int, take: Callable[[Spoil], T]) -> None:
        chance = self._rng.random()
        now = tick * self._dt
        lost, late, offset, variance, stuck = self._sensor.dropout, 0.0, 0.0, 0.0, False
        for fault in self._faults:
            if not fault.from_s <= now < fault.to_s:
                continue
            value = fault.value or 0.0
            if fault.kind == "outage":
                lost = 1.0
            elif fault.kind == "dropout":
                lost += value
            elif fault.kind == "delay":
                late += value
            elif fault.kind == "bias":
                offset += value
            elif fault.kind == "noise":
                variance += value**2
            else:
                stuck = True
        if chance < lost:
            return
        if not stuck:
            self._newest = take(Spoil(offset, math.sqrt(variance)))
        due = tick + round((self._sensor.delay + late) / self._dt)
        # A reading that was delayed more than this one would only bring back the past.
        while self._queue and self._queue[-1][0] > due:
            self._queue.pop()
        self._queue.append((due, self._newest))
