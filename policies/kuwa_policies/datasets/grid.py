"""Makes frames on an even grid of what arrives at its own rate, with the real stamps beside.

The grid is in the machine's own time, the stamps of its joint states. A frame takes the newest
state at the grid time, and of everything else what is newest just before the next state arrives:
by then the commands that answer this state are there, so that a frame's action is what was done
about what was seen. The live recorder and the conversion of bags use the same object.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.features import DatasetInfo

Array = NDArray[np.float64]

TOLERANCE: Final = 1e-3
"""A state this much after the grid time is still the one at the grid time [s]."""
GAP: Final = 1.0
"""Over a longer pause of states the grid begins anew; a shorter one is filled with the last [s]."""
OLD: Final = 0.25
"""An action whose receipt lies this far before that of the state is over [s]."""


class Sink(Protocol):
    """What takes frames: a :class:`DatasetWriter`."""

    def add(self, frame: Mapping[str, Any]) -> None:
        """Take a frame."""

    def control(self, stamp: float, action: Array, source: int = 0) -> None:
        """Take an action at control rate."""


class Grid:
    """Makes the frames of one episode after the other.

    Args:
        info: of the data set; its features say what a frame holds.
        sink: takes the frames.
    """

    def __init__(self, info: DatasetInfo, sink: Sink) -> None:
        self.info, self._sink = info, sink
        n = len(info.joints)
        self._period = 1.0 / info.fps
        self._newest: dict[str, Any] = {
            name: np.zeros(each.shape, each.dtype) for name, each in info.vectors.items()
        }
        self._zeros = np.zeros(n)
        self._images: dict[str, tuple[float, NDArray[np.uint8]]] = {}
        self._intervening = False
        self._action_at = -math.inf
        self.running = False
        self.begin()
        self.running = False

    def begin(self) -> None:
        """Begin an episode at the next state."""
        self.running = True
        self.frames = self.repeated = self.gaps = self.invalid = 0
        self._state: tuple[float, float, Array] | None = None
        self._anchor, self._count = math.nan, 0

    def end(self) -> dict[str, int]:
        """End the episode with the frame that is due; return what its notes should say."""
        if self.running and self._state is not None:
            self._emit(self._state[1] + TOLERANCE)
        self.running = False
        return {
            "repeated_frames": self.repeated, "gaps": self.gaps, "invalid_states": self.invalid,
        }  # fmt: skip

    # What arrives, in the order of receipt ---------------------------------------------------

    def state(self, receipt: float, stamp: float, q: Array, qd: Array) -> None:
        """Take a joint state: receipt [s, system time], stamp [s], q [rad], qd [rad/s]."""
        if not self.running:
            return
        values = np.concatenate([q, qd])
        if not np.isfinite(values).all():
            self.invalid += 1
            return
        if self._state is None:
            self._anchor, self._count = stamp, 0
        elif not 0.0 <= stamp - self._state[1] <= GAP:
            self._emit(self._state[1] + TOLERANCE)
            self._anchor, self._count = stamp, 0
            self.gaps += 1
        else:
            self._emit(stamp - TOLERANCE)
        self._state = (receipt, stamp, values)

    def action(self, receipt: float, stamp: float, values: Array, source: str) -> None:
        """Take what is followed, fractions of maximum velocity, and whose it is."""
        number = f.SOURCES.index(source) if source in f.SOURCES else 0
        self._newest[f.ACTION] = np.where(np.isfinite(values), values, 0.0)
        self._newest[f.SOURCE] = number
        self._action_at = receipt
        if self.running:
            self._sink.control(stamp, self._newest[f.ACTION], number)

    def mode(self, mode: str, intervening: bool = False) -> None:
        """Take the gate's mode, and whether the operator has taken over from the planner."""
        self._intervening = intervening
        self._newest[f.MODE] = f.MODES.index(mode) if mode in f.MODES else 0

    def vector(self, name: str, values: Array) -> None:
        """Take a feature's newest values, if the set has it; what is not finite becomes 0."""
        if name in self._newest:
            self._newest[name] = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)

    def image(self, camera: str, stamp: float, picture: NDArray[np.uint8]) -> None:
        """Take a picture, RGB, if the set has its camera; one of another size is refused.

        Raises:
            DatasetError: it has another size.
        """
        name = f.IMAGES + camera
        if name in self.info.features:
            self._images[name] = (stamp, self.info.checked(name, picture))

    @property
    def missing(self) -> list[str]:
        """Cameras of the set of which no picture has come yet."""
        return [n.removeprefix(f.IMAGES) for n in self.info.videos if n not in self._images]

    def _emit(self, until: float) -> None:
        """Make the frames that are due before ``until`` [s] of the last state."""
        assert self._state is not None
        receipt, stamp, values = self._state
        made = 0
        while self._anchor + self._count * self._period < until:
            self._sink.add(self._frame(receipt, stamp, values))
            self.frames += 1
            self.repeated += made > 0
            made += 1
            self._count += 1

    def _frame(self, receipt: float, stamp: float, values: Array) -> dict[str, Any]:
        frame = dict(self._newest)
        if receipt - self._action_at > OLD:
            frame |= {f.ACTION: self._zeros, f.SOURCE: 0}
        driven = f.SOURCES[frame[f.SOURCE]] == "teleop"
        frame[f.INTERVENTION] = int(driven and self._intervening)
        frame |= {f.STATE: values, f.RECEIPT: receipt, f.STAMP: stamp}
        for name in self.info.videos:
            at, picture = self._images[name]
            frame[name] = picture
            if (key := f.image_stamp(name)) in self.info.features:
                frame[key] = at
        return frame
