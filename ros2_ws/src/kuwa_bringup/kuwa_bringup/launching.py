"""The stack as launch actions, for ``ros2 launch``; the launch packages are imported when used."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kuwa_bringup.stack import EMULATED, SIMULATED, NodeSpec, Value, stack
from kuwa_bringup.statefolder import state_folder

ARGUMENTS: dict[str, tuple[str, str]] = {
    "machine": ("zx200", "machine, by the name of its folder"),
    "robot": ("sim", "kind of robot"),
    "scenario": ("dig_trench", "scenario of a simulated robot"),
    "seed": ("0", "seed of a simulated robot"),
    "speed": ("1.0", "simulated seconds in a second"),
    "namespace": ("", "namespace; the machine's name if empty"),
    "controller": ("", "controller, by name; the control node's own choice if empty"),
    "controller_state": ("", "file with what the controller learnt in an earlier run"),
    "controller_state_out": (
        "",
        "file where the controller saves what it has learnt; if empty a real machine's in state",
    ),
    "parameters": ("", "file with identified numbers in place of the machine's own"),
    "partners": ("", "other machines of the scenario: name or name=machine, with commas between"),
    "bus": ("", "how a real robot is reached: socketcan:can0, for instance"),
    "sensors_bus": ("", "bus of CANopen joint sensors: socketcan:can1, for instance"),
    "sensors": ("", "file of these sensors; canopen.yaml of the machine if empty"),
    "state": ("", "folder for latch, records and black boxes; that of kuwa up if empty"),
    "latch_file": ("", "file that keeps a stop over a restart; if empty a real machine's in state"),
    "key_file": ("", "key for codes on commands, mode 600; none are asked for if empty"),
    "zones": ("", "file of the site's zones that are kept out"),
    "preflight": ("", "record without which arming is refused; if empty a real machine's in state"),
    "blackbox": ("", "folder for the black box; if empty a real machine's in state"),
    "realtime": ("auto", "real-time priority, where permitted: true, false; auto: if it is real"),
    "cpus": ("", "processors for the loops, 2,3 for instance; all if empty"),
    "record": ("", "folder into which the machine is recorded; it is not if empty"),
    "task": ("", "of the episodes that are recorded, in words"),
    "fps": ("20", "frames a second of the episodes that are recorded"),
    "countdown": ("0.0", "between an episode's start and its first frame, in seconds"),
    "images": ("jpeg", "pictures in the recorder's bag: jpeg, raw or none"),
    "planner": ("expert", "planner; none: nothing is planned"),
    "pattern": ("", "control pattern of the levers: iso, sae …; the machine's own if empty"),
    "joystick": ("game_controller", "layout of what a joystick node says on joy, or none"),
    "open_joystick": ("false", "where there is a key: take joy without a code as well"),
    "host": ("127.0.0.1", "where the operator's page listens"),
    "port": ("8765", "port of the operator's page"),
    "url_file": ("", "file for the page's address with its token; in the state folder if empty"),
    "network": ("loopback", "open: leave it to the environment which computers reach the stack"),
    "use_sim_time": ("false", "set use_sim_time; our nodes take time from the states anyway"),
    "params_file": ("", "YAML file with parameters that replace the stack's own"),
    "log_level": ("info", "log level of the nodes"),
}

ALWAYS = (
    "machine", "robot", "namespace", "controller", "controller_state", "controller_state_out",
    "parameters", "bus", "sensors_bus", "sensors", "record", "task", "fps", "countdown", "images",
    "network", "use_sim_time", "params_file", "log_level",
)  # fmt: skip
"""Arguments of every launch file."""
REAL = ("state", "latch_file", "key_file", "zones", "preflight", "blackbox", "realtime", "cpus")
"""Arguments of those that may move a real machine."""
PROFILE, RANGE = "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE"
"""Variables by which Fast DDS and ROS are told where to look for others."""
RESPAWN_S = 1.0
"""A node that died is started again this long after [s]."""


def description(
    robot: str, names: tuple[str, ...], emulated: bool = False, console: bool = False
) -> Any:
    """Return a LaunchDescription; ``robot`` is the default kind.

    Its arguments are :data:`ALWAYS` and ``names``. With ``emulated``, a machine on a bus is another
    process of this computer; with ``console``, an operator drives: the stack does not arm itself.
    """
    from launch import LaunchDescription  # type: ignore[attr-defined]
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    defaults = {name: default for name, (default, _) in ARGUMENTS.items()} | {"robot": robot}
    arguments = [
        DeclareLaunchArgument(name, default_value=defaults[name], description=ARGUMENTS[name][1])
        for name in (*ALWAYS, *names)
    ]
    return LaunchDescription(
        [*arguments, OpaqueFunction(function=_nodes, args=[emulated, console])]
    )


def _nodes(context: Any, emulated: bool = False, console: bool = False) -> list[Any]:
    from launch.actions import SetEnvironmentVariable

    given = {name: context.launch_configurations.get(name, "") for name in ARGUMENTS}
    get = {name: given[name] or ARGUMENTS[name][0] for name in ARGUMENTS}
    specs = specs_of(get, emulated, console)
    variables = {} if _opened(get["network"]) else loopback(os.environ)
    return [
        *(SetEnvironmentVariable(name, value) for name, value in variables.items()),
        *(
            _action(spec, _true(get["use_sim_time"]), get["params_file"], get["log_level"])
            for spec in specs
        ),
    ]


def specs_of(
    get: Mapping[str, str], emulated: bool = False, console: bool = False
) -> tuple[NodeSpec, ...]:
    """Return the stack of the arguments' values.

    Raises:
        OSError: the folder for what a real machine keeps cannot be made or written.
    """
    # An operator who names a bus drives what is on it.
    emulated = emulated and get["robot"] in EMULATED and not (console and get["bus"])
    return stack(
        get["machine"],
        get["robot"],
        get["scenario"],
        int(get["seed"]),
        float(get["speed"]),
        planner="" if get["planner"] == "none" else get["planner"],
        auto_arm=False if console else None,
        console=_console(get) if console else None,
        controller=get["controller"],
        controller_state=get["controller_state"],
        namespace=get["namespace"],
        partners=_partners(get["partners"]),
        parameters={get["machine"]: get["parameters"]} if get["parameters"] else None,
        bus=get["bus"],
        sensors=get["sensors"],
        sensors_bus=get["sensors_bus"],
        emulated=emulated,
        key_file=get["key_file"],
        zones=get["zones"],
        realtime=None if get["realtime"] == "auto" else _true(get["realtime"]),
        cpus=get["cpus"],
        record=get["record"],
        task=get["task"],
        recording=_recording(get),
        **_kept(get, simulated=emulated or get["robot"] in SIMULATED),
    )


def _kept(get: Mapping[str, str], simulated: bool) -> dict[str, Any]:
    """Return the files that outlive the stack; nobody has to ask for those of a real machine."""
    own = get["namespace"].strip("/") or get["machine"]
    given: dict[str, Any] = {n: get[n] for n in ("latch_file", "preflight", "blackbox") if get[n]}
    if get["controller_state_out"]:
        given["controller_states_out"] = {own: get["controller_state_out"]}
    if simulated:
        return given
    folder = state_folder(get["machine"], Path(get["state"]) if get["state"] else None)
    return folder.parameters(own, get["robot"]) | given


def loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep all traffic on this computer, as ``./kuwa`` sets them.

    None where the environment says otherwise: a profile of its own, or another range of discovery.

    Raises:
        FileNotFoundError: the profile is not there; DDS would take none, and say nothing.
    """
    if environment.get(PROFILE) or environment.get(RANGE, "") not in ("", "LOCALHOST"):
        return {}
    if not environment.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp").startswith("rmw_fastrtps"):
        return {RANGE: "LOCALHOST"}
    from ament_index_python.packages import get_package_share_directory

    profile = Path(get_package_share_directory("kuwa_bringup"), "config", "loopback.xml")
    if not profile.is_file():
        raise FileNotFoundError(f"{profile} is not there; build kuwa_bringup again: ./kuwa setup")
    # With LOCALHOST the middleware would put transports of its own in place of the profile's.
    return {PROFILE: str(profile), RANGE: "SYSTEM_DEFAULT"}


def _opened(network: str) -> bool:
    if network not in ("loopback", "open"):
        raise ValueError(f"network {network!r}: it is 'loopback' or 'open'")
    return network == "open"


def _true(text: str) -> bool:
    return text.lower() in ("true", "1", "yes")


def _console(get: Mapping[str, str]) -> dict[str, Value]:
    """Return the teleop node's parameters."""
    texts: dict[str, Value] = {n: get[n] for n in ("pattern", "joystick", "host", "url_file")}
    return {**texts, "port": int(get["port"]), "open_joystick": _true(get["open_joystick"])}


def _recording(get: Mapping[str, str]) -> dict[str, Value]:
    """Return further parameters of the record node."""
    fps, countdown = int(get["fps"]), float(get["countdown"])
    return {"fps": fps, "countdown": countdown, "images": get["images"]}


def _partners(text: str) -> dict[str, str]:
    """Return name → machine of e.g. ``"truck=ic120,d37"``."""
    pairs = (item.strip().partition("=") for item in text.split(",") if item.strip())
    return {name: machine or name for name, _, machine in pairs}


def _action(spec: NodeSpec, use_sim_time: bool, params_file: str, log_level: str) -> Any:
    from launch.actions import OpaqueFunction
    from launch_ros.actions import LifecycleNode, Node
    from launch_ros.parameter_descriptions import ParameterValue

    parameters: list[Any] = [
        {
            name: ParameterValue(
                list(value) if isinstance(value, tuple) else value,
                value_type=list[str] if isinstance(value, tuple) else type(value),
            )
            for name, value in spec.parameters.items()
        },
        {"use_sim_time": use_sim_time},
    ]
    if params_file:
        parameters.append(params_file)
    common: dict[str, Any] = {
        "package": spec.package,
        "executable": spec.executable,
        "name": spec.name,
        "namespace": spec.namespace,
        "parameters": parameters,
        "remappings": list(spec.remappings),
        "output": "screen",
        "arguments": ["--ros-args", "--log-level", log_level],
    }
    if spec.lifecycle:
        # A fresh process does nothing until the supervisor configures it, and that waits until
        # the machine is not armed.
        return LifecycleNode(**common, respawn=True, respawn_delay=RESPAWN_S)
    if not ends_all(spec):
        return Node(**common)
    return Node(**common, on_exit=OpaqueFunction(function=_ended, args=[spec.name]))


def ends_all(spec: NodeSpec) -> bool:
    """Return whether the launch ends with this node.

    Without its supervisor the stack would go on unwatched, and without the emulated machine for
    nothing. A machine does not stop because its recorder did.
    """
    return spec.name in ("supervisor", "machine")


def _ended(context: Any, name: str) -> list[Any]:
    from launch.actions import Shutdown

    # A second shutdown would end the launch with an error.
    return [] if context.is_shutdown else [Shutdown(reason=f"the {name} ended")]
