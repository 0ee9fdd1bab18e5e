"""A machine's moving parts, points and boxes as the arrays that the kernel of postures works on."""

from __future__ import annotations

from typing import Final

import numpy as np

from kuwa_hardware.keepout import KeepOut
from kuwa_hardware.kernels import postures as at
from kuwa_machines.arrays import Array
from kuwa_machines.chain import AXIS, Chain
from kuwa_machines.safety import (
    CLEARANCE,
    STABILITY_MARGIN,
    heaviest_load,
    load_point,
    support_polygon,
    tool_points,
)
from kuwa_machines.spec import Joint, MachineSpec, PassiveJoint

TABLE_POINTS: Final = 65
SPACING: Final = 0.5
"""Between points along the front that are kept out of zones [m]."""
NOISE: Final = 0.1
"""Kept from the edge of the work space: the tool's place is known to some centimetres, and on its
oil columns the arm swings by as much [m]."""
POSTURES: Final = 5
"""Of each joint, to see how far it moves the centre of mass at most."""
STEP: Final = 1e-4
"""Of a joint, for the same [rad]."""
MOVING: Final = 2.0
"""So much faster than the centre of mass its distance from a tipping line may change: motion takes
of it as well."""
TURNING: Final = 1.25
"""The same with the whole upper machine, which turns about what motion takes."""


class Bodies:
    """Arrays of one machine; see :mod:`kuwa_hardware.kernels.postures` for their columns.

    Moving are the links on the way from the undercarriage to the tool; all others stand still,
    with their masses where they are at home.
    """

    def __init__(self, spec: MachineSpec, zones: KeepOut | None = None) -> None:
        joints: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
        by_child = {joint.child: (name, joint) for name, joint in joints.items()}
        self.names: list[str] = []
        link = spec.tool.link
        while link in by_child:
            self.names.insert(0, link)
            link = by_child[link][1].parent
        self.index = {name: k for k, name in enumerate(self.names)}
        order = list(spec.joint_names)
        rows: list[Array] = []
        tables: list[Array] = []
        grids: list[tuple[float, float]] = []
        for name in self.names:
            joint_name, joint = by_child[name]
            row = np.zeros(at.N_LINK)
            row[at.PARENT] = self.index.get(joint.parent, -1)
            row[at.AXIS], row[at.LED] = AXIS[joint.axis], -1
            row[at.PIN_X : at.PIN_Z + 1] = joint.origin
            row[at.MASS] = spec.links[name].mass
            row[at.COM_X : at.COM_Z + 1] = spec.links[name].com
            row[at.JOINT] = -1
            if isinstance(joint, Joint):
                row[at.JOINT] = order.index(joint_name)
            elif joint.follows is not None:
                row[at.JOINT], row[at.LED] = order.index(joint.follows.joint), len(tables)
                leader = spec.joints[joint.follows.joint].position
                grid = np.linspace(leader.min, leader.max, TABLE_POINTS)
                tables.append(joint.follows.angle(grid))
                grids.append((grid[0], grid[1] - grid[0]))
            rows.append(row)
        self.links = np.array(rows).reshape(-1, at.N_LINK)
        self.led = np.array(tables).reshape(-1, TABLE_POINTS)
        self.led_grid = np.array(grids).reshape(-1, 2)
        self.weight = self._weights(spec)
        self.support = _half_planes(support_polygon(spec))
        self.boxes = self._boxes(spec)
        self.points = self._points(spec)
        self.balls = self._balls()
        self.space = self._space(spec)
        self.zones, self.edges = (zones or KeepOut({})).arrays()
        self.weight[at.KEEP_ZONE] = (zones or KeepOut({})).clearance
        self.base = np.vstack([np.eye(3), np.zeros(3)])
        self.on_map = bool(len(self.zones) and self.zones[:, at.ON_MAP].any())
        self.levers = self._levers(spec)
        self.heaviest = heaviest_load(spec)

    def _weights(self, spec: MachineSpec) -> Array:
        w = np.zeros(at.N_WEIGHT)
        chain: dict[str, Joint | PassiveJoint] = {**spec.joints, **spec.passive_joints}
        parents = {joint.child: joint for joint in chain.values()}
        moment = np.zeros(3)
        for name, link in spec.links.items():
            if name in self.index:
                continue
            # What does not lead to the tool counts where it is with all joints at zero.
            place, above = np.array(link.com), name
            while above in parents:
                place = place + parents[above].origin
                above = parents[above].parent
            w[at.M0] += link.mass
            moment += link.mass * place
        w[at.M0_X : at.M0_Z + 1] = moment / w[at.M0]
        w[at.LOAD_LINK] = self.index.get(spec.tool.link, -1)
        w[at.LOAD_X : at.LOAD_Z + 1] = load_point(spec)
        w[at.DOWN_Z] = -1.0
        s = spec.safety
        w[at.KEEP_REACH] = NOISE
        w[at.KEEP_TIP] = STABILITY_MARGIN if s.stability_margin is None else s.stability_margin
        w[at.KEEP_SELF] = CLEARANCE if s.clearance is None else s.clearance
        return w

    def _boxes(self, spec: MachineSpec) -> Array:
        rows = [
            (float(self.index.get(box.link, -1)), *box.low, *box.high)
            for box in spec.safety.boxes.values()
        ]
        return np.array(rows).reshape(-1, at.N_BOX)

    def _points(self, spec: MachineSpec) -> Array:
        link, places = tool_points(spec)
        rows = [(self.index.get(link, -1), *p) for p in places]
        for spot in spec.safety.tool_points.values():
            rows.append((self.index.get(spot.link, -1), *spot.at))
        self.tools = len(rows)
        # Along the front, from pin to pin, and the corners of what turns with it.
        for k in range(1, len(self.names)):
            pin = self.links[k, at.PIN_X : at.PIN_Z + 1]
            count = int(np.ceil(np.linalg.norm(pin) / SPACING))
            for share in np.linspace(0.0, 1.0, count + 1)[1:]:
                rows.append((k - 1, *(share * pin)))
        for box in self.boxes:
            if box[at.BOX_LINK] >= 0:
                for x in (box[at.LOW_X], box[at.HIGH_X]):
                    for y in (box[at.LOW_Y], box[at.HIGH_Y]):
                        rows.append((box[at.BOX_LINK], x, y, box[at.LOW_Z]))
        rows[self.tools :] = sorted(rows[self.tools :], key=lambda row: row[0])
        return np.array(rows, dtype=float).reshape(-1, at.N_POINT)

    def _space(self, spec: MachineSpec) -> Array:
        work = spec.safety.workspace
        row = np.full(at.N_SPACE, at.FAR)
        for column, value in ((at.RADIUS, work.radius), (at.TOP, work.height)):
            row[column] = at.FAR if value is None else value
        row[at.BOTTOM] = -(at.FAR if work.depth is None else work.depth)
        root = self.links[0, at.PIN_X : at.PIN_Y + 1] if len(self.links) else np.zeros(2)
        row[at.ROOT_X : at.ROOT_Y + 1] = root
        row[at.SPACE_LOW_X : at.SPACE_LOW_Z + 1] = work.low or (-at.FAR,) * 3
        row[at.SPACE_HIGH_X : at.SPACE_HIGH_Z + 1] = work.high or (at.FAR,) * 3
        still = self.boxes[self.boxes[:, at.BOX_LINK] < 0]
        row[at.BODY_RADIUS], row[at.BODY_LOW], row[at.BODY_HIGH] = 0.0, at.FAR, at.FAR
        if not self._turns():
            row[at.BODY_RADIUS], row[at.BODY_LOW] = at.FAR, -at.FAR
        elif len(still):
            low, high = still[:, at.LOW_X : at.LOW_Z + 1], still[:, at.HIGH_X : at.HIGH_Z + 1]
            corner = np.maximum(np.abs(low[:, :2] - root), np.abs(high[:, :2] - root))
            row[at.BODY_RADIUS] = np.hypot(*corner.T).max()
            row[at.BODY_LOW], row[at.BODY_HIGH] = low[:, 2].min(), high[:, 2].max()
        return row

    def _balls(self) -> Array:
        """Return balls around the points of the tool and of each link, shape (b, 8)."""
        rows = [self._ball(0, self.tools)]
        first = self.tools
        for last in range(first + 1, len(self.points) + 1):
            if last == len(self.points) or (
                self.points[last, at.LINK] != self.points[first, at.LINK]
            ):
                rows.append(self._ball(first, last))
                first = last
        return np.array(rows)

    def _ball(self, first: int, last: int) -> Array:
        row = np.zeros(at.N_BALL)
        own = self.points[first:last]
        row[at.LINK], row[at.FROM], row[at.TO] = -1, first, last
        if len(own):
            places = own[:, at.AT_X : at.AT_Z + 1]
            centre = places.mean(0)
            row[at.LINK] = own[0, at.LINK]
            row[at.AT_X : at.AT_Z + 1] = centre
            row[at.SIZE] = np.linalg.norm(places - centre, axis=1).max()
            if (own[:, at.LINK] != own[0, at.LINK]).any():
                # Points of several links have no ball in common: look at each.
                row[at.SIZE] = 10.0 * at.FAR
        return row

    def _levers(self, spec: MachineSpec) -> Array:
        """Return how fast each distance changes with each joint at most, shape (n, 5) [m/rad]."""
        out = np.repeat(self._farthest(len(spec.joint_names))[:, None], at.N_DISTANCES, axis=1)
        out[:, at.G_TIP] = MOVING * self._balance(spec)
        if self._turns():
            # As far out and as high as before, however the whole upper machine turns.
            first = int(self.links[0, at.JOINT])
            out[first, at.G_TIP] *= TURNING / MOVING
            out[first, at.G_TURNED] = 0.0
            s = self.space
            sides = s[[at.SPACE_LOW_X, at.SPACE_LOW_Y, at.SPACE_HIGH_X, at.SPACE_HIGH_Y]]
            root = s[at.ROOT_X : at.ROOT_Y + 1]
            if s[at.RADIUS] + np.abs(root).max() <= np.abs(sides).min():
                out[first, at.G_REACH] = 0.0
        return out

    def _turns(self) -> bool:
        """Return whether the first joint turns all that moves about an upright axis."""
        if not len(self.links):
            return False
        first = self.links[0, at.JOINT]
        alone = first >= 0 and (self.links[:, at.JOINT] == first).sum() == 1
        return bool(alone and self.links[0, at.AXIS] == AXIS["z"])

    def _farthest(self, n: int) -> Array:
        """Return how far the farthest point may be from each joint, shape (n,) [m]."""
        out = np.zeros(n)
        farthest = 0.0
        for k in reversed(range(len(self.names))):
            own = self.points[self.points[:, at.LINK] == k, at.AT_X : at.AT_Z + 1]
            if len(own):
                farthest = max(farthest, float(np.linalg.norm(own, axis=1).max()))
            j = int(self.links[k, at.JOINT])
            if j >= 0:
                out[j] = max(out[j], farthest)
            farthest += float(np.linalg.norm(self.links[k, at.PIN_X : at.PIN_Z + 1]))
        return out

    def _balance(self, spec: MachineSpec) -> Array:
        """Return how far each joint moves the centre of mass at most, shape (n,) [m/rad].

        In postures all over the joints' ranges, without a load and with the heaviest.
        """
        n = len(spec.joint_names)
        out = np.zeros(n)
        # What nothing leads turns all that moves alike in each of the first hinge's positions.
        bends = {int(row[at.JOINT]) for k, row in enumerate(self.links) if k or row[at.LED] >= 0}
        ends = [
            np.linspace(max(low, -np.pi), min(high, np.pi), POSTURES if j in bends else 1)
            for j, (low, high) in enumerate(zip(spec.q_min, spec.q_max, strict=True))
        ]
        q = np.stack(np.meshgrid(*ends), -1).reshape(-1, n)
        for load in (0.0, heaviest_load(spec)):
            here = self._centre(spec, q, load)
            for j in {int(j) for j in self.links[:, at.JOINT] if j >= 0}:
                there = self._centre(spec, q + STEP * np.eye(n)[j], load)
                farthest = np.linalg.norm(there - here, axis=1).max()
                out[j] = max(out[j], float(farthest) / STEP)
        return out

    def _centre(self, spec: MachineSpec, q: Array, load: float) -> Array:
        """Return the whole machine's centre of mass in postures (T, n), base frame, (T, 3) [m]."""
        total = self.weight[at.M0] + self.links[:, at.MASS].sum() + load
        moment = self.weight[at.M0] * self.weight[at.M0_X : at.M0_Z + 1]
        for name in self.names:
            link = spec.links[name]
            moment = moment + link.mass * Chain(spec, name).place(q, link.com)
        return (moment + load * Chain(spec, spec.tool.link).place(q, load_point(spec))) / total


def _half_planes(polygon: Array) -> Array:
    """Return inward normals and offsets of a convex polygon: n·p + c is the distance inside."""
    rows = []
    centre = polygon.mean(0)
    for a, b in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        normal = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a)
        if normal @ (centre - a) < 0:
            normal = -normal
        rows.append((*normal, -normal @ a))
    return np.array(rows)
