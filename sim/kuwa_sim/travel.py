"""Hydrostatic travel drives: from commands to torques on sprockets and wheels.

Each drive runs: dead time → dead band → curve → first-order lag → speed asked for, and

    T = T_max (ω_ref − ω)/(droop ω_max),  |T| <= T_max,  |T ω| <= P

(volumetric losses of a closed circuit grow with its pressure). Motors of a group are in parallel on
one pump: one pressure for all, so T/T_max is the same, from the flow that the pump lacks,
Σ T_max (ω_ref − ω) over Σ T_max ω_max, as behind differentials. All drives are on one engine: what
they would take beyond its power, less what the working pump takes, is cut by one factor for all,

    T ← T min(1, (P_engine − P_pump)/Σ max(T ω, 0))    where T ω > 0

(load limiting control of the pumps; what a braking drive gives back is not counted on). A parking
brake, a stiff spring with a damper, closes when nothing is asked for and the shaft stands nearly
still.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.spec import HydrostaticDrive, MachineSpec
from kuwa_sim.circuit_layout import PUMP_POWER
from kuwa_sim.hydraulics import valve_flow

BRAKE_FREQUENCY = 100.0
"""Of the brake's spring with the drive's inertia [rad/s]: 0.2 rad a step of 2 ms."""
STILL = 0.02
"""The brake closes below this share of the full speed."""

(
    DELAY_STEPS, DEAD_BAND, CURVE, LAG, MAX_SPEED, MAX_TORQUE, GAIN, MAX_POWER, INERTIA, GROUP,
) = range(10)  # fmt: skip
N_PARAMETERS = 10

# Columns of the state.
STROKE, TORQUE, BRAKED, BRAKE_ANGLE = range(4)


class TravelDrives:
    """All hydrostatic drives of one machine, stepped in place.

    Args:
        spec: the machine.
        dt: physics step [s]; dead times are rounded to whole steps.
    """

    def __init__(self, spec: MachineSpec, dt: float) -> None:
        self.names = tuple(
            n for n, joint in spec.joints.items() if isinstance(joint.drive, HydrostaticDrive)
        )
        n = len(self.names)
        self.parameters = np.zeros((n, N_PARAMETERS))
        groups: list[str] = []
        for i, name in enumerate(self.names):
            joint = spec.joints[name]
            drive = joint.drive
            assert isinstance(drive, HydrostaticDrive)
            p = self.parameters[i]
            p[DELAY_STEPS] = round(drive.valve.dead_time / dt)
            p[DEAD_BAND], p[CURVE] = drive.valve.dead_band, drive.valve.curve
            p[LAG], p[MAX_SPEED] = drive.valve.time_constant, joint.velocity
            p[MAX_TORQUE], p[MAX_POWER] = drive.torque, drive.power
            # The second term is what an implicit step leaves, so that a stiff drive stays stable.
            p[GAIN] = 1.0 / (drive.droop + dt * drive.torque / (drive.inertia * joint.velocity))
            p[INERTIA] = drive.inertia
            groups.append(drive.group or name)
            p[GROUP] = groups.index(groups[-1])
        self.states = np.zeros((n, 4))
        self.history = np.zeros((n, 1 + int(self.parameters[:, DELAY_STEPS].max(initial=0))))
        self.head = np.zeros(1, dtype=np.int64)
        self.power = np.zeros(1)
        self.engine = np.array([spec.hydraulics.engine_power])

    def reset(self) -> None:
        """Stand still with the brakes open."""
        for array in (self.states, self.history, self.head, self.power):
            array[:] = 0

    @property
    def torque(self) -> Array:
        """Of the drives on their joints, shape (n,) [N·m]."""
        return self.states[:, TORQUE].copy()


# fmt: off
@njit(cache=True)
def step_travel(  # type: ignore[no-untyped-def]
    command, qpos, qvel, qadr, vadr, qfrc, p, x, history, head, power, engine, pump_x, dt
):
    # fmt: on
    """Advance all drives by dt and put their torques on the joints; ``power`` [W] is delivered.

    Args:
        engine: the engine's power [W]. pump_x: state of the working pump, stepped already.
    """
    n = command.shape[0]
    length = history.shape[1]
    head[0] = (head[0] + 1) % length
    power[0] = 0.0
    for i in range(n):
        history[i, head[0]] = command[i]
        u = history[i, (head[0] - int(p[i, DELAY_STEPS])) % length]
        target = valve_flow(u, p[i, DEAD_BAND], p[i, CURVE])
        x[i, STROKE] += dt / p[i, LAG] * (target - x[i, STROKE])
        if target == 0.0 and abs(x[i, STROKE]) < 1e-3:
            x[i, STROKE] = 0.0
    for i in range(n):
        asked = 0.0
        speed = 0.0
        scale = 0.0
        for k in range(n):
            if p[k, GROUP] == p[i, GROUP]:
                asked += x[k, STROKE] * p[k, MAX_TORQUE] * p[k, MAX_SPEED]
                speed += p[k, MAX_TORQUE] * qvel[vadr[k]]
                scale += p[k, MAX_TORQUE] * p[k, MAX_SPEED]
        asked /= scale
        speed /= scale
        own = qvel[vadr[i]]
        q = qpos[qadr[i]]
        if asked == 0.0 and abs(speed) < STILL:
            if x[i, BRAKED] == 0.0:
                x[i, BRAKED] = 1.0
                x[i, BRAKE_ANGLE] = q
            k = p[i, INERTIA] * BRAKE_FREQUENCY * BRAKE_FREQUENCY
            c = 1.4 * p[i, INERTIA] * BRAKE_FREQUENCY
            torque = k * (x[i, BRAKE_ANGLE] - q) - c * own
            limit = 1.5 * p[i, MAX_TORQUE]
            if abs(torque) > limit:
                torque = math.copysign(limit, torque)
                x[i, BRAKE_ANGLE] = q + (torque + c * own) / k
        else:
            x[i, BRAKED] = 0.0
            turning = max(abs(speed) * p[i, MAX_SPEED], 1e-3)
            limit = min(p[i, MAX_TORQUE], p[i, MAX_POWER] / turning)
            torque = p[i, GAIN] * (asked - speed) * p[i, MAX_TORQUE]
            torque = min(max(torque, -limit), limit)
            power[0] += max(torque * own, 0.0)
        x[i, TORQUE] = torque
    left = max(engine[0] - pump_x[PUMP_POWER], 0.0)
    share = 1.0
    if power[0] > left:
        share = left / power[0]
        power[0] = left
    for i in range(n):
        if x[i, BRAKED] == 0.0 and x[i, TORQUE] * qvel[vadr[i]] > 0.0:
            x[i, TORQUE] *= share
        qfrc[vadr[i]] = x[i, TORQUE]
