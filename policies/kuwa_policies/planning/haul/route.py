"""The way of a haul as stretches to drive, with turns on the spot at sharp corners.

A body empties over its rear, so the machine comes to the end of the way rear first: backwards all
the way if it stands with its rear towards the way, otherwise forwards up to a turn on the spot at
the end. It leaves the heap forwards.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuwa_machines.arrays import Array
from kuwa_machines.chain import Chain
from kuwa_machines.errors import KuwaError, MachineError
from kuwa_machines.paths import Polyline
from kuwa_machines.spec import DumpBody, MachineSpec
from kuwa_policies.planning.driving.steer import Turn, Way

CORNER = math.radians(40)
"""A way that turns by more than this at a point is driven to the point and turned there."""
FALL = 0.2
"""Soil comes to lie this far behind the rear edge [m]."""
MARGIN = 0.02
"""The body stays this far from the ends of its range, where the gate brakes it [rad]."""
BACK_UP = 0.5
"""After a turn at the end the machine backs up to its place by this much [m]."""
START = 5.0
"""The machine must stand this close to the beginning of its way [m]."""


@dataclass(frozen=True, slots=True)
class Body:
    """The tipping body.

    Args:
        joint: index of its joint. lowered, tipped: its positions [rad].
        reach: from the machine's origin back to where the soil falls when tipped [m].
        mass: of the machine [kg]. weight_at, load_at: x of its centre of mass, and of the load's,
            in the undercarriage's frame [m].
    """

    joint: int
    lowered: float
    tipped: float
    reach: float
    mass: float
    weight_at: float
    load_at: float

    def balance(self, load: float) -> float:
        """Return x of the centre of mass with a load [kg] in the body [m]."""
        return (self.mass * self.weight_at + load * self.load_at) / (self.mass + load)

    @classmethod
    def from_spec(cls, spec: MachineSpec) -> Body:
        """Return the body in a machine's data.

        Raises:
            MachineError: the machine has no body that one joint tips.
        """
        tool = spec.tool
        if not isinstance(tool, DumpBody):
            raise MachineError(f"{spec.name}: its tool is a {tool.type}; this needs a dump body")
        chain = Chain(spec, tool.link)
        if len(chain.names) != 1:
            raise MachineError(
                f"{spec.name}: {len(chain.names)} joints lead to its body; expected one to tip it"
            )
        joint = spec.joint_names.index(chain.names[0])
        low, high, home = spec.q_min[joint], spec.q_max[joint], spec.home[joint]
        tipped = float(low if home - low > high - home else high)
        q = spec.home.copy()
        q[joint] = tipped
        rear = chain.place(q, (tool.profile[-1][0], 0.0, tool.profile[-1][1]))
        lowered = float(np.clip(home, low + MARGIN, high - MARGIN))
        tipped += math.copysign(MARGIN, lowered - tipped)
        mass = sum(link.mass for link in spec.links.values())
        weight = sum(
            link.mass * float(Chain(spec, name).place(spec.home, link.com)[0])
            for name, link in spec.links.items()
        )
        load_at = chain.place(spec.home, (np.mean(np.array(tool.profile), axis=0)[0], 0.0, 0.0))
        return cls(
            joint, lowered, tipped, FALL - float(rear[0]), mass, weight / mass,
            float(load_at[0]),
        )  # fmt: skip


class Route:
    """The stretches of one haul there and back.

    Args:
        points: of the way, shape (K, 2) [m]. speed: [m/s].
        start: the machine's origin at the loading place (x, y) [m]. yaw: heading there [rad].
        reach: see :class:`Body`.
        centre: x of the point about which the machine turns [m].

    Raises:
        KuwaError: the machine stands too far from the way, or the way is too short to stop on.
    """

    def __init__(
        self, points: Polyline, speed: float, start: Array, yaw: float, reach: float,
        centre: float,
    ) -> None:  # fmt: skip
        at, off = points.project(start, 0.0)
        if abs(off) > START or abs(at) > START:
            x, y = points.points[0]
            raise KuwaError(
                f"the machine stands {math.hypot(off, at):.1f} m from the beginning of its way at "
                f"({x:g}, {y:g}) m; at most {START:g} m are allowed"
            )
        stop = points.length - reach
        if stop - at < 0.5:
            raise KuwaError(
                f"the way is {points.length:.1f} m long; with its rear over the end the machine "
                f"stops {reach:.1f} m before it, which is no way to drive"
            )
        rear_first = math.cos(yaw - float(points.direction(max(at, 0.0)))) < 0.0
        self.out: list[Way | Turn]
        if rear_first:
            self.out = [*stretches(points, stop, True, speed)]
        else:
            self.out = [*stretches(points, stop - BACK_UP, False, speed)]
            self.out.append(Turn(float(points.direction(stop)) + math.pi))
            self.out.append(stretches(points, stop, True, speed, stop - 2 * BACK_UP)[-1])
        home = Polyline(points.points[::-1])
        # A turn on the spot at the start swaps the sides of the turning point.
        back = points.length - at - (0.0 if rear_first else 2 * centre)
        self.back: list[Way | Turn] = [*stretches(home, back, False, speed, reach)]
        self.back.append(Turn(yaw))


def stretches(
    path: Polyline, until: float, reverse: bool, speed: float, begin: float = 0.0
) -> list[Way]:
    """Cut a path at its sharp corners, between two arc lengths [m]."""
    yaw = np.asarray(path.direction(0.5 * (path.s[1:] + path.s[:-1])))
    bend = np.abs(np.remainder(np.diff(yaw) + np.pi, 2 * np.pi) - np.pi)
    cuts = [int(k) + 1 for k in np.flatnonzero(bend > CORNER) if begin < path.s[k + 1] < until]
    first = int(np.searchsorted(path.s, begin, side="right")) - 1
    out = []
    for k, end in zip([first, *cuts], [*cuts, len(path.s) - 1], strict=True):
        part = Polyline(path.points[k : end + 1])
        last = end == len(path.s) - 1
        out.append(Way(part, reverse, speed, until - path.s[k] if last else None))
    return out
