"""The sensors that deliver numbers, as one vector of readings with the errors of its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from kuwa_machines.sensors import Errors, Sampled
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_sim.faults import ActuatorFault, Fault
from kuwa_sim.sensing import kernel as k
from kuwa_sim.sensing.streams import stream

NEVER = -(1 << 60)
CERTAIN = 2.0
"""A share of lost readings that none survives."""

GROUPS = ("encoders", "pressures", "imu", "gnss", "tool_load", "tool_force")
"""In the order of the vector; also numbers the sensors' random streams."""

EXACT: Errors[Any] = Errors(noise=0.0)


class Layout:
    """Where each reading of a machine with n joints lies in the vector."""

    def __init__(self, n: int) -> None:
        self.q = slice(0, n)
        self.qd = slice(n, 2 * n)
        self.pressure = slice(2 * n, 4 * n)
        self.lever = slice(4 * n, 6 * n)
        """Torque per pressure at both ports [m³]."""
        self.torque = slice(6 * n, 7 * n)
        """Of drives without pressure sensors [N·m]."""
        self.pump = slice(7 * n, 7 * n + 3)
        m = 7 * n + 3
        self.imu = slice(m, m + 9)
        self.position = slice(m + 9, m + 12)
        self.velocity = slice(m + 12, m + 15)
        self.load = m + 15
        self.force = slice(m + 16, m + 19)
        self.size = m + 19
        self.spans = np.array(
            [(0, 2 * n), (2 * n, m), (m, m + 9), (m + 9, m + 15), (m + 15, m + 16),
             (m + 16, m + 19)]
        )  # fmt: skip

    def parts(self, fault: Fault, spec: MachineSpec) -> list[int]:
        """Return the elements that a fault concerns."""
        first = self.imu.start
        whole: dict[tuple[str, str], range] = {
            ("encoders", "position"): range(self.q.start, self.q.stop),
            ("encoders", "velocity"): range(self.qd.start, self.qd.stop),
            ("pressures", "pressure"): range(self.pressure.start, self.pressure.stop),
            ("imu", "attitude"): range(first, first + 2),
            ("imu", "heading"): range(first + 2, first + 3),
            ("imu", "angular_rate"): range(first + 3, first + 6),
            ("imu", "specific_force"): range(first + 6, first + 9),
            ("gnss", "position"): range(self.position.start, self.position.stop),
            ("gnss", "velocity"): range(self.velocity.start, self.velocity.stop),
            ("tool_load", "load"): range(self.load, self.load + 1),
            ("tool_force", "force"): range(self.force.start, self.force.stop),
        }
        found: list[int] = []
        for (sensor, quantity), elements in whole.items():
            if sensor != fault.sensor or fault.quantity not in (None, quantity):
                continue
            if fault.axis is not None:
                found.append(elements["xyz".index(fault.axis)])
            elif fault.joint is not None:
                per = len(elements) // len(spec.joints)
                at = per * spec.joint_names.index(fault.joint)
                found += elements[at : at + per]
            else:
                found += elements
        return found


class Numbers:
    """Samples, spoils, delays and holds the vector of readings.

    Args:
        spec: the machine.
        dt: length of a tick [s]; delays are rounded to whole ticks.
        seed: of all errors; every sensor has a random stream of its own.
        faults: those of sensors that deliver numbers count; they must fit the machine.
    """

    def __init__(
        self,
        spec: MachineSpec,
        dt: float,
        seed: int | tuple[int, ...],
        faults: Sequence[Fault | ActuatorFault] = (),
    ) -> None:
        n = len(spec.joints)
        self.layout = layout = Layout(n)
        self._dt = dt
        groups = np.zeros((len(GROUPS), 3))
        elements = np.zeros((layout.size, 5))
        elements[:, k.DECAY] = 1.0
        for g, name in enumerate(GROUPS):
            sensor: Sampled | None = getattr(spec.sensors, name)
            if sensor is not None:
                groups[g] = (sensor.rate, round(sensor.delay / dt), sensor.dropout)
        for where, errors, rate in _errors(spec, layout):
            period = max(dt, 1 / rate)
            decay = math.exp(-period / errors.wander_time) if errors.wander_time else 0.0
            elements[where] = (
                errors.noise, errors.bias, errors.wander, decay, errors.quantisation,
            )  # fmt: skip
        # Travel drives have no pressure sensors: nothing is measured there, and nothing spoiled.
        for j, joint in enumerate(spec.joints.values()):
            if isinstance(joint.drive, HydrostaticDrive):
                first = layout.pressure.start + 2 * j
                elements[first : first + 2] = 0.0
        table = _Table([f for f in faults if isinstance(f, Fault)], spec, layout, dt)
        self.warm_up = 1 + max(
            (math.ceil(1 / (rate * dt)) + int(delay) for rate, delay, _ in groups if rate > 0),
            default=0,
        )
        """Ticks of standing still after which every sensor has delivered."""
        size, count = layout.size, len(GROUPS)
        depth = 1 + int(groups[:, k.DELAY].max()) + table.longest
        self._streams = [stream(seed, g) for g in range(count)]
        self._normal = np.zeros((k.BLOCK, size, 2))
        self._uniform = np.zeros((k.BLOCK, count))
        bias, wander = np.zeros(size), np.zeros(size)
        for (a, b), rng in zip(layout.spans, self._streams, strict=True):
            bias[a:b] = elements[a:b, k.BIAS] * rng.standard_normal(b - a)
            wander[a:b] = elements[a:b, k.WANDER] * rng.standard_normal(b - a)
        self.x = np.full(size, np.nan)
        """The truth at this tick."""
        self.out = np.full(size, np.nan)
        """The readings in force."""
        self.out_tick = np.full(count, NEVER, np.int64)
        """When they were true [ticks]."""
        self._spent = np.ones(count, np.int64)
        self._args = (
            dt, self.x, layout.spans, groups, elements, *table.arrays, self._normal,
            self._uniform, bias, wander, np.full(size, np.nan), np.zeros(count, np.int64),
            np.zeros((depth, size)), np.full((depth, count), NEVER, np.int64), self.out,
            self.out_tick, self._spent,
        )  # fmt: skip

    def step(self, tick: int) -> None:
        """Measure ``x`` at this tick and renew ``out``; call once a tick, in order."""
        if self._spent.any():
            self._draw()
        k.sample(tick, *self._args)

    def _draw(self) -> None:
        for g in np.flatnonzero(self._spent):
            a, b = self.layout.spans[g]
            self._normal[:, a:b] = self._streams[g].standard_normal((k.BLOCK, b - a, 2))
            self._uniform[:, g] = self._streams[g].random(k.BLOCK)
        self._spent[:] = 0


def _errors(spec: MachineSpec, at: Layout) -> list[tuple[slice, Errors[Any], float]]:
    """Return the errors of the quantities that the machine measures, with their rates."""
    s, imu = spec.sensors, at.imu.start
    found: list[tuple[slice, Errors[Any], float]] = [
        (at.q, s.encoders.position, s.encoders.rate),
        (at.qd, s.encoders.velocity, s.encoders.rate),
    ]
    if s.pressures is not None:
        pump = slice(at.pump.start, at.pump.start + 1)
        found += [(where, s.pressures, s.pressures.rate) for where in (at.pressure, pump)]
    if s.imu is not None:
        found += [
            (slice(imu, imu + 2), s.imu.attitude, s.imu.rate),
            (slice(imu + 2, imu + 3), s.imu.heading, s.imu.rate),
            (slice(imu + 3, imu + 6), s.imu.angular_rate, s.imu.rate),
            (slice(imu + 6, imu + 9), s.imu.specific_force, s.imu.rate),
        ]
    if s.gnss is not None:
        x = at.position.start
        found += [
            (slice(x, x + 2), s.gnss.horizontal, s.gnss.rate),
            (slice(x + 2, x + 3), s.gnss.vertical, s.gnss.rate),
            (at.velocity, s.gnss.velocity, s.gnss.rate),
        ]
    if s.tool_load is not None:
        found.append((slice(at.load, at.load + 1), s.tool_load, s.tool_load.rate))
    if s.tool_force is not None:
        found.append((at.force, s.tool_force, s.tool_force.rate))
    return found


KINDS = {
    "stuck": k.STUCK, "bias": k.OFFSET, "noise": k.EXTRA_NOISE, "scale": k.SCALE,
    "dropout": k.DROP, "outage": k.DROP, "delay": k.LATE,
}  # fmt: skip


class _Table:
    """Faults as the kernel takes them."""

    def __init__(
        self, faults: Sequence[Fault], spec: MachineSpec, layout: Layout, dt: float
    ) -> None:
        faults = [fault for fault in faults if fault.sensor in GROUPS]
        rows = np.zeros((len(faults), 4))
        on_element = np.zeros((len(faults), layout.size), np.bool_)
        on_group = np.zeros((len(faults), len(GROUPS)), np.bool_)
        self.longest = 0
        """Ticks by which faults delay a sensor, at most."""
        for f, fault in enumerate(faults):
            value = math.nan if fault.value is None else fault.value
            if fault.kind == "outage":
                value = CERTAIN
            elif fault.kind == "delay":
                value = round(value / dt)
                self.longest += int(value)
            rows[f] = (KINDS[fault.kind], value, fault.from_s, fault.to_s)
            whole = fault.quantity is None and fault.joint is None and fault.axis is None
            if whole and fault.kind in ("dropout", "outage", "delay"):
                on_group[f, GROUPS.index(fault.sensor)] = True
            else:
                on_element[f, layout.parts(fault, spec)] = True
        self.arrays = (rows, on_element, on_group)
