"""A robot whose joints are measured by CANopen sensors as well, or only by them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from kuwa_hardware.failures import failure
from kuwa_machines.contracts import (
    GroundTruth,
    JointCommand,
    Level,
    MachineState,
    Mapped,
    Robot,
    SimulatedRobot,
)
from kuwa_machines.datafile import fingerprint
from kuwa_machines.spec import MachineSpec

if TYPE_CHECKING:
    from kuwa_hardware.canopen_sensors.sensors import JointSensors

FROZEN_TURN = 0.05
"""The machine's own sensor turned so far while the CANopen sensor did not count at all [rad]."""
UNMEASURED = frozenset({"sensor_silent", "driver_disconnected"})
"""Faults during which nobody knows where a joint is."""
TOLD = 0.1
"""States that carry such a fault go out for so long, since they are what tells it [s]."""


class SensedRobot:
    """Puts the sensors' angles in place of the robot's own; everything else is the robot's.

    Where the robot measures the same joint itself, a CANopen sensor that stands still while the
    joint turns is found; where it does not, the gate finds it while the joint is told to move.
    Stamps are the robot's, or those of the sensors where it measures nothing itself. A sensor that
    stays away is told by a fault; then there is no new state until it is back, since an old angle
    with a new stamp would say that the joint stands. While a fault of the sensors forbids motion
    the valves get neutral.

    Args:
        robot: the machine. sensors: on its joints.
    """

    def __init__(self, robot: Robot, sensors: JointSensors) -> None:
        self.robot, self.sensors = robot, sensors
        self.spec: MachineSpec = robot.spec
        below = robot.fingerprint if isinstance(robot, Mapped) else ""
        self.fingerprint = fingerprint(below, sensors.file)
        self._still: dict[str, tuple[int, float]] = {}
        self._blocked = False
        self._stamp, self._known_at = 0.0, 0.0

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
        unmeasured = not UNMEASURED.isdisjoint(own)
        q, qd, newest = state.q.copy(), state.qd.copy(), 0.0
        for joint, reading in self.sensors.joints().items():
            place = self.spec.joint_names.index(joint)
            if not unmeasured and self._frozen(joint, reading.raw, float(q[place])):
                own.append("sensor_frozen")
            q[place], qd[place] = reading.angle, reading.speed
            newest = max(newest, reading.stamp)
        stamp = state.stamp if state.stamp > 0.0 else newest
        if not unmeasured:
            self._known_at = stamp
        elif stamp > self._known_at + TOLD:
            stamp = self._stamp
        self._stamp = stamp
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


class SensedSimulation(SensedRobot):
    """The same around a simulated robot, whose joints turn emulated sensors.

    Args:
        plant: the simulated robot. sensors: on its joints.
    """

    def __init__(self, plant: SimulatedRobot, sensors: JointSensors) -> None:
        super().__init__(plant, sensors)
        self.plant = plant
        self.control_period = plant.control_period
        self.task = getattr(plant, "task", None)

    def reset(self, seed: int) -> MachineState:
        """Return to the start of the scenario; the sensors measure on."""
        return self._sensed(self.plant.reset(seed))

    def advance(self) -> MachineState:
        """Advance one control period and return the new state."""
        return self._sensed(self.plant.advance())

    def truth(self) -> GroundTruth:
        """Return where the machine really is."""
        return self.plant.truth()


def sensed(robot: Robot, sensors: JointSensors) -> SensedRobot:
    """Return the robot with these sensors; a simulated one stays one."""
    if isinstance(robot, SimulatedRobot):
        return SensedSimulation(robot, sensors)
    return SensedRobot(robot, sensors)
