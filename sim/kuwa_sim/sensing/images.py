"""A machine's cameras: pictures of the live site, all its machines in it, without a window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from kuwa_machines.contracts import Task
from kuwa_machines.sensors import Camera
from kuwa_sim.faults import ActuatorFault, Fault
from kuwa_sim.model import camera_name
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.render import Picture, SceneRenderer
from kuwa_sim.sensing.later import Later, Spoil
from kuwa_sim.sensing.streams import stream

CAMERA_STREAM = 200
"""Number of the random stream of the first camera."""
VISIBLE = 2e-3
"""Ground is drawn anew when a cell has moved by this much [m]: that costs half of a picture."""


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
        # An OpenGL context belongs to one thread; whoever calls, this one draws.
        self._thread = ThreadPoolExecutor(1, "cameras")
        self._renderer: SiteRenderer | None = self._thread.submit(
            SiteRenderer, plant, task
        ).result()
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
            self._thread.submit(self._renderer.close).result()
            self._thread.shutdown()
            self._renderer = None

    def _take(self, name: str, camera: Camera, spoil: Spoil) -> Picture:
        assert self._renderer is not None
        picture = self._thread.submit(
            self._renderer.look, name, camera.width, camera.height
        ).result()
        spread = 255 * float(np.hypot(camera.noise, spoil.noise))
        if spread == 0.0:
            return picture
        grain = self._rng[name].standard_normal(picture.shape, dtype=np.float32)
        return np.clip(np.rint(picture + spread * grain), 0, 255).astype(np.uint8)


class SiteRenderer(SceneRenderer):
    """Draws the site as it stands, all its machines in it, as a machine's cameras see it."""

    def __init__(self, plant: Plant, task: Task | None) -> None:
        cameras = plant.spec.sensors.cameras.values()
        site = plant.site
        self._shown = plant.terrain.height_map().height
        super().__init__(
            {name: place.spec for name, place in site.placements.items()},
            plant.terrain.height_map(),
            () if task is None else (task,),
            width=max(c.width for c in cameras),
            height=max(c.height for c in cameras),
        )
        self._plants = dict(zip(site.placements, site.plants, strict=True))
        self._own = next(name for name, other in self._plants.items() if other is plant)

    def look(self, camera: str, width: int, height: int) -> Picture:
        """Return what a camera of the machine sees now, shape (height, width, 3)."""
        for name, plant in self._plants.items():
            position, attitude = plant.base_position, plant.base_quaternion_wxyz
            self.set_machine(name, plant.q, position, attitude, plant.tool_load)
        ground = self._plants[self._own].terrain.height_map()
        if np.abs(ground.height - self._shown).max() > VISIBLE:
            self._shown = ground.height.copy()
            self.set_terrain(ground)
        return self.through(self._prefix[self._own] + camera_name(camera), width, height)
