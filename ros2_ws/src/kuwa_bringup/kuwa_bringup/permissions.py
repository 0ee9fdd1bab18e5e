"""Who may write and read which topic, and ask whom: the stack's policy for SROS 2.

Where ROS 2 comes with DDS security (the apt installation), ``kuwa security`` makes keys and signed
permissions from it; a test holds it against what the running nodes really do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from kuwa_bringup.stack import NodeSpec
from kuwa_ros import topics as t
from kuwa_ros.topics import Topic

VERSION: Final = "0.2.0"
"""Of the policy's schema (sros2/policy/schemas/policy.xsd)."""
OF_EVERY_NODE: Final = (
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
    "set_parameters", "set_parameters_atomically", "get_type_description",
)  # fmt: skip
OF_LIFECYCLE: Final = (
    "change_state", "get_available_states", "get_available_transitions", "get_state",
    "get_transition_graph",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Permission:
    """What one node does.

    Args:
        writes, reads: topics. serves: names of services, relative to the machine's namespace.
        asks: services of others, likewise.
    """

    writes: tuple[Topic, ...]
    reads: tuple[Topic, ...]
    serves: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()


SENSORS: Final = (
    t.JOINT_STATES, t.ODOM, t.IMU, t.TOOL_FORCE, t.PRESSURES, t.ROBOT_STATUS, t.TERRAIN,
    t.TERRAIN_MAP,
)  # fmt: skip
PERMISSIONS: Final[dict[str, Permission]] = {
    "robot": Permission((*SENSORS, t.GROUND_TRUTH, t.TASK, t.CLOCK), (t.APPLIED,)),
    "safety": Permission(
        (t.APPLIED, t.SAFETY),
        (t.JOINT_STATES, t.ROBOT_STATUS, t.PRESSURES, t.ODOM, t.REQUEST, t.EMERGENCY_STOP,
         t.DEADMAN, t.SEALED[t.DEADMAN], t.LATENT,
         t.heartbeat("planning"), t.heartbeat("supervisor"), t.heartbeat("perception")),
        serves=(t.SET_MODE[0],),
    ),
    "control": Permission(
        (t.REQUEST, t.REFERENCE, t.SPIKES),
        (t.JOINT_STATES, t.PRESSURES, t.TRAJECTORY, t.SEALED[t.TRAJECTORY], t.VELOCITY_REFERENCE,
         t.SEALED[t.VELOCITY_REFERENCE], t.APPLIED, t.SAFETY),
    ),
    "planning": Permission(
        (t.TRAJECTORY, t.SEALED[t.TRAJECTORY], t.PLAN_STATUS),
        (t.JOINT_STATES, t.ODOM, t.IMU, t.TOOL_FORCE, t.PRESSURES, t.TERRAIN, t.TERRAIN_MAP,
         t.TASK, t.SAFETY),
    ),
    "record": Permission(
        (t.RECORDING,), tuple(topic for topic in t.TOPICS if "<" not in topic.name),
        serves=(t.EPISODE[0],),
    ),
    "teleop": Permission(
        (t.VELOCITY_REFERENCE, t.SEALED[t.VELOCITY_REFERENCE], t.DEADMAN, t.SEALED[t.DEADMAN],
         t.EMERGENCY_STOP),
        (t.JOINT_STATES, t.SAFETY, t.ALARMS, t.REFERENCE, t.REQUEST, t.APPLIED, t.PRESSURES,
         t.ROBOT_STATUS, t.SPIKES, t.LATENT, t.PLAN_STATUS, t.RECORDING, t.ODOM, t.TERRAIN,
         t.TERRAIN_MAP, t.TASK, t.JOY, t.SEALED[t.JOY]),
        asks=(t.SET_MODE[0], t.EPISODE[0]),
    ),
    "supervisor": Permission(
        (t.EMERGENCY_STOP, t.ALARMS),
        # Its black box keeps everything but pictures.
        (*(topic for topic in t.TOPICS if "<" not in topic.name),
         *(t.heartbeat(name) for name in ("supervisor", "perception", "teleop"))),
        asks=(t.SET_MODE[0],),
    ),
}  # fmt: skip


PEOPLE: Final[dict[str, Permission]] = {
    "kuwa_person": Permission((t.EMERGENCY_STOP,), (t.SAFETY, t.ALARMS), asks=(t.SET_MODE[0],)),
    "preflight": Permission(
        (t.REQUEST, t.EMERGENCY_STOP), (*SENSORS, t.APPLIED, t.SAFETY), asks=(t.SET_MODE[0],)
    ),
}
"""Nodes through which a person speaks to a stack: ``kuwa mode`` and ``kuwa preflight``."""


def policy(specs: Iterable[NodeSpec], cameras: Iterable[str] = ()) -> str:
    """Return the policy of a stack as the XML that ``ros2 security`` takes.

    Args:
        specs: the stack.
        cameras: names of the machine's cameras.
    """
    specs = list(specs)
    root = ET.Element("policy", version=VERSION)
    enclaves = ET.SubElement(root, "enclaves")
    pictures = tuple(t.camera(name) for name in cameras)
    for spec in specs:
        enclave = ET.SubElement(enclaves, "enclave", path=f"{spec.namespace}/{spec.name}")
        profile = ET.SubElement(
            ET.SubElement(enclave, "profiles"), "profile", ns=spec.namespace, node=spec.name
        )
        _fill(profile, spec, [s for s in specs if s.namespace == spec.namespace], pictures)
    for namespace in dict.fromkeys(spec.namespace for spec in specs):
        for name, may in PEOPLE.items():
            enclave = ET.SubElement(enclaves, "enclave", path=f"{namespace}/{name}")
            profile = ET.SubElement(
                ET.SubElement(enclave, "profiles"), "profile", ns=namespace, node=name
            )
            _rules(
                profile, {topic.name for topic in may.writes} | {"/parameter_events"},
                {topic.name for topic in may.reads}, may.serves, may.asks,
            )  # fmt: skip
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _fill(
    profile: ET.Element, spec: NodeSpec, stack: list[NodeSpec], pictures: tuple[Topic, ...]
) -> None:
    may = PERMISSIONS[spec.executable]
    names = [each.name for each in stack if each.lifecycle]
    writes = {topic.name for topic in may.writes} | {
        t.heartbeat(spec.name).name, t.DIAGNOSTICS.name, "/rosout", "/parameter_events",
    }  # fmt: skip
    reads = {topic.name for topic in may.reads} | {"/parameter_events", t.CLOCK.name}
    serves = [*may.serves, *(f"~/{name}" for name in OF_EVERY_NODE)]
    asks = list(may.asks)
    if spec.executable == "robot":
        writes |= {topic.name for topic in pictures}
    if spec.executable == "teleop":
        reads |= {topic.name for topic in pictures}
        if spec.parameters.get("can_reset"):
            # To set a simulation back it takes the robot node down; the supervisor brings it up.
            asks.append("robot/change_state")
    if spec.lifecycle:
        serves += [f"~/{name}" for name in OF_LIFECYCLE]
        writes.add("~/transition_event")
    elif spec.executable == "record":
        # It listens to everything, also to what is no contract of ours.
        reads |= {t.heartbeat(each.name).name for each in stack}
        reads |= {f"{name}/transition_event" for name in names}
        reads |= {topic.name for topic in pictures}
    else:
        asks += [f"{name}/change_state" for name in names]
        reads |= {t.heartbeat(name).name for name in names}
    _rules(profile, writes, reads, serves, asks)


def _rules(
    profile: ET.Element,
    writes: Iterable[str],
    reads: Iterable[str],
    serves: Iterable[str],
    asks: Iterable[str],
) -> None:
    for what, rule, found in (
        ("topic", {"publish": "ALLOW"}, sorted(writes)),
        ("topic", {"subscribe": "ALLOW"}, sorted(reads)),
        ("service", {"reply": "ALLOW"}, sorted(serves)),
        ("service", {"request": "ALLOW"}, sorted(asks)),
    ):
        if found:
            group = ET.SubElement(profile, f"{what}s", rule)
            for name in found:
                ET.SubElement(group, what).text = name
