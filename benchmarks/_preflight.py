"""Preflights in lock-step: machines with one mistake each, and sound ones that differ and are worn.

A sound machine has valves, weights and leakage off by up to 10 %, up to 3000 hours of work and oil
of 35 to 65 °C; a person has measured its pose to one degree. Who checks knows the data file only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kuwa_hardware.preflight import Plan, Preflight
from kuwa_hardware.preflight.lockstep import run
from kuwa_machines import MachineSpec, load_machine
from kuwa_machines.build import scaled
from kuwa_machines.spec import HydrostaticDrive
from kuwa_sim.condition import Condition
from kuwa_sim.miswired import Mistake, MiswiredRobot
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import load_scenario

MACHINES = {
    "zx200": "dig_trench", "zx200_nfc": "dig_trench", "zx120": "dig_trench", "ic120": "haul_dump",
    "d37": "level_pad", "tractor_plough": "plough_straight", "tractor_sprayer": "spray_rough",
}  # fmt: skip
"""Each with a scenario in which it stands ready."""
DEFECTS = (
    "swapped_sensors", "sensor_sign", "offset", "degrees", "half_scale", "rate", "late", "limits",
    "pressure_unit", "frozen", "noise", "valve_off", "swapped_valves", "valve_sign",
    "velocity_unit",
)  # fmt: skip
SIZE = {"offset": np.radians(5.0), "late": 0.3, "noise": 10.0}
POSE_ERROR = np.radians(1.0)
SPREAD = 0.1


@dataclass(frozen=True)
class Found:
    """What came of one preflight.

    Args:
        machine, defect: the defect is empty for a sound machine. seed: of it.
        joint: that the defect concerns, or ``""``.
        failed: checks that failed, ``"check joint"``. broken_off: why, or ``""``.
        seconds: simulated.
    """

    machine: str
    defect: str
    seed: int
    joint: str
    failed: tuple[str, ...]
    broken_off: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether it would let the machine be armed."""
        return not self.failed and not self.broken_off


def sound(machine: str, seed: int) -> SimRobot:
    """Return a worn machine of a make, connected."""
    rng = np.random.default_rng([seed, 17])
    scenario = load_scenario(MACHINES[machine]).with_machine(machine)
    drives = {
        f"joints.{name}.drive.valve.{key}": SPREAD
        for name in load_machine(machine).joints
        for key in ("dead_time", "dead_band", "time_constant")
    }
    flows = {
        f"joints.{name}.drive.valve.max_flow_{side}": SPREAD
        for name, joint in load_machine(machine).joints.items()
        if not isinstance(joint.drive, HydrostaticDrive)
        for side in ("positive", "negative")
    }
    lead = scenario.lead.model_copy(update={
        "condition": Condition(
            oil_temperature_c=float(rng.uniform(35.0, 65.0)),
            working_hours=float(rng.uniform(0.0, 3000.0)),
        ),
        "randomise": drives | flows | {"links.*.mass": SPREAD},
    })  # fmt: skip
    first = next(iter(scenario.machines))
    worn = scenario.model_copy(update={"machines": {first: lead}})
    robot = SimRobot(worn, None, seed, maps=False)
    robot.connect()
    return robot


def one(machine: str, defect: str, seed: int) -> Found:
    """Run a preflight of a machine with a defect, or of a sound one for ``""``."""
    rng = np.random.default_rng([seed, 23])
    robot = sound(machine, seed)
    file = load_machine(machine)
    worked = [j for j, joint in enumerate(file.joints.values())
              if not isinstance(joint.drive, HydrostaticDrive)]  # fmt: skip
    joint = int(rng.choice(worked))
    others = [j for j in worked if j != joint] or [j for j in range(len(file.joints)) if j != joint]
    other = int(rng.choice(others))
    assert robot.plant is not None
    pose = {
        name: float(q + rng.uniform(-POSE_ERROR, POSE_ERROR))
        for name, q in zip(file.joint_names, robot.plant.q, strict=True)
    }
    spec, wired = file, robot
    if defect == "limits":
        spec = _limits(file, joint)
    elif defect:
        mistake = Mistake(defect, joint, other, SIZE.get(defect, 0.0))
        wired = MiswiredRobot(robot, mistake, seed)  # type: ignore[assignment]
    session = run(Preflight(Plan(spec, file, "sim", True, pose, travel=True)), wired)
    failed = tuple(f"{c.check} {c.joint}".strip() for c in session.failures)
    name = file.joint_names[joint] if defect else ""
    found = Found(machine, defect, seed, name, failed, session.refused, robot.read().stamp)
    robot.close()
    return found


def _limits(file: MachineSpec, joint: int) -> MachineSpec:
    """Return the machine with one limit a tenth farther out, as a parameter file may have it."""
    name = file.joint_names[joint]
    position = file.joints[name].position
    side = "max" if abs(position.max) > 1e-6 else "min"
    return scaled(file, {f"joints.{name}.position.{side}": 1.02}, "a parameter file")


def defects(machines: tuple[str, ...] = tuple(MACHINES)) -> Iterator[Found]:
    """Every defect on every machine."""
    for k, machine in enumerate(machines):
        for i, defect in enumerate(DEFECTS):
            yield one(machine, defect, 100 * k + i)


def healthy(count: int = 50) -> Iterator[Found]:
    """Sound machines, the makes in turn."""
    for seed in range(count):
        yield one(list(MACHINES)[seed % len(MACHINES)], "", 1000 + seed)
