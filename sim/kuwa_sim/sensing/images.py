"""A machine's cameras: pictures of the live site, all its machines in it, without a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import mujoco
import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Task
from kuwa_machines.sensors import Camera
from kuwa_sim.faults import ActuatorFault, Fault
from kuwa_sim.model import TERRAIN_ASSET, camera_name, drawn_height
from kuwa_sim.paint import GroundPaint
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.render import add_surroundings, open_gl, set_looks
from kuwa_sim.sensing.later import Later, Spoil
from kuwa_sim.sensing.streams import stream

Picture = NDArray[np.uint8]

CAMERA_STREAM = 200
"""Number of the random stream of the first camera."""


class Cameras:
    """Takes the pictures of one machine.

    Args:
        plant: the machine, standing at its start.
        seed, faults: see :class:`kuwa_sim.sensing.SensorSuite`.
        task: its outline is sprayed on the ground, if given.

    Raises:
        RenderError: this computer has no OpenGL.
    """

    def __init__(
        self,
        plant: Plant,
        seed: int | tuple[int, ...],
        faults: Sequence[Fault | ActuatorFault],
        task: Task | None,
    ) -> None:
        self._plant = plant
        data = plant.spec.sensors.cameras
        self._renderer: SiteRenderer | None = SiteRenderer(plant, task)
        self._rng: dict[str, np.random.Generator] = {}
        self._later: dict[str, Later[Picture]] = {}
        for k, (name, camera) in enumerate(data.items()):
            self._rng[name] = stream(seed, CAMERA_STREAM + k)
            of_camera = [
                f
                for f in faults
                if isinstance(f, Fault) and f.sensor == "cameras" and f.camera in (None, name)
            ]
            lost = stream(seed, CAMERA_STREAM + k, 1)
            first = self._take(name, camera, Spoil())
            self._later[name] = Later(camera, of_camera, lost, CONTROL_PERIOD, first)

    def step(self, tick: int) -> Mapping[str, Picture]:
        """Return the pictures that arrive at this tick, by camera."""
        arrived: dict[str, Picture] = {}
        for name, camera in self._plant.spec.sensors.cameras.items():
            picture = self._later[name].step(tick, partial(self._take, name, camera))
            if picture is not None:
                arrived[name] = picture
        return arrived

    def close(self) -> None:
        """Release OpenGL; safe to call twice."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def _take(self, name: str, camera: Camera, spoil: Spoil) -> Picture:
        assert self._renderer is not None
        picture = self._renderer.picture(name, camera.width, camera.height)
        spread = 255 * float(np.hypot(camera.noise, spoil.noise))
        if spread == 0.0:
            return picture
        grain = self._rng[name].standard_normal(picture.shape, dtype=np.float32)
        return np.clip(np.rint(picture + spread * grain), 0, 255).astype(np.uint8)


class SiteRenderer:
    """Draws the site's own model, where all machines stand as they stand.

    Writing the ground into the model changes what is drawn only: nothing touches the height field.
    """

    def __init__(self, plant: Plant, task: Task | None) -> None:
        cameras = plant.spec.sensors.cameras.values()
        width, height = max(c.width for c in cameras), max(c.height for c in cameras)
        self._plant, self._model = plant, plant.model
        model = plant.model
        start = plant.terrain.height_map()
        self._field = int(model.hfield(TERRAIN_ASSET).id)
        self._texture = int(model.texture("soil").id)
        self._paint = GroundPaint(start, task, int(model.tex_width[self._texture]))
        self._level = float(np.median(start.height))
        model.mat_texrepeat[model.material("soil").id] = (1, 1)
        set_looks(model, width, height, fine=False)
        self._gl = open_gl(width, height)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = True
        self._option = mujoco.MjvOption()
        self._option.sitegroup[:] = 0
        self._view = mujoco.MjvCamera()
        self._view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._prefix = model.body(plant.base).name.removesuffix(plant.spec.undercarriage.link)

    def picture(self, camera: str, width: int, height: int) -> Picture:
        """Return what a camera of the machine sees now, shape (height, width, 3)."""
        self._gl.make_current()
        self._upload()
        model, context = self._model, self._context
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, context)
        self._view.fixedcamid = model.camera(self._prefix + camera_name(camera)).id
        data = self._plant.data
        mujoco.mj_camlight(model, data)
        mujoco.mjv_updateScene(
            model, data, self._option, None, self._view, mujoco.mjtCatBit.mjCAT_ALL, self._scene
        )
        add_surroundings(self._scene, self._plant.grid, self._level)
        rectangle = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(rectangle, self._scene, context)
        pixels = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, rectangle, context)
        return pixels[::-1].copy()

    def close(self) -> None:
        """Release OpenGL."""
        self._context.free()
        self._gl.free()

    def _upload(self) -> None:
        model, ground = self._model, self._plant.terrain.height_map()
        first = int(model.hfield_adr[self._field])
        flat = drawn_height(ground.height)
        model.hfield_data[first : first + flat.size] = flat
        colours = self._paint.picture(ground).reshape(-1)
        at = int(model.tex_adr[self._texture])
        model.tex_data[at : at + colours.size] = colours
        mujoco.mjr_uploadHField(model, self._context, self._field)
        mujoco.mjr_uploadTexture(model, self._context, self._texture)
