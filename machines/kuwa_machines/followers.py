"""Joints led by another one through bars: a front axle's far wheel, a three-point hitch."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data
from kuwa_machines.linkage import rotate_y
from kuwa_machines.units import Length, Point2


class Ackermann(Data):
    """The other wheel of a steered axle: both axles' lines meet on the line of the fixed axle.

    cot δ_right = cot δ_left + ``gauge``/``wheelbase``, δ positive to the left.
    """

    type: Literal["ackermann"]
    joint: str
    wheelbase: Length
    gauge: Length

    def angle(self, q: ArrayLike) -> Array:
        """Angle of the led (right) wheel [rad] where the leading (left) one is at ``q`` [rad]."""
        t = np.tan(np.asarray(q, dtype=float))
        return np.asarray(np.arctan2(t, 1 + t * self.gauge / self.wheelbase))


class TopLink(Data):
    """The implement on a three-point hitch: lower links and top link are a four-bar.

    The leading joint turns the lower links about +y through its axis. ``lower_end`` is their end in
    their own frame, where the led joint carries the implement; ``top_pin`` is the top link's pin on
    the tractor relative to the leading axis, ``mast_pin`` its pin on the implement relative to the
    led axis; ``length`` that of the top link.
    """

    type: Literal["top_link"]
    joint: str
    lower_end: Point2
    top_pin: Point2
    mast_pin: Point2
    length: Length

    def angle(self, q: ArrayLike) -> Array:
        """Angle of the implement against the lower links [rad]; NaN where the bars cannot meet.

        |E(q) + R(q + a) m − t| = L with mast m: a point at distance |m| from E and L from t.
        """
        angle = np.atleast_1d(np.asarray(q, dtype=float))
        end = rotate_y(self.lower_end, angle)
        dx, dz = self.top_pin[0] - end[0], self.top_pin[1] - end[1]
        d = np.hypot(dx, dz)
        mast = float(np.hypot(*self.mast_pin))
        with np.errstate(invalid="ignore"):
            bend = np.arccos((mast**2 + d**2 - self.length**2) / (2 * mast * d))
        # The mast stands on the implement's side of the line to the tractor's pin.
        towards = np.arctan2(dz, dx)
        side = -1.0 if dx[0] > 0 else 1.0
        direction = towards + side * -bend
        own = np.arctan2(self.mast_pin[1], self.mast_pin[0])
        pitch = own - direction
        led = pitch - angle
        return np.asarray((led + np.pi) % (2 * np.pi) - np.pi)


Follower = Annotated[Ackermann | TopLink, Field(discriminator="type")]
