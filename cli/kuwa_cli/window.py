"""MuJoCo's viewer window on a running simulation, fed from the logs of its machines."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import numpy as np

from kuwa_cli.report.runs import MachineRun
from kuwa_cli.report.views import Filming
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import SettingsError
from kuwa_machines.contracts import Task
from kuwa_machines.spec import MachineSpec
from kuwa_sim.cameras import FIELD_OF_VIEW
from kuwa_sim.soil.obstacles import Obstacle

PERIOD = 0.04
"""Between two pictures [s]."""
GROUND_EVERY = 5
"""The ground is shown anew every so many pictures: its upload costs most."""


class Window:
    """Opens when the first ground is known, and closes with the run; a context manager.

    Args:
        specs: of all machines, the lead first. tasks: None for a machine without one.
        obstacles: rigid bodies in the ground.
    """

    def __init__(
        self,
        specs: Mapping[str, MachineSpec],
        tasks: Mapping[str, Task | None],
        obstacles: Sequence[Obstacle] = (),
    ) -> None:
        self._specs, self._tasks, self._obstacles = specs, tasks, obstacles
        self._viewer = None
        self._next = 0.0
        self._count = 0

    def show(self, logs: Mapping[str, RunLog]) -> bool:
        """Show the newest of the logs if it is time; return False when the window was closed."""
        lead = next(iter(logs.values()))
        if time.monotonic() < self._next or lead.terrain.start is None:
            return True
        if not len(lead.state):
            return True
        self._next = time.monotonic() + PERIOD
        if self._viewer is None:
            self._open(logs)
        viewer, scene = self._viewer, self._scene
        assert viewer is not None
        if not viewer.is_running():
            return False
        with viewer.lock():
            for name, log in logs.items():
                if not len(log.state):
                    continue
                load = float(log.hydraulics["load"][-1]) if len(log.hydraulics) else np.nan
                scene.set_machine(name, log.state["q"][-1], *log.pose(), load)
            scene.update()
            ground = self._count % GROUND_EVERY == 0 and lead.terrain.newest is not None
            if ground:
                scene.set_terrain(lead.terrain.newest)
        # Not under the lock: these wait for the window's own thread, which needs it.
        for soil in scene.loads.values():
            viewer.update_mesh(soil.mesh)
        if ground:
            viewer.update_hfield(scene.field)
            viewer.update_texture(scene.texture)
        self._count += 1
        viewer.sync()
        return True

    def _open(self, logs: Mapping[str, RunLog]) -> None:
        import mujoco
        import mujoco.viewer

        from kuwa_sim.scene import Scene

        ground = next(iter(logs.values())).terrain.start
        assert ground is not None
        tasks = [task for task in self._tasks.values() if task is not None]
        scene = self._scene = Scene(self._specs, ground, tasks, self._obstacles)
        runs = {
            name: MachineRun(name, self._specs[name], self._tasks[name], log)
            for name, log in logs.items()
            if len(log.state)
        }
        start = Filming(runs, scene, 16 / 9)
        try:
            viewer = mujoco.viewer.launch_passive(
                scene.model, scene.data, show_left_ui=False, show_right_ui=False
            )
        except Exception as error:
            raise SettingsError(f"--view: no window could be opened: {error}") from None
        self._viewer = viewer
        with viewer.lock():
            view, camera = start.at(0.0), viewer.cam
            camera.lookat[:], camera.distance = view.target, view.distance
            camera.azimuth, camera.elevation = np.degrees((view.azimuth, view.elevation))
            if start.follows:
                # The way is not known yet; the mouse still turns and moves the view.
                camera.type = mujoco.mjtCamera.mjCAMERA_TRACKING
                camera.trackbodyid = scene.base(start.guide)
        scene.model.vis.global_.fovy = math.degrees(FIELD_OF_VIEW)

    def __enter__(self) -> Window:
        return self

    def __exit__(self, *_: object) -> None:
        if self._viewer is not None:
            self._viewer.close()
