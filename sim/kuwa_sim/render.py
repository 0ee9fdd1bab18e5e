"""Pictures of machines and their ground, without a window and without a plant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.cameras import FIELD_OF_VIEW, View
from kuwa_sim.gl import RenderError, open_gl
from kuwa_sim.paint import SURROUND
from kuwa_sim.scene import CORNERS, MANY_CORNERS, Scene
from kuwa_sim.scenery import Grid
from kuwa_sim.soil.obstacles import Obstacle

__all__ = ["RenderError", "SceneRenderer", "add_surroundings", "open_gl", "set_looks"]

Picture = NDArray[np.uint8]

HORIZON = 120.0
"""The ground around the simulated piece reaches this far beyond it [m]."""
EXTENT = 12.0
"""Unit of fog, shadows and sight in MuJoCo [m]."""
MOST_GEOMS = 4000


class SceneRenderer(Scene):
    """Pictures of a scene without a window. A context manager: it holds an OpenGL context.

    Args:
        width, height: of a picture [pixels].
        fine: more corners, smooth edges and sharp shadows, for stills; a picture takes several
            times as long.

    Raises:
        RenderError: this computer has no OpenGL.
    """

    def __init__(
        self,
        machines: Mapping[str, MachineSpec],
        start: HeightMap,
        tasks: Sequence[Task] = (),
        obstacles: Sequence[Obstacle] = (),
        width: int = 640,
        height: int = 360,
        fine: bool = False,
    ) -> None:
        self._context: mujoco.MjrContext | None = None
        super().__init__(machines, start, tasks, obstacles, MANY_CORNERS if fine else CORNERS)
        self.width, self.height = width, height
        set_looks(self.model, width, height, fine)
        self.model.vis.global_.fovy = math.degrees(FIELD_OF_VIEW)
        self._gl = open_gl(width, height)
        self._context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self.model, maxgeom=MOST_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = True
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = True
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()

    def set_terrain(self, terrain: HeightMap) -> None:
        """Show this ground."""
        super().set_terrain(terrain)
        if self._context is not None:
            mujoco.mjr_uploadHField(self.model, self._context, self.field)
            mujoco.mjr_uploadTexture(self.model, self._context, self.texture)

    def picture(self, view: View) -> Picture:
        """Return what is seen in a view, shape (height, width, 3)."""
        self.update()
        camera = self._camera
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.target
        camera.distance = view.distance
        camera.azimuth, camera.elevation = np.degrees((view.azimuth, view.elevation))
        self._light(view)
        return self._draw(self.width, self.height)

    def through(self, camera: str, width: int, height: int) -> Picture:
        """Return what a camera of the model sees, shape (height, width, 3); at most this large."""
        self.update()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        at = self._camera.fixedcamid = self.model.camera(camera).id
        ahead = -self.data.cam_xmat[at].reshape(3, 3)[:, 2]
        self._light(View(self.data.cam_xpos[at] + EXTENT / 2 * ahead, EXTENT / 2, 0.0, 0.0))
        return self._draw(min(width, self.width), min(height, self.height))

    def _draw(self, width: int, height: int) -> Picture:
        model, context = self.model, self._context
        for load in self.loads.values():
            mujoco.mjr_uploadMesh(model, context, load.mesh)
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            model, self.data, self._option, None, self._camera, everything, self._scene
        )
        add_surroundings(self._scene, self.grid, self.plane)
        part = mujoco.MjrRect(0, 0, width, height)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_render(part, self._scene, context)
        mujoco.mjr_readPixels(pixels, None, part, context)
        return pixels[::-1].copy()

    def _light(self, view: View) -> None:
        """Let shadows, sight and haze reach as far as the view needs."""
        model, data, context = self.model, self.data, self._context
        assert context is not None
        # The shadow's picture is a square about the light's axis.
        reach = float(np.clip(1.2 * view.distance + 20.0, 24.0, 100.0))
        context.shadowClip = reach
        data.light_xpos[0] = view.target - reach * model.light_dir[0]
        far = max(view.distance, EXTENT)
        model.vis.map.zfar = (2 * HORIZON + 3 * far) / EXTENT
        context.fogStart, context.fogEnd = 2.2 * far + 15.0, 5.0 * far + 70.0

    def close(self) -> None:
        """Release OpenGL; safe to call twice."""
        if self._context is not None:
            self._context.free()
            self._gl.free()
            self._context = None

    def __enter__(self) -> SceneRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def set_looks(model: mujoco.MjModel, width: int, height: int, fine: bool) -> None:
    """Set fog, shadows and quality for pictures of this size."""
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    model.vis.quality.shadowsize = 4096 if fine else 2048
    model.vis.quality.offsamples = 4 if fine else 0
    model.light_castshadow[:] = True
    # In units of the model's extent, which MuJoCo takes from the machine and its ground.
    model.stat.extent = EXTENT
    model.stat.center = (3.0, 0.5, 0.0)
    model.vis.map.shadowclip = 0.75
    model.vis.map.fogstart, model.vis.map.fogend = 2.5, 8.0
    model.vis.map.zfar = 14.0
    model.vis.rgba.fog = (0.90, 0.92, 0.93, 1.0)


def add_surroundings(scene: mujoco.MjvScene, grid: Grid, plane: Array | float) -> None:
    """Add flat ground around the simulated piece, to the horizon.

    Args:
        plane: its height, or its height at the middle of the piece and its slopes, shape (3,).
    """
    # It reaches a little under the piece, so that no gap shows where the piece ends lower; not
    # quite opaque, because MuJoCo then casts no shadow on it, which would flicker that far out.
    level, a, b = np.broadcast_to(plane, 3) if np.ndim(plane) else (float(plane), 0.0, 0.0)
    normal = np.array([-a, -b, 1.0]) / math.sqrt(1 + a * a + b * b)
    along = np.array([1.0, 0.0, a]) / math.hypot(1.0, a)
    turn = np.stack([along, np.cross(normal, along), normal], axis=1)
    lap = 2 * grid.cell
    half_x, half_y = grid.cell * (grid.nx - 1) / 2, grid.cell * (grid.ny - 1) / 2
    x = np.array([-half_x - HORIZON, lap - half_x, half_x - lap, half_x + HORIZON])
    y = np.array([-half_y - HORIZON, lap - half_y, half_y - lap, half_y + HORIZON])
    x *= math.hypot(1.0, a)
    y *= math.hypot(1.0, b)
    middle = np.array([*grid.centre, level - 0.02])
    for x0, x1, y0, y1 in (
        (x[0], x[1], y[0], y[3]), (x[2], x[3], y[0], y[3]),
        (x[1], x[2], y[0], y[1]), (x[1], x[2], y[2], y[3]),
    ):  # fmt: skip
        if scene.ngeom >= scene.maxgeom:
            return
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_PLANE,
            np.array([(x1 - x0) / 2, (y1 - y0) / 2, 1.0]),
            middle + turn @ ((x0 + x1) / 2, (y0 + y1) / 2, 0.0),
            turn.ravel(), np.array([*SURROUND, 0.99], np.float32),
        )  # fmt: skip
        scene.geoms[scene.ngeom].specular = 0.0
        scene.ngeom += 1
