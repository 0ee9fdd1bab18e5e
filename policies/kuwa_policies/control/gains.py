"""Tuning of the conventional controller."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gains:
    """Tuning of :class:`TrackingController`.

    Args:
        k_p: position gain times the dead time. k_p_slewing: of the joint that slews a front.
        give: while it moves, a slewing joint is left alone up to this error [rad]: its oil gives
            that much, and comes back by itself before a correction could arrive.
        k_p_max: bound on the position gain where dead times are short [1/s].
        k_g: how much of a wrong prediction g takes over per dead time.
        g_max: bound on g, and 1/g_max the other; a joint further off is stalled, which says
            nothing about its valve.
        rest_in, rest_out: a resting joint is left alone below rest_out and corrected down to
            rest_in [rad].
        settle, held: so long after its reference came to rest [s] a slewing joint is left alone up
            to ``held`` [rad]: between the walls of a trench the oil would only be wound up.
        still: a reference slower than this is at rest [rad/s].
        soft: share of full flow below which the dead band is crossed on a ramp.
        loss_time: time constant with which a travel drive's loss of speed is taken over [s].
        loss_spare: loss taken over beyond the drive's own droop, as a share of its speed.
        crawl: a travel reference slower than this share of the full speed is at rest.
        slew: fastest change of a command [1/s]; below what a gate lets through.
    """

    k_p: float = 1.2
    k_p_slewing: float = 0.7
    give: float = 0.005
    k_p_max: float = 2.5
    k_g: float = 0.1
    g_max: float = 1.25
    rest_in: float = math.radians(0.08)
    rest_out: float = math.radians(0.2)
    settle: float = 1.5
    held: float = math.radians(0.6)
    still: float = 1e-3
    soft: float = 4e-4
    loss_time: float = 0.25
    loss_spare: float = 0.1
    crawl: float = 1e-3
    slew: float = 9.5
