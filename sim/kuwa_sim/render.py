"""An offscreen camera on a machine and its ground, without a window and without a plant."""

from __future__ import annotations

import ctypes
import os
from importlib import import_module
from types import TracebackType
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array, HeightMap, Task
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.spec import MachineSpec
from kuwa_sim.model import LOAD_BODY, TERRAIN_ASSET, Grid, build_model, drawn_height
from kuwa_sim.paint import SURROUND, GroundPaint

Picture = NDArray[np.uint8]

REMEDY = "sudo apt-get install libegl1 libgl1-mesa-dri libgles2 libosmesa6"
LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
CAMERAS = ("overview", "trench")
HORIZON = 120.0
"""The ground around the simulated piece reaches this far [m]."""
LOOSE_DENSITY = 1500.0
"""Of soil in the tool, to draw a mass as a volume [kg/m³]."""


class RenderError(KuwaError):
    """No picture can be made on this computer, and what to install."""


def open_gl(width: int, height: int) -> Any:
    """Return a current OpenGL context without a window: EGL, or OSMesa where EGL is missing.

    Raises:
        RenderError: neither is there; it names the package to install.
    """
    asked = os.environ.get("MUJOCO_GL", "").lower()
    kinds = [asked] if asked in LIBRARIES else list(LIBRARIES)
    failures = []
    for kind in kinds:
        try:
            ctypes.CDLL(LIBRARIES[kind])
            context = import_module(f"mujoco.{kind}").GLContext(width, height)
            context.make_current()
            return context
        except Exception as error:  # every binding fails in its own way
            failures.append(f"{kind}: {error}")
            os.environ.pop("PYOPENGL_PLATFORM", None)
    raise RenderError(f"no picture without OpenGL ({'; '.join(failures)}); install it: {REMEDY}")


class Scene:
    """A model that is only drawn: a machine in any pose on any ground.

    Args:
        spec: the machine.
        start: the ground before any work.
        task: its outline is sprayed on the ground, if given.
        step: every so many cells get a corner of the drawn surface; colours keep all of them.
    """

    def __init__(
        self, spec: MachineSpec, start: HeightMap, task: Task | None = None, step: int = 1
    ) -> None:
        self._step = step
        start = self._trimmed(start)
        nx, ny = ((n - 1) // step + 1 for n in start.height.shape)
        self.grid = Grid(start.x0, start.y0, step * start.cell, nx, ny)
        self.model = model = build_model(spec, self.grid, 0.002)
        self.data = mujoco.MjData(model)
        self.field = int(model.hfield(TERRAIN_ASSET).id)
        self.texture = int(model.texture("soil").id)
        self.level = float(np.median(start.height))
        self._joints = [int(model.joint(name).qposadr[0]) for name in spec.joint_names]
        self._lump = Lump(spec, model)
        self._paint = GroundPaint(start, task, int(model.tex_width[self.texture]))
        model.mat_texrepeat[model.material("soil").id] = (1, 1)
        self.set_terrain(start)
        self.set_machine(spec.home, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]), 0.0)

    def set_terrain(self, terrain: HeightMap) -> None:
        """Show this ground; a subclass uploads what was written into the model."""
        model, terrain = self.model, self._trimmed(terrain)
        first = int(model.hfield_adr[self.field])
        flat = drawn_height(terrain.height[:: self._step, :: self._step])
        model.hfield_data[first : first + flat.size] = flat
        colours = self._paint.picture(terrain).reshape(-1)
        at = int(model.tex_adr[self.texture])
        model.tex_data[at : at + colours.size] = colours

    def _trimmed(self, terrain: HeightMap) -> HeightMap:
        """Leave out the rows and columns beyond the last drawn corner."""
        nx, ny = (self._step * ((n - 1) // self._step) + 1 for n in terrain.height.shape)
        return HeightMap(terrain.height[:nx, :ny], terrain.x0, terrain.y0, terrain.cell)

    def set_machine(
        self, q: Array, base_position: Array, base_quaternion_wxyz: Array, tool_load: float
    ) -> None:
        """Show the machine like this.

        Args:
            q: joint positions in the spec's order [rad].
            tool_load: soil in the tool [kg]; NaN shows none.
        """
        model, data = self.model, self.data
        data.qpos[:3] = base_position
        data.qpos[3:7] = base_quaternion_wxyz
        data.qpos[self._joints] = q
        self._lump.draw(model, tool_load)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_tendon(model, data)
        mujoco.mj_camlight(model, data)


class SceneRenderer(Scene):
    """Pictures of a scene without a window. A context manager: it holds an OpenGL context.

    Args:
        width, height: of a picture [pixels].
        fine: every cell, smooth edges and sharp shadows, for stills; a picture takes four times
            as long.

    Raises:
        RenderError: this computer has no OpenGL.
    """

    def __init__(
        self,
        spec: MachineSpec,
        start: HeightMap,
        task: Task | None = None,
        width: int = 640,
        height: int = 360,
        fine: bool = False,
    ) -> None:
        self._context: mujoco.MjrContext | None = None
        super().__init__(spec, start, task, 1 if fine else 2)
        self.width, self.height = width, height
        set_looks(self.model, width, height, fine)
        self._gl = open_gl(width, height)
        self._context = mujoco.MjrContext(self.model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(self.model, maxgeom=400)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = True
        self._scene.flags[mujoco.mjtRndFlag.mjRND_FOG] = True
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._view = mujoco.MjrRect(0, 0, width, height)
        self._pixels = np.empty((height, width, 3), np.uint8)

    def set_terrain(self, terrain: HeightMap) -> None:
        """Show this ground."""
        super().set_terrain(terrain)
        if self._context is not None:
            mujoco.mjr_uploadHField(self.model, self._context, self.field)
            mujoco.mjr_uploadTexture(self.model, self._context, self.texture)

    def picture(self, camera: str = "overview") -> Picture:
        """Return the view of a camera, shape (height, width, 3).

        Raises:
            RenderError: the model has no such camera.
        """
        self._camera.fixedcamid = mujoco.mj_name2id(self.model, mujoco.mjtObj.mjOBJ_CAMERA, camera)
        if self._camera.fixedcamid < 0:
            raise RenderError(f"no camera {camera!r}; {choices(camera, CAMERAS)}")
        mujoco.mjv_updateScene(
            self.model, self.data, self._option, None, self._camera,
            mujoco.mjtCatBit.mjCAT_ALL, self._scene,
        )  # fmt: skip
        add_surroundings(self._scene, self.grid, self.level)
        mujoco.mjr_render(self._view, self._scene, self._context)
        mujoco.mjr_readPixels(self._pixels, None, self._view, self._context)
        return self._pixels[::-1].copy()

    def close(self) -> None:
        """Release OpenGL; safe to call twice."""
        if self._context is not None:
            self._context.free()
            self._gl.free()
            self._context = None

    def __enter__(self) -> SceneRenderer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def set_looks(model: mujoco.MjModel, width: int, height: int, fine: bool) -> None:
    """Set fog, shadows and quality for pictures of this size."""
    model.vis.global_.offwidth, model.vis.global_.offheight = width, height
    model.vis.quality.shadowsize = 4096 if fine else 1024
    model.vis.quality.offsamples = 4 if fine else 0
    model.light_castshadow[:] = True
    # In units of the model's extent, which MuJoCo takes from the machine and its ground.
    model.stat.extent = 12.0
    model.stat.center = (3.0, 0.5, 0.0)
    model.vis.map.shadowclip = 0.75
    model.vis.map.fogstart, model.vis.map.fogend = 2.5, 8.0
    model.vis.map.zfar = 14.0
    model.vis.rgba.fog = (0.90, 0.92, 0.93, 1.0)


class Lump:
    """The soil in a bucket, drawn as an ellipsoid that grows from the shell to the mouth."""

    def __init__(self, spec: MachineSpec, model: mujoco.MjModel) -> None:
        self._geom = model.geom(LOAD_BODY).id
        profile = np.array(spec.bucket.profile)
        mouth = profile[-1] - profile[0]
        inward = np.array([-mouth[1], mouth[0]]) / np.hypot(*mouth)
        depth = (profile - profile[0]) @ inward
        self._deepest = profile[depth > 0.8 * depth.max()].mean(axis=0)
        self._full = (profile[0] + profile[-1]) / 2 * 0.45 + self._deepest * 0.55
        half = 0.47 * spec.bucket.width
        self._size = np.array([0.40 * np.hypot(*mouth), half, 0.6 * depth.max()])
        self._capacity = spec.bucket.heaped_capacity * LOOSE_DENSITY

    def draw(self, model: mujoco.MjModel, mass: float) -> None:
        """Show this mass [kg]; NaN shows none."""
        filled = max(mass, 0.0) / self._capacity if np.isfinite(mass) else 0.0
        s = min(float(np.cbrt(filled)), 1.1)
        x, z = self._deepest + s * (self._full - self._deepest)
        model.geom_pos[self._geom] = (x, 0.0, z)
        # The width fills first: soil lies across the whole bucket.
        size = np.array([s, min(s**0.3, 1.0), s]) * self._size
        model.geom_size[self._geom] = np.maximum(size if s > 0.05 else 0.0, 1e-3)


def add_surroundings(scene: mujoco.MjvScene, grid: Grid, level: float) -> None:
    """Add flat ground around the simulated piece, to the horizon."""
    # It reaches a little under the piece, so that no gap shows where the piece ends lower; not
    # quite opaque, because MuJoCo then casts no shadow on it, which would flicker that far out.
    lap = 2 * grid.cell
    x = (-HORIZON, grid.x0 + lap, grid.x0 + grid.cell * (grid.nx - 1) - lap, HORIZON)
    y = (-HORIZON, grid.y0 + lap, grid.y0 + grid.cell * (grid.ny - 1) - lap, HORIZON)
    for x0, x1, y0, y1 in (
        (x[0], x[1], y[0], y[3]), (x[2], x[3], y[0], y[3]),
        (x[1], x[2], y[0], y[1]), (x[1], x[2], y[2], y[3]),
    ):  # fmt: skip
        if scene.ngeom >= scene.maxgeom:
            return
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_PLANE,
            np.array([(x1 - x0) / 2, (y1 - y0) / 2, 1.0]),
            np.array([(x0 + x1) / 2, (y0 + y1) / 2, level - 0.02]),
            np.eye(3).ravel(), np.array([*SURROUND, 0.99], np.float32),
        )  # fmt: skip
        scene.geoms[scene.ngeom].specular = 0.0
        scene.ngeom += 1
