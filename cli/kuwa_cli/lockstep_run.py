"""A run in lock-step: the same cores as in ROS 2, in this process, as fast as it can."""

from __future__ import annotations

import time

import numpy as np

from kuwa_cli.live import LiveStatus
from kuwa_cli.outcome import EndedBy, Outcome, figures_of
from kuwa_cli.progress import Progress
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings
from kuwa_cli.window import Window
from kuwa_hardware.gate import Gate
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.tracking import TrackingController
from kuwa_policies.planning.expert import Expert
from kuwa_sim.lockstep import Tick, run_lockstep
from kuwa_sim.robot import SimRobot


def run(settings: Settings, log: RunLog, live: LiveStatus) -> Outcome:
    """Run to the end, to the time limit or to Ctrl-C; the log holds what happened.

    Raises:
        KuwaError: the run could not begin.
    """
    robot = SimRobot(settings.scenario, settings.spec.name, settings.seed)
    progress = Progress(log, robot.task, settings.duration)
    ended_by: EndedBy = "duration"
    note = ""
    with Window(settings.spec, robot.task) as window:

        def observe(tick: Tick) -> bool:
            nonlocal ended_by
            log.add_tick(tick, time.perf_counter())
            if tick.state.terrain is not None and robot.plant is not None:
                log.terrain.append(tick.state.stamp, robot.plant.terrain.height_map())
            if live.due:
                progress.fill(live.status, 0.0)
                live.show()
            if tick.plan.done:
                ended_by = "done"
            if settings.view and not window.show(log):
                ended_by = "interrupt"
                return True
            return False

        live.status.waiting = "building the model"
        live.show()
        try:
            robot.connect()
            live.status.waiting = ""
            run_lockstep(
                robot,
                Expert(robot.spec),
                TrackingController(robot.spec, robot.control_period),
                Gate(robot.spec),
                robot.task,
                settings.duration,
                observe,
            )
            if robot.plant is not None and len(log.state):
                log.terrain.append(robot.plant.time, robot.plant.terrain.height_map())
        except KeyboardInterrupt:
            ended_by = "interrupt"
        except KuwaError as error:
            if not len(log.state):
                raise
            ended_by, note = "fault", str(error)
        finally:
            robot.close()
    return _outcome(log, ended_by, note)


def _outcome(log: RunLog, ended_by: EndedBy, note: str) -> Outcome:
    t, wall = log.state.t, log.state["wall"]
    tick = 1e3 * np.diff(wall)
    factor = float((t[-1] - t[0]) / (wall[-1] - wall[0])) if len(t) > 1 else None
    timing = {
        "real_time_factor": factor,
        "wall_s": float(wall[-1] - wall[0]) if len(t) else 0.0,
        "ticks": len(t),
        "tick_ms": figures_of(tick),
    }
    return Outcome(ended_by, note, timing, [("Work of a tick", "[ms]", tick, None)])
