"""Random and adversarial commands against every limit of the gate, on the simulated excavator.

The machine hangs in the air over its tracks: its bucket meets no ground, so that nothing but the
gate holds it back. Its work space is narrower than it could reach, its stability margin larger than
it needs on level ground, and zones are kept out, so that all limits are met all the time. What is
measured is where the joints and the tool truly were, not what the sensors said.

A limit counts as passed when the truth is beyond it. Two allowances are made: the velocity rings
with the oil column that carries the load (:data:`RINGING`), and the zones' clearance is what the
gate keeps, so the zone itself is the limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from kuwa_hardware.gate import Gate
from kuwa_hardware.keepout import KeepOut, Zone
from kuwa_machines import MachineSpec, load_machine
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array, CommandKind, JointCommand, Mode
from kuwa_machines.linkage import lever_arm
from kuwa_machines.safety import WorkSpace, support_polygon, tool_points
from kuwa_machines.spec import CylinderDrive
from kuwa_sim.condition import Condition
from kuwa_sim.robot import SimRobot
from kuwa_sim.scenario import load_scenario
from kuwa_sim.world import World

MACHINE, SCENARIO = "zx200", "dig_trench"
TICK = 0.01
RINGING = 0.25
"""Of a joint's maximum: how far its speed may be beyond it while the oil column swings. The gate
bounds the speed that a flow leads to; the column's spring adds its own for parts of a second. It is
the share at which the gate itself speaks of overspeed."""
BLOCK = 20_000
ZONES = {
    "street": Zone(frame="map", polygon_m=((3.0, 5.0), (12.0, 5.0), (12.0, 12.0), (3.0, 12.0))),
    "wall": Zone(frame="base", polygon_m=((-9.0, -9.0), (-4.5, -9.0), (-4.5, 9.0), (-9.0, 9.0))),
    "cable": Zone(
        frame="map", polygon_m=((4.0, -9.0), (5.0, -9.0), (5.0, -4.0), (4.0, -4.0)), z_min_m=3.0
    ),
}
GROUPS = (
    "position", "velocity", "growth", "jerk", "power", "range", "reach", "stability", "collision",
    "keep_out",
)  # fmt: skip


@dataclass
class Passed:
    """How often each limit was passed, by how much at most, and how long the gate took.

    Args:
        commands: that were sent. ticks: by limit, with the truth beyond it. worst: by limit, how
            far beyond it at most; negative: how near to it at most (rad, share of the maximum
            velocity, 1/s, 1/s², share of the pump's power, m).
        step_us: processor time of each step of the gate [µs].
    """

    commands: int = 0
    ticks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GROUPS, 0))
    worst: dict[str, float] = field(default_factory=lambda: dict.fromkeys(GROUPS, -np.inf))
    step_us: list[Array] = field(default_factory=list)
    refused: int = 0
    stopped: int = 0
    """Times that the gate stopped the machine for good and was released again."""

    def take(self, limit: str, beyond: Array) -> None:
        """Count how far beyond a limit each tick was, shape (T,) or (T, n)."""
        if beyond.size:
            flat = beyond.reshape(len(beyond), -1).max(1)
            self.ticks[limit] += int((flat > 0.0).sum())
            self.worst[limit] = max(self.worst[limit], float(flat.max()))

    @property
    def p99_us(self) -> float:
        """99 % of the gate's steps took at most this [µs]."""
        return float(np.percentile(np.concatenate(self.step_us), 99))


def narrowed(margin: float = 0.55) -> MachineSpec:
    """Return the excavator with limits of space that random motion meets."""
    spec = load_machine(MACHINE)
    space = WorkSpace.model_construct(
        radius=8.2, height=6.5, depth=3.0, low=(-20.0, -20.0, -20.0), high=(20.0, 20.0, 20.0)
    )
    safety = spec.safety.model_copy(update={"workspace": space, "stability_margin": margin})
    return spec.model_copy(update={"safety": safety})


class Machine:
    """The simulated excavator with its sensors, and a bucket that meets no soil."""

    def __init__(self, spec: MachineSpec, seed: int, oil_temperature: float | None) -> None:
        scenario = load_scenario(SCENARIO)
        station = scenario.machines[MACHINE].model_copy(
            update={"condition": Condition(oil_temperature_c=oil_temperature)}
        )
        scenario = scenario.model_copy(update={"machines": {MACHINE: station}})
        plain = load_machine(MACHINE)
        world = World(scenario, seed=seed, specs={MACHINE: plain})
        self.robot = SimRobot(world=world, maps=False)
        world.reset(seed)
        assert self.robot.plant is not None
        self.plant = self.robot.plant
        nothing = lambda *_: None  # noqa: E731
        self.plant.tool = SimpleNamespace(  # type: ignore[assignment]
            look=nothing, apply=nothing, work=nothing, carry=nothing, mass=0.0,
            out=np.zeros(6), points=np.zeros((1, 3)), pose=np.zeros(7),
        )  # fmt: skip
        self.spec = spec


def adversary(rng: np.random.Generator, spec: MachineSpec) -> Iterator[Array]:
    """Yield commands without end: strokes that would do harm, in stretches of a second or so."""
    n = len(spec.joint_names)
    lags = np.asarray(spec.dead_time)
    while True:
        kind = rng.integers(8)
        ticks = int(rng.integers(10, 300))
        sign = rng.choice([-1.0, 1.0], n)
        for k in range(ticks):
            if kind == 0:  # full stroke of all
                yield sign
            elif kind == 1:  # noise
                yield rng.uniform(-1.0, 1.0, n)
            elif kind == 2:  # bang-bang at the period of each joint's dead time: its resonance
                period = np.maximum(4.0 * lags, 0.1)
                yield sign * np.sign(np.sin(2.0 * np.pi * k * TICK / period) + 1e-9)
            elif kind == 3:  # bang-bang of the oil column
                yield sign * (1.0 if (k // 8) % 2 else -1.0)
            elif kind == 4:  # one joint alone
                yield sign * (np.arange(n) == ticks % n)
            elif kind == 5:  # nothing
                yield np.zeros(n)
            elif kind == 6:  # slow growth to the full
                yield sign * min(k / 100.0, 1.0)
            else:  # half stroke
                yield 0.4 * sign


def spoil(
    rng: np.random.Generator, command: JointCommand, last: JointCommand | None
) -> JointCommand | None:
    """Return the command, or now and then something that is not one."""
    if rng.random() > 0.03:
        return command
    kind = rng.integers(7)
    values = command.values.copy()
    if kind == 0:
        return None
    if kind == 1:
        values[rng.integers(len(values))] = np.nan
    elif kind == 2:
        values[:] = np.inf
    elif kind == 3:
        values[:] = rng.choice([-1e300, 1e300], len(values))
    elif kind == 4:
        return last
    parts = {
        "stamp": command.stamp - 5.0 if kind == 5 else command.stamp,
        "sequence": command.sequence - 50 if kind == 6 else command.sequence,
    }
    return JointCommand(
        parts["stamp"], int(parts["sequence"]), command.source, command.kind, command.names, values
    )


def limits(commands: int, seed: int = 0, oil_temperature: float | None = None) -> Passed:
    """Send this many commands, a tick of 10 ms each, and return what was passed.

    Args:
        oil_temperature: of the machine [°C]; None: that of its data.
    """
    rng = np.random.default_rng([11, seed])
    spec = narrowed()
    machine = Machine(spec, seed, oil_temperature)
    robot, plant = machine.robot, machine.plant
    gate = Gate(spec, zones=KeepOut(ZONES, clearance=0.5))
    result = Passed()
    judge = Judge(spec, gate.limits.slew)
    state = robot.read()
    gate.step(state.stamp, state, None)
    source = adversary(rng, spec)
    last: JointCommand | None = None
    q, qd, u, pressure, times, base = [], [], [], [], [], []
    _engage(gate)
    for k in range(commands):
        state = robot.read()
        command = JointCommand(
            state.stamp, 1000 + k, "control", CommandKind.VALVE, spec.joint_names, next(source)
        )
        asked = spoil(rng, command, last)
        last = command
        began = time.thread_time_ns()
        out = gate.step(state.stamp, state, asked)
        times.append(time.thread_time_ns() - began)
        robot.write(out.applied)
        robot.advance()
        q.append(plant.q)
        qd.append(plant.qd)
        u.append(out.applied.values)
        pressure.append(state.pressure)
        base.append(np.concatenate([plant.base_position, plant.base_quaternion_wxyz]))
        if out.safety.mode is Mode.STOPPED:
            result.stopped += 1
            _release(gate, robot)
        if len(q) == BLOCK or k == commands - 1:
            judge.judge(
                result, np.array(q), np.array(qd), np.array(u), np.array(pressure), np.array(base)
            )
            result.step_us.append(1e-3 * np.array(times))
            q, qd, u, pressure, times, base = [], [], [], [], [], []
    result.commands = commands
    result.refused = out.safety.refused
    robot.close()
    return result


def _engage(gate: Gate) -> None:
    for mode in (Mode.READY, Mode.ARMED, Mode.AUTO):
        granted, why = gate.set_mode(mode, "bench")
        assert granted, why


def _release(gate: Gate, robot: SimRobot) -> None:
    """Wait until nothing demands the stop any more, and go on."""
    for _ in range(500):
        state = robot.read()
        gate.step(state.stamp, state, None)
        if gate.set_mode(Mode.READY, "bench")[0]:
            _engage(gate)
            return
        robot.advance()
    raise AssertionError("the stop cannot be released")


class Judge:
    """Holds where the machine was against its limits, with kinematics of its own."""

    def __init__(self, spec: MachineSpec, slew: float) -> None:
        self.spec, self.slew = spec, slew
        self.jerk = spec.safety.jerk or 0.0
        self.chains = {name: Chain(spec, name) for name in spec.links if name != "track_link"}
        self.tool, self.points = tool_points(spec)
        self.support = support_polygon(spec)
        self.u = np.zeros(len(spec.joint_names))
        self.growth = np.zeros(len(spec.joint_names))

    def judge(
        self, found: Passed, q: Array, qd: Array, u: Array, pressure: Array, base: Array
    ) -> None:
        """Count what was passed in a block of ticks, each of shape (T, …)."""
        spec = self.spec
        found.take("position", np.maximum(q - spec.q_max, spec.q_min - q))
        found.take("velocity", np.abs(qd) / spec.qd_max - 1.0 - RINGING)
        found.take("range", np.abs(u) - 1.0)
        self._commands(found, u)
        found.take("power", self._power(u, pressure) / spec.hydraulics.pump_power - 1.0 - 1e-9)
        space, root = spec.safety.workspace, np.array(spec.joints["swing_joint"].origin)
        assert space.radius and space.height and space.depth
        tool = np.stack([self.chains[self.tool].place(q, p) for p in self.points], axis=1)
        reach = np.hypot(tool[..., 0] - root[0], tool[..., 1] - root[1])
        found.take("reach", reach - space.radius)
        found.take("reach", np.maximum(tool[..., 2] - space.height, -space.depth - tool[..., 2]))
        found.take("collision", -self._clearance(q, tool))
        found.take("stability", (spec.safety.stability_margin or 0.0) - self._margin(q))
        swept = [tool]
        for link in ("boom_link", "arm_link", "bucket_link"):
            swept.append(self.chains[link].place(q, (0.0, 0.0, 0.0))[:, None])
        found.take("keep_out", self._intrusion(np.concatenate(swept, axis=1), base))

    def _commands(self, found: Passed, u: Array) -> None:
        before = np.vstack([self.u, u[:-1]])
        same = u * before >= 0.0
        growth = np.abs(u) - np.where(same, np.abs(before), 0.0)
        found.take("growth", growth / TICK - self.slew - 1e-6)
        earlier = np.maximum(np.vstack([self.growth, growth[:-1]]), 0.0)
        found.take("jerk", (growth - earlier) / TICK**2 - self.jerk - 1e-3)
        self.u, self.growth = u[-1], growth[-1]

    def _power(self, u: Array, pressure: Array) -> Array:
        """Return flow times measured pressure of all valves, (T,) [W]; pressures are (T, n, 2)."""
        total = np.zeros(len(u))
        for j, joint in enumerate(self.spec.joints.values()):
            drive: Any = joint.drive
            valve = drive.valve
            opening = np.maximum(np.abs(u[:, j]) - valve.dead_band, 0.0) / (1.0 - valve.dead_band)
            most = np.where(u[:, j] > 0.0, valve.max_flow_positive, valve.max_flow_negative)
            most = np.minimum(most, self.spec.hydraulics.pump_flow)
            # A cylinder that turns its joint back as it extends has its head on the other side.
            first = u[:, j] > 0.0
            if isinstance(drive, CylinderDrive):
                middle = 0.5 * (joint.position.min + joint.position.max)
                first = first == bool(lever_arm(drive.linkage, middle) > 0)
            side = np.where(first, pressure[:, j, 0], pressure[:, j, 1])
            total += opening**valve.curve * most * np.maximum(side, 0.0)
        return total

    def _clearance(self, q: Array, tool: Array) -> Array:
        least = np.full(tool.shape[:2], np.inf)
        swing = self.spec.joints["swing_joint"]
        c, s = np.cos(q[:, :1]), np.sin(q[:, :1])
        at = tool - np.array(swing.origin)
        turned = np.stack([c * at[..., 0] + s * at[..., 1], c * at[..., 1] - s * at[..., 0],
                           at[..., 2]], axis=-1)  # fmt: skip
        for box in self.spec.safety.boxes.values():
            p = tool if box.link == "track_link" else turned
            gap = np.maximum(np.array(box.low) - p, p - np.array(box.high))
            outside = np.linalg.norm(np.maximum(gap, 0.0), axis=-1)
            least = np.minimum(least, np.where(outside > 0.0, outside, gap.max(-1)))
        return least

    def _margin(self, q: Array) -> Array:
        total, moment = 0.0, np.zeros((len(q), 3))
        for name, link in self.spec.links.items():
            at = np.array(link.com)
            moment += link.mass * (self.chains[name].place(q, at) if name in self.chains else at)
            total += link.mass
        x, y, _ = (moment / total).T
        low, high = self.support.min(0), self.support.max(0)
        return np.minimum.reduce([x - low[0], high[0] - x, y - low[1], high[1] - y])

    def _intrusion(self, points: Array, base: Array) -> Array:
        """Return how deep points of the base frame, (T, K, 3), are in a zone, shape (T, K).

        Args:
            base: position and quaternion (w, x, y, z) on the map, shape (T, 7).
        """
        turned = Rotation.from_quat(base[:, 3:], scalar_first=True).as_matrix()
        on_map = np.einsum("tij,tkj->tki", turned, points) + base[:, None, :3]
        worst = np.full(points.shape[:2], -np.inf)
        for zone in ZONES.values():
            p = on_map if zone.frame == "map" else points
            corners = np.array(zone.polygon_m)
            low, high = corners.min(0), corners.max(0)
            # The zones of this bench are upright boxes.
            inside = np.minimum.reduce([
                p[..., 0] - low[0], high[0] - p[..., 0], p[..., 1] - low[1], high[1] - p[..., 1],
                p[..., 2] - zone.z_min_m, zone.z_max_m - p[..., 2],
            ])  # fmt: skip
            worst = np.maximum(worst, inside)
        return worst


def main() -> None:
    """Print what a short run passes."""
    import sys

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    for temperature in (None, 0.0):
        found = limits(count, seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0,
                       oil_temperature=temperature)  # fmt: skip
        print(f"{found.commands} commands, oil {temperature}: p99 {found.p99_us:.0f} us, "
              f"refused {found.refused}, stopped {found.stopped}")  # fmt: skip
        for limit in GROUPS:
            print(f"  {limit:10s} {found.ticks[limit]:6d} ticks, worst {found.worst[limit]:+.4f}")


if __name__ == "__main__":
    main()
