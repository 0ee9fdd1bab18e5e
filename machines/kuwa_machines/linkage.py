"""How a cylinder turns a joint: length and lever arm as functions of the joint angle."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from kuwa_machines.arrays import Array
from kuwa_machines.datafile import Data
from kuwa_machines.units import Length, Point2


def rotate_y(point: tuple[float, float], q: Array) -> Array:
    """Rotate (x, z) about +y by q: positive q turns x towards −z. Shape (2, len(q))."""
    c, s = np.cos(q), np.sin(q)
    return np.stack([c * point[0] + s * point[1], -s * point[0] + c * point[1]])


class Triangle(Data):
    """A cylinder straight across the joint.

    ``base`` is its pin on the parent link, relative to the joint axis and in the parent's frame;
    ``rod_pin`` its pin on the child link, in the child's frame.
    """

    type: Literal["triangle"]
    base: Point2
    rod_pin: Point2

    def length(self, q: ArrayLike) -> Array:
        """Pin-to-pin cylinder length [m] at joint angles q [rad]."""
        moving = rotate_y(self.rod_pin, np.asarray(q, dtype=float))
        return np.hypot(moving[0] - self.base[0], moving[1] - self.base[1])


class FourBar(Data):
    """A cylinder that turns the child link through a rocker and a connecting link.

    Points are relative to the joint axis: ``base`` (cylinder) and ``rocker_pivot`` in the parent's
    frame, ``link_pin`` in the child's. The rod acts on the pin between rocker and connecting link.
    """

    type: Literal["four_bar"]
    base: Point2
    rocker_pivot: Point2
    link_pin: Point2
    rocker: Length
    link: Length

    def length(self, q: ArrayLike) -> Array:
        """Pin-to-pin cylinder length [m] at joint angles q [rad]; NaN where the bars cannot meet.

        The rod pin is the outer intersection of two circles: of radius ``rocker`` about its pivot
        and of radius ``link`` about the child's pin.
        """
        pin = rotate_y(self.link_pin, np.asarray(q, dtype=float))
        vx, vz = pin[0] - self.rocker_pivot[0], pin[1] - self.rocker_pivot[1]
        d = np.hypot(vx, vz)
        along = (self.rocker**2 - self.link**2 + d**2) / (2 * d)
        with np.errstate(invalid="ignore"):
            across = np.sqrt(self.rocker**2 - along**2)
        outer = np.where(vx >= 0, 1.0, -1.0)
        ex = self.rocker_pivot[0] + (along * vx - outer * across * vz) / d
        ez = self.rocker_pivot[1] + (along * vz + outer * across * vx) / d
        return np.hypot(ex - self.base[0], ez - self.base[1])


def lever_arm(linkage: Triangle | FourBar, q: ArrayLike) -> Array:
    """Return dL/dq [m/rad] by central differences: torque = force · lever arm."""
    h = 1e-5
    angle = np.asarray(q, dtype=float)
    return np.asarray((linkage.length(angle + h) - linkage.length(angle - h)) / (2 * h))
