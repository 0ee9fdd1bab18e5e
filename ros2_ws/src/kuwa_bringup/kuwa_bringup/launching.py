"""The stack as launch actions, for ``ros2 launch``; the launch packages are imported when used."""

from __future__ import annotations

from typing import Any

from kuwa_bringup.stack import EMULATED, NodeSpec, Value, stack

ARGUMENTS: dict[str, tuple[str, str]] = {
    "machine": ("zx200", "machine, by the name of its folder"),
    "robot": ("sim", "kind of robot"),
    "scenario": ("dig_trench", "scenario of a simulated robot"),
    "seed": ("0", "seed of a simulated robot"),
    "speed": ("1.0", "simulated seconds in a second"),
    "namespace": ("", "namespace; the machine's name if empty"),
    "controller": ("", "controller, by name; the control node's own choice if empty"),
    "controller_state": ("", "file with what the controller learnt in an earlier run"),
    "controller_state_out": ("", "file where the controller saves what it has learnt at the end"),
    "parameters": ("", "file with identified numbers in place of the machine's own"),
    "partners": ("", "other machines of the scenario: name or name=machine, with commas between"),
    "bus": ("", "how a real robot is reached: socketcan:can0, for instance"),
    "latch_file": ("", "file that keeps a stop over a restart; none if empty"),
    "key_file": ("", "key for codes on commands, mode 600; none are asked for if empty"),
    "zones": ("", "file of the site's zones that are kept out"),
    "preflight": ("", "the preflight's record, without which arming is refused; none if empty"),
    "blackbox": ("", "folder for the black box; none is kept if empty"),
    "record": ("", "folder into which the machine is recorded; it is not if empty"),
    "task": ("", "of the episodes that are recorded, in words"),
    "planner": ("expert", "planner; none: nothing is planned"),
    "pattern": ("", "control pattern of the levers: iso, sae …; the machine's own if empty"),
    "joystick": ("game_controller", "layout of what a joystick node says on joy, or none"),
    "host": ("127.0.0.1", "where the operator's page listens"),
    "port": ("8765", "port of the operator's page"),
    "url_file": ("", "file for the page's address with its token; in the state folder if empty"),
    "use_sim_time": ("false", "set use_sim_time; our nodes take time from the states anyway"),
    "params_file": ("", "YAML file with parameters that replace the stack's own"),
    "log_level": ("info", "log level of the nodes"),
}

ALWAYS = (
    "machine", "robot", "namespace", "controller", "controller_state", "controller_state_out",
    "parameters", "bus", "record", "task", "use_sim_time", "params_file", "log_level",
)  # fmt: skip
"""Arguments of every launch file."""
REAL = ("latch_file", "key_file", "zones", "preflight", "blackbox")
"""Arguments of those that may move a real machine."""
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
    given = {name: context.launch_configurations.get(name, "") for name in ARGUMENTS}
    get = {name: given[name] or ARGUMENTS[name][0] for name in ARGUMENTS}
    own = get["namespace"].strip("/") or get["machine"]
    specs = stack(
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
        controller_states_out={own: get["controller_state_out"]},
        namespace=get["namespace"],
        partners=_partners(get["partners"]),
        parameters={get["machine"]: get["parameters"]} if get["parameters"] else None,
        bus=get["bus"],
        emulated=emulated and get["robot"] in EMULATED,
        latch_file=get["latch_file"],
        key_file=get["key_file"],
        zones=get["zones"],
        preflight=get["preflight"],
        blackbox=get["blackbox"],
        record=get["record"],
        task=get["task"],
    )
    use_sim_time = get["use_sim_time"].lower() in ("true", "1", "yes")
    return [_action(spec, use_sim_time, get["params_file"], get["log_level"]) for spec in specs]


def _console(get: dict[str, str]) -> dict[str, Value]:
    """Return the teleop node's parameters."""
    texts: dict[str, Value] = {n: get[n] for n in ("pattern", "joystick", "host", "url_file")}
    return {**texts, "port": int(get["port"])}


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
