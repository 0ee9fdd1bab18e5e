"""Pictures of an episode, and a window on it: all machines, from outside."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from kuwa_machines.contracts import Array, Task
from kuwa_machines.kinematics import rotation
from kuwa_machines.spec import Plough, SprayerBoom
from kuwa_sim.cameras import ASIDE, BEHIND, View, fitted
from kuwa_sim.gl import RenderError
from kuwa_sim.markings import outline
from kuwa_sim.plant import Plant
from kuwa_sim.render import Picture, SceneRenderer
from kuwa_sim.scene import Scene
from kuwa_sim.world import World

INSTEAD: Final = "render_mode='rgb_array' needs no display"
GROUND_EVERY: Final = 5
"""A window shows the ground anew every so many pictures: its upload costs most."""

CLOSING: Final = 5.0
"""A window closes within this time [s]."""


class Eye:
    """From where an episode is seen: all of a place of work, or along with the lead on its way.

    Args:
        world: just reset. scene: of it, its machines still as a scene begins.
        aspect: width of a picture over its height.
    """

    def __init__(self, world: World, scene: Scene, aspect: float) -> None:
        self._plants = plants_of(world)
        boxes = {name: scene.box(name) for name in self._plants}
        self._lead = self._plants[world.lead]
        task = world.stations[world.lead].task
        assert task is not None
        self._follows = bool(task.task.path)
        behind = isinstance(self._lead.spec.tool, Plough | SprayerBoom)
        self._side = BEHIND if behind else ASIDE
        names = [world.lead] if self._follows else list(self._plants)
        points = [_in_world(self._plants[name], boxes[name]) for name in names]
        if not self._follows:
            points.append(_around(task.task, self._lead))
        self._view = fitted(np.concatenate(points), self._azimuth, aspect=aspect)
        self._offset = self._view.target - self._lead.base_position

    @property
    def _azimuth(self) -> float:
        forward = rotation(self._lead.base_quaternion_wxyz)[:, 0]
        return float(np.arctan2(forward[1], forward[0])) + self._side

    def view(self) -> View:
        """Return the view of this instant."""
        view = self._view
        if not self._follows:
            return view
        lift = np.array([0.0, 0.0, self._offset[2]])
        target = self._lead.base_position + lift
        return View(target, 1.2 * view.distance, self._azimuth, view.elevation)


class Pictures:
    """Pictures without a window; OpenGL is opened at the first one of an episode.

    Args:
        width, height: [pixels].
    """

    def __init__(self, width: int, height: int) -> None:
        self._size = width, height
        self._scene: SceneRenderer | None = None

    def take(self, world: World) -> Picture:
        """Return a picture, shape (height, width, 3), uint8.

        Raises:
            RenderError: this computer has no OpenGL.
        """
        width, height = self._size
        if self._scene is None:
            self._scene = SceneRenderer(
                *shown(world), obstacles=obstacles(world), width=width, height=height
            )
            self._eye = Eye(world, self._scene, width / height)
        self._scene.set_terrain(world.running.ground.height_map())
        place(self._scene, plants_of(world))
        return self._scene.picture(self._eye.view())

    def close(self) -> None:
        """Release OpenGL; the next picture begins a new episode. Safe to call twice."""
        if self._scene is not None:
            self._scene.close()
            self._scene = None


class Window:
    """MuJoCo's viewer, opened at the first picture, in real time at most.

    Args:
        period: between two pictures, simulated [s].
    """

    def __init__(self, period: float) -> None:
        self._period = period
        self._viewer: Any = None
        self._count = 0
        self._shown = self._next = 0.0

    def show(self, world: World) -> None:
        """Show the machines as they are, if it is time for a picture.

        Raises:
            RenderError: no window can be opened, or it was closed.
        """
        if self._viewer is None:
            self._begin(world)
        now = world.running.time
        if now < self._shown:
            return
        self._shown = now + self._period
        time.sleep(max(self._next - time.monotonic(), 0.0))
        self._next = time.monotonic() + self._period
        viewer, scene = self._viewer, self._scene
        if not viewer.is_running():
            raise RenderError("the window was closed")
        ground = self._count % GROUND_EVERY == 0
        with viewer.lock():
            place(scene, plants_of(world))
            scene.update()
            if ground:
                scene.set_terrain(world.running.ground.height_map())
        # Not under the lock: these wait for the window's own thread, which needs it.
        for soil in scene.loads.values():
            viewer.update_mesh(soil.mesh)
        if ground:
            viewer.update_hfield(scene.field)
            viewer.update_texture(scene.texture)
        self._count += 1
        viewer.sync()

    def _begin(self, world: World) -> None:
        import glfw
        import mujoco.viewer

        # Asked first, since the viewer ends the whole process where there is no display.
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            opened = glfw.init()
        if not opened:
            why = "; ".join(str(warning.message) for warning in told) or "GLFW does not start"
            raise RenderError(f"no window can be opened: {why}; {INSTEAD}")
        scene = self._scene = Scene(*shown(world), obstacles=obstacles(world))
        view = Eye(world, scene, 16 / 9).view()
        others = set(threading.enumerate())
        try:
            self._viewer = mujoco.viewer.launch_passive(
                scene.model, scene.data, show_left_ui=False, show_right_ui=False
            )
        except Exception as error:  # every window system fails in its own way
            raise RenderError(f"no window can be opened: {error}; {INSTEAD}") from None
        self._threads = set(threading.enumerate()) - others
        with self._viewer.lock():
            camera = self._viewer.cam
            camera.lookat[:] = view.target
            camera.distance = view.distance
            camera.azimuth, camera.elevation = np.degrees((view.azimuth, view.elevation))
        self.begin()

    def begin(self) -> None:
        """Begin an episode in the same window."""
        self._count, self._shown = 0, 0.0

    def close(self) -> None:
        """Close the window; safe to call twice."""
        if self._viewer is not None:
            self._viewer.close()
            # Its own thread still draws for a moment; the end of the process would cut it short.
            for thread in self._threads:
                thread.join(CLOSING)
            self._viewer = None


def plants_of(world: World) -> dict[str, Plant]:
    """Return the machines of a running world by name."""
    return {name: world.plant(name) for name in world.stations}


def shown(world: World) -> tuple[Mapping[str, Any], Any, list[Task]]:
    """Return machines, ground and tasks as a scene takes them."""
    tasks = [station.task.task for station in world.stations.values() if station.task is not None]
    return world.specs, world.running.ground.height_map(), tasks


def obstacles(world: World) -> list[Any]:
    """Return the rigid bodies in the ground."""
    return [body.obstacle for body in world.scenario.obstacles]


def place(scene: Scene, plants: Mapping[str, Plant]) -> None:
    """Show all machines as they are, from the scene's next update on."""
    for name, plant in plants.items():
        attitude = plant.base_quaternion_wxyz
        scene.set_machine(name, plant.q, plant.base_position, attitude, plant.tool_load)


def _in_world(plant: Plant, points: Array) -> Array:
    return points @ rotation(plant.base_quaternion_wxyz).T + plant.base_position


def _around(task: Task, lead: Plant) -> Array:
    """Return points around a task's rectangle and its spoil, at the lead's level, (6, 3) [m]."""
    level = lead.base_position[2]
    points = np.vstack([outline(task), (task.spoil_x, task.spoil_y)])
    return np.column_stack([points, np.full(len(points), level)])
