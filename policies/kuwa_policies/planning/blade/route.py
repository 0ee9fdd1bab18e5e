"""Ways between passes: backwards into the next lane on a smooth curve, and forwards along it."""

from __future__ import annotations

import math

import numpy as np

from kuwa_machines.paths import Polyline
from kuwa_policies.planning.blade.passes import Pass
from kuwa_policies.planning.blade.surface import Surface
from kuwa_policies.planning.driving.pose import Pose
from kuwa_policies.planning.driving.steer import Way

STRAIGHT = (0.8, 1.5)
"""Backing away begins and ends straight for so long [m]."""
STEEP = 0.45
"""Steepest direction of the curve between lanes [rad]."""
LEAD = 0.6
"""The machine stands this far before the place where its edge comes down [m]."""
POINTS = 24


def lane_way(surface: Surface, lane: Pass, reach: float, speed: float) -> Way:
    """Return the way forwards along a lane, on which the origin stops ``reach`` before its end."""
    first, last = lane.begin - reach - LEAD, lane.end - reach
    path = Polyline([surface.point(first, lane.offset), surface.point(last, lane.offset)])
    return Way(path, False, speed, path.length)


def back_way(surface: Surface, lane: Pass, pose: Pose, reach: float, speed: float) -> Way:
    """Return the way from where the machine stands to the beginning of a lane.

    Backwards on a curve if the lane begins behind the machine and there is room for it, otherwise
    straight there, whichever end first.
    """
    along, across = (float(v) for v in surface.frame(*pose.position[:2]))
    goal = lane.begin - reach - LEAD
    room = along - goal - sum(STRAIGHT)
    shift = lane.offset - across
    ahead = math.cos(pose.yaw - surface.yaw)
    # A cosine's steepest direction is π/2 times its mean.
    if ahead > 0.8 and room > 0.5 * math.pi * abs(shift) / math.tan(STEEP) and room > 0.0:
        u = np.linspace(0.0, 1.0, POINTS)
        s = np.concatenate([[along], along - STRAIGHT[0] - u * room, [goal]])
        side = across + shift * np.concatenate([[0.0], 0.5 * (1 - np.cos(np.pi * u)), [1.0]])
        path = Polyline(np.column_stack(surface.point(s, side)))
        return Way(path, True, speed, path.length)
    x, y = surface.point(goal, lane.offset)
    if math.hypot(x - pose.position[0], y - pose.position[1]) < 0.05:
        x += 0.05 * math.cos(pose.yaw)
        y += 0.05 * math.sin(pose.yaw)
    path = Polyline(np.array([pose.position[:2], (x, y)], dtype=float))
    behind = math.cos(float(path.direction(0.0)) - pose.yaw) < 0.0
    return Way(path, behind, speed, path.length)
