"""A machine of rigid links, hydraulics and tracks on deformable ground: a simulation's truth."""

from __future__ import annotations

import mujoco
import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_sim.hydraulics import (
    PUMP_FLOW,
    PUMP_POWER,
    PUMP_PRESSURE,
    TORQUE,
    HydraulicCircuit,
    step_circuit,
)
from kuwa_sim.model import LOAD_BODY, Grid, build_model
from kuwa_sim.soil import BucketShape, SoilParameters, Terrain, tool_forces, tool_tick
from kuwa_sim.soil.layout import CENTRE_X, CENTRE_Z, MASS
from kuwa_sim.tracks import TrackContact, track_forces

STEP = 0.002
"""Physics step [s]."""
CONTROL_PERIOD = 0.01
"""One tick: the command is held for this long [s]."""
SUBSTEPS = round(CONTROL_PERIOD / STEP)
SETTLE_TIME = 3.0
"""The machine stands still for this long before time zero, to sink into its tracks [s]."""
LOAD_DIAMETER = 0.6
"""Inertia of the carried soil is that of a sphere of this diameter [m]."""


class Plant:
    """One machine on one site, advanced tick by tick, deterministic bit for bit.

    Args:
        spec: the machine.
        soil: the soil of the site.
        grid: extent and resolution of the ground.
    """

    def __init__(self, spec: MachineSpec, soil: SoilParameters, grid: Grid) -> None:
        self.spec = spec
        self.grid = grid
        self.model = build_model(spec, grid, STEP)
        self.data = mujoco.MjData(self.model)
        self.circuit = HydraulicCircuit(spec, STEP)
        self.tracks = TrackContact(spec)
        self.terrain = Terrain(
            soil, BucketShape.from_spec(spec.tool), (grid.nx, grid.ny), grid.cell, grid.centre
        )
        model = self.model
        joints = [model.joint(name) for name in spec.joint_names]
        self.qpos_index = np.array([int(j.qposadr[0]) for j in joints])
        self.dof_index = np.array([int(j.dofadr[0]) for j in joints])
        self._track = model.body(spec.tracks.link).id
        self._bucket = model.body(spec.tool.link).id
        self._load = model.body(LOAD_BODY).id
        self._load_ancestors = _ancestors(model, self._load)
        self._empty_subtree_mass = model.body_subtreemass.copy()
        self._edge = np.array(spec.tool.profile[-1])
        self.command = np.zeros(len(joints))
        self._pose = np.zeros(18)
        self._soil_out = np.zeros(16)
        self._ticks = 0
        self.energy = 0.0
        """Hydraulic energy delivered by the pump since the reset [J]."""
        self._bind()

    def _bind(self) -> None:
        d, c, t = self.data, self.circuit, self.tracks
        self._pose_args = (
            self._edge, d.xpos[self._bucket], d.xmat[self._bucket], d.cvel[self._bucket],
            d.subtree_com[self._track], self._pose,
        )  # fmt: skip
        self._circuit_args = (
            self.command, d.qpos, d.qvel, self.qpos_index, self.dof_index, d.qfrc_applied,
            c.parameters, c.table, c.pump, c.states, c.pump_state, c.history, c.head,
        )  # fmt: skip
        self._track_args = (
            t.points, t.anchors, t.parameters, d.xpos[self._track], d.xmat[self._track], d.qvel,
            d.xipos[self._track], self.terrain.height, self.terrain.prm,
            d.xfrc_applied[self._track],
        )  # fmt: skip
        self._bucket_args = (d.xipos[self._bucket], d.xfrc_applied[self._bucket])

    def reset(self, q: Array | None = None, height: Array | float = 0.0) -> None:
        """Stand still at joint positions ``q`` (the spec's home if None) on the given ground.

        Args:
            q: shape (n,) [rad].
            height: level of flat ground [m], or heights of shape (nx, ny).
        """
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        self.terrain.reset(height=height)
        self.tracks.reset()
        q = self.spec.home if q is None else np.asarray(q, dtype=float)
        if q.shape != self.command.shape or not np.all(np.isfinite(q)):
            raise KuwaError(f"start position {q} must be {self.command.size} finite numbers")
        data.qpos[self.qpos_index] = q
        mass = float(sum(link.mass for link in self.spec.links.values()))
        data.qpos[2] = -mass * 9.81 * self.tracks.weight_sinkage_per_newton
        self.command[:] = 0.0
        self._carry(0.0, 0.0, 0.0)
        mujoco.mj_forward(model, data)
        self.circuit.reset(q, data.qfrc_bias[self.dof_index])
        for _ in range(round(SETTLE_TIME / CONTROL_PERIOD)):
            self.advance()
        # The oil columns gave a little: put the joints back and stand again.
        data.qpos[self.qpos_index] = q
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)
        self.circuit.reset(q, data.qfrc_bias[self.dof_index])
        tool_pose(*self._pose_args)
        data.time = 0.0
        self._ticks = 0
        self.energy = 0.0

    def write(self, valve: Array) -> None:
        """Set the spool commands that the next ticks apply, shape (n,), in [-1, 1].

        Raises:
            CommandError: not finite, out of range or of the wrong size; nothing changes.
        """
        if valve.shape != self.command.shape:
            raise CommandError(f"{valve.size} valve commands; expected {self.command.size}")
        if not np.all(np.abs(valve) <= 1.0):
            raise CommandError(f"valve commands {valve} must be finite and within [-1, 1]")
        self.command[:] = valve

    def advance(self) -> None:
        """Advance one control period."""
        model, data = self.model, self.data
        for _ in range(SUBSTEPS):
            mujoco.mj_step1(model, data)
            tool_pose(*self._pose_args)
            apply_circuit(*self._circuit_args, STEP)
            apply_tracks(*self._track_args)
            tool_forces(*self.terrain.force_args, self._pose, self._soil_out)
            apply_tool(self._soil_out, self._pose, *self._bucket_args)
            mujoco.mj_step2(model, data)
            self.energy += STEP * self.circuit.pump_state[PUMP_POWER]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        mujoco.mj_comVel(model, data)
        tool_pose(*self._pose_args)
        tool_tick(*self.terrain.tick_args, self._pose, CONTROL_PERIOD)
        load = self.terrain.load
        self._carry(load[MASS], load[CENTRE_X], load[CENTRE_Z])
        self._ticks += 1

    def _carry(self, mass: float, x: float, z: float) -> None:
        """Give the load body the mass [kg] and centre [m] of the soil in the bucket."""
        model = self.model
        mass = max(mass, 1e-3)
        model.body_mass[self._load] = mass
        model.body_inertia[self._load] = mass * LOAD_DIAMETER**2 / 10
        model.body_ipos[self._load] = (x, 0.0, z)
        model.body_subtreemass[self._load_ancestors] = (
            self._empty_subtree_mass[self._load_ancestors] + mass
        )

    @property
    def time(self) -> float:
        """Simulated time since the reset [s], an exact multiple of the control period."""
        return self._ticks * CONTROL_PERIOD

    @property
    def q(self) -> Array:
        """Joint positions, shape (n,) [rad]."""
        return np.asarray(self.data.qpos[self.qpos_index])

    @property
    def qd(self) -> Array:
        """Joint velocities, shape (n,) [rad/s]."""
        return np.asarray(self.data.qvel[self.dof_index])

    @property
    def torque(self) -> Array:
        """Joint torques of the drives, shape (n,) [N·m]."""
        return self.circuit.states[:, TORQUE].copy()

    @property
    def pump(self) -> tuple[float, float, float]:
        """Pump pressure [Pa], flow [m³/s] and power [W]."""
        x = self.circuit.pump_state
        return float(x[PUMP_PRESSURE]), float(x[PUMP_FLOW]), float(x[PUMP_POWER])

    @property
    def edge(self) -> Array:
        """Middle of the cutting edge in the world, shape (3,) [m]."""
        return self._pose[:3].copy()


def _ancestors(model: mujoco.MjModel, body: int) -> np.ndarray:
    chain = [body]
    while chain[-1] != 0:
        chain.append(int(model.body_parentid[chain[-1]]))
    return np.array(chain)


@njit(cache=True)
def tool_pose(edge, position, rotation, cvel, com, pose):  # type: ignore[no-untyped-def]
    """Fill ``pose`` (layout of kuwa_sim.soil) from MuJoCo's body pose and spatial velocity."""
    for i in range(3):
        pose[9 + i] = rotation[3 * i]
        pose[12 + i] = rotation[3 * i + 1]
        pose[15 + i] = rotation[3 * i + 2]
        pose[i] = position[i] + rotation[3 * i] * edge[0] + rotation[3 * i + 2] * edge[1]
        pose[6 + i] = cvel[i]
    rx, ry, rz = pose[0] - com[0], pose[1] - com[1], pose[2] - com[2]
    pose[3] = cvel[3] + cvel[1] * rz - cvel[2] * ry
    pose[4] = cvel[4] + cvel[2] * rx - cvel[0] * rz
    pose[5] = cvel[5] + cvel[0] * ry - cvel[1] * rx


@njit(cache=True)
def apply_circuit(  # type: ignore[no-untyped-def]
    command, qpos, qvel, qadr, vadr, qfrc, p, table, pump, x, pump_x, history, head, dt
):
    """Advance the hydraulics and put their torques on the joints."""
    n = command.shape[0]
    q = np.empty(n)
    qd = np.empty(n)
    for i in range(n):
        q[i] = qpos[qadr[i]]
        qd[i] = qvel[vadr[i]]
    step_circuit(command, q, qd, p, table, pump, x, pump_x, history, head, dt)
    for i in range(n):
        qfrc[vadr[i]] = x[i, TORQUE]


@njit(cache=True)
def apply_tracks(points, anchors, p, position, rotation, qvel, com, height, grid, wrench):  # type: ignore[no-untyped-def]
    """Put the ground's force on the undercarriage; a free joint's spin is in the body's frame."""
    v = qvel[:3]
    w = np.empty(3)
    for i in range(3):
        w[i] = (
            rotation[3 * i] * qvel[3]
            + rotation[3 * i + 1] * qvel[4]
            + rotation[3 * i + 2] * qvel[5]
        )
    track_forces(points, anchors, p, position, rotation, v, w, com, height, grid, wrench)


@njit(cache=True)
def apply_tool(out, pose, com, wrench):  # type: ignore[no-untyped-def]
    """Put the ground's force on the bucket, moved from the edge to the body's centre of mass."""
    rx, ry, rz = pose[0] - com[0], pose[1] - com[1], pose[2] - com[2]
    fx, fy, fz = out[0], out[1], out[2]
    wrench[0] = fx
    wrench[1] = fy
    wrench[2] = fz
    wrench[3] = out[3] + ry * fz - rz * fy
    wrench[4] = out[4] + rz * fx - rx * fz
    wrench[5] = out[5] + rx * fy - ry * fx
