"""A run in lock-step: the same cores as in ROS 2, in this process, as fast as it can."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from kuwa_cli.live import LiveStatus
from kuwa_cli.outcome import EndedBy, Outcome, figures_of
from kuwa_cli.progress import Progress
from kuwa_cli.runfolder import controller_files
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings
from kuwa_cli.window import Window
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import Controller, Learner
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.control.saved import keep
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import Stack, Tick, run_together
from kuwa_sim.robot import SimRobot, robots_of
from kuwa_sim.world import World


def run(settings: Settings, folder: Path, logs: Mapping[str, RunLog], live: LiveStatus) -> Outcome:
    """Run to the end, to the time limit or to Ctrl-C; the logs hold what happened.

    Args:
        folder: where controllers leave what they have learnt.
        logs: one for each machine.

    Raises:
        KuwaError: the run could not begin.
    """
    world = World(settings.scenario, seed=settings.seed, specs=settings.specs)
    robots = robots_of(world)
    lead = next(iter(logs))
    log, task = logs[lead], robots[lead].task
    progress = Progress(log, task, settings.duration)
    ended_by: EndedBy = "duration"
    note = ""
    controllers: dict[str, Controller] = {}
    with Window(settings.specs, settings.tasks, settings.obstacles) as window:

        def observe(ticks: dict[str, Tick]) -> bool:
            nonlocal ended_by
            now = time.perf_counter()
            for name, tick in ticks.items():
                logs[name].add_tick(tick, now)
            if ticks[lead].state.terrain is not None:
                _map(world, logs)
            if live.due:
                progress.fill(live.status, 0.0)
                live.show()
            if all(tick.plan.done for tick in ticks.values()):
                ended_by = "done"
            if settings.view and not window.show(logs):
                ended_by = "interrupt"
                return True
            return False

        live.status.waiting = "building the model"
        live.show()
        try:
            world.reset(settings.seed)
            controllers = _controllers(settings, robots)
            live.status.waiting = ""
            run_together(_stacks(robots, controllers), world.advance, settings.duration, observe)
            if len(log.state):
                _map(world, logs)
        except KeyboardInterrupt:
            ended_by = "interrupt"
        except KuwaError as error:
            if not len(log.state):
                raise
            ended_by, note = "fault", str(error)
        finally:
            for robot in robots.values():
                robot.close()
    for name, file in controller_files(folder, logs).items():
        learner = controllers.get(name)
        if isinstance(learner, Learner) and len(log.state):
            try:
                keep(learner, file)
            except KuwaError as error:
                note = f"{note} {error}".strip()
    return _outcome(log, ended_by, note)


def _controllers(settings: Settings, robots: Mapping[str, SimRobot]) -> dict[str, Controller]:
    """Return the controller of every machine that has a task."""
    saved = {next(iter(robots)): settings.controller_state}
    return {
        name: make_controller(
            settings.controller, robot.spec, robot.control_period,
            ControllerOptions(seed=settings.seed, saved=saved.get(name, "")),
        )
        for name, robot in robots.items()
        if robot.task is not None
    }  # fmt: skip


def _stacks(
    robots: Mapping[str, SimRobot], controllers: Mapping[str, Controller]
) -> dict[str, Stack]:
    """Return the stack of every machine that has a controller."""
    stacks = {}
    for name, controller in controllers.items():
        robot = robots[name]
        assert robot.task is not None
        expert, gate = make_expert(robot.spec), Gate(robot.spec)
        stacks[name] = Stack(robot, expert, controller, gate, robot.task)
    return stacks


def _map(world: World, logs: Mapping[str, RunLog]) -> None:
    """Let the logs have the ground as it is; they share one record of it."""
    site = world.running
    next(iter(logs.values())).terrain.append(site.time, site.ground.height_map())


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
