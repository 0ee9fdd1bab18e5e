"""The stack as data: which nodes run for a machine, and with which parameters.

Both ways to start it, ``ros2 launch`` and child processes, take this list. It imports nothing but
the standard library: ``ros2 launch`` runs in the system's Python, which does not know what only
the nodes' own environment holds. The nodes check the names when they are configured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

Value = bool | int | float | str | tuple[str, ...]

SIMULATED: Final = frozenset({"sim", "mock"})
"""Kinds of robot that move nothing real, so that the stack may arm itself."""


EMULATED_BUS: Final = {
    "com3_can": "udp_multicast:239.74.163.2:30113",
    "isobus": "udp_multicast:239.74.163.2:30113",
    "opera": "namespace={above}{ns} patience=60",
}
"""Kinds of robot whose machine can be another process on the same bus, a plant behind it, and where
they meet if nobody says otherwise: the loopback of this computer, or a namespace of its own."""
EMULATED: Final = frozenset(EMULATED_BUS)
EMULATED_SENSORS_BUS: Final = "udp_multicast:239.74.163.2:31113"
"""Where emulated CANopen sensors and the robot node meet; another port, since it is another bus."""
OPERA_ABOVE: Final = "/opera"
"""Above the namespace of an emulated machine that speaks ROS: its topics are not the stack's."""


IMAGES: Final = ("jpeg", "raw", "none")
"""What the recorder's bag may hold of pictures."""
PRIORITY: Final = {"robot": 80, "safety": 75, "control": 70}
"""Of SCHED_FIFO, all threads of a node: who is behind in the chain goes first, since it bounds what
the others can do."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """One node to start.

    Args:
        package, executable: as ``ros2 run`` takes them.
        name: of the node.
        namespace: with a leading slash.
        parameters: by name.
        remappings: (from, to) pairs.
        lifecycle: managed by the supervisor.
        label: what people and log files call it; the name if empty.
    """

    package: str
    executable: str
    name: str
    namespace: str
    parameters: dict[str, Value] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    lifecycle: bool = True
    label: str = ""

    @property
    def title(self) -> str:
        """What people and log files call it."""
        return self.label or self.name


def stack(
    machine: str = "zx200",
    robot: str = "sim",
    scenario: str = "dig_trench",
    seed: int = 0,
    speed: float = 1.0,
    *,
    planner: str = "expert",
    controller: str = "",
    controller_state: str = "",
    controller_states_out: Mapping[str, str] | None = None,
    auto_arm: bool | None = None,
    stats_file: str = "",
    namespace: str = "",
    partners: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    bus: str = "",
    sensors: str = "",
    sensors_bus: str = "",
    emulated: bool = False,
    latch_file: str = "",
    key_file: str = "",
    zones: str = "",
    preflight: str = "",
    blackbox: str = "",
    realtime: bool | None = None,
    cpus: str = "",
    console: Mapping[str, Value] | None = None,
    record: str = "",
    task: str = "",
    recording: Mapping[str, Value] | None = None,
) -> tuple[NodeSpec, ...]:
    """Return the nodes of one machine's stack, the supervisor last.

    Args:
        machine: by the name of its folder.
        robot: kind of robot.
        scenario, speed: of a simulated robot. seed: of it and of the controller.
        planner: by name; an empty one leaves planning out.
        controller: by name; empty: the control node's own choice.
        controller_state: file from which this machine's controller is restored.
        controller_states_out: namespace → file where its controller saves what it has learnt.
        auto_arm: go to mode auto without a person; by default for simulated robots.
        stats_file: where the robot node writes its timing at the end.
        namespace: instead of the machine's name.
        partners: name → machine of the scenario's other machines, each with a stack of its own in
            a namespace of its name; the site of all of them runs in the first one's robot node.
        parameters: machine → file with numbers in place of the machine's own.
        bus: how a real robot is reached, in the words of its kind.
        sensors: file of CANopen joint sensors; ``canopen.yaml`` of the machine if empty and there
            is a bus for them.
        sensors_bus: of these sensors. Where the machine is not real they are emulated by a process
            of their own, which has a bus by default.
        emulated: whether the machine on the bus is another process with a plant behind it, which
            is then the first of the nodes; the supervisor has nothing to do with it.
        latch_file: keeps a stop of the first machine over a restart, and a file beside it that of
            each partner; none if empty.
        key_file: of the key for codes on what moves a machine; none are asked for if empty.
        zones: file of the site's zones that are kept out.
        preflight: the preflight's record of the first machine, which arming then needs.
        blackbox: folder for the black boxes, one below it for each namespace; none if empty.
        realtime: give the nodes of :data:`PRIORITY` real-time priority, where it is permitted; by
            default where the robot moves something real.
        cpus: processors of these loops, e.g. ``"2,3"``; all if empty.
        console: parameters of the first machine's teleop node; None: nobody drives it by hand.
        record: folder into which the first machine is recorded; it is not if empty. The record
            node comes first, so that it hears the others' first words.
        task: of the episodes that are recorded, in words.
        recording: further parameters of the record node: fps, countdown, images.

    Raises:
        ValueError: if a real machine should arm itself, or a robot that has no emulated machine
            should have one.
    """
    if emulated and (robot not in EMULATED or partners or speed != 1.0):
        raise ValueError(
            f"{robot!r} at speed {speed:g} with {len(partners or {})} partners: an emulated "
            f"machine works alone, at speed 1, on the bus of {', '.join(sorted(EMULATED))}"
        )
    ns = "/" + (namespace or machine).strip("/")
    if emulated:
        bus = bus or EMULATED_BUS[robot].format(above=OPERA_ABOVE, ns=ns)
    simulated = robot in SIMULATED or emulated
    if auto_arm and not simulated:
        raise ValueError(
            f"auto_arm is for simulated robots ({', '.join(sorted(SIMULATED))}), not for "
            f"{robot!r}: a person arms a real machine"
        )
    first = not simulated if realtime is None else realtime
    if sensors and simulated:
        sensors_bus = sensors_bus or EMULATED_SENSORS_BUS
    if sensors and not sensors_bus:
        raise ValueError(f"sensors {sensors!r} without sensors_bus: where are they?")
    if sensors_bus and (partners or speed != 1.0):
        raise ValueError(
            f"CANopen sensors at speed {speed:g} with {len(partners or {})} partners: they are on "
            "one machine, at speed 1"
        )
    files = dict(parameters or {})
    # The robot node has the whole site, in which another machine may be the one with the file.
    own, any_file = files.get(machine, ""), next(iter(files.values()), "")
    kept = dict(controller_states_out or {})
    control: dict[str, Value] = {
        "machine": machine,
        "parameters": own,
        "seed": int(seed),
        "controller_state": controller_state,
        "controller_state_out": kept.get(ns.strip("/"), ""),
        "key_file": key_file,
    }
    if controller:
        control["controller"] = controller
    nodes: list[tuple[str, dict[str, Value]]] = [
        (
            "robot",
            {
                "machine": machine,
                "parameters": any_file,
                "robot": robot,
                "scenario": scenario,
                "seed": int(seed),
                "speed": float(speed),
                "stats_file": stats_file,
                "key_file": key_file,
            },
        ),
        (
            "safety",
            {
                "machine": machine,
                "parameters": own,
                "latch_file": latch_file,
                "key_file": key_file,
                "zones": zones,
                "preflight": preflight or ("none" if emulated else ""),
            },
        ),
        ("control", control),
    ]
    if bus:
        nodes[0][1]["bus"] = bus
    measured: dict[str, Value] = {"sensors": sensors, "sensors_bus": sensors_bus}
    nodes[0][1].update(measured if sensors_bus else {})
    for name, values in nodes:
        values |= {"rt_priority": PRIORITY[name]} if first else {}
        values |= {"cpus": cpus} if cpus else {}
    if planner:
        plans: dict[str, Value] = {
            "machine": machine, "parameters": own, "planner": planner, "key_file": key_file,
        }  # fmt: skip
        nodes.append(("planning", plans))
    own_only = {"robot"}
    if console is not None:
        operator: dict[str, Value] = {
            "machine": machine, "parameters": own, "key_file": key_file,
            "planner": bool(planner), "robot": "sim" if emulated else robot,
            "can_reset": simulated, **console,
        }  # fmt: skip
        # First, so that the page is there while the others still start.
        nodes.insert(0, ("teleop", operator))
        own_only.add("teleop")
    arms = simulated if auto_arm is None else auto_arm
    specs: list[NodeSpec] = []
    for name, partner in (partners or {}).items():
        theirs: dict[str, Value] = {"machine": partner, "parameters": files.get(partner, "")}
        own_of: dict[str, dict[str, Value]] = {
            "control": {"controller_state": "", "controller_state_out": kept.get(name, "")},
            "safety": {"latch_file": _beside(latch_file, name), "preflight": ""},
        }
        rest = [
            (n, values | theirs | own_of.get(n, {})) for n, values in nodes if n not in own_only
        ]
        watching: dict[str, Value] = {"key_file": key_file, "blackbox": _below(blackbox, name)}
        specs += _supervised("/" + name, rest, watching | {"auto_arm": arms}, f"{name}.")
    watching = {"key_file": key_file, "blackbox": _below(blackbox, ns.strip("/"))}
    if emulated:
        there: dict[str, Value] = {
            "machine": machine, "parameters": own, "scenario": scenario, "seed": int(seed),
        }  # fmt: skip
        program, place = "emulated_machine", ns
        if robot == "opera":
            program, place = "opera_machine", OPERA_ABOVE + ns
            there["site"] = ns
        else:
            there |= {"robot": robot, "bus": bus}
        there |= {"plant_joints": True} if sensors_bus else {}
        specs.append(NodeSpec("kuwa_robot", program, "machine", place, there, lifecycle=False))
    if sensors_bus and simulated:
        turned: dict[str, Value] = {
            "machine": machine, "parameters": own, "sensors": sensors, "bus": sensors_bus,
        }  # fmt: skip
        specs.append(
            NodeSpec("kuwa_robot", "emulated_sensors", "sensors", ns, turned, lifecycle=False)
        )
    if record:
        more = recording or {}
        specs.insert(0, recorder(machine, record, ns, own, task, scenario, seed, **more))
    return (*specs, *_supervised(ns, nodes, watching | {"auto_arm": arms}))


def recorder(
    machine: str,
    folder: str,
    namespace: str,
    parameters: str = "",
    task: str = "",
    scenario: str = "",
    seed: int = 0,
    **more: Value,
) -> NodeSpec:
    """Return the record node of a machine, which the supervisor has nothing to do with.

    Args:
        machine: by the name of its folder. folder: of bags and data set.
        namespace: of the machine's stack, with a leading slash.
        parameters: file with numbers in place of the machine's own.
        task: in words. scenario, seed: kept in the notes.
        more: parameters of the node.
    """
    values: dict[str, Value] = {
        "machine": machine, "parameters": parameters, "folder": folder, "task": task,
        "scenario": scenario, "seed": int(seed), **more,
    }  # fmt: skip
    return NodeSpec("kuwa_record", "record", "record", namespace, values, lifecycle=False)


def _below(folder: str, name: str) -> str:
    return folder and f"{folder.rstrip('/')}/{name}"


def _beside(file: str, name: str) -> str:
    """Return ``stopped-truck.json`` for ``stopped.json``."""
    path = Path(file)
    return file and str(path.with_name(f"{path.stem}-{name.replace('/', '-')}{path.suffix}"))


def _supervised(
    namespace: str,
    nodes: list[tuple[str, dict[str, Value]]],
    watching: dict[str, Value],
    mark: str = "",
) -> list[NodeSpec]:
    """Return nodes and their supervisor, which is watching them, last."""
    specs = [
        NodeSpec(f"kuwa_{name}", name, name, namespace, values, label=mark and mark + name)
        for name, values in nodes
    ]
    supervisor: dict[str, Value] = {"nodes": tuple(spec.name for spec in specs), **watching}
    label = mark and mark + "supervisor"
    return [*specs, NodeSpec("kuwa_bringup", "supervisor", "supervisor", namespace, supervisor,
                             lifecycle=False, label=label)]  # fmt: skip
