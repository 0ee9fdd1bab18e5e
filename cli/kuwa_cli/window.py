"""MuJoCo's viewer window on a running simulation, fed from the run's log."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np

from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import SettingsError
from kuwa_machines.contracts import Task
from kuwa_machines.spec import MachineSpec

PERIOD = 0.04
"""Between two pictures [s]."""
GROUND_EVERY = 5
"""The ground is shown anew every so many pictures: its upload costs most."""


class Window:
    """Opens when the first ground is known, and closes with the run; a context manager."""

    def __init__(self, spec: MachineSpec, task: Task | None) -> None:
        self._spec = spec
        self._task = task
        self._viewer = None
        self._next = 0.0
        self._count = 0

    def show(self, log: RunLog) -> bool:
        """Show the newest of the log if it is time; return False when the window was closed."""
        if time.monotonic() < self._next or log.terrain.start is None or not len(log.state):
            return True
        self._next = time.monotonic() + PERIOD
        if self._viewer is None:
            self._open(log)
        viewer, scene = self._viewer, self._scene
        assert viewer is not None
        if not viewer.is_running():
            return False
        position, attitude = log.pose()
        load = float(log.hydraulics["load"][-1]) if len(log.hydraulics) else np.nan
        with viewer.lock():
            scene.set_machine(log.state["q"][-1], position, attitude, load)
            if self._count % GROUND_EVERY == 0 and log.terrain.newest is not None:
                scene.set_terrain(log.terrain.newest)
                viewer.update_hfield(scene.field)
                viewer.update_texture(scene.texture)
        self._count += 1
        viewer.sync()
        return True

    def _open(self, log: RunLog) -> None:
        import mujoco.viewer

        from kuwa_sim.render import Scene

        assert log.terrain.start is not None
        self._scene = Scene(self._spec, log.terrain.start, self._task)
        try:
            self._viewer = mujoco.viewer.launch_passive(
                self._scene.model, self._scene.data, show_left_ui=False, show_right_ui=False
            )
        except Exception as error:
            raise SettingsError(f"--view: no window could be opened: {error}") from None

    def __enter__(self) -> Window:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._viewer is not None:
            self._viewer.close()
