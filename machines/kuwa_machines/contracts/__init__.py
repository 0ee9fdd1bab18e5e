"""What passes between rooms: states, commands, trajectories, tasks, and the protocols of the cores.

Units are SI, angles radians; x forward, y left, z up. Arrays follow the joint order of the
machine's specification inside a process; between processes joints are matched by name.
"""

from kuwa_machines.arrays import Array
from kuwa_machines.contracts.command import CommandKind, JointCommand
from kuwa_machines.contracts.control import (
    SPIKE_STATS_PERIOD,
    Controller,
    Learner,
    SpikeStats,
    Spiking,
)
from kuwa_machines.contracts.plan import Plan, Planner, Task, Trajectory
from kuwa_machines.contracts.robot import Mapped, Robot, SimulatedRobot
from kuwa_machines.contracts.safety import Gate, GateOutput, Level, Mode, SafetyState
from kuwa_machines.contracts.state import GroundTruth, HeightMap, MachineState, TerrainMemory

__all__ = [
    "SPIKE_STATS_PERIOD",
    "Array",
    "CommandKind",
    "Controller",
    "Gate",
    "GateOutput",
    "GroundTruth",
    "HeightMap",
    "JointCommand",
    "Learner",
    "Level",
    "MachineState",
    "Mapped",
    "Mode",
    "Plan",
    "Planner",
    "Robot",
    "SafetyState",
    "SimulatedRobot",
    "SpikeStats",
    "Spiking",
    "Task",
    "TerrainMemory",
    "Trajectory",
]
