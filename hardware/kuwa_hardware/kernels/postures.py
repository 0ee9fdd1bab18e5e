"""Where the machine's parts are in a posture, and how far that is from harm; compiled.

Four distances, each in metres and negative where a limit is passed: of the tool from the edge of
its work space, of the centre of mass from the lines over which the machine tips, of the tool from
the machine's own body, and of all moving parts from the zones that are kept out. A fifth is at most
the third however the whole upper machine is turned.
"""

from __future__ import annotations

import math

from numba import njit

# A moving link: its parent among the moving links (−1: the undercarriage), its axis, the joint that
# turns it (−1: none), a table of a led joint (−1: none), its pin, its mass and centre of mass.
(
    PARENT, AXIS, JOINT, LED, PIN_X, PIN_Y, PIN_Z, MASS, COM_X, COM_Y, COM_Z, N_LINK,
) = range(12)  # fmt: skip
# A point: its link, and where.
LINK, AT_X, AT_Y, AT_Z, N_POINT = range(5)
# A ball around points of a link begins like a point: its size, and which points from and to.
SIZE, FROM, TO, N_BALL = range(4, 8)
# A box of the body: its link and corners.
BOX_LINK, LOW_X, LOW_Y, LOW_Z, HIGH_X, HIGH_Y, HIGH_Z, N_BOX = range(8)
# Work space, and the upright drum about its root that holds the boxes that do not turn with it.
(
    RADIUS, ROOT_X, ROOT_Y, TOP, BOTTOM, SPACE_LOW_X, SPACE_LOW_Y, SPACE_LOW_Z, SPACE_HIGH_X,
    SPACE_HIGH_Y, SPACE_HIGH_Z, BODY_RADIUS, BODY_LOW, BODY_HIGH, N_SPACE,
) = range(15)  # fmt: skip
# A zone: its edges from first to last, heights, whether on the map, and the box around it.
FIRST, LAST, Z_LOW, Z_HIGH, ON_MAP, X_LOW, X_HIGH, Y_LOW, Y_HIGH, N_ZONE = range(10)
# Weights: standing mass and its centre, the load's link, place and mass, gravity's direction in the
# base frame, and how far limits are kept away.
(
    M0, M0_X, M0_Y, M0_Z, LOAD_LINK, LOAD_X, LOAD_Y, LOAD_Z, LOAD, DOWN_X, DOWN_Y, DOWN_Z,
    KEEP_REACH, KEEP_TIP, KEEP_SELF, KEEP_ZONE, N_WEIGHT,
) = range(17)  # fmt: skip
# The four distances that have limits, and the fifth.
G_REACH, G_TIP, G_SELF, G_ZONE, N_GROUPS = range(5)
G_TURNED, N_DISTANCES = range(4, 6)

GRAVITY = 9.81
PRESSURE_FALL = 0.1
"""Of its way down that what counts of a pressure goes with each state: a tenth of a second at
100 Hz. Upwards it goes at once: a load that comes must be paid for before the engine stalls."""
FARTHEST, HIGHEST = 1e7, 1e9
"""A machine that is farther from the map's origin [m], and a pressure above [Pa], are none."""
FAR = 1e3
CLOSE = 1.0
"""Farther than this the distance of a ball around the tool does [m]."""


@njit(cache=True, error_model="numpy")
def place(q, links, led, led_grid, rot, pos):  # type: ignore[no-untyped-def]
    """Fill rotation (k, 3, 3) and position (k, 3) of every moving link in the base frame."""
    for k in range(links.shape[0]):
        j = int(links[k, JOINT])
        angle = q[j] if j >= 0 else 0.0
        row = int(links[k, LED])
        if row >= 0:
            x = (angle - led_grid[row, 0]) / led_grid[row, 1]
            last = led.shape[1] - 1
            i = min(max(int(x), 0), last - 1)
            angle = led[row, i] + min(max(x - i, 0.0), 1.0) * (led[row, i + 1] - led[row, i])
        c, s = math.cos(angle), math.sin(angle)
        a = int(links[k, AXIS])
        b, d = (a + 1) % 3, (a + 2) % 3
        up = int(links[k, PARENT])
        for r in range(3):
            if up < 0:
                ra = 1.0 if r == a else 0.0
                rb = 1.0 if r == b else 0.0
                rd = 1.0 if r == d else 0.0
                pos[k, r] = links[k, PIN_X + r]
            else:
                ra, rb, rd = rot[up, r, a], rot[up, r, b], rot[up, r, d]
                pos[k, r] = (
                    pos[up, r]
                    + rot[up, r, 0] * links[k, PIN_X]
                    + rot[up, r, 1] * links[k, PIN_Y]
                    + rot[up, r, 2] * links[k, PIN_Z]
                )
            rot[k, r, a] = ra
            rot[k, r, b] = c * rb + s * rd
            rot[k, r, d] = c * rd - s * rb


@njit(cache=True, error_model="numpy")
def to_base(k, x, y, z, rot, pos):  # type: ignore[no-untyped-def]
    """Map a point of moving link k (−1: of the undercarriage) into the base frame."""
    if k < 0:
        return x, y, z
    return (
        pos[k, 0] + rot[k, 0, 0] * x + rot[k, 0, 1] * y + rot[k, 0, 2] * z,
        pos[k, 1] + rot[k, 1, 0] * x + rot[k, 1, 1] * y + rot[k, 1, 2] * z,
        pos[k, 2] + rot[k, 2, 0] * x + rot[k, 2, 1] * y + rot[k, 2, 2] * z,
    )


@njit(cache=True, error_model="numpy")
def reach_distance(x, y, z, space):  # type: ignore[no-untyped-def]
    """Distance of a point from the nearest side of the work space."""
    g = space[RADIUS] - math.hypot(x - space[ROOT_X], y - space[ROOT_Y])
    g = min(g, space[TOP] - z, z - space[BOTTOM])
    g = min(g, x - space[SPACE_LOW_X], y - space[SPACE_LOW_Y], z - space[SPACE_LOW_Z])
    return min(g, space[SPACE_HIGH_X] - x, space[SPACE_HIGH_Y] - y, space[SPACE_HIGH_Z] - z)


@njit(cache=True, error_model="numpy")
def box_distance(x, y, z, boxes, i, rot, pos):  # type: ignore[no-untyped-def]
    """Distance of a point of the base frame from box i, negative inside."""
    k = int(boxes[i, BOX_LINK])
    if k >= 0:
        a, b, c = x - pos[k, 0], y - pos[k, 1], z - pos[k, 2]
        x = rot[k, 0, 0] * a + rot[k, 1, 0] * b + rot[k, 2, 0] * c
        y = rot[k, 0, 1] * a + rot[k, 1, 1] * b + rot[k, 2, 1] * c
        z = rot[k, 0, 2] * a + rot[k, 1, 2] * b + rot[k, 2, 2] * c
    dx = max(boxes[i, LOW_X] - x, x - boxes[i, HIGH_X])
    dy = max(boxes[i, LOW_Y] - y, y - boxes[i, HIGH_Y])
    dz = max(boxes[i, LOW_Z] - z, z - boxes[i, HIGH_Z])
    inside = max(dx, dy, dz)
    if inside <= 0.0:
        return inside
    dx, dy, dz = max(dx, 0.0), max(dy, 0.0), max(dz, 0.0)
    return math.sqrt(dx * dx + dy * dy + dz * dz)


@njit(cache=True, error_model="numpy")
def zone_distance(x, y, z, zones, k, edges):  # type: ignore[no-untyped-def]
    """Distance of a point from zone k, a polygon between two heights; negative inside."""
    nearest = FAR * FAR
    inside = False
    for e in range(int(zones[k, FIRST]), int(zones[k, LAST])):
        ax, ay, bx, by = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        ex, ey, px, py = bx - ax, by - ay, x - ax, y - ay
        t = min(max((px * ex + py * ey) / (ex * ex + ey * ey), 0.0), 1.0)
        dx, dy = px - t * ex, py - t * ey
        nearest = min(nearest, dx * dx + dy * dy)
        if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * ex:
            inside = not inside
    nearest = math.sqrt(nearest)
    flat = -nearest if inside else nearest
    tall = max(zones[k, Z_LOW] - z, z - zones[k, Z_HIGH])
    if flat <= 0.0 and tall <= 0.0:
        return max(flat, tall)
    return math.hypot(max(flat, 0.0), max(tall, 0.0))


@njit(cache=True, error_model="numpy")
def around(x, y, z, zones, k):  # type: ignore[no-untyped-def]
    """Distance of a point from the upright box around zone k, at most that from the zone."""
    dx = max(zones[k, X_LOW] - x, x - zones[k, X_HIGH], 0.0)
    dy = max(zones[k, Y_LOW] - y, y - zones[k, Y_HIGH], 0.0)
    dz = max(zones[k, Z_LOW] - z, z - zones[k, Z_HIGH], 0.0)
    return math.sqrt(dx * dx + dy * dy + dz * dz)


@njit(cache=True, error_model="numpy")
def swept_distance(zones, k, edges, points, balls, base, rot, pos, least):  # type: ignore[no-untyped-def]
    """Distance of all points from zone k, or less where that is far; ``least`` was found before."""
    on_map = zones[k, ON_MAP] > 0.0
    for b in range(balls.shape[0]):
        for i in range(int(balls[b, FROM]) - 1, int(balls[b, TO])):
            # First the ball around the points of a link, then these.
            if i < int(balls[b, FROM]):
                x, y, z = to_base(
                    int(balls[b, LINK]), balls[b, AT_X], balls[b, AT_Y], balls[b, AT_Z], rot, pos
                )
            else:
                x, y, z = to_base(
                    int(points[i, LINK]), points[i, AT_X], points[i, AT_Y], points[i, AT_Z],
                    rot, pos,
                )  # fmt: skip
            if on_map:
                x, y, z = (
                    base[0, 0] * x + base[0, 1] * y + base[0, 2] * z + base[3, 0],
                    base[1, 0] * x + base[1, 1] * y + base[1, 2] * z + base[3, 1],
                    base[2, 0] * x + base[2, 1] * y + base[2, 2] * z + base[3, 2],
                )
            rough = around(x, y, z, zones, k)
            if i < int(balls[b, FROM]):
                rough -= balls[b, SIZE]
                if rough >= least:
                    break
                if rough > CLOSE:
                    least = rough
                    break
            elif rough > CLOSE:
                least = min(least, rough)
            elif rough < least:
                least = min(least, zone_distance(x, y, z, zones, k, edges))
    return least


@njit(cache=True, error_model="numpy")
def tip_distance(links, rot, pos, weight, support, dt, before, now):  # type: ignore[no-untyped-def]
    """Distance of the centre of mass from the nearest tipping line, less what motion takes of it.

    The centre is put on the ground along gravity. If the moving parts' kinetic energy K in the
    vertical plane of the tool went all into tipping, it would lift the centre over a line that is
    d = sqrt(2 h K/(M g)) away (energy stability, Messuri and Klein 1985); slewing adds the
    centrifugal force's moment over M g.

    Args:
        dt: since the sample ``before`` [s]; 0: there is none. before, now: where every moving mass
            was and is, base frame, shape (k + 1, 3) [m]; ``now`` is filled.
    """
    mass = weight[M0]
    x, y, z = mass * weight[M0_X], mass * weight[M0_Y], mass * weight[M0_Z]
    energy, moment_x, moment_y = 0.0, 0.0, 0.0
    count = links.shape[0]
    for k in range(count + 1):
        if k < count:
            m, i = links[k, MASS], k
            a, b, c = links[k, COM_X], links[k, COM_Y], links[k, COM_Z]
        else:
            m, i = weight[LOAD], int(weight[LOAD_LINK])
            a, b, c = weight[LOAD_X], weight[LOAD_Y], weight[LOAD_Z]
        if i >= 0:
            px = pos[i, 0] + rot[i, 0, 0] * a + rot[i, 0, 1] * b + rot[i, 0, 2] * c
            py = pos[i, 1] + rot[i, 1, 0] * a + rot[i, 1, 1] * b + rot[i, 1, 2] * c
            pz = pos[i, 2] + rot[i, 2, 0] * a + rot[i, 2, 1] * b + rot[i, 2, 2] * c
        else:
            px, py, pz = a, b, c
        mass += m
        x += m * px
        y += m * py
        z += m * pz
        now[k, 0], now[k, 1], now[k, 2] = px, py, pz
        if dt > 0.0:
            square = max(px * px + py * py, 1e-4)
            turn = (before[k, 0] * py - before[k, 1] * px) / (square * dt)
            rate = 1.0 / (dt * math.sqrt(square))
            vr = ((px - before[k, 0]) * px + (py - before[k, 1]) * py) * rate
            vz = (pz - before[k, 2]) / dt
            energy += 0.5 * m * (vr * vr + vz * vz)
            moment_x += m * turn * turn * px * pz
            moment_y += m * turn * turn * py * pz
    fall = -z / (mass * weight[DOWN_Z])
    px = x / mass + fall * weight[DOWN_X] + moment_x / (mass * GRAVITY)
    py = y / mass + fall * weight[DOWN_Y] + moment_y / (mass * GRAVITY)
    least = FAR
    for e in range(support.shape[0]):
        least = min(least, support[e, 0] * px + support[e, 1] * py + support[e, 2])
    return least - math.sqrt(2.0 * max(z, 0.0) * energy / GRAVITY) / mass


@njit(cache=True, error_model="numpy")
def distances(q, dt, world, out):  # type: ignore[no-untyped-def]
    """Fill the five distances of a posture, each less what is kept away from its limit.

    Args:
        q: joint positions, shape (n,) [rad]. dt: since the sample before [s]; 0: there is none.
        world: links, tables of led joints and their grids, points (those of the tool first), how
            many are the tool's, balls around each link's, the tool's first, boxes, work space,
            zones, edges, base (rotation and, in row 3, position on the map), weights, support, and
            scratch: rotations, positions, places of the masses before and now.
    """
    (links, led, led_grid, points, tools, balls, boxes, space, zones, edges, base, weight, support,
     rot, pos, before, now) = world  # fmt: skip
    place(q, links, led, led_grid, rot, pos)
    reach, own, turned, zone = FAR, FAR, FAR, FAR
    # A ball around the tool says most of the time that it is far from everything.
    size = balls[0, SIZE]
    x, y, z = to_base(int(balls[0, LINK]), balls[0, AT_X], balls[0, AT_Y], balls[0, AT_Z], rot, pos)
    rough = reach_distance(x, y, z, space) - size
    if rough > CLOSE or size <= 0.0:
        reach = rough
    if reach == FAR:
        for i in range(tools):
            a, b, c = to_base(
                int(points[i, LINK]), points[i, AT_X], points[i, AT_Y], points[i, AT_Z], rot, pos
            )
            reach = min(reach, reach_distance(a, b, c, space))
    for k in range(boxes.shape[0]):
        near = box_distance(x, y, z, boxes, k, rot, pos) - size
        if near <= CLOSE:
            near = FAR
            for i in range(tools):
                a, b, c = to_base(
                    int(points[i, LINK]), points[i, AT_X], points[i, AT_Y], points[i, AT_Z],
                    rot, pos,
                )  # fmt: skip
                near = min(near, box_distance(a, b, c, boxes, k, rot, pos))
        own = min(own, near)
        if boxes[k, BOX_LINK] >= 0.0:
            turned = min(turned, near)
    flat = max(math.hypot(x - space[ROOT_X], y - space[ROOT_Y]) - space[BODY_RADIUS], 0.0)
    tall = max(space[BODY_LOW] - z, z - space[BODY_HIGH], 0.0)
    turned = min(turned, math.hypot(flat, tall) - size)
    for k in range(zones.shape[0]):
        zone = min(zone, swept_distance(zones, k, edges, points, balls, base, rot, pos, zone))
    out[G_REACH] = reach - weight[KEEP_REACH]
    out[G_SELF] = own - weight[KEEP_SELF]
    out[G_TURNED] = turned - weight[KEEP_SELF]
    out[G_ZONE] = zone - weight[KEEP_ZONE]
    tip = tip_distance(links, rot, pos, weight, support, dt, before, now)
    out[G_TIP] = tip - weight[KEEP_TIP]


@njit(cache=True, error_model="numpy")
def learn(wxyz, at, measured, sides, load, weight, base, pressure):  # type: ignore[no-untyped-def]
    """Take attitude, position, load and pressures of a state; what is no number stays as it was.

    Args:
        measured: at both ports, shape (n, 2) [Pa]. sides: whether the first drives positively.
        weight, base, pressure: are changed; see above, the last as bounding takes it.
    """
    weight[LOAD] = load
    a, x, y, z = wxyz[0], wxyz[1], wxyz[2], wxyz[3]
    if abs(a * a + x * x + y * y + z * z - 1.0) < 0.5:
        # Down in the base frame: the third row of the rotation, turned about.
        weight[DOWN_X] = -2.0 * (x * z - a * y)
        weight[DOWN_Y] = -2.0 * (y * z + a * x)
        weight[DOWN_Z] = min(-(1.0 - 2.0 * (x * x + y * y)), -0.2)
        base[0, 0], base[1, 1] = 1.0 - 2.0 * (y * y + z * z), 1.0 - 2.0 * (x * x + z * z)
        base[2, 2] = 1.0 - 2.0 * (x * x + y * y)
        base[0, 1], base[1, 0] = 2.0 * (x * y - a * z), 2.0 * (x * y + a * z)
        base[0, 2], base[2, 0] = 2.0 * (x * z + a * y), 2.0 * (x * z - a * y)
        base[1, 2], base[2, 1] = 2.0 * (y * z - a * x), 2.0 * (y * z + a * x)
    if max(abs(at[0]), abs(at[1])) < FARTHEST and abs(at[2]) < FARTHEST:
        base[3, 0], base[3, 1], base[3, 2] = at[0], at[1], at[2]
    for j in range(measured.shape[0]):
        for side in range(2):
            value = measured[j, side if sides[j] else 1 - side]
            if abs(value) < HIGHEST:
                fallen = pressure[j, side] + PRESSURE_FALL * (value - pressure[j, side])
                pressure[j, side] = max(value, fallen)
