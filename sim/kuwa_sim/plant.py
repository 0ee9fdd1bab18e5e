"""One machine of a site: its hydraulics, undercarriage and tool, on MuJoCo's arrays of the site."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mujoco
import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import CommandError, KuwaError
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_sim.circuit_layout import PUMP_FLOW, PUMP_POWER, PUMP_PRESSURE, TORQUE
from kuwa_sim.hydraulics import HydraulicCircuit, step_circuit
from kuwa_sim.mounts import make_mount
from kuwa_sim.scenery import Grid
from kuwa_sim.soil import Ground, surface_height
from kuwa_sim.standing import make_standing
from kuwa_sim.travel import TravelDrives, step_travel

if TYPE_CHECKING:
    from kuwa_sim.site import Site

STEP = 0.002
"""Physics step [s]."""
CONTROL_PERIOD = 0.01
"""One tick: the command is held for this long [s]."""
SUBSTEPS = round(CONTROL_PERIOD / STEP)


class Plant:
    """One machine on a site; made by :class:`kuwa_sim.site.Site`.

    Args:
        spec: the machine.
        site: where it works; the site's model holds its bodies.
        prefix: of its names in the model.
    """

    def __init__(self, spec: MachineSpec, site: Site, prefix: str) -> None:
        self.spec = spec
        self.site = site
        self.model: mujoco.MjModel = site.model
        self.data: mujoco.MjData = site.data
        model, data = self.model, self.data
        self.circuit = HydraulicCircuit(spec, STEP)
        self.travel = TravelDrives(spec, STEP)
        self.standing = make_standing(spec, site.ground, model, data, prefix, STEP)
        self.tool = make_mount(spec, site.ground, model, data, prefix)
        joints = [model.joint(prefix + name) for name in spec.joint_names]
        self.qpos_index = np.array([int(j.qposadr[0]) for j in joints])
        self.dof_index = np.array([int(j.dofadr[0]) for j in joints])
        self.base = model.body(prefix + spec.undercarriage.link).id
        self._base_qpos = int(model.jnt_qposadr[model.body_jntadr[self.base]])
        self._base_dof = int(model.body_dofadr[self.base])
        self.command = np.zeros(len(joints))
        travels = np.array([isinstance(j.drive, HydrostaticDrive) for j in spec.joints.values()])
        self._worked, self._travelled = np.flatnonzero(~travels), np.flatnonzero(travels)
        self._valves = np.zeros(len(self._worked))
        self._strokes = np.zeros(len(self._travelled))
        self._start_q = spec.home
        self._led = [
            (
                int(model.joint(prefix + name).qposadr[0]),
                int(model.joint(prefix + passive.follows.joint).qposadr[0]),
                passive.follows,
            )
            for name, passive in spec.passive_joints.items()
            if passive.follows is not None
        ]
        self.energy = 0.0
        """Energy delivered by the pumps since the reset [J]."""
        self._bind()

    def _bind(self) -> None:
        d, c, t = self.data, self.circuit, self.travel
        work, travel = self._worked, self._travelled
        self._circuit_args = (
            self._valves, d.qpos, d.qvel, self.qpos_index[work], self.dof_index[work],
            d.qfrc_applied, c.parameters, c.table, c.bypass, c.pump, c.states, c.pump_state,
            c.history, c.head, STEP,
        )  # fmt: skip
        self._travel_args = (
            self._strokes, d.qpos, d.qvel, self.qpos_index[travel], self.dof_index[travel],
            d.qfrc_applied, t.parameters, t.states, t.history, t.head, t.power, t.engine,
            c.pump_state, STEP,
        )  # fmt: skip

    def reset(self, q: Array | None = None, height: Array | float = 0.0) -> None:
        """Reset a site on which this machine is alone; see :meth:`kuwa_sim.site.Site.reset`."""
        if len(self.site.plants) != 1:
            raise KuwaError(f"{len(self.site.plants)} machines on the site; reset the site itself")
        self.site.reset(height, starts=[q])

    def advance(self) -> None:
        """Advance the site by one control period."""
        self.site.advance()

    def place(self, q: Array | None, x: float, y: float, yaw: float) -> None:
        """Put the machine on its spot of the ground; the site settles it afterwards.

        Args:
            q: joint positions, shape (n,) [rad]; the spec's home if None.
            x, y: origin of the undercarriage in the world [m]. yaw: [rad].
        """
        q = self.spec.home if q is None else np.asarray(q, dtype=float)
        if q.shape != self.command.shape or not np.all(np.isfinite(q)):
            raise KuwaError(f"start position {q} must be {self.command.size} finite numbers")
        data, at = self.data, self._base_qpos
        self.standing.reset()
        self.travel.reset()
        data.qpos[self.qpos_index] = q
        self._lead()
        ground = self.site.ground
        level = float(surface_height(ground.height, ground.prm, x, y))
        data.qpos[at : at + 3] = (x, y, level + self.standing.rest_height)
        data.qpos[at + 3 : at + 7] = (np.cos(yaw / 2), 0.0, 0.0, np.sin(yaw / 2))
        self._start_q = q
        self.command[:] = 0.0
        self._valves[:] = 0.0
        self._strokes[:] = 0.0
        self.energy = 0.0

    def hold(self, settled: bool) -> None:
        """Put the joints back where they started, with the oil carrying the load.

        Args:
            settled: the oil carries it already; bars between joints share it in a way that the
                weights alone do not tell.
        """
        data = self.data
        work = self._worked
        q = data.qpos[self.qpos_index]
        q[work] = self._start_q[work]
        data.qpos[self.qpos_index] = q
        self._lead()
        if not (settled and self._led):
            self.circuit.reset(q[work], data.qfrc_bias[self.dof_index[work]])

    def _lead(self) -> None:
        for led, leader, follows in self._led:
            self.data.qpos[led] = float(follows.angle(self.data.qpos[leader]).ravel()[0])

    def write(self, valve: Array) -> None:
        """Set the commands that the next ticks apply, shape (n,), in [-1, 1].

        Raises:
            CommandError: not finite, out of range or of the wrong size; nothing changes.
        """
        if valve.shape != self.command.shape:
            raise CommandError(f"{valve.size} valve commands; expected {self.command.size}")
        if not np.all(np.abs(valve) <= 1.0):
            raise CommandError(f"valve commands {valve} must be finite and within [-1, 1]")
        self.command[:] = valve
        self._valves[:] = valve[self._worked]
        self._strokes[:] = valve[self._travelled]

    def apply(self) -> None:
        """Put all forces on the machine, every physics step, on kinematics that are up to date."""
        apply_circuit(*self._circuit_args)
        if self._strokes.size:
            step_travel(*self._travel_args)
        self.standing.apply()
        self.tool.apply()

    def count(self) -> None:
        """Add up the energy of one physics step."""
        self.energy += STEP * (self.circuit.pump_state[PUMP_POWER] + self.travel.power[0])

    @property
    def time(self) -> float:
        """Simulated time since the reset [s], an exact multiple of the control period."""
        return self.site.time

    @property
    def grid(self) -> Grid:
        """Extent and resolution of the ground."""
        return self.site.grid

    @property
    def terrain(self) -> Ground:
        """The ground of the site."""
        return self.site.ground

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
        out = np.empty(self.command.size)
        out[self._worked] = self.circuit.states[:, TORQUE]
        out[self._travelled] = self.travel.torque
        return out

    @property
    def pressures(self) -> Array:
        """Pressures at both ports by joint, shape (n, 2) [Pa]; zero where there is no cylinder."""
        out = np.zeros((self.command.size, 2))
        out[self._worked] = self.circuit.pressures
        return out

    @property
    def pump(self) -> tuple[float, float, float]:
        """Working pump's pressure [Pa] and flow [m³/s], and the power of it and of travel [W]."""
        x = self.circuit.pump_state
        power = float(x[PUMP_POWER] + self.travel.power[0])
        return float(x[PUMP_PRESSURE]), float(x[PUMP_FLOW]), power

    @property
    def base_position(self) -> Array:
        """Origin of the undercarriage in the world, shape (3,) [m]."""
        return np.asarray(self.data.qpos[self._base_qpos : self._base_qpos + 3]).copy()

    @property
    def base_quaternion_wxyz(self) -> Array:
        """Attitude of the undercarriage in the world, shape (4,)."""
        return np.asarray(self.data.qpos[self._base_qpos + 3 : self._base_qpos + 7]).copy()

    @property
    def base_velocity(self) -> Array:
        """Linear [m/s], then angular [rad/s] velocity of the undercarriage in the world, (6,)."""
        v = self.data.qvel[self._base_dof : self._base_dof + 6]
        rotation = self.data.xmat[self.base].reshape(3, 3)
        return np.concatenate([v[:3], rotation @ v[3:6]])

    @property
    def tool_load(self) -> float:
        """Mass of the soil that the tool holds or pushes [kg]."""
        return self.tool.mass

    @property
    def tool_force(self) -> Array:
        """Force of the ground on the tool in the world, shape (3,) [N]."""
        return self.tool.out[:3]

    @property
    def edge(self) -> Array:
        """Middle of the tool's edge in the world, shape (3,) [m]."""
        return self.tool.pose[:3].copy()


# fmt: off
@njit(cache=True)
def apply_circuit(  # type: ignore[no-untyped-def]
    command, qpos, qvel, qadr, vadr, qfrc, p, table, bypass, pump, x, pump_x, history, head, dt
):
    # fmt: on
    """Advance the hydraulics and put their torques on the joints."""
    n = command.shape[0]
    q = np.empty(n)
    qd = np.empty(n)
    for i in range(n):
        q[i] = qpos[qadr[i]]
        qd[i] = qvel[vadr[i]]
    step_circuit(command, q, qd, p, table, bypass, pump, x, pump_x, history, head, dt)
    for i in range(n):
        qfrc[vadr[i]] = x[i, TORQUE]
