"""A machine's functions as a model to fit: from its data to what the kernel steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, LoadSensing, MachineSpec
from kuwa_policies.identification import kernel
from kuwa_policies.identification.rigid import GRAVITY, RigidTree

KNOT = 0.05
"""The posture is followed in steps of this length [s]."""
LONGEST_DEAD_TIME = 2.0
"""What a machine's data file may claim at most [s]."""
SINKAGE = 0.007
"""First guess of how far a machine's weight presses it into the ground, elastically [m]."""
GROUND_DAMPING = 0.6
"""Damping ratio of the machine on the ground as one mass: soil takes most of a rocking away."""
SLIDE_DAMPING = 0.01
"""Damping force over stiffness of the ground along its surface [s]."""


@dataclass(frozen=True)
class Function:
    """What is estimated of one function; SI units.

    ``stiffness`` scales the oil column's stiffness of the data file and ``damping_time`` damps
    it. ``ground`` and ``ground_damping`` scale a guess of how the machine stands, ``footing`` its
    length, ``slide`` its stiffness along the ground, as this function feels them. They are free in
    the fit, because air in the oil and the soil change them, but are not asked for.
    """

    dead_time: float
    dead_band: float
    curve: float
    time_constant: float
    max_flow_positive: float
    max_flow_negative: float
    leakage: float
    damping_time: float
    stiffness: float = 1.0
    ground: float = 1.0
    footing: float = 1.0
    ground_damping: float = 1.0
    slide: float = 1.5

    def flow_fraction(self, u: Array) -> Array:
        """Return sign(u) · ((|u| − dead_band)/(1 − dead_band))^curve, 0 inside the dead band."""
        s = np.clip((np.abs(u) - self.dead_band) / (1.0 - self.dead_band), 0.0, 1.0)
        return np.asarray(np.sign(u) * s**self.curve)


def functions(spec: MachineSpec) -> tuple[str, ...]:
    """Return the joints on the working pump; travel drives have a pump of their own."""
    return tuple(name for name, joint in spec.joints.items() if joint.drive.type != "hydrostatic")


def prior(spec: MachineSpec) -> list[Function]:
    """Return what the machine's data file says, by function."""
    out = []
    for name in functions(spec):
        d = spec.joints[name].oil
        v = d.valve
        out.append(Function(
            v.dead_time, v.dead_band, v.curve, v.time_constant, v.max_flow_positive,
            v.max_flow_negative, d.leakage, d.damping_time,
        ))  # fmt: skip
    return out


@dataclass(frozen=True)
class Window:
    """A stretch of log to simulate, from rest, on the model's own grid of time.

    Attributes:
        t0: start [s]. steps: length in model steps.
        t, command: commands and when they began, each held until the next, from before ``t0`` by
            the longest dead time on; shapes (C,), (C, n).
        q0: posture at the start, shape (n,) [rad].
        inverse_inertia, weight, lever, stiffness: along the measured posture, see the kernel.
    """

    t0: float
    steps: int
    t: Array
    command: Array
    q0: Array
    inverse_inertia: Array
    weight: Array
    lever: Array
    stiffness: Array


class MachineModel:
    """The geometry and the oil of a machine, ready to simulate windows of a log.

    Args:
        spec: the machine; every array follows ``names``, its functions.
    """

    def __init__(self, spec: MachineSpec) -> None:
        self.spec = spec
        self.names = functions(spec)
        self.joints = [spec.joints[name] for name in self.names]
        self.q_min = np.array([joint.position.min for joint in self.joints])
        self.q_max = np.array([joint.position.max for joint in self.joints])
        self.tree = RigidTree(spec, self.names)
        self.prior = prior(spec)
        h = spec.hydraulics
        margin = h.load_sensing_margin if isinstance(h, LoadSensing) else np.nan
        self.pump = np.array([h.pump_flow, h.pump_power, h.pump_relief, margin, h.tank_pressure])
        # Ground as stiff as the guess says, shared by the points on which the machine stands.
        self.footing = self.tree.footing()
        mass = self.tree.mass / len(self.footing)
        self.ground_spring = mass * GRAVITY / SINKAGE
        self.ground_damper = 2 * GROUND_DAMPING * float(np.sqrt(self.ground_spring * mass))
        self.every = round(KNOT / kernel.STEP)
        self.fixed = np.zeros((len(self.names), kernel.N_COLUMNS))
        for row, joint in zip(self.fixed, self.joints, strict=True):
            drive = joint.oil
            if isinstance(drive, CylinderDrive):
                areas = (drive.head_area, drive.rod_area)
            else:
                # A motor is a cylinder of area D [m³/rad] with a lever arm of one.
                areas = (drive.displacement, drive.displacement)
            row[kernel.AREA_EXTEND], row[kernel.AREA_RETRACT] = areas
            row[kernel.RELIEF], row[kernel.FRICTION] = drive.relief, drive.friction

    def levers(self, q: Array) -> Array:
        """Return dL/dq of each drive, 1 for a motor, shape of q (N, n) [m/rad]."""
        out = np.ones_like(q)
        for j, joint in enumerate(self.joints):
            if isinstance(joint.drive, CylinderDrive):
                out[:, j] = lever_arm(joint.drive.linkage, self._within(q[:, j], j))
        return out

    def displacement(self, q: Array) -> Array:
        """Return the oil per radian in each direction, shape (N, n, 2) [m³/rad]; 0 = negative."""
        lever = self.levers(q)
        head, rod = self.fixed[:, kernel.AREA_EXTEND], self.fixed[:, kernel.AREA_RETRACT]
        positive = np.abs(lever) * np.where(lever > 0, head, rod)
        negative = np.abs(lever) * np.where(lever > 0, rod, head)
        return np.stack([negative, positive], axis=-1)

    def oil_stiffness(self, q: Array) -> Array:
        """Return β(A_h²/V_h + A_r²/V_r) of each drive, shape of q (N, n) [N/m], [N·m/rad]."""
        beta = self.spec.hydraulics.bulk_modulus
        out = np.empty_like(q)
        for j, joint in enumerate(self.joints):
            drive = joint.oil
            a_h, a_r = self.fixed[j, [kernel.AREA_EXTEND, kernel.AREA_RETRACT]]
            v_h = v_r = np.full(len(q), drive.dead_volume)
            if isinstance(drive, CylinderDrive):
                ends = drive.linkage.length(np.array([joint.position.min, joint.position.max]))
                piston = drive.linkage.length(self._within(q[:, j], j))
                v_h = v_h + a_h * np.maximum(piston - ends.min(), 0.0)
                v_r = v_r + a_r * np.maximum(ends.max() - piston, 0.0)
            out[:, j] = beta * (a_h**2 / v_h + a_r**2 / v_r)
        return out

    def _within(self, q: Array, j: int) -> Array:
        """A measurement may lie past the end stops, where a linkage may have no solution."""
        return np.clip(q, self.q_min[j] - 0.03, self.q_max[j] + 0.03)

    def window(self, t: Array, command: Array, t_q: Array, q: Array) -> Window:
        """Return the window over the measurements ``t_q`` (N,), ``q`` (N, n).

        Args:
            t, command: all commands of the log, (C,), (C, n).
        """
        t0 = float(t_q[0])
        first, end = np.searchsorted(t, (t0 - LONGEST_DEAD_TIME - KNOT, float(t_q[-1])))
        t, command = t[max(first - 1, 0) : end + 1], command[max(first - 1, 0) : end + 1]
        steps = max(int(np.ceil((t_q[-1] - t0) / kernel.STEP)), 1)
        knots = t0 + KNOT * np.arange(steps // self.every + 2)
        posture = np.stack([np.interp(knots, t_q, column) for column in q.T], axis=1)
        # A knot is the mean over its neighbourhood, which takes the encoder's noise away.
        posture[1:-1] = (posture[:-2] + 2 * posture[1:-1] + posture[2:]) / 4
        M, g = self.tree.inertia_and_weight(posture)
        return Window(
            t0, steps, t, command, q[: min(20, len(q))].mean(0), np.asarray(np.linalg.inv(M)), g,
            self.levers(posture), self.oil_stiffness(posture),
        )  # fmt: skip

    def simulate(
        self, window: Window, functions: list[Function], feels: Function
    ) -> tuple[Array, Array, Array]:
        """Return time (K+1,), position and velocity (K+1, n) of the window's motion from rest.

        Args:
            ground: stiffness of the ground relative to the guess.
        """
        w, n = window, len(functions)
        edges = np.asarray(w.t0 + kernel.STEP * np.arange(w.steps + 1), dtype=np.float64)
        target = np.zeros((w.steps, n))
        p = self.fixed.copy()
        for j, f in enumerate(functions):
            fraction = f.flow_fraction(w.command[:, j])
            if fraction.any():
                target[:, j] = delayed(w.t, fraction, edges - f.dead_time)
            p[j, [kernel.LAG, kernel.FLOW_POS, kernel.FLOW_NEG]] = (
                f.time_constant, f.max_flow_positive, f.max_flow_negative,
            )  # fmt: skip
            p[j, [kernel.LEAKAGE, kernel.DAMPING_TIME, kernel.STIFFNESS]] = (
                f.leakage, f.damping_time, f.stiffness,
            )  # fmt: skip
        q = np.empty((w.steps + 1, n))
        qd = np.zeros((w.steps + 1, n))
        q[0] = w.q0
        kernel.simulate(
            target, p, self.pump, w.inverse_inertia, w.weight, w.lever, w.stiffness,
            feels.footing * self.footing, feels.ground * self.ground_spring,
            feels.ground_damping * feels.ground**0.5 * self.ground_damper,
            feels.slide * feels.ground * self.ground_spring,
            feels.slide * feels.ground * self.ground_spring * SLIDE_DAMPING, self.every,
            w.q0, q[1:], qd[1:],
        )  # fmt: skip
        return edges, q, qd


def delayed(t: Array, values: Array, edges: Array) -> Array:
    """Return the mean of a held signal over each interval of ``edges``, shape (len(edges) − 1,).

    A mean, and not the value at an instant, so that it changes smoothly with a shift of the edges.

    Args:
        t: when each value begins, shape (C,) [s]; before the first, the signal is zero.
        values: shape (C,).
    """
    integral = np.concatenate([[0.0], np.cumsum(values[:-1] * np.diff(t))])
    after = np.maximum(edges - t[-1], 0.0) * values[-1]
    return np.asarray(np.diff(np.interp(edges, t, integral) + after) / np.diff(edges))


def changed(function: Function, **values: float) -> Function:
    """Return a function with some of its numbers replaced."""
    return replace(function, **values)
