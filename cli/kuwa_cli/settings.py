"""What a person asked of one simulation run, checked before anything starts."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from kuwa_machines.contracts import Task
from kuwa_machines.errors import KuwaError, choices
from kuwa_machines.overlay import machine_named_in
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.controllers import DEFAULT, check_saved, entry
from kuwa_sim.scenario import Scenario, check_tools, load_scenario
from kuwa_sim.soil.obstacles import Obstacle
from kuwa_sim.world import specs_of

MAX_SEED = 2**31 - 1


class SettingsError(KuwaError):
    """An option that makes no sense, and what would."""


@dataclass(frozen=True)
class Settings:
    """One run.

    Args:
        scenario_name: as the nodes take it: a name or an absolute path.
        specs: of its machines by their names on the site; the first one leads.
        speed: simulated seconds in a second; None in lock-step.
        duration: longest run from the moment the machine may move [s, simulated].
        parameters: machine → file with numbers in place of the machine's own.
        controller: of every machine that works, by name.
        controller_state: file from which the lead's controller is restored; empty: none.
        robot: kind of robot through which the stack reaches the machine.
        sensors: file of CANopen sensors that measure its joints; empty: there are none.
    """

    scenario_name: str
    scenario: Scenario
    specs: dict[str, MachineSpec]
    seed: int
    speed: float | None
    duration: float
    view: bool
    parameters: dict[str, str]
    controller: str = DEFAULT
    controller_state: str = ""
    robot: str = "sim"
    sensors: str = ""

    @property
    def emulated(self) -> bool:
        """Whether the machine is a process of its own on a bus."""
        return self.robot != "sim"

    @property
    def spec(self) -> MachineSpec:
        """The lead machine."""
        return next(iter(self.specs.values()))

    @property
    def task(self) -> Task | None:
        """What the lead machine is to do."""
        task = self.scenario.lead.task
        return None if task is None else task.task

    @property
    def tasks(self) -> dict[str, Task | None]:
        """What each machine is to do."""
        return {
            name: None if station.task is None else station.task.task
            for name, station in self.scenario.machines.items()
        }

    @property
    def obstacles(self) -> list[Obstacle]:
        """Rigid bodies in the ground."""
        return [buried.obstacle for buried in self.scenario.obstacles]


def settings(
    scenario: str,
    machine: str | None,
    seed: int,
    lockstep: bool,
    speed: float | None,
    duration: float | None,
    view: bool,
    parameters: Path | None = None,
    controller: str | None = None,
    controller_state: Path | None = None,
    robot: str = "sim",
    sensors: Path | None = None,
) -> Settings:
    """Check what was asked.

    Raises:
        KuwaError: naming the option, its value and what would be right.
    """
    loaded = load_scenario(scenario).with_machine(machine)
    file = "" if parameters is None else str(parameters.absolute())
    specs = specs_of(loaded, file)
    check_tools(loaded, specs)
    if not 0 <= seed <= MAX_SEED:
        raise SettingsError(f"--seed {seed}: give a whole number from 0 to {MAX_SEED}")
    if lockstep and speed is not None:
        raise SettingsError(
            "--speed is for real time; a lock-step run is as fast as this computer can"
        )
    _check_robot(robot, loaded, lockstep, speed)
    _check_sensors(sensors, loaded, next(iter(specs.values())), lockstep, speed)
    pace = 1.0 if speed is None else speed
    if not (math.isfinite(pace) and 0.01 <= pace <= 100.0):
        raise SettingsError(f"--speed {pace}: give a number from 0.01 to 100")
    length = loaded.duration_s if duration is None else duration
    if not (math.isfinite(length) and 0.1 <= length <= 36_000):
        raise SettingsError(f"--duration {length}: give seconds from 0.1 to 36000")
    if view and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SettingsError(
            "--view opens a window, and there is no display here (DISPLAY is not set); "
            "leave it out: the report has a film of the run"
        )
    control = DEFAULT if controller is None else controller
    saved = "" if controller_state is None else str(controller_state.absolute())
    entry(control)
    check_saved(control, saved)
    name = str(Path(scenario).absolute()) if scenario.endswith(".yaml") else scenario
    files = {} if parameters is None else {machine_named_in(parameters): file}
    return Settings(
        name,
        loaded,
        specs,
        seed,
        None if lockstep else pace,
        length,
        view,
        files,
        control,
        saved,
        robot,
        "" if sensors is None else str(sensors.absolute()),
    )


def _check_robot(robot: str, scenario: Scenario, lockstep: bool, speed: float | None) -> None:
    """Refuse a robot that this run cannot have."""
    if robot == "sim":
        return
    # The one place that knows the kinds; a lock-step run needs no ROS.
    from kuwa_bringup.stack import EMULATED

    valid = ("sim", *EMULATED)
    if robot not in valid:
        raise SettingsError(f"--robot {robot}: {choices(robot, valid)}")
    if lockstep or speed not in (None, 1.0):
        raise SettingsError(
            f"--robot {robot}: a machine on a bus has a clock of its own; leave out --lockstep and "
            "--speed"
        )
    lead, *others = scenario.machines
    working = [name for name in others if scenario.machines[name].task is not None]
    if working:
        raise SettingsError(
            f"--robot {robot}: {', '.join(working)} works beside {lead} in this scenario, and only "
            "one machine can be on the bus; choose a scenario of one"
        )


def _check_sensors(
    file: Path | None, scenario: Scenario, spec: MachineSpec, lockstep: bool, speed: float | None
) -> None:
    """Refuse sensors that this run cannot have."""
    if file is None:
        return
    from kuwa_hardware.canopen_sensors.config import load_sensors

    load_sensors(spec, file)
    if lockstep or speed not in (None, 1.0):
        raise SettingsError(
            f"--sensors {file}: they send by a clock of their own; leave out --lockstep and --speed"
        )
    if len([one for one in scenario.machines.values() if one.task is not None]) > 1:
        raise SettingsError(
            f"--sensors {file}: they are on one machine; choose a scenario in which one works"
        )
