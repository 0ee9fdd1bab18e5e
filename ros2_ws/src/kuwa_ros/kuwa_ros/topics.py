"""The topics of a machine, each named once: type, quality of service, rate, from and to.

Names are relative to the machine's namespace ``/<machine>`` unless they begin with a slash.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import WrenchStamped
from kuwa_msgs.msg import (
    Alarms,
    GroundTruth,
    Heartbeat,
    HydraulicState,
    JointCommand,
    Latent,
    PlanStatus,
    Recording,
    RobotStatus,
    SafetyState,
    Sealed,
    SpikeStats,
    Task,
)
from kuwa_msgs.srv import EpisodeCommand, SetMode
from nav_msgs.msg import MapMetaData, Odometry
from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, Imu, JointState, Joy
from std_msgs.msg import Bool
from trajectory_msgs.msg import JointTrajectory


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as a contract.

    Args:
        name: relative to the machine's namespace, or absolute.
        type: message class.
        rate: in words; "latched" topics keep their last message for late joiners.
        source, sinks: who writes and who reads.
        latched: transient local instead of volatile.
        depth: messages kept for a slow reader; 1 where only the newest counts.
        deadline: the writer promises a message at least this often [s]; 0: no promise.
        lease: a writer that sends nothing for this long is no longer alive [s]; 0: never. It is
            asserted by sending, not by the middleware's own threads, which outlive a hung program.
    """

    name: str
    type: Any
    rate: str
    source: str
    sinks: str
    latched: bool = False
    depth: int = 1
    deadline: float = 0.0
    lease: float = 0.0

    def within(self, namespace: str) -> str:
        """Return its name in a namespace, ``"/truck"``; in the node's own if that is empty."""
        if not namespace or self.name.startswith("/"):
            return self.name
        return f"{namespace}/{self.name}"

    def qos(self, depth: int | None = None) -> QoSProfile:
        """Return the profile; ``depth`` replaces the contract's for a reader that needs more.

        All topics are reliable: a reliable writer serves best-effort readers as well, and a
        best-effort writer would silently never reach the reliable readers of other stacks.
        """
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self.latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self.depth if depth is None else depth,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=durability,
        )
        if self.deadline:
            profile.deadline = Duration(seconds=self.deadline)
        if self.lease:
            profile.liveliness = LivelinessPolicy.MANUAL_BY_TOPIC
            profile.liveliness_lease_duration = Duration(seconds=self.lease)
        return profile


JOINT_STATES: Final = Topic("joint_states", JointState, "100 Hz", "robot", "all", depth=10)
ODOM: Final = Topic("odom", Odometry, "50 Hz", "robot", "planning, safety", depth=5)
IMU: Final = Topic("imu", Imu, "100 Hz", "robot", "planning", depth=5)
TOOL_FORCE: Final = Topic(
    "tool_force", WrenchStamped, "50 Hz, with load pins", "robot", "planning", depth=5
)
CAMERA: Final = Topic(
    "camera/<name>/image_raw", Image, "the camera's own, where pictures are on", "robot", "anyone"
)
PRESSURES: Final = Topic(
    "pressures", HydraulicState, "50 Hz", "robot", "planning, control, safety", depth=5
)
ROBOT_STATUS: Final = Topic(
    "robot_status", RobotStatus, "50 Hz", "robot", "safety, record, console", depth=5
)
GROUND_TRUTH: Final = Topic(
    "ground_truth", GroundTruth, "50 Hz", "robot (simulated)", "scores and pictures", depth=5
)
TERRAIN: Final = Topic("terrain/height", Image, "5 Hz", "robot", "planning")
TERRAIN_MAP: Final = Topic("terrain/map", MapMetaData, "latched", "robot", "planning", True)
TASK: Final = Topic("task", Task, "latched", "operator or robot (scenario)", "planning", True)
LATENT: Final = Topic("latent", Latent, "10–20 Hz", "perception", "planning, safety")
CLOCK: Final = Topic("/clock", Clock, "100 Hz", "robot (simulated)", "other stacks", depth=10)
TRAJECTORY: Final = Topic("joint_trajectory", JointTrajectory, "5 Hz", "planning", "control")
PLAN_STATUS: Final = Topic("plan_status", PlanStatus, "5 Hz", "planning", "operator", True)
JOY: Final = Topic("joy", Joy, "20 Hz at least, of a joystick node", "joystick", "teleop", depth=10)
VELOCITY_REFERENCE: Final = Topic(
    "velocity_reference", JointCommand, "50–100 Hz", "teleop", "control"
)
REFERENCE: Final = Topic(
    "reference", JointCommand, "100 Hz, of what is followed", "control", "record, console", depth=10
)
REQUEST: Final = Topic("joint_command/request", JointCommand, "100 Hz", "control", "safety")
APPLIED: Final = Topic("joint_command/applied", JointCommand, "100 Hz", "safety", "robot, control")
SPIKES: Final = Topic(
    "spikes", SpikeStats, "10 Hz, of a spiking controller", "control", "record, console"
)
SAFETY: Final = Topic("safety", SafetyState, "latched + 10 Hz", "safety", "all", True)
EMERGENCY_STOP: Final = Topic("emergency_stop", Bool, "latched", "anyone", "safety", True)
DEADMAN: Final = Topic(
    "deadman", Bool, "20 Hz, true while the operator holds it", "teleop", "safety"
)
ALARMS: Final = Topic("alarms", Alarms, "latched, at each change", "supervisor", "all", True)
RECORDING: Final = Topic("recording", Recording, "latched + 5 Hz", "record", "console", True)
SEALED: Final = {
    topic: replace(
        topic,
        name=f"{topic.name}/sealed",
        type=Sealed,
        rate=f"in place of `{topic.name}` where its sender has a key",
    )
    for topic in (VELOCITY_REFERENCE, TRAJECTORY, DEADMAN, JOY)
}
"""Where messages are sent with a code that have no field for one in their own type."""
HEARTBEAT: Final = Topic(
    "heartbeat/<node>",
    Heartbeat,
    "20 Hz",
    "every node",
    "supervisor, safety",
    deadline=0.1,
    lease=0.2,
)
DIAGNOSTICS: Final = Topic(
    "/diagnostics", DiagnosticArray, "2 Hz", "every node", "people, console", depth=20
)

TOPICS: Final = (
    JOINT_STATES,
    ODOM,
    IMU,
    TOOL_FORCE,
    CAMERA,
    PRESSURES,
    ROBOT_STATUS,
    GROUND_TRUTH,
    TERRAIN,
    TERRAIN_MAP,
    TASK,
    LATENT,
    CLOCK,
    TRAJECTORY,
    PLAN_STATUS,
    JOY,
    VELOCITY_REFERENCE,
    REFERENCE,
    REQUEST,
    APPLIED,
    SPIKES,
    SAFETY,
    EMERGENCY_STOP,
    DEADMAN,
    ALARMS,
    RECORDING,
    HEARTBEAT,
    DIAGNOSTICS,
    *SEALED.values(),
)


def camera(name: str) -> Topic:
    """Return the topic of one of the machine's cameras."""
    return replace(CAMERA, name=CAMERA.name.replace("<name>", name))


def heartbeat(node: str) -> Topic:
    """Return the topic of one node's heartbeat, by the node's name without a namespace."""
    return replace(HEARTBEAT, name=HEARTBEAT.name.replace("<node>", node))


SET_MODE: Final = ("set_mode", SetMode)
"""The service of the safety node that asks the gate for a mode."""
EPISODE: Final = ("episode", EpisodeCommand)
"""The service of the record node that begins, ends and labels episodes."""


def type_name(interface: Any) -> str:
    """Return e.g. ``"sensor_msgs/msg/Image"``."""
    package, kind = interface.__module__.split(".")[:2]
    return f"{package}/{kind}/{interface.__name__}"


def markdown() -> str:
    """Return the reference page of all topics."""
    rows = [
        "| topic | type | rate | from → to | depth | durability |",
        "|---|---|---|---|---|---|",
    ]
    for t in TOPICS:
        durability = "transient local" if t.latched else "volatile"
        rows.append(
            f"| `{t.name}` | {type_name(t.type)} | {t.rate} | {t.source} → {t.sinks} "
            f"| {t.depth} | {durability} |"
        )
    return "\n".join(
        [
            "# Topics",
            "",
            "Generated from `kuwa_ros.topics` by `./kuwa exec python -m kuwa_bringup.reference`.",
            "",
            "Names are relative to the machine's namespace, e.g. `/zx200`, unless they begin with",
            "a slash. Every topic is reliable and keeps its last messages. Units are SI; joints",
            "are matched by name.",
            "",
            *rows,
            "",
            f"Service `{SET_MODE[0]}` ({type_name(SET_MODE[1])}), of safety: ask for a mode.",
            f"Service `{EPISODE[0]}` ({type_name(EPISODE[1])}), of record: begin, end, label.",
            "",
        ]
    )
