"""One demonstration: the expert at the levers of one machine, in lock-step, into a data set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import kuwa_hardware
import kuwa_machines
import kuwa_policies
import kuwa_sim
from kuwa_cli.demos.noise import Drawn, Noise, draw, plain
from kuwa_cli.outcome import finite, judged
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings
from kuwa_cli.sim import new_logs
from kuwa_hardware.gate import Gate
from kuwa_machines.contracts import Controller, MachineState
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.controllers import make_controller
from kuwa_policies.control.options import ControllerOptions
from kuwa_policies.datasets import DatasetError, DatasetInfo, DatasetWriter
from kuwa_policies.datasets.features import (
    ACTION,
    APPLIED,
    IMAGES,
    IMU,
    INTERVENTION,
    MODE,
    MODES,
    PRESSURE,
    RECEIPT,
    REQUESTED,
    SOURCE,
    SOURCES,
    STAMP,
    STATE,
    image_stamp,
)
from kuwa_policies.planning.demonstrator import Demonstrator, DrivenByHand
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import Stack, Tick, run_together
from kuwa_sim.plant import CONTROL_PERIOD
from kuwa_sim.robot import SimRobot, robots_of
from kuwa_sim.scenario import Scenario
from kuwa_sim.world import World, specs_of

GAVE_UP = "gave up"
"""What the phase of an expert begins with that ends without success."""
AUTO, PLANNING = MODES.index("auto"), SOURCES.index("planning")


@dataclass(frozen=True)
class Job:
    """What every episode of a set has in common.

    Args:
        scenario: as it was loaded. noise: how the episodes differ. seed: of all of them.
        controller: that follows the levers, by name.
        fps: frames in a second. cameras: record pictures.
        duration: longest episode [s].
        task: in words.
    """

    scenario: Scenario
    noise: Noise
    seed: int
    controller: str
    fps: int
    cameras: bool
    duration: float
    task: str


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an episode.

    Args:
        episode: its number k. success: by the scenario's own score.
        seconds: simulated [s]. figures: of the score. missed: bounds that were not kept, in words.
    """

    episode: int
    success: bool
    seconds: float
    figures: dict[str, Any]
    missed: tuple[str, ...]


def ticks_per_frame(fps: int, who: str = "--fps") -> int:
    """Return how many control ticks a frame stands for.

    Args:
        fps: frames in a second. who: says so, for messages.

    Raises:
        KuwaError: no whole number.
    """
    rate = round(1.0 / CONTROL_PERIOD)
    if fps < 1 or rate % fps:
        valid = ", ".join(str(n) for n in range(1, rate + 1) if rate % n == 0)
        raise KuwaError(f"{who} {fps}: the control rate {rate} Hz is no multiple; valid: {valid}")
    return rate // fps


def info_of(job: Job, versions: Mapping[str, str]) -> DatasetInfo:
    """Return what a set of these episodes consists of."""
    lead = next(iter(job.scenario.machines))
    spec = specs_of(job.scenario)[lead]
    sensors = spec.sensors
    cameras = {n: (c.height, c.width) for n, c in sensors.cameras.items()} if job.cameras else {}
    if job.cameras and not cameras:
        raise KuwaError(f"--cameras: {spec.name} has no camera")
    kuwa = {
        "qd_max": spec.qd_max.tolist(), "control_period": CONTROL_PERIOD,
        "units": {"position": "rad", "velocity": "rad/s", "action": "fraction of qd_max"},
        "controller": job.controller, "scenario": job.scenario.name, "seed": job.seed,
        "demo": {"noise": job.noise.model_dump(mode="json"), "scenario": plain(job.scenario),
                 "duration": job.duration},
        "versions": dict(versions),
    }  # fmt: skip
    return DatasetInfo.of_machine(
        spec.name, spec.joint_names, job.fps, cameras=cameras,
        pressure="pressures" in sensors.present, imu="imu" in sensors.present, kuwa=kuwa,
    )  # fmt: skip


def fingerprint(spec: MachineSpec) -> str:
    """Return a hash of a machine's data, to tell whether a replay is of the same machine."""
    return hashlib.sha256(json.dumps(spec.raw, sort_keys=True).encode()).hexdigest()


@cache
def code_fingerprint() -> str:
    """Return a hash of the code that decides where a simulated machine goes."""
    found = hashlib.sha256()
    for package in (kuwa_machines, kuwa_sim, kuwa_hardware, kuwa_policies):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            part = path.relative_to(root)
            # What learns, plans or keeps data does not act on a recorded velocity reference.
            if package is kuwa_policies and part.parts[0] not in ("control", "ebn"):
                continue
            found.update(str(part).encode() + path.read_bytes())
    return found.hexdigest()


class Frames:
    """Puts ticks of one machine into an open episode.

    Args:
        writer: with an open episode. every: ticks for a frame.
    """

    def __init__(self, writer: DatasetWriter, every: int) -> None:
        self._writer, self._every = writer, every
        self._info = writer.info
        self._images: dict[str, Any] = dict.fromkeys(writer.info.videos)
        self._images_at: dict[str, float] = {}
        self._ticks = 0
        self._first = -1
        self._sha = hashlib.sha256()
        self._joints = writer.info.joints

    def add(self, tick: Tick, followed: np.ndarray) -> None:
        """Take one control tick and the action that was followed in it, shape (n,)."""
        state = tick.state
        self._writer.control(state.stamp, followed, PLANNING)
        self._sha.update(state.q.tobytes() + state.qd.tobytes())
        for name, image in state.images.items():
            self._images[IMAGES + name] = image
            self._images_at[image_stamp(IMAGES + name)] = state.stamp
        # Before every camera has given its first picture there is no frame.
        if self._first < 0 and all(image is not None for image in self._images.values()):
            self._first = self._ticks
        if self._first >= 0 and (self._ticks - self._first) % self._every == 0:
            self._writer.add(self._frame(tick, followed))
        self._ticks += 1

    def notes(self) -> dict[str, Any]:
        """Return what a replay compares with: which tick was the first frame, and a hash of all."""
        return {
            "first_tick": self._first, "ticks_per_frame": self._every, "ticks": self._ticks,
            "states_sha256": self._sha.hexdigest(),
        }  # fmt: skip

    def _frame(self, tick: Tick, followed: np.ndarray) -> dict[str, Any]:
        state = tick.state
        frame: dict[str, Any] = {
            STATE: observed(state), ACTION: followed,
            REQUESTED: tick.request.ordered(self._joints),
            APPLIED: tick.output.applied.ordered(self._joints),
            # In lock-step there is no clock on the wall: what is sent arrives at once.
            RECEIPT: state.stamp, STAMP: state.stamp,
            INTERVENTION: 0, MODE: AUTO, SOURCE: PLANNING,
            **self._images, **self._images_at,
        }  # fmt: skip
        if PRESSURE in self._info.features:
            # A drive without a sensor reads zero.
            frame[PRESSURE] = np.nan_to_num(state.pressure, nan=0.0).ravel()
        if IMU in self._info.features:
            frame[IMU] = inertial(state)
        return frame


def observed(state: MachineState) -> np.ndarray:
    """Return ``observation.state``: positions [rad], then velocities [rad/s]; 32 bits."""
    return np.concatenate([state.q, state.qd]).astype(np.float32)


def inertial(state: MachineState) -> np.ndarray:
    """Return ``observation.imu`` of the base: quaternion xyzw, angular velocity, acceleration."""
    w, x, y, z = state.base_quaternion_wxyz
    rotation = np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
    rate = rotation.T @ state.base_velocity[3:]
    return np.concatenate([[x, y, z, w], rate, state.acceleration]).astype(np.float32)


def stacks_of(
    robots: Mapping[str, SimRobot], lead: str, controller: Controller, name: str, seed: int
) -> dict[str, Stack]:
    """Return the stacks of a demonstration: others are driven by their experts' chunks."""
    stacks = {}
    for machine, robot in robots.items():
        if robot.task is None:
            continue
        follows = controller
        if machine != lead:
            options = ControllerOptions(seed=seed)
            follows = make_controller(name, robot.spec, robot.control_period, options)
        expert, gate = make_expert(robot.spec), Gate(robot.spec)
        stacks[machine] = Stack(robot, expert, follows, gate, robot.task)
    return stacks


def record(job: Job, number: int, folder: Path, info: DatasetInfo) -> Result:
    """Record episode ``number`` as the only one of a data set in an empty folder.

    Raises:
        KuwaError: the scenario cannot be simulated, or the set not be written.
    """
    drawn = draw(job.scenario, job.noise, job.seed, number)
    asked = Settings(
        job.scenario.name, drawn.scenario, specs_of(drawn.scenario), drawn.seed, None,
        job.duration, False, {}, job.controller,
    )  # fmt: skip
    lead = next(iter(asked.specs))
    if drawn.scenario.machines[lead].task is None:
        raise KuwaError(f"{job.scenario.name}: {lead} has no task to demonstrate")
    logs = new_logs(asked, exact=True)
    world = World(drawn.scenario, seed=drawn.seed, specs=asked.specs)
    robots = robots_of(world, job.cameras)
    with DatasetWriter(folder, info) as writer:
        try:
            world.reset(drawn.seed)
            spec = asked.specs[lead]
            hands = Demonstrator(spec, CONTROL_PERIOD, drawn.hands, (job.seed, number))
            options = ControllerOptions(seed=number)
            driven = DrivenByHand(
                make_controller(job.controller, spec, CONTROL_PERIOD, options), hands
            )
            stacks = stacks_of(robots, lead, driven, job.controller, number)
            writer.begin(job.task)
            frames = Frames(writer, ticks_per_frame(job.fps))
            note = _drive(job, world, stacks, logs, lead, driven, frames)
        finally:
            for robot in robots.values():
                robot.close()
        score, why = judged(logs[lead], lead, asked)
        success = score is not None and score.success and not note
        missed = score.missed if score is not None else (why,)
        figures = {} if score is None else finite(score.figures)
        seconds = len(logs[lead].state) * CONTROL_PERIOD
        writer.save(
            success, demo=number, machine=spec.name, scenario=job.scenario.name, seed=drawn.seed,
            condition=drawn.condition, figures=figures, missed=list(missed), fault=note,
            simulation=_simulation(job, drawn, number, spec), **frames.notes(),
        )  # fmt: skip
    return Result(number, success, seconds, figures, (*missed, *([note] if note else [])))


def _drive(
    job: Job, world: World, stacks: dict[str, Stack], logs: Mapping[str, RunLog], lead: str,
    driven: DrivenByHand, frames: Frames,
) -> str:  # fmt: skip
    """Run to the end; return what broke, in words, or an empty text."""
    terrain = logs[lead].terrain

    def observe(ticks: dict[str, Tick]) -> bool:
        for name, tick in ticks.items():
            logs[name].add_tick(tick, 0.0)
        frames.add(ticks[lead], driven.followed)
        if terrain.start is None or ticks[lead].plan.done:
            site = world.running
            terrain.append(site.time, site.ground.height_map())
        # An expert that gave up stands still until the time is over: nothing to learn from.
        return ticks[lead].plan.phase.startswith(GAVE_UP)

    note = ""
    try:
        run_together(stacks, world.advance, job.duration, observe)
    except DatasetError:
        raise
    except KuwaError as error:
        if not len(logs[lead].state):
            raise
        note = str(error)
    site = world.running
    terrain.append(site.time, site.ground.height_map())
    return note


def _simulation(job: Job, drawn: Drawn, number: int, spec: MachineSpec) -> dict[str, Any]:
    """Return everything that a replay needs, so that it needs nothing else."""
    return {
        "scenario": plain(drawn.scenario), "seed": drawn.seed, "controller": job.controller,
        "controller_seed": number, "cameras": job.cameras, "control_period": CONTROL_PERIOD,
        "machine_sha256": fingerprint(spec), "code_sha256": code_fingerprint(),
    }  # fmt: skip
