"""What is drawn around the machines: ground as a height field, light; nothing touches."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from kuwa_sim.soil.obstacles import Obstacle

TERRAIN_DEPTH = 3.0
"""How far below and above the original ground the drawn height field reaches [m]."""

TERRAIN_ASSET = "terrain"
GROUND_TEXELS = (1024, 1024)


@dataclass(frozen=True, slots=True)
class Grid:
    """A regular grid of ground: ``nx × ny`` cells of edge ``cell``, first at (x0, y0) [m]."""

    x0: float
    y0: float
    cell: float
    nx: int
    ny: int

    @property
    def centre(self) -> tuple[float, float]:
        """World (x, y) of the middle of the ground [m]."""
        half = self.cell / 2
        return self.x0 + (self.nx - 1) * half, self.y0 + (self.ny - 1) * half


def add_scenery(mj: mujoco.MjSpec, grid: Grid, texels: tuple[int, int] = GROUND_TEXELS) -> None:
    """Add the drawn ground and lights; none of it touches the machine."""
    half_x, half_y = grid.cell * (grid.nx - 1) / 2, grid.cell * (grid.ny - 1) / 2
    mj.add_texture(
        name="soil", type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        width=texels[0], height=texels[1], rgb1=(0.52, 0.40, 0.28), rgb2=(0.49, 0.37, 0.26),
        mark=mujoco.mjtMark.mjMARK_RANDOM, random=0.02, markrgb=(0.42, 0.32, 0.22),
    )  # fmt: skip
    soil = mj.add_material(name="soil", texrepeat=(round(2 * half_x), round(2 * half_y)))
    soil.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "soil"
    mj.add_texture(
        name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        width=256, height=256, rgb1=(0.62, 0.75, 0.88), rgb2=(0.93, 0.95, 0.97),
    )  # fmt: skip
    field = mj.add_hfield(name=TERRAIN_ASSET)
    field.nrow, field.ncol = grid.ny, grid.nx
    field.size = (half_x, half_y, 2 * TERRAIN_DEPTH, 0.5)
    field.userdata = np.full(grid.nx * grid.ny, 0.5)
    world = mj.worldbody
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=TERRAIN_ASSET, material="soil",
        pos=(grid.x0 + half_x, grid.y0 + half_y, -TERRAIN_DEPTH),
        contype=0, conaffinity=0, name=TERRAIN_ASSET,
    )  # fmt: skip
    world.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL, pos=(-4.5, -7.0, 16.0),
        dir=(0.47, 0.47, -1.0),
        diffuse=(0.75, 0.72, 0.66), castshadow=False,
    )  # fmt: skip


def add_obstacle(mj: mujoco.MjSpec, number: int, body: Obstacle) -> None:
    """Draw a boulder or a block; it shows once the ground over it is gone."""
    shape = mujoco.mjtGeom.mjGEOM_BOX if body.kind == "box" else mujoco.mjtGeom.mjGEOM_ELLIPSOID
    mj.worldbody.add_geom(
        type=shape, size=body.half, pos=body.centre,
        quat=(np.cos(body.yaw / 2), 0.0, 0.0, np.sin(body.yaw / 2)),
        rgba=(0.52, 0.51, 0.50, 1.0), contype=0, conaffinity=0, name=f"obstacle_{number}",
    )  # fmt: skip


def look_axes(eye: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """Return the x and y axes of a camera at eye that looks at target with z up, shape (6,)."""
    back = np.subtract(eye, target)
    right = np.cross((0.0, 0.0, 1.0), back)
    up = np.cross(back, right)
    return np.concatenate([right / np.linalg.norm(right), up / np.linalg.norm(up)])


def drawn_height(height: np.ndarray) -> np.ndarray:
    """Return MuJoCo's height-field data for heights of shape (nx, ny) [m], flattened rows of y."""
    return np.clip((height.T + TERRAIN_DEPTH) / (2 * TERRAIN_DEPTH), 0.0, 1.0).ravel()
