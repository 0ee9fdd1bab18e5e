"""The bench of the excavator's tip: a worn machine with an unknown load in its bucket.

The controller and the gate know the data file, with dead times of half a second. The machine that
they drive differs from it as old machines do: see :data:`WORN`. The tip is that of the reference
carried through the kinematics against that of the joints as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuwa_hardware.gate import Gate
from kuwa_machines import MachineSpec, load_machine
from kuwa_machines.build import scaled
from kuwa_machines.contracts import Array, CommandKind, Controller, JointCommand, Mode, Trajectory
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_policies.control.drive import DriveModel
from kuwa_sim.condition import Condition
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import Station, load_scenario
from kuwa_sim.world import World

MACHINE, SITE = "zx200", "dig_trench"
DEAD_TIME = 0.5
LOAD = (400.0, 1400.0)
"""Mass in the bucket that nobody told the controller [kg], drawn uniformly."""
WORN = {"wear_leakage": (2.0, 10.0), "wear_dead_band": (0.2, 0.6), "wear_pump": (0.0, 0.1)}
SPREAD = {"joints.*.drive.valve.max_flow_*": 0.15, "joints.*.drive.valve.dead_time": 0.05}
"""Shares by which the machine's valves differ from the data file besides."""
SECONDS, LAST = 300.0, 60.0
KNOT, CHUNK, EVERY = 0.1, 5.0, 1.0
"""Knots of the reference, length of a chunk and time between chunks [s]."""


def nominal() -> MachineSpec:
    """Return the machine as the controller knows it."""
    spec = load_machine(MACHINE)
    keys = {
        f"joints.{n}.drive.valve.dead_time": DEAD_TIME / j.oil.valve.dead_time
        for n, j in spec.joints.items()
    }
    return scaled(spec, keys, "bench")


class Case:
    """One seed: a machine, a load, and a reference to follow."""

    def __init__(self, seed: int, worn: bool = True, seconds: float = SECONDS) -> None:
        rng = np.random.default_rng([7, seed])
        self.spec = nominal()
        self.seconds = seconds
        own = self.spec.links["bucket_link"].mass
        load = rng.uniform(*LOAD) if worn else 0.0
        plant = scaled(self.spec, {"links.bucket_link.mass": 1 + load / own}, "bench")
        wear = {key: rng.uniform(*span) for key, span in WORN.items()}
        station = Station(
            machine=self.spec.name,
            condition=Condition(**wear) if worn else Condition(),
            randomise=SPREAD if worn else {},
        )
        site = load_scenario(SITE)
        still = site.randomise.model_copy(update={"roughness_m": 0.0})
        site = site.model_copy(update={"randomise": still, "machines": {self.spec.name: station}})
        world = World(site, seed=seed, specs={self.spec.name: plant})
        self.robot = SimRobot(world=world, maps=False)
        self.seed = seed
        self.reference = reference(self.spec, seconds, rng)

    def run(self, controller: Controller, at: Callable[[float], None] | None = None) -> Run:
        """Follow the reference; ``at`` is told the time of each tick."""
        robot, spec = self.robot, self.spec
        state = robot.reset(self.seed)
        names, n = spec.joint_names, len(spec.joint_names)
        gate = Gate(spec)
        controller.reset(state)
        gate.step(0.0, state, None)
        for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
            assert gate.set_mode(mode, "bench")[0]
        t, q_r, qd_r = self.reference
        applied = np.zeros(n)
        ticks = round(self.seconds / robot.control_period)
        # Written, not only reserved: what grows while it runs is then somebody else's memory.
        q, u = np.full((2, ticks, n), np.nan)
        chunk = None
        for k in range(ticks):
            now = state.stamp
            if k % round(EVERY / robot.control_period) == 0:
                i = round(now / KNOT)
                j = i + round(CHUNK / KNOT) + 1
                chunk = Trajectory(t[i], t[i:j] - t[i], q_r[i:j], qd_r[i:j])
            if at is not None:
                at(now)
            values = controller.step(state, chunk, applied)
            request = JointCommand(now, k + 1, "control", CommandKind.VALVE, names, values)
            applied = robot.write(gate.step(now, state, request).applied).ordered(names)
            q[k], u[k] = robot.plant.q, applied
            state = robot.advance()
        time = np.arange(ticks) * robot.control_period
        wanted = np.stack([np.interp(time, t, q_r[:, j]) for j in range(n)], axis=1)
        kin = ExcavatorKinematics(spec)
        tip = np.array([kin.forward(row)[0] for row in q[::5]])
        goal = np.array([kin.forward(row)[0] for row in wanted[::5]])
        return Run(time[::5], np.linalg.norm(tip - goal, axis=1), q - wanted, u)


@dataclass(frozen=True)
class Run:
    """Times [s] and tip errors [m], shape (T,); joint errors [rad] and commands, (ticks, n)."""

    t: Array
    error: Array
    joints: Array
    command: Array

    def rmse(self, last: float = LAST) -> float:
        """RMSE of the tip over the last seconds [m]."""
        return float(np.sqrt(np.mean(self.error[self.t >= self.t[-1] - last] ** 2)))

    def peak(self, last: float = LAST) -> float:
        """Largest error of the tip over the last seconds [m]."""
        return float(self.error[self.t >= self.t[-1] - last].max())


def reference(spec: MachineSpec, seconds: float, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return times and joint positions and velocities between random poses clear of the ground."""
    kin, drive = ExcavatorKinematics(spec), DriveModel(spec)
    home = spec.home
    poses = [home]
    span = spec.q_max - spec.q_min
    low, high = spec.q_min + 0.12 * span, spec.q_max - 0.12 * span
    low[0], high[0] = -1.2, 1.2
    rows = [home]
    while len(rows) * KNOT < seconds + CHUNK + 10.0:
        goal = rng.uniform(low, high)
        if kin.forward(goal)[0][2] < 1.0 or kin.forward(0.5 * (goal + poses[-1]))[0][2] < 0.8:
            continue
        step = np.abs(goal - poses[-1])
        # Peak velocity of a minimum-jerk motion is 1.875 Δ/T, peak acceleration 5.77 Δ/T².
        T = max(
            (1.875 * step / (rng.uniform(0.35, 0.7) * spec.qd_max)).max(),
            np.sqrt(5.77 * step / (0.6 * spec.qdd_max)).max(),
            2.0,
        )
        while True:
            T = np.ceil(T / KNOT) * KNOT
            s = np.arange(1, round(T / KNOT) + 1) * KNOT / T
            path = poses[-1] + (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * (goal - poses[-1])
            rate = ((30 * s**2 - 60 * s**3 + 30 * s**4) / T)[:, None] * (goal - poses[-1])
            if np.abs(drive.flow(path, rate)).sum(axis=1).max() < 0.55 * drive.pump_flow:
                break
            T *= 1.1
        rows += list(path) + [goal] * round(rng.uniform(0.0, 1.0) / KNOT)
        poses.append(goal)
    q = np.array(rows)
    q = np.concatenate([np.repeat(q[:1], 20, axis=0), q])
    t = np.arange(len(q)) * KNOT
    return t, q, np.gradient(q, KNOT, axis=0)
