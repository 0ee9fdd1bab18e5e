"""Tracks on soil: elastic support, Bekker sinkage, Janosi–Hanamoto shear along the track's points.

MuJoCo's own height-field contact costs ten times the rest of a step, so a track stands on a few
points. Square to the hull each is a spring and damper against what the ground holds up, which lies
lower by the track's Bekker sinkage where nothing has pressed it before (``soil/ruts.py``). Along
the ground a point of the hull sees ever new shoes. The share of the strength that they mobilise is
a vector z within a yield Y that hardens by Janosi's law; both are carried along with the shoes:

    ∂Y/∂t + v_t ∂Y/∂x = |v_s| (1 − Y)/K  while z yields,     Y = 0 where a shoe enters the ground,
    ∂z/∂t + v_t ∂z/∂x = ELASTIC v_s/K    within |z| <= Y,

v_t the shoes' speed along the hull, v_s their slip over the ground. At steady straight slip i this
is Janosi's 1 − e**(−i x/K); unloading and reloading are elastic, so a parked machine that is pulled
to and fro does not creep. Between points the equations are solved exactly for the steady state (the
upwind difference is exponentially fitted), so few points suffice. The force on a point is
−z (c A + N tan φ); cohesion counts on undisturbed ground only.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.spec import MachineSpec, Tracks
from kuwa_sim.soil import Ground
from kuwa_sim.soil.field import cell_of
from kuwa_sim.soil.layout import CELL, SWELL, X0, Y0
from kuwa_sim.soil.parameters import GRAVITY
from kuwa_sim.soil.ruts import support_height
from kuwa_sim.terramechanics import bekker_sinkage, compaction_resistance

POINTS_PER_TRACK = 6
ELASTIC = 5.0
"""Stiffness of unloading and reloading over that of first loading; estimate."""
SHEAR_DAMPING = 0.01
"""Force of a growing shear over its stiffness [s]; nothing in steady slip."""
SINK_TIME = 0.5
"""Time in which a track settles to its sinkage, or comes out of its rut [s]."""
CREEP = 0.02
"""Speed below which motion resistance fades out [m/s]."""
AHEAD = 0.15
"""How far before a track the ground is taken that it will have to press [m]."""
LOOSE = 0.02
"""Ground under more loose soil than this has no cohesion for a shoe [m]."""

# Entries of the parameter array.
(
    STIFFNESS, DAMPING, SHEAR, COHESION_AREA, TAN_FRICTION, EXPONENT, K_C, K_PHI, SHOE, POINT_AREA,
    RADIUS, STEP_LENGTH,
) = range(12)  # fmt: skip
N_PARAMETERS = 12

# Columns of a point's state.
Z_ALONG, Z_ACROSS, YIELD, CARRIED = range(4)

# Columns of a side's state.
SINK, THRUST, SLIP_SPEED, RESISTANCE = range(4)


class TrackContact:
    """Contact points of two tracks, right then left, stepped in place.

    Args:
        spec: the machine; its weight is shared equally by the points at rest.
        ground: what it stands on.
    """

    def __init__(self, spec: MachineSpec, ground: Ground) -> None:
        tracks = spec.undercarriage
        assert isinstance(tracks, Tracks)
        soil = ground.soil
        step = tracks.length / POINTS_PER_TRACK
        # Each point stands for the shoes around it: the middles of equal parts of the length.
        along = tracks.length / 2 - step * (np.arange(POINTS_PER_TRACK) + 0.5)
        self.points = np.array(
            [(tracks.centre + x, side * tracks.gauge / 2, 0.0) for side in (-1, 1) for x in along]
        )
        """Contact points in the track link's frame, front first, shape (m, 3) [m]."""
        count = len(self.points)
        mass = sum(link.mass for link in spec.links.values())
        k = tracks.stiffness / count
        area = step * tracks.shoe_width
        p = self.parameters = np.zeros(N_PARAMETERS)
        p[STIFFNESS] = k
        p[DAMPING] = 2 * tracks.damping_ratio * math.sqrt(k * mass / count)
        p[SHEAR] = soil.shear_deformation
        p[COHESION_AREA] = soil.cohesion * area
        p[TAN_FRICTION] = math.tan(soil.internal_friction)
        p[EXPONENT], p[K_C], p[K_PHI] = (
            soil.sinkage_exponent, soil.cohesive_modulus, soil.frictional_modulus,
        )  # fmt: skip
        p[SHOE], p[POINT_AREA] = tracks.shoe_width, area
        p[RADIUS], p[STEP_LENGTH] = tracks.sprocket_radius, step
        self.shear = np.zeros((count, 4))
        """Mobilised share of the strength along and across the hull, its yield, the load [N]."""
        self.sides = np.zeros((2, 4))
        """Sinkage [m], thrust [N], slip speed [m/s] and motion resistance [N] of each track."""
        pressure = mass * GRAVITY / (2 * tracks.length * tracks.shoe_width)
        self._rest_sinkage = bekker_sinkage(pressure, p[EXPONENT], p[K_C], p[K_PHI], p[SHOE])
        self.rest_height = -self._rest_sinkage - mass * GRAVITY / (k * count)
        """Height of the link's origin over level ground at rest [m]."""
        self.ground_args = (ground.height, ground.loose, ground.packed, ground.prm)

    def reset(self) -> None:
        """Forget the ground's hold, and stand sunk in."""
        self.shear[:] = 0.0
        self.sides[:] = 0.0
        self.sides[:, SINK] = self._rest_sinkage


# fmt: off
@njit(cache=True)
def track_forces(  # type: ignore[no-untyped-def]
    points, shear, sides, p, position, rotation, v, w, com, spin, reaction, height, loose, packed,
    grid, wrench, dt,
):
    # fmt: on
    """Write force and torque of the ground on the undercarriage into ``wrench``.

    Args:
        points, shear, sides, p: arrays of a TrackContact.
        position, rotation: pose of the track link in the world, shapes (3,), (9,).
        v, w: its linear velocity at ``position`` and angular velocity in the world, shape (3,).
        com: its centre of mass in the world, about which the torque is taken, shape (3,).
        spin: speed of the sprockets, right then left, shape (2,) [rad/s].
        reaction: torque of the ground on the sprockets, written, shape (2,) [N·m].
        height, loose, packed, grid: the ground's fields and numbers.
        wrench: force then torque in the world, shape (6,) [N], [N·m].
    """
    wrench[:] = 0.0
    # Up from the hull, and along and across its own plane: on a slope it pushes along the slope.
    nx, ny, nz = rotation[2], rotation[5], rotation[8]
    lx, ly, lz = rotation[0], rotation[3], rotation[6]
    sx, sy, sz = rotation[1], rotation[4], rotation[7]
    half = points.shape[0] // 2
    K = p[SHEAR]
    for side in range(2):
        running = spin[side] * p[RADIUS]
        carried = 0.0
        thrust = 0.0
        resistance = 0.0
        slipping = 0.0
        z_in_x = 0.0
        z_in_y = 0.0
        y_in = 0.0
        part = 0.5 * p[STEP_LENGTH]
        pressed = _pressed_ahead(points, side, p, position, rotation, v, height, packed, grid)
        for k in range(half):
            # In the direction in which the shoes travel along the hull.
            m = side * half + (k if running >= 0.0 else half - 1 - k)
            px, py, pz = points[m, 0], points[m, 1], points[m, 2]
            rx = rotation[0] * px + rotation[1] * py + rotation[2] * pz
            ry = rotation[3] * px + rotation[4] * py + rotation[5] * pz
            rz = rotation[6] * px + rotation[7] * py + rotation[8] * pz
            x, y = position[0] + rx, position[1] + ry
            # The shoes of a point lie on the mean of the ground along their part of the track.
            third = p[STEP_LENGTH] / 3.0
            holds = 0.0
            for shoe in range(-1, 2):
                holds += support_height(
                    height, loose, packed, grid, x + shoe * third * lx, y + shoe * third * ly,
                    sides[side, SINK],
                ) / 3.0  # fmt: skip
            depth = holds - (position[2] + rz)
            if depth <= 0.0:
                shear[m, Z_ALONG] = 0.0
                shear[m, Z_ACROSS] = 0.0
                shear[m, YIELD] = 0.0
                shear[m, CARRIED] = 0.0
                z_in_x = 0.0
                z_in_y = 0.0
                y_in = 0.0
                part = p[STEP_LENGTH]
                continue
            vx = v[0] + w[1] * rz - w[2] * ry
            vy = v[1] + w[2] * rx - w[0] * rz
            vz = v[2] + w[0] * ry - w[1] * rx
            normal = max(p[STIFFNESS] * depth - p[DAMPING] * (vx * nx + vy * ny + vz * nz), 0.0)
            slip_x = vx * lx + vy * ly + vz * lz - running
            slip_y = vx * sx + vy * sy + vz * sz
            speed = math.sqrt(slip_x * slip_x + slip_y * slip_y)
            old_x = shear[m, Z_ALONG]
            old_y = shear[m, Z_ACROSS]
            yielding = shear[m, YIELD]
            ex = old_x + dt * ELASTIC * slip_x / K
            ey = old_y + dt * ELASTIC * slip_y / K
            rate = speed / K if ex * ex + ey * ey >= yielding * yielding else 0.0
            ratio = rate * part / max(abs(running), 1e-9)
            if abs(running) < 1e-9 or ratio > 50.0:
                renew = 0.0
            elif ratio < 1e-6:
                renew = abs(running) / part
            else:
                renew = rate / math.expm1(ratio)
            fresh = 1.0 - math.exp(-renew * dt)
            fallen = (1.0 - y_in) * math.exp(-min(ratio, 50.0))
            total = rate + renew
            if total > 0.0:
                goal = (rate + renew * y_in) / total
                yielding += (1.0 - math.exp(-total * dt)) * (goal - yielding)
            ex += fresh * (z_in_x - ex)
            ey += fresh * (z_in_y - ey)
            size = math.sqrt(ex * ex + ey * ey)
            if size > yielding:
                ex *= yielding / size
                ey *= yielding / size
            shear[m, Z_ALONG] = ex
            shear[m, Z_ACROSS] = ey
            shear[m, YIELD] = yielding
            z_in_x = ex
            z_in_y = ey
            y_in = yielding
            part = p[STEP_LENGTH]
            zx = shear[m, Z_ALONG] + SHEAR_DAMPING / dt * (shear[m, Z_ALONG] - old_x)
            zy = shear[m, Z_ACROSS] + SHEAR_DAMPING / dt * (shear[m, Z_ACROSS] - old_y)
            size = math.sqrt(zx * zx + zy * zy)
            if size > 1.0:
                zx /= size
                zy /= size
            if rate > 0.0 and size > 0.0 and abs(running) > 1e-9:
                # Mean over the point's part of the track of what falls off exponentially behind the
                # entry; what lacks beyond that, just after a start, lacks everywhere alike.
                x_half = 0.5 * rate * p[STEP_LENGTH] / abs(running)
                if 1e-3 < x_half < 30.0:
                    lacking = 1.0 - min(size, 1.0)
                    lacking += min(lacking, fallen) * (math.sinh(x_half) / x_half - 1.0)
                    scale = max(1.0 - lacking, 0.0) / min(size, 1.0)
                    zx *= scale
                    zy *= scale
            strength = normal * p[TAN_FRICTION]
            i = cell_of(x, grid[X0], grid[CELL], height.shape[0])
            j = cell_of(y, grid[Y0], grid[CELL], height.shape[1])
            if grid[SWELL] * loose[i, j] < LOOSE:
                strength += p[COHESION_AREA]
            along = -zx * strength
            across = -zy * strength
            # The rut that these shoes press, against the motion of the hull; what is there already
            # costs nothing again.
            z = bekker_sinkage(normal / p[POINT_AREA], p[EXPONENT], p[K_C], p[K_PHI], p[SHOE])
            rut = compaction_resistance(z, p[EXPONENT], p[K_C], p[K_PHI], p[SHOE]) / half
            if pressed > 0.0:
                z = min(pressed, z)
                rut -= compaction_resistance(z, p[EXPONENT], p[K_C], p[K_PHI], p[SHOE]) / half
            ahead = vx * lx + vy * ly + vz * lz
            rut *= ahead / (abs(ahead) + CREEP)
            shear[m, CARRIED] = normal
            carried += normal
            thrust += along
            resistance += rut
            slipping += -slip_x
            push = along - rut
            gx = normal * nx + push * lx + across * sx
            gy = normal * ny + push * ly + across * sy
            gz = normal * nz + push * lz + across * sz
            ax, ay, az = x - com[0], y - com[1], position[2] + rz - com[2]
            wrench[0] += gx
            wrench[1] += gy
            wrench[2] += gz
            wrench[3] += ay * gz - az * gy
            wrench[4] += az * gx - ax * gz
            wrench[5] += ax * gy - ay * gx
        pressure = carried / (p[POINT_AREA] * half)
        goal = bekker_sinkage(pressure, p[EXPONENT], p[K_C], p[K_PHI], p[SHOE])
        sides[side, SINK] += dt / SINK_TIME * (goal - sides[side, SINK])
        sides[side, THRUST] = thrust
        sides[side, SLIP_SPEED] = slipping / half
        sides[side, RESISTANCE] = resistance
        reaction[side] = -thrust * p[RADIUS]


@njit(cache=True)
def _pressed_ahead(points, side, p, position, rotation, v, height, packed, grid):  # type: ignore[no-untyped-def]
    """Return how deep the ground before a track has been pressed already [m]."""
    half = points.shape[0] // 2
    ahead = v[0] * rotation[0] + v[1] * rotation[3] + v[2] * rotation[6] >= 0.0
    m = side * half + (0 if ahead else half - 1)
    reach = 0.5 * p[STEP_LENGTH] + AHEAD
    px = points[m, 0] + (reach if ahead else -reach)
    py, pz = points[m, 1], points[m, 2]
    x = position[0] + rotation[0] * px + rotation[1] * py + rotation[2] * pz
    y = position[1] + rotation[3] * px + rotation[4] * py + rotation[5] * pz
    i = cell_of(x, grid[X0], grid[CELL], height.shape[0])
    j = cell_of(y, grid[Y0], grid[CELL], height.shape[1])
    return packed[i, j]
