"""A robot whose joints are measured by CANopen sensors as well, or only by them."""

from __future__ import annotations

import math
from dataclasses import replace

from kuwa_hardware.canopen_sensors.sensors import JointSensors, angles
from kuwa_machines.contracts import JointCommand, MachineState, Robot
from kuwa_machines.spec import MachineSpec

FROZEN_TURN = 0.05
"""The machine's own sensor turned so far while the CANopen sensor did not count at all [rad]."""


class SensedRobot:
    """Puts the sensors' angles in place of the robot's own; everything else is the robot's.

    Where the robot measures the same joint itself, a CANopen sensor that stands still while the
    joint turns is found; where it does not, the gate finds it while the joint is told to move.

    Args:
        robot: the machine. sensors: on its joints.
    """

    def __init__(self, robot: Robot, sensors: JointSensors) -> None:
        self.robot, self.sensors = robot, sensors
        self.spec: MachineSpec = robot.spec
        self._still: dict[str, tuple[int, float]] = {}

    def connect(self) -> None:
        """Connect the sensors, then the robot.

        Raises:
            KuwaError: what either of them has to say.
        """
        self.sensors.connect()
        self.robot.connect()

    def read(self) -> MachineState:
        """Return the robot's state with the sensors' angles and speeds in it."""
        state = self.robot.read()
        self.sensors.read()
        q, qd, stamp = state.q.copy(), state.qd.copy(), state.stamp
        faults = dict.fromkeys((*state.faults, *self.sensors.faults()))
        for joint, reading in angles(self.sensors).items():
            place = self.spec.joint_names.index(joint)
            if self._frozen(joint, reading.raw, float(q[place])):
                faults["sensor_frozen"] = None
            q[place], qd[place] = reading.angle, reading.speed
            stamp = max(stamp, reading.stamp)
        return replace(state, stamp=stamp, q=q, qd=qd, faults=tuple(faults))

    def write(self, command: JointCommand) -> JointCommand:
        """Send a VALVE command to the robot."""
        return self.robot.write(command)

    def neutral(self) -> None:
        """Centre all valves."""
        self.robot.neutral()

    def close(self) -> None:
        """Close the robot, then the sensors."""
        self.robot.close()
        self.sensors.close()

    def _frozen(self, joint: str, raw: int, own: float) -> bool:
        if not math.isfinite(own):
            return False
        before = self._still.get(joint)
        if before is None or before[0] != raw:
            self._still[joint] = (raw, own)
            return False
        return abs(own - before[1]) > FROZEN_TURN
