"""What passes between rooms: states, commands, trajectories, tasks, and the protocols of the cores.

Units are SI, angles radians; x forward, y left, z up. Arrays follow the joint order of the
machine's specification inside a process; between processes joints are matched by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.arrays import Array as Array
from kuwa_machines.errors import CommandError

if TYPE_CHECKING:
    from kuwa_machines.spec import MachineSpec


class CommandKind(IntEnum):
    """What the values of a :class:`JointCommand` mean."""

    VALVE = 0
    """Normalised lever or spool command in [-1, 1]; positive moves the joint positively."""
    VELOCITY_FRACTION = 1
    """Joint velocity as a fraction of the joint's maximum, in [-1, 1]."""


@dataclass(frozen=True, slots=True)
class JointCommand:
    """A command for some joints of one machine.

    Args:
        stamp: time at which the command was made [s], on the clock of the state it answers.
        sequence: counts up by one from its source; a repeat or a step back is refused.
        source: who asks, e.g. ``"control"`` or ``"teleop"``.
        kind: the meaning of ``values``.
        names: joint names.
        values: shape (len(names),), dimensionless, in [-1, 1].
    """

    stamp: float
    sequence: int
    source: str
    kind: CommandKind
    names: tuple[str, ...]
    values: Array

    def ordered(self, names: tuple[str, ...]) -> Array:
        """Return the values in the order of ``names``, shape (len(names),).

        Raises:
            CommandError: if a joint is missing, unknown or given twice.
        """
        if self.names == names:
            return self.values
        if len(self.values) != len(self.names) or sorted(self.names) != sorted(names):
            raise CommandError(
                f"command from {self.source!r} has {len(self.values)} values for joints "
                f"{list(self.names)}; expected one for each of {list(names)}"
            )
        return self.values[[self.names.index(name) for name in names]]


@dataclass(frozen=True, slots=True)
class HeightMap:
    """Terrain heights on a regular grid in the world frame.

    Args:
        height: shape (nx, ny) [m]; ``height[i, j]`` belongs to the cell centre
            ``(x0 + i*cell, y0 + j*cell)``.
        x0: world x of the first cell centre [m].
        y0: world y of the first cell centre [m].
        cell: edge of a square cell [m].
    """

    height: Array
    x0: float
    y0: float
    cell: float

    def index(self, x: float, y: float) -> tuple[int, int]:
        """Return the cell that holds world point (x, y), clamped to the map."""
        nx, ny = self.height.shape
        i = min(max(round((x - self.x0) / self.cell), 0), nx - 1)
        j = min(max(round((y - self.y0) / self.cell), 0), ny - 1)
        return i, j

    def xs(self) -> Array:
        """World x of the rows, shape (nx,) [m]."""
        return self.x0 + self.cell * np.arange(self.height.shape[0], dtype=np.float64)

    def ys(self) -> Array:
        """World y of the columns, shape (ny,) [m]."""
        return self.y0 + self.cell * np.arange(self.height.shape[1], dtype=np.float64)


def _unknown3() -> Array:
    return np.full(3, np.nan)


@dataclass(frozen=True, slots=True)
class MachineState:
    """What a robot knows of itself at one instant.

    Args:
        stamp: time of the measurement [s].
        q: joint positions, shape (n,) [rad].
        qd: joint velocities, shape (n,) [rad/s].
        effort: joint torques from the drives, shape (n,) [N·m].
        pressure: drive pressures, shape (n, 2) [Pa]: head and rod side of a cylinder, ports A and
            B of a motor.
        pump_pressure: [Pa]. pump_flow: [m³/s]. pump_power: hydraulic power delivered to
            work and travel [W].
        base_position: origin of the undercarriage in the world as the machine's positioning last
            measured it, shape (3,) [m].
        base_quaternion_wxyz: attitude of the undercarriage in the world, shape (4,).
        base_velocity: linear [m/s] then angular [rad/s] velocity in the world, shape (6,).
        tool_load: mass of the soil held by the tool [kg]; NaN where the machine cannot tell.
        terrain: a new height map, or None when none was measured at this instant.
        base_stamp: the instant at which ``base_position`` was true [s]: older than ``stamp`` by the
            receiver's delay, and older still in an outage; NaN where the machine cannot tell.
        acceleration: specific force in the undercarriage's frame, shape (3,) [m/s²]; at rest on
            level ground (0, 0, 9.81). NaN without an inertial sensor.
        tool_force: force of the ground on the tool, in the world, shape (3,) [N]; NaN without
            load pins.
        images: new camera images by camera name, each shape (height, width, 3), uint8.
    """

    stamp: float
    q: Array
    qd: Array
    effort: Array
    pressure: Array
    pump_pressure: float
    pump_flow: float
    pump_power: float
    base_position: Array
    base_quaternion_wxyz: Array
    base_velocity: Array
    tool_load: float
    terrain: HeightMap | None = None
    base_stamp: float = math.nan
    acceleration: Array = field(default_factory=_unknown3)
    tool_force: Array = field(default_factory=_unknown3)
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """What only a simulation knows: where the machine really is. For scores and pictures.

    Args:
        position: origin of the undercarriage in the world, shape (3,) [m].
        quaternion_wxyz: its attitude, shape (4,).
        velocity: linear [m/s], then angular [rad/s] in the world, shape (6,).
        points: of the tool in the world, shape (k, 3) [m]: the middle of an edge, the shares of a
            plough, the points of a boom at which its height counts.
        load: mass of the soil that the tool holds or pushes [kg].
    """

    position: Array
    quaternion_wxyz: Array
    velocity: Array
    points: Array
    load: float = 0.0


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A chunk of joint motion: knots joined by cubic Hermite segments, held at both ends.

    For an endless joint, a wheel or a sprocket, only the velocities count; its positions are any
    finite numbers, since the ground slips.

    Args:
        stamp: time of the first knot [s] on the state's clock (added to ``t``).
        t: knot times, strictly increasing, starting at 0, shape (K,) [s].
        q: positions, shape (K, n) [rad].
        qd: velocities, shape (K, n) [rad/s].
    """

    stamp: float
    t: Array
    q: Array
    qd: Array

    def sample(self, time: float) -> tuple[Array, Array]:
        """Return (q, qd) at ``time`` [s], each shape (n,); before and after the chunk, at rest."""
        s = time - self.stamp
        if s <= self.t[0]:
            return self.q[0].copy(), (self.qd[0] if s == self.t[0] else np.zeros_like(self.qd[0]))
        if s >= self.t[-1]:
            return self.q[-1].copy(), np.zeros_like(self.qd[-1])
        k = int(np.searchsorted(self.t, s, side="right")) - 1
        h = self.t[k + 1] - self.t[k]
        u = (s - self.t[k]) / h
        q0, q1, m0, m1 = self.q[k], self.q[k + 1], h * self.qd[k], h * self.qd[k + 1]
        q = (
            (2 * u**3 - 3 * u**2 + 1) * q0
            + (u**3 - 2 * u**2 + u) * m0
            + (-2 * u**3 + 3 * u**2) * q1
            + (u**3 - u**2) * m1
        )
        qd = (
            (6 * u**2 - 6 * u) * (q0 - q1) + (3 * u**2 - 4 * u + 1) * m0 + (3 * u**2 - 2 * u) * m1
        ) / h
        return q, qd


@dataclass(frozen=True, slots=True)
class Task:
    """A symbolic goal: what to make of a rectangle of ground, or along which path to work.

    A kind uses the fields that it needs; the others stay at their defaults.

    Args:
        kind: e.g. ``"dig_trench"``; planners say which kinds they know.
        x, y: centre of the rectangle in the world [m].
        yaw: direction of its length, about +z from +x [rad].
        length, width: [m].
        depth: below the ground that was there at the start, positive down [m].
        spoil_x, spoil_y: centre of the spoil heap, or of the body that is to be loaded [m].
        tolerance: a cell within ± this of its target counts as done [m].
        slope: rise of the wanted surface along the length [m/m].
        volume: of soil to move, measured loose, as a bucket or body holds it [m³]; 0: no bound.
        spoil_height: of what receives the spoil, above the ground there [m]; 0: the ground.
        path: way to drive, points (x, y) in the world, joined by straight lines [m].
        speed: to work at [m/s].
        height: of the tool above the ground [m].
    """

    kind: str
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    length: float = 0.0
    width: float = 0.0
    depth: float = 0.0
    spoil_x: float = 0.0
    spoil_y: float = 0.0
    tolerance: float = 0.0
    slope: float = 0.0
    volume: float = 0.0
    spoil_height: float = 0.0
    path: tuple[tuple[float, float], ...] = ()
    speed: float = 0.0
    height: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A planner's answer: where to move next, and what it is doing in words.

    Args:
        trajectory: the next chunk, or None while the planner waits.
        phase: e.g. ``"dig"``, ``"swing_to_dump"``, ``"done"``.
        cycle: work cycles begun so far, from 1.
        done: the task is finished as far as the planner can tell.
    """

    trajectory: Trajectory | None
    phase: str
    cycle: int
    done: bool


class Mode(StrEnum):
    """Modes of the gate. Nothing moves before ``ARMED``; ``STOPPED`` is latched until released."""

    OFF = "off"
    READY = "ready"
    ARMED = "armed"
    TELEOP = "teleop"
    AUTO = "auto"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class SafetyState:
    """What the gate is doing and why.

    Args:
        mode: the mode in force.
        reasons: why the last command was changed or refused, in words; empty when it passed as is.
        limited: per joint, whether the applied value differs from the requested one, shape (n,).
        refused: requests refused since the start.
    """

    mode: Mode
    reasons: tuple[str, ...] = ()
    limited: tuple[bool, ...] = ()
    refused: int = 0


@dataclass(frozen=True, slots=True)
class GateOutput:
    """The command that goes to the actuators, and the state of the gate that made it."""

    applied: JointCommand
    safety: SafetyState


@runtime_checkable
class Robot(Protocol):
    """A machine, simulated or real, that can be read and commanded.

    ``spec`` is readable before ``connect``. ``write`` returns what was really sent to the valves.
    """

    spec: MachineSpec

    def connect(self) -> None:
        """Open buses or load the model; raises KuwaError with the remedy."""

    def read(self) -> MachineState:
        """Return the newest state."""

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command; return it as it was applied."""

    def neutral(self) -> None:
        """Centre all valves at once, whatever was commanded before."""

    def close(self) -> None:
        """Centre all valves and release everything; safe to call twice."""


@runtime_checkable
class SimulatedRobot(Robot, Protocol):
    """A robot whose time can be advanced: the plant waits for the command."""

    control_period: float
    """Length of one tick [s]."""

    def reset(self, seed: int) -> MachineState:
        """Return to the start of the scenario with this seed; same seed, same bits."""

    def advance(self) -> MachineState:
        """Advance one control period and return the new state."""

    def truth(self) -> GroundTruth:
        """Return where the machine really is."""


class Planner(Protocol):
    """From a task and the terrain to joint trajectory chunks."""

    period: float
    """Time between two calls of ``step`` [s]."""

    def reset(self, task: Task) -> None:
        """Begin a task; raises KuwaError if the task's kind is unknown or out of reach."""

    def step(self, state: MachineState, terrain: HeightMap) -> Plan:
        """Return the plan at the state's stamp. ``terrain`` is the newest map."""


class Controller(Protocol):
    """From a reference to valve commands, at the control period.

    One with neurons is :class:`Spiking` as well, one that has learnt something to keep a
    :class:`Learner`.
    """

    def reset(self, state: MachineState) -> None:
        """Forget the past, but not what was learnt; start from this state at rest."""

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Return valve commands, shape (n,).

        Args:
            reference: a trajectory chunk, or velocity fractions of shape (n,), or None (hold).
            applied: the valve command that the gate let through last, shape (n,). Where it differs
                from what was returned last the gate overrides, and what comes of that teaches
                nothing.
        """


@dataclass(frozen=True, slots=True)
class SpikeStats:
    """What the neurons of a controller are doing.

    Counts run since the controller's last reset, so that whoever missed a sample loses nothing:
    the difference of two samples is what happened between them.

    Args:
        neurons: in the network. alive: those that can still spike.
        mean_rate, max_rate: over the living neurons, since the last reset [Hz].
        isi_cv: coefficient of variation of the intervals between spikes, mean over neurons; 1 for
            a Poisson process, NaN until there are enough.
        ei_correlation: between excitation and inhibition that a neuron receives, mean over neurons;
            NaN until there is enough of both.
        spikes: fired. synaptic_operations: weights that these spikes added to a neuron.
        weight_norm: Frobenius norm of what was learnt; in the network's own unit.
        learning: whether it adapts now. reason: why it does not, in words; empty while it does.
        prediction_error: measured less predicted joint position, shape (n,) [rad]; NaN where
            nothing is predicted.
    """

    neurons: int
    alive: int
    mean_rate: float
    max_rate: float
    isi_cv: float
    ei_correlation: float
    spikes: int
    synaptic_operations: int
    weight_norm: float
    learning: bool
    reason: str
    prediction_error: Array


SPIKE_STATS_PERIOD = 0.1
"""Between two samples of :class:`SpikeStats` [s]."""


@runtime_checkable
class Spiking(Protocol):
    """A controller that has neurons."""

    def spike_stats(self) -> SpikeStats:
        """Return what they are doing; it may take longer than a step."""


@runtime_checkable
class Learner(Protocol):
    """A controller that learns while it runs."""

    def save(self, path: Path) -> None:
        """Write what it has learnt into a new file; see :mod:`kuwa_policies.control.saved`."""

    def restore(self, path: Path) -> None:
        """Take what another run has learnt.

        Raises:
            KuwaError: the file is of another machine, size or version, naming the field; the
                controller is as it was.
        """

    def freeze(self, reason: str) -> None:
        """Stop learning and say why, across resets; an empty reason lets it go on."""


class Gate(Protocol):
    """The sole writer of applied commands."""

    def set_mode(self, mode: Mode, who: str) -> tuple[bool, str]:
        """Ask for a mode; return (granted, why)."""

    def emergency_stop(self, active: bool, who: str) -> None:
        """Stop at once and latch; ``active=False`` only withdraws the demand, releasing nothing."""

    def step(
        self, now: float, state: MachineState | None, request: JointCommand | None
    ) -> GateOutput:
        """Decide on a request (None: no new one) at steady time ``now`` [s]."""


@dataclass(slots=True)
class TerrainMemory:
    """Keeps the newest height map, since a state carries one only when it was measured."""

    newest: HeightMap | None = field(default=None)

    def update(self, state: MachineState) -> HeightMap | None:
        """Take the state's map if it has one; return the newest."""
        if state.terrain is not None:
            self.newest = state.terrain
        return self.newest
