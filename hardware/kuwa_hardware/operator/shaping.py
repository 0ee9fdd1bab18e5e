"""From where a stick is to how fast a joint should go: dead zone, progression, scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.errors import CommandError


@dataclass(frozen=True, slots=True)
class Shaping:
    """The curve of a lever: y = scale ((1 − expo) s + expo s³), s = (|x| − zone)/(1 − zone).

    Args:
        dead_zone: deflection that counts as none.
        expo: 0: straight; 1: cubic, fine near the middle.
        scale: of full deflection.
    """

    dead_zone: float = 0.08
    expo: float = 0.4
    scale: float = 1.0

    def __post_init__(self) -> None:
        for name, low, high in (("dead_zone", 0.0, 0.5), ("expo", 0.0, 1.0), ("scale", 0.0, 1.0)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise CommandError(f"{name} {value!r}; expected {low:g} to {high:g}")

    def __call__(self, levers: Array) -> Array:
        """Return shaped levers, shape (m,), from -1 to 1."""
        x = np.clip(levers, -1.0, 1.0)
        s = np.maximum(np.abs(x) - self.dead_zone, 0.0) / (1.0 - self.dead_zone)
        return np.sign(x) * self.scale * ((1.0 - self.expo) * s + self.expo * s**3)

    def centred(self, levers: Array) -> bool:
        """Return whether every lever is in its dead zone."""
        return bool((np.abs(levers) <= max(self.dead_zone, 0.02)).all())
