"""Every limit of a machine's commands in one object: the compiled bounding and its arrays."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from kuwa_hardware.bodies import Bodies
from kuwa_hardware.keepout import KeepOut
from kuwa_hardware.kernels import bounding, motion, postures
from kuwa_hardware.limits import GateLimits
from kuwa_machines.arrays import Array
from kuwa_machines.contracts import MachineState
from kuwa_machines.linkage import lever_arm
from kuwa_machines.safety import JERK
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive, MotorDrive, NegativeFlow
from kuwa_machines.viscosity import COLDEST, HOTTEST, slowing

if TYPE_CHECKING:
    from kuwa_machines.spec import Joint, MachineSpec

GRID: Final = 65
LONGEST: Final = 4.0
"""Dead time for which the model remembers [s]: that of a file, and twice as much on cold oil."""
WEAR: Final = 1.05
"""Velocities of the model over those of the file: valves differ."""
OPEN_CENTRE: Final = 1.15
"""The same with open-centre valves, whose flow grows as the load falls."""

LIMITS: Final[dict[int, tuple[str, str]]] = {
    motion.HUGE: ("request_huge", "asked for more than ±1"),
    motion.CAP: ("", "more stroke than is allowed now"),
    motion.VELOCITY: ("velocity_limit", "would be faster than it may"),
    motion.ACCELERATION: ("acceleration_limit", "changes faster than it may"),
    motion.JERK: ("jerk_limit", "begins or ends its change faster than it may"),
    motion.POWER: ("power_limit", "all together ask for more power than the pump has"),
    motion.POSITION: ("position_limit", "could not stop before its position limit"),
    motion.OVERSPEED: ("velocity_limit", "faster than it may be"),
    motion.REACH: ("reach_limit", "could not stop before the tool leaves its work space"),
    motion.TIP: ("tip_over", "the machine might tip over"),
    motion.SELF: ("self_collision", "could not stop before the tool hits the machine"),
    motion.ZONE: ("keep_out", "could not stop before a zone that is kept out"),
}
"""Row of the failure table and words of each bit."""
SHAPING: Final = frozenset({"acceleration_limit", "jerk_limit"})
"""Rows that every honest motion meets as it begins: told as reasons, not shown as alarms."""


class Bounds:
    """Bounds the commands of one machine, tick by tick.

    Args:
        spec: the machine. limits: of the gate. zones: that are kept out.
    """

    def __init__(self, spec: MachineSpec, limits: GateLimits, zones: KeepOut | None = None) -> None:
        self.spec = spec
        n = len(spec.joint_names)
        self._parameters, self._table = _joints(spec, limits)
        self._dead_time = self._parameters[:, motion.DEAD].copy()
        self._lag = self._parameters[:, motion.LAG].copy()
        self._oil_at = math.nan
        self.slowing = 1.0
        """Dead time and lag over those of the machine's file."""
        self._x = np.zeros((n, motion.N_STATES))
        self._x[:, motion.BRAKE] = self._x[:, motion.SPEEDUP] = self._parameters[:, motion.QDD]
        self._x[:, motion.AHEAD + motion.UP] = self._x[:, motion.AHEAD + motion.DOWN] = spec.home
        size = int(LONGEST / motion.BIN)
        self._ring_v, self._ring_s = np.zeros((size, n, 2)), np.zeros((size, n, motion.N_RING))
        self._clock = np.zeros(motion.N_CLOCK)
        self._clock[motion.SHARE] = 1.0
        settings = self._settings = np.zeros(motion.N_SETTINGS)
        settings[motion.SLOPE] = limits.slew
        settings[motion.NEUTRAL_SLOPE] = limits.neutral_slew
        settings[motion.MARGIN] = limits.margin
        settings[motion.JERK_LIMIT], settings[motion.POWER_LIMIT] = JERK, math.inf
        self._pressure = np.zeros((n, 2))
        self._sides = _driving_sides(spec)
        self.flags = np.zeros(n, dtype=np.int64)
        b = self.bodies = Bodies(spec, zones) if spec.joints else None
        arrays: list[Any]
        if b is None:
            arrays = [np.zeros((0, k)) for k in (postures.N_LINK, GRID, 2)]
            arrays += [np.zeros((0, postures.N_POINT)), 0, np.zeros((1, postures.N_BALL))]
            arrays += [np.zeros((0, postures.N_BOX))]
            arrays += [np.zeros(postures.N_SPACE), np.zeros((0, postures.N_ZONE)), np.zeros((0, 4))]
            arrays += [np.zeros((4, 3)), np.zeros(postures.N_WEIGHT), np.zeros((0, 3))]
        else:
            self._parameters[:, motion.LEVER :] = b.levers
            settings[motion.JERK_LIMIT] = spec.safety.jerk or JERK
            settings[motion.POWER_LIMIT] = spec.hydraulics.pump_power
            arrays = [b.links, b.led, b.led_grid, b.points, b.tools, b.balls, b.boxes, b.space]
            arrays += [b.zones, b.edges]
            arrays += [b.base, b.weight, b.support]
        k = len(arrays[0])
        self._base, self._weight = arrays[10], arrays[11]
        self._motion = (
            self._parameters, self._table, self._x, self._settings, self._ring_v, self._ring_s,
            self._clock,
        )  # fmt: skip
        self._world = (
            *arrays, np.zeros((k, 3, 3)), np.zeros((k, 3)), np.zeros((k + 1, 3)),
            np.zeros((k + 1, 3)),
        )  # fmt: skip
        k = postures.N_DISTANCES
        self._scratch = (np.zeros(k), np.zeros(k), np.zeros(k), np.zeros((k, 2 * n + 1)))
        self._told = np.zeros(n)
        self._advance = (
            self._parameters, self._table, self._x, self._ring_v, self._ring_s, self._clock,
            self._told,
        )  # fmt: skip
        self._nothing = np.zeros(n)
        self.full = np.ones(n)
        # Compile, or load what was compiled, before anything moves.
        self.advance(0.0, self._nothing)
        self.bound(self._nothing, self._nothing, None, self.full, False, 0.0)

    @property
    def placed(self) -> bool:
        """Whether a zone is on the map, so that the machine's place must be known."""
        return self.bodies is not None and self.bodies.on_map

    def told(self) -> Array:
        """Return what the joints should do now, by the model, shape (n,) [rad/s]; kept inside."""
        return self._told

    def guided(self, stroke: float, speed: float) -> Array:
        """Return the greatest strokes at which no joint is faster than ``speed`` of its maximum."""
        out = np.full(len(self.full), stroke)
        for j, row in enumerate(self._parameters):
            fastest = float(self._table[j].max())
            share = speed * row[motion.QD_MAX] / fastest
            band = row[motion.BAND]
            out[j] = min(stroke, band + (1.0 - band) * share ** (1.0 / row[motion.CURVE]))
        return out

    def advance(self, dt: float, applied: Array) -> None:
        """The command ``applied``, shape (n,), was in force for ``dt`` seconds."""
        motion.advance(dt, applied, *self._advance)

    def learn(self, state: MachineState) -> None:
        """Take from a state what changes the limits: oil, load, attitude, pressures."""
        if state.oil_temperature != self._oil_at:
            self._warm(state.oil_temperature)
        if self.bodies is None:
            return
        load = state.tool_load
        postures.learn(
            state.base_quaternion_wxyz, state.base_position, state.pressure, self._sides,
            max(load, 0.0) if math.isfinite(load) else self.bodies.heaviest,
            self._weight, self._base,
            self._pressure,
        )  # fmt: skip

    def bound(
        self,
        wanted: Array,
        applied: Array,
        state: MachineState | None,
        cap: Array,
        loss: bool,
        dt: float,
    ) -> Array:
        """Return what may be applied, shape (n,); ``flags`` says what bounded each joint.

        Args:
            applied: last. cap: greatest strokes. loss: neutral is wanted since something was lost.
            dt: since the last decision [s].
        """
        out = np.empty(len(wanted))
        q, qd = (self._nothing, self._nothing) if state is None else (state.q, state.qd)
        bounding.bound(
            wanted, q, qd, applied, cap, loss, state is not None, dt, self._pressure,
            self._motion, self._world, self._scratch, out, self.flags,
        )  # fmt: skip
        return out

    def _warm(self, temperature: float) -> None:
        """Dead times and lags are those of the file at the oil's reference temperature."""
        self._oil_at = temperature
        self.slowing = 1.0
        if temperature == temperature and self.spec.joints:
            known = min(max(temperature, COLDEST), HOTTEST)
            self.slowing = slowing(self.spec.hydraulics.oil, known)
        longest = np.minimum(self._dead_time * self.slowing, LONGEST - 0.1)
        self._parameters[:, motion.DEAD] = longest
        self._parameters[:, motion.LAG] = self._lag * self.slowing


@lru_cache(1024)
def words(flags: tuple[int, ...], names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return code and words of every limit that bounded something."""
    found = []
    for bit, (code, why) in LIMITS.items():
        joints = [name for name, value in zip(names, flags, strict=True) if value & bit]
        if joints:
            found.append((code, f"{', '.join(joints)}: {why}"))
    return tuple(found)


def _joints(spec: MachineSpec, limits: GateLimits) -> tuple[Array, Array]:
    """Return the parameters of the joints and their velocities at full stroke."""
    n = len(spec.joint_names)
    p = np.zeros((n, motion.N_PARAMETERS))
    table = np.zeros((n, 2, GRID))
    p[:, motion.Q_MIN], p[:, motion.Q_MAX] = spec.q_min, spec.q_max
    p[:, motion.QD_MAX], p[:, motion.QDD] = spec.qd_max, spec.qdd_max
    p[:, motion.DEAD] = spec.dead_time
    p[:, motion.OVER] = limits.overspeed * np.asarray(spec.qd_max)
    p[:, motion.CURVE], p[:, motion.TABLE_STEP] = 1.0, 1.0
    table[:] = np.asarray(spec.qd_max)[:, None, None]
    for j, name in enumerate(spec.joint_names):
        joint = spec.joints.get(name)
        if joint is not None:
            _fill(spec, joint, p[j], table[j])
    return p, table


def _fill(spec: MachineSpec, joint: Joint, p: Array, table: Array) -> None:
    drive = joint.drive
    valve = drive.valve
    p[motion.BAND], p[motion.CURVE], p[motion.LAG] = (
        valve.dead_band, valve.curve, valve.time_constant,
    )  # fmt: skip
    if isinstance(drive, HydrostaticDrive):
        return
    h = spec.hydraulics
    most, factor = h.pump_flow, WEAR
    if isinstance(h, NegativeFlow):
        most, factor = h.pump_flow / h.pumps, OPEN_CENTRE
    flows = np.array([drive.valve.max_flow_positive, drive.valve.max_flow_negative])
    p[motion.FLOW_POS : motion.FLOW_NEG + 1] = np.minimum(flows, most)
    q = np.linspace(joint.position.min, joint.position.max, GRID)
    p[motion.TABLE_Q], p[motion.TABLE_STEP] = q[0], q[1] - q[0]
    if isinstance(drive, CylinderDrive):
        lever = lever_arm(drive.linkage, q)
        out = np.where(lever > 0, drive.head_area, drive.rod_area) * np.abs(lever)
        back = np.where(lever > 0, drive.rod_area, drive.head_area) * np.abs(lever)
        volume = np.array([out, back])
    else:
        volume = np.full((2, GRID), drive.displacement)
    table[:] = factor * np.minimum(flows, most)[:, None] / volume
    whole = joint.parent == spec.undercarriage.link and joint.child != spec.tool.link
    if isinstance(drive, MotorDrive) and joint.axis == "z" and whole:
        p[motion.TORQUE] = drive.relief * drive.displacement
    else:
        # A cylinder follows its valve; its load's inertia is small against its force.
        p[motion.FREE] = 1.0


def _driving_sides(spec: MachineSpec) -> NDArray[np.bool_]:
    """Return, per joint, whether its first pressure drives it in the positive direction, (n,)."""
    out = np.ones(len(spec.joint_names), dtype=bool)
    for j, name in enumerate(spec.joint_names):
        joint = spec.joints.get(name)
        if joint is not None and isinstance(joint.drive, CylinderDrive):
            middle = (joint.position.min + joint.position.max) / 2
            out[j] = float(lever_arm(joint.drive.linkage, middle)) > 0
    return out
