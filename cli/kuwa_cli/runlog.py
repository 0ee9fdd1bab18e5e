"""Everything worth keeping of one run, as growing arrays that are saved without pickle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_cli.streams import RunLogError, Stream, TerrainLog
from kuwa_machines.contracts import (
    Array,
    GroundTruth,
    HeightMap,
    MachineState,
    Plan,
    SafetyState,
    SpikeStats,
    Trajectory,
)
from kuwa_machines.npz import read_npz
from kuwa_sim.lockstep import Tick
from kuwa_sim.score.log import WorkLog

MAX_EVENTS = 1000
SPIKES = (
    "neurons", "alive", "mean_rate", "max_rate", "isi_cv", "ei_correlation", "spikes",
    "synaptic_operations", "weight_norm", "learning",
)  # fmt: skip
"""Fields of :class:`SpikeStats` that are one number."""
FORMAT = 3
"""Counts up when a saved log changes in a way that older readers would misread."""


MOST_BYTES = 4_000_000_000
"""Of all arrays of a saved log: some hours of a machine with everything that it tells."""


class RunLog:
    """One run, filled tick by tick from the lock-step loop or from ROS topics.

    Args:
        joints: joint names in the machine's order.
        terrain_noise: see :class:`TerrainLog`.
        points: how many points of the tool the simulation tells of.
    """

    def __init__(
        self, joints: tuple[str, ...], terrain_noise: float = 0.0, points: int = 1
    ) -> None:
        n = len(joints)
        self.joints = joints
        self.points = points
        self.meta: dict[str, Any] = {}
        self.phases: list[str] = []
        self.modes: list[str] = []
        self.events: list[tuple[float, str]] = []
        self.terrain = TerrainLog(terrain_noise)
        # ``wall`` is the steady clock at which the row was received [s].
        self.state = Stream({"q": n, "qd": n, "wall": 1})
        self.reference = Stream({"q": n, "qd": n})
        self.request = Stream({"values": n, "wall": 1})
        self.applied = Stream({"values": n, "wall": 1})
        self.hydraulics = Stream(
            {"head": n, "rod": n, "pump_pressure": 1, "pump_flow": 1, "pump_power": 1, "load": 1}
        )
        self.base = Stream({"position": 3, "quaternion_wxyz": 4})
        self.truth = Stream(
            {"position": 3, "quaternion_wxyz": 4, "velocity": 3, "points": 3 * points, "load": 1}
        )
        self.plan = Stream({"phase": 1, "cycle": 1, "done": 1})
        self.safety = Stream({"mode": 1, "limited": n, "refused": 1})
        # Empty where the controller has no neurons.
        self.spikes = Stream({**dict.fromkeys(SPIKES, 1), "reason": 1, "error": n})
        self.frozen: list[str] = []
        self._reasons: tuple[str, ...] = ()

    STREAMS = (
        "state", "reference", "request", "applied", "hydraulics", "base", "truth", "plan", "safety",
        "spikes",
    )  # fmt: skip

    def add_tick(self, tick: Tick, wall: float) -> None:
        """Take one tick of the lock-step loop, begun at ``wall`` on a steady clock [s]."""
        state, t = tick.state, tick.state.stamp
        self.state.append(t, state.q, state.qd, wall)
        self.request.append(t, tick.request.ordered(self.joints), wall)
        self.applied.append(t, tick.output.applied.ordered(self.joints), wall)
        self.add_reference(t, tick.plan.trajectory)
        self.add_hydraulics(state)
        self.add_base(t, state.base_position, state.base_quaternion_wxyz)
        self.add_truth(t, tick.truth)
        self.add_plan(t, tick.plan)
        self.add_safety(t, tick.output.safety)
        if tick.spikes is not None:
            self.add_spikes(t, tick.spikes)

    def add_reference(self, t: float, trajectory: Trajectory | None) -> None:
        """Take where the plan wanted the joints at ``t`` [s]."""
        if trajectory is not None:
            self.reference.append(t, *trajectory.sample(t))

    def add_hydraulics(self, state: MachineState) -> None:
        """Take pressures, pump and load of a state."""
        self.hydraulics.append(
            state.stamp, state.pressure[:, 0], state.pressure[:, 1],
            state.pump_pressure, state.pump_flow, state.pump_power, state.tool_load,
        )  # fmt: skip

    def add_base(self, t: float, position: Array, quaternion_wxyz: Array) -> None:
        """Take the pose of the undercarriage."""
        self.base.append(t, position, quaternion_wxyz)

    def add_truth(self, t: float, truth: GroundTruth) -> None:
        """Take where the machine really is."""
        self.truth.append(
            t, truth.position, truth.quaternion_wxyz, truth.velocity[:3], truth.points.ravel(),
            truth.load,
        )  # fmt: skip

    def pose(self, row: int = -1) -> tuple[Array, Array]:
        """Return position and attitude of the undercarriage in a row, true ones if known."""
        stream = self.truth if len(self.truth) else self.base
        if not len(stream):
            return np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        return stream["position"][row], stream["quaternion_wxyz"][row]

    def pose_at(self, t: float) -> tuple[Array, Array]:
        """Return the same at time ``t`` [s]."""
        times = (self.truth if len(self.truth) else self.base).t
        return self.pose(max(int(np.searchsorted(times, t, side="right")) - 1, 0))

    def add_plan(self, t: float, plan: Plan) -> None:
        """Take what the planner is doing."""
        self.plan.append(t, _index(self.phases, plan.phase), plan.cycle, plan.done)

    def add_safety(self, t: float, safety: SafetyState) -> None:
        """Take what the gate is doing; new reasons become events."""
        limited = safety.limited or np.zeros(len(self.joints))
        before = len(self.modes)
        mode = _index(self.modes, safety.mode.value)
        if len(self.modes) > before or (len(self.safety) and self.safety["mode"][-1] != mode):
            self.add_event(t, f"mode {safety.mode.value}")
        self.safety.append(t, mode, limited, safety.refused)
        for reason in safety.reasons:
            if reason not in self._reasons:
                self.add_event(t, reason)
        self._reasons = safety.reasons

    def add_spikes(self, t: float, stats: SpikeStats) -> None:
        """Take what the controller's neurons are doing, and why they do not learn."""
        values = (getattr(stats, name) for name in SPIKES)
        reason = _index(self.frozen, stats.reason)
        self.spikes.append(t, *values, reason, stats.prediction_error)

    def add_event(self, t: float, text: str) -> None:
        """Note something in words."""
        if len(self.events) < MAX_EVENTS:
            self.events.append((float(t), text))

    def phase(self) -> str:
        """Return the newest phase, or ``""``."""
        return self.phases[int(self.plan["phase"][-1])] if len(self.plan) else ""

    def work_log(self) -> WorkLog:
        """Return what the score needs, on the clock of the states."""
        t = self.state.t
        plan = _latest(self.plan.t, t)
        cycle = np.where(plan >= 0, self.plan["cycle"][plan], 0) if len(self.plan) else 0 * t
        done = (plan >= 0) & (self.plan["done"][plan] > 0) if len(self.plan) else np.zeros(len(t))
        work = WorkLog(
            t, self.state["q"], cycle.astype(np.int64), done.astype(bool), np.zeros(len(t)),
            qd=self.state["qd"],
        )  # fmt: skip
        if len(self.hydraulics):
            h = self.hydraulics
            # A message that a bus lost leaves a gap; a machine that never tells stays unknown.
            told = np.isfinite(h["pump_power"])
            told |= not told.any()
            work = replace(
                work,
                pump_power=np.interp(t, h.t[told], h["pump_power"][told]),
                load=np.interp(t, h.t, np.nan_to_num(h["load"])),
            )
        if len(self.truth):
            row = np.maximum(_latest(self.truth.t, t), 0)
            w, x, y, z = self.truth["quaternion_wxyz"][row].T
            work = replace(
                work,
                position=self.truth["position"][row],
                heading=np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
                velocity=self.truth["velocity"][row],
                points=self.truth["points"][row].reshape(len(t), -1, 3),
                load=self.truth["load"][row],
            )
        return work

    def save(self, path: Path) -> None:
        """Write everything to one ``.npz`` file."""
        arrays: dict[str, Any] = {name: getattr(self, name).rows for name in self.STREAMS}
        meta = {
            "format": FORMAT, "joints": self.joints, "phases": self.phases, "modes": self.modes,
            "events": self.events, "meta": self.meta, "terrain_noise": self.terrain.noise,
            "points": self.points, "frozen": self.frozen,
        }  # fmt: skip
        ground = self.terrain
        if ground.start is not None and ground.newest is not None:
            meta["terrain"] = [ground.start.x0, ground.start.y0, ground.start.cell]
            arrays["terrain_start"] = ground.start.height.astype(np.float32)
            arrays["terrain_final"] = ground.newest.height.astype(np.float32)
            arrays["terrain_time"] = np.array(ground.times)
            arrays["terrain_count"] = np.array([c.size for c in ground.cells], np.int64)
            arrays["terrain_cell"] = np.concatenate([np.empty(0, np.uint32), *ground.cells])
            arrays["terrain_height"] = np.concatenate([np.empty(0, np.float32), *ground.heights])
        arrays["meta"] = np.array(json.dumps(meta, allow_nan=False))
        np.savez_compressed(path, **arrays)

    @classmethod
    def load(cls, path: Path) -> RunLog:
        """Read a saved log.

        Raises:
            RunLogError: the file is none, or of another version.
        """
        arrays = read_npz(path, "run log", MOST_BYTES, RunLogError)
        try:
            return cls._from(arrays)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # A damaged file can lack any part, or have one of another shape.
            problem = f"{type(error).__name__}: {error}"
            raise RunLogError(f"{path} is no run log: {problem}") from None
        except RunLogError as error:
            raise RunLogError(f"{path}: {error}") from None

    @classmethod
    def _from(cls, arrays: dict[str, NDArray[Any]]) -> RunLog:
        meta = json.loads(str(arrays["meta"]))
        if meta.get("format") != FORMAT:
            raise RunLogError(f"format {meta.get('format')}; this Kuwa reads {FORMAT}")
        log = cls(tuple(meta["joints"]), meta["terrain_noise"], meta["points"])
        log.phases, log.modes, log.meta = meta["phases"], meta["modes"], meta["meta"]
        log.frozen = meta.get("frozen", [])
        log.events = [(float(t), str(text)) for t, text in meta["events"]]
        for name in cls.STREAMS:
            if name in arrays or name != "spikes":  # they came later than the format
                getattr(log, name).set_rows(arrays[name])
        if "terrain" in meta:
            ground, ends = log.terrain, np.cumsum(arrays["terrain_count"])[:-1]
            ground.start = HeightMap(arrays["terrain_start"].astype(float), *meta["terrain"])
            ground.newest = HeightMap(arrays["terrain_final"].astype(float), *meta["terrain"])
            ground.times = arrays["terrain_time"].tolist()
            if ground.times:
                ground.cells = np.split(arrays["terrain_cell"], ends)
                ground.heights = np.split(arrays["terrain_height"], ends)
        return log


def _index(names: list[str], name: str) -> int:
    """Return the position of ``name``, which is added where it is new."""
    if name not in names:
        names.append(name)
    return names.index(name)


def _latest(times: Array, t: Array) -> NDArray[np.int64]:
    """Return for each ``t`` the index of the newest of ``times`` at or before it, −1 for none."""
    return np.searchsorted(times, t, side="right") - 1
