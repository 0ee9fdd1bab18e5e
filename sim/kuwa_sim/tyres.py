"""Tyres on soil: Brixius' traction with slip, side force, and the height of the rut.

Slip s and slip angle build up over a relaxation length as the tyre rolls, so that a standing wheel
holds like a spring. With the combined slip g = √(s² + a²) the ground gives along the wheel
W 0.88 (1 − e**(−0.1 B_n))(1 − e**(−7.5 g)) s/g, which at a = 0 is Brixius' gross traction without
its 0.04 of axle loss, and across it the same with a/g (the side force coefficient of Gee-Clough and
Sommer 1981 has this form). Motion resistance MRR is that of Brixius. Loosened soil ahead of a tyre
weakens the ground as tillage does, and the tyre presses it down (``soil/ruts.py``).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.spec import MachineSpec, Wheels
from kuwa_sim.soil import Ground
from kuwa_sim.soil.field import cell_of
from kuwa_sim.soil.layout import CELL, SWELL, X0, Y0
from kuwa_sim.soil.parameters import GRAVITY
from kuwa_sim.soil.ruts import support_height
from kuwa_sim.terramechanics import (
    BRIXIUS_AXLE,
    BRIXIUS_MAX,
    BRIXIUS_MOBILITY,
    BRIXIUS_SLIP,
    bekker_sinkage,
    mobility_number,
    motion_resistance,
)

RELAXATION = 0.5
"""Relaxation length over the tyre's diameter (half the contact length's reach; estimate)."""
SIDE_SLIP = 0.8
"""A slip angle's tangent counts this much against slip (cornering stiffness 6 W/rad at B_n 32)."""
SLIP_DAMPING = 0.02
"""Force of a growing slip over its stiffness [s]; nothing in steady motion."""
CREEP = 0.015
"""Speed below which motion resistance fades out [m/s]."""
SINK_TIME = 0.5
"""Time in which a wheel settles into its rut [s]."""

CONE_DEPTH = 0.15
"""The cone index is a mean over this depth [m]."""
TILLED = 40.0 / 55.0
"""Mobility number on tilled over that on firm soil (typical values in ASABE D497; recalled)."""
RIM = 0.7
"""How far before the axle, in radii, the ground is taken that a tyre runs onto."""

DIAMETER, WIDTH, SECTION, STIFFNESS, DAMPING, CONE, EXPONENT, K_C, K_PHI = range(9)
N_PARAMETERS = 9

# Columns of a wheel's state.
SLIP, SIDE, SINK, LOAD, PULL, MOBILITY = range(6)


class TyreContact:
    """All tyres of a machine, stepped in place."""

    def __init__(self, spec: MachineSpec, ground: Ground) -> None:
        wheels = spec.undercarriage
        assert isinstance(wheels, Wheels)
        soil = ground.soil
        self.links = tuple(wheel.link for wheel in wheels.wheels.values())
        n = len(self.links)
        mass = sum(link.mass for link in spec.links.values())
        self.parameters = np.zeros((n, N_PARAMETERS))
        for p, wheel in zip(self.parameters, wheels.wheels.values(), strict=True):
            tyre = wheels.tyres[wheel.tyre]
            p[DIAMETER], p[WIDTH], p[SECTION] = tyre.diameter, tyre.width, tyre.section_height
            p[STIFFNESS] = tyre.stiffness
            p[DAMPING] = 2 * tyre.damping_ratio * math.sqrt(tyre.stiffness * mass / n)
            p[CONE], p[EXPONENT] = soil.cone_index, soil.sinkage_exponent
            p[K_C], p[K_PHI] = soil.cohesive_modulus, soil.frictional_modulus
        self.states = np.zeros((n, 6))
        """Slip, side slip, sinkage [m], load [N], pull [N] and mobility number of each wheel."""
        p = self.parameters[0]
        self.rest_height = -mass * GRAVITY / float(self.parameters[:, STIFFNESS].sum())
        """Height of the machine over level ground at rest, tyres just touching at 0 [m]."""
        self.ground_args = (ground.height, ground.loose, ground.packed, ground.prm)

    def reset(self) -> None:
        """Forget slip and ruts."""
        self.states[:] = 0.0


@njit(cache=True)
def tyre_forces(  # type: ignore[no-untyped-def]
    p, x, bodies, xpos, xmat, xipos, cvel, com, height, loose, packed, grid, xfrc, dt
):
    """Put the ground's forces on the wheels.

    Args:
        p, x: arrays of a TyreContact. bodies: MuJoCo bodies of the wheels, shape (n,).
        xpos, xmat, xipos, cvel, xfrc: MuJoCo's arrays over all bodies.
        com: point to which ``cvel`` refers, shape (3,) [m].
        height, loose, packed, grid: the ground.
    """
    for m in range(bodies.shape[0]):
        b = bodies[m]
        radius = 0.5 * p[m, DIAMETER]
        cx, cy, cz = xpos[b, 0], xpos[b, 1], xpos[b, 2]
        # Ground under the tyre's footprint, smoothed over its length and width.
        axle_x, axle_y, axle_z = xmat[b, 1], xmat[b, 4], xmat[b, 7]
        norm = math.sqrt(axle_x * axle_x + axle_y * axle_y)
        fx, fy = axle_y / norm, -axle_x / norm
        reach = 0.35 * radius
        half = 0.4 * p[m, WIDTH]
        sink = x[m, SINK]
        front = support_height(height, loose, packed, grid, cx + reach * fx, cy + reach * fy, sink)
        rear = support_height(height, loose, packed, grid, cx - reach * fx, cy - reach * fy, sink)
        left = support_height(height, loose, packed, grid, cx - half * fy, cy + half * fx, sink)
        right = support_height(height, loose, packed, grid, cx + half * fy, cy - half * fx, sink)
        slope_f = (front - rear) / (2.0 * reach)
        slope_l = (left - right) / (2.0 * half)
        scale = 1.0 / math.sqrt(1.0 + slope_f * slope_f + slope_l * slope_l)
        nx = (-slope_f * fx + slope_l * fy) * scale
        ny = (-slope_f * fy - slope_l * fx) * scale
        nz = scale
        # Along the ground in the wheel's plane, and across.
        ux = axle_y * nz - axle_z * ny
        uy = axle_z * nx - axle_x * nz
        uz = axle_x * ny - axle_y * nx
        norm = math.sqrt(ux * ux + uy * uy + uz * uz)
        ux /= norm
        uy /= norm
        uz /= norm
        tx = ny * uz - nz * uy
        ty = nz * ux - nx * uz
        tz = nx * uy - ny * ux
        ground = 0.25 * (front + rear + left + right)
        gap = (cz - ground) * nz
        deflection = radius - gap
        for k in range(6):
            xfrc[b, k] = 0.0
        if deflection <= 0.0:
            x[m, SLIP] = 0.0
            x[m, SIDE] = 0.0
            x[m, LOAD] = 0.0
            x[m, PULL] = 0.0
            continue
        w0, w1, w2 = cvel[b, 0], cvel[b, 1], cvel[b, 2]
        rx, ry, rz = cx - com[0], cy - com[1], cz - com[2]
        vx = cvel[b, 3] + w1 * rz - w2 * ry
        vy = cvel[b, 4] + w2 * rx - w0 * rz
        vz = cvel[b, 5] + w0 * ry - w1 * rx
        rising = vx * nx + vy * ny + vz * nz
        load = max(p[m, STIFFNESS] * deflection - p[m, DAMPING] * rising, 0.0)
        rolling = (w0 * axle_x + w1 * axle_y + w2 * axle_z) * radius
        ahead = vx * ux + vy * uy + vz * uz
        # The tyre slides where it touches: as the machine rolls, the print swings out below.
        across = vx * tx + vy * ty + vz * tz + gap * (w0 * ux + w1 * uy + w2 * uz)
        sigma = RELAXATION * p[m, DIAMETER]
        old_s = x[m, SLIP]
        old_a = x[m, SIDE]
        speed = max(abs(rolling), abs(ahead))
        s = (old_s + dt * (rolling - ahead) / sigma) / (1.0 + dt * speed / sigma)
        a = (old_a - dt * across / sigma) / (1.0 + dt * speed / sigma)
        x[m, SLIP] = s = min(max(s, -1.0), 1.0)
        x[m, SIDE] = a = min(max(a, -1.5), 1.5)
        s_now = s + SLIP_DAMPING / dt * (s - old_s)
        a_now = SIDE_SLIP * (a + SLIP_DAMPING / dt * (a - old_a))
        onward = math.copysign(RIM * radius, ahead)
        i = cell_of(cx + onward * fx, grid[X0], grid[CELL], height.shape[0])
        j = cell_of(cy + onward * fy, grid[Y0], grid[CELL], height.shape[1])
        tilled = min(grid[SWELL] * loose[i, j] / CONE_DEPTH, 1.0)
        b_n = mobility_number(
            (1.0 - tilled * (1.0 - TILLED)) * p[m, CONE],
            p[m, WIDTH],
            p[m, DIAMETER],
            load,
            deflection,
            p[m, SECTION],
        )
        b_n = max(b_n, 1.0)
        g = math.sqrt(s_now * s_now + a_now * a_now)
        grip = load * BRIXIUS_MAX * (1.0 - math.exp(-BRIXIUS_MOBILITY * b_n))
        grip *= (1.0 - math.exp(-BRIXIUS_SLIP * g)) / g if g > 1e-9 else BRIXIUS_SLIP
        resistance = load * motion_resistance(b_n, abs(s)) * ahead / (abs(ahead) + CREEP)
        # NTR W acts at the ground, and the axle feels GTR W r: the difference is a moment.
        gross = grip * s_now + load * BRIXIUS_AXLE * ahead / (abs(ahead) + CREEP)
        pull = gross - resistance
        side = grip * a_now
        moment = gross * radius - pull * gap
        x[m, LOAD] = load
        x[m, PULL] = pull
        x[m, MOBILITY] = b_n
        gx = load * nx + pull * ux + side * tx
        gy = load * ny + pull * uy + side * ty
        gz = load * nz + pull * uz + side * tz
        ax = cx - gap * nx - xipos[b, 0]
        ay = cy - gap * ny - xipos[b, 1]
        az = cz - gap * nz - xipos[b, 2]
        xfrc[b, 0] = gx
        xfrc[b, 1] = gy
        xfrc[b, 2] = gz
        xfrc[b, 3] = ay * gz - az * gy - moment * axle_x
        xfrc[b, 4] = az * gx - ax * gz - moment * axle_y
        xfrc[b, 5] = ax * gy - ay * gx - moment * axle_z
        # Contact length of a tyre of this deflection: 2 √(d δ), its pressure over that and b.
        length = 2.0 * math.sqrt(p[m, DIAMETER] * deflection)
        goal = bekker_sinkage(
            load / (length * p[m, WIDTH]), p[m, EXPONENT], p[m, K_C], p[m, K_PHI], p[m, WIDTH]
        )
        x[m, SINK] += dt / SINK_TIME * (goal - x[m, SINK])
