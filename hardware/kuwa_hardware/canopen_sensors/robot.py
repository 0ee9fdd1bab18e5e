"""A robot whose joints are measured by CANopen sensors as well, or only by them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kuwa_hardware.canopen_sensors.sensors import JointSensors, angles
from kuwa_hardware.failures import failure
from kuwa_machines.contracts import (
    JointCommand,
    Level,
    MachineState,
    Robot,
)
from kuwa_machines.spec import MachineSpec

FROZEN_TURN = 0.05
"""The machine's own sensor turned so far while the CANopen sensor did not count at all [rad]."""


class SensedRobot:
    """Puts the sensors' angles in place of the robot's own; everything else is the robot's.

    Where the robot measures the same joint itself, a CANopen sensor that stands still while the
    joint turns is found; where it does not, the gate finds it while the joint is told to move.
    The state is as new as the newest measurement in it: a sensor that is late is told by a fault,
    which goes out with the next state. While such a fault forbids motion the valves get neutral.

    Args:
        robot: the machine. sensors: on its joints.
    """

    def __init__(self, robot: Robot, sensors: JointSensors) -> None:
        self.robot, self.sensors = robot, sensors
        self.spec: MachineSpec = robot.spec
        self._still: dict[str, tuple[int, float]] = {}
        self._blocked = False

    def connect(self) -> None:
        """Connect the sensors, then the robot.

        Raises:
            KuwaError: what either of them has to say.
        """
        self.sensors.connect()
        try:
            self.robot.connect()
        except BaseException:
            self.sensors.close()
            raise

    def read(self) -> MachineState:
        """Return the robot's state with the sensors' angles and speeds in it."""
        return self._sensed(self.robot.read())

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command to the robot, with zeros while a fault forbids more; return it.

        Raises:
            CommandError: what the robot does not take.
        """
        if self._blocked:
            command = replace(command, values=np.zeros_like(command.values), mac=b"")
        return self.robot.write(command)

    @property
    def why(self) -> dict[str, str]:
        """What is at fault and why, in the words of robot and sensors."""
        nodes = (f"node {node}: {said}" for node, said in self.sensors.emergencies.items())
        own = {"sensor_emergency": "; ".join(nodes)} if self.sensors.emergencies else {}
        return {**getattr(self.robot, "why", {}), **own}

    def neutral(self) -> None:
        """Centre all valves."""
        self.robot.neutral()

    def close(self) -> None:
        """Close the robot, then the sensors."""
        self.robot.close()
        self.sensors.close()

    def _sensed(self, state: MachineState) -> MachineState:
        self.sensors.read()
        own = list(self.sensors.faults())
        q, qd, stamp = state.q.copy(), state.qd.copy(), state.stamp
        for joint, reading in angles(self.sensors).items():
            place = self.spec.joint_names.index(joint)
            if self._frozen(joint, reading.raw, float(q[place])):
                own.append("sensor_frozen")
            q[place], qd[place] = reading.angle, reading.speed
            stamp = max(stamp, reading.stamp)
        self._blocked = any(failure(code).reaction.level >= Level.NEUTRAL for code in own)
        faults = dict.fromkeys((*state.faults, *own))
        return replace(state, stamp=stamp, q=q, qd=qd, faults=tuple(faults))

    def _frozen(self, joint: str, raw: int, own: float) -> bool:
        if not math.isfinite(own):
            return False
        before = self._still.get(joint)
        if before is None or before[0] != raw:
            self._still[joint] = (raw, own)
            return False
        return abs(own - before[1]) > FROZEN_TURN
