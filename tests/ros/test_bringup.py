"""The stack description, the launch files' arguments, and what the process starter guarantees."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import kuwa_cli.up
from kuwa_bringup import launching
from kuwa_bringup.launching import ALWAYS, ARGUMENTS, REAL, ends_all
from kuwa_bringup.processes import Processes, command_line
from kuwa_bringup.stack import EMULATED, SIMULATED, NodeSpec, stack
from kuwa_machines.errors import KuwaError
from kuwa_robot.kinds import KINDS, make_robots
from stack_rig import mock_stack, running, wait_for

pytestmark = pytest.mark.ros


def test_the_supervisor_knows_every_lifecycle_node() -> None:
    for options in ({}, {"planner": ""}):
        specs = stack(**options)  # type: ignore[arg-type]
        managed = tuple(spec.name for spec in specs if spec.lifecycle)
        assert specs[-1].parameters["nodes"] == managed
        assert {spec.namespace for spec in specs} == {"/zx200"}


def test_partners_have_stacks_of_their_own_and_share_the_robot_node() -> None:
    files = {"ic120": "/found.yaml"}
    specs = stack("zx200", partners={"truck": "ic120"}, parameters=files)
    assert [spec.title for spec in specs] == [
        "truck.safety", "truck.control", "truck.planning", "truck.supervisor",
        "robot", "safety", "control", "planning", "supervisor",
    ]  # fmt: skip
    by_title = {spec.title: spec for spec in specs}
    assert by_title["truck.control"].namespace == "/truck"
    assert by_title["truck.control"].parameters["machine"] == "ic120"
    assert by_title["truck.control"].parameters["parameters"] == "/found.yaml"
    assert by_title["control"].parameters["parameters"] == ""
    assert by_title["robot"].parameters["parameters"] == "/found.yaml"
    assert by_title["truck.supervisor"].parameters["nodes"] == ("safety", "control", "planning")


def test_each_stack_has_its_controller_and_its_own_file_to_save_it() -> None:
    files = {"zx200": "/run/controller.npz", "truck": "/run/controller-truck.npz"}
    specs = stack(
        "zx200", seed=3, controller="pid", controller_state="/before.npz",
        controller_states_out=files, partners={"truck": "ic120"},
    )  # fmt: skip
    lead, truck = (
        next(s.parameters for s in specs if s.title == title)
        for title in ("control", "truck.control")
    )
    assert (lead["controller"], truck["controller"]) == ("pid", "pid")
    assert (lead["seed"], truck["seed"]) == (3, 3)
    assert (lead["controller_state"], truck["controller_state"]) == ("/before.npz", "")
    assert lead["controller_state_out"] == files["zx200"]
    assert truck["controller_state_out"] == files["truck"]
    assert "controller" not in stack()[2].parameters, "the node has a default of its own"


def test_files_of_safety_go_where_they_belong() -> None:
    specs = stack(
        "zx200", partners={"truck": "ic120"}, latch_file="/l", key_file="/k", zones="/z",
        preflight="/p", blackbox="/b/",
    )  # fmt: skip
    by_title = {spec.title: spec.parameters for spec in specs}
    lead, truck = by_title["safety"], by_title["truck.safety"]
    assert [lead[n] for n in ("latch_file", "zones", "preflight")] == ["/l", "/z", "/p"]
    assert [truck[n] for n in ("latch_file", "zones", "preflight")] == ["/l-truck", "/z", ""]
    assert all(values.get("key_file") == "/k" for values in by_title.values())
    assert by_title["supervisor"]["blackbox"] == "/b/zx200"
    assert by_title["truck.supervisor"]["blackbox"] == "/b/truck"
    assert all(spec.parameters.get("key_file", "") == "" for spec in stack())


def test_only_simulated_robots_arm_themselves() -> None:
    assert set(KINDS) >= SIMULATED
    assert stack(robot="sim")[-1].parameters["auto_arm"] is True
    assert stack(robot="can")[-1].parameters["auto_arm"] is False
    with pytest.raises(ValueError, match="a person arms"):
        stack(robot="can", auto_arm=True)


def test_unknown_names_are_answered_with_the_valid_ones() -> None:
    with pytest.raises(KuwaError, match="mock"):
        make_robots("mok", "zx200", "", "", 0)
    with pytest.raises(KuwaError, match="not built"):
        command_line(NodeSpec("kuwa_none", "x", "x", "/x"))
    with pytest.raises(KuwaError, match="no executable"):
        command_line(NodeSpec("kuwa_robot", "x", "x", "/x"))


def test_the_description_needs_the_standard_library_only(root: Path) -> None:
    folder = str(root / "ros2_ws/src/kuwa_bringup")
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); before = set(sys.modules)\n"
        "import kuwa_bringup.launching, kuwa_bringup.statefolder\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "print(*(new - {'kuwa_bringup'} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("sim", {"scenario", "seed", "speed", "partners"}),
        ("robot", set(REAL)),
        ("teleop", {"scenario", "seed", "planner", "pattern", "host", "port", *REAL}),
    ],
)
def test_a_launch_file_has_the_usual_arguments_and_its_own(
    root: Path, name: str, own: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[str] = []
    monkeypatch.setattr(
        launching, "description", lambda robot, names, **_: given.extend((*ALWAYS, *names))
    )
    runpy.run_path(str(root / "launch" / f"{name}.launch.py"))["generate_launch_description"]()
    usual = {"namespace", "use_sim_time", "params_file", "log_level", "machine", "robot", "network"}
    assert usual | own <= set(given) <= set(ARGUMENTS)
    assert len(given) == len(set(given))


class Launch:
    """A launch file run without the launch packages, which ROS 2 from pip does not have."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = root / "launch"
        modules = {
            "launch": ("LaunchDescription",),
            "launch.actions": ("DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable"),
            "launch_ros": (),
            "launch_ros.actions": ("LifecycleNode", "Node"),
            "launch_ros.parameter_descriptions": ("ParameterValue",),
        }
        for module, classes in modules.items():
            made = {name: type(name, (Recorded,), {}) for name in classes}
            monkeypatch.setitem(sys.modules, module, SimpleNamespace(**made))

    def __call__(self, name: str, **given: str) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        """Return the variables that are set before any node, and each node's parameters."""
        run = runpy.run_path(str(self._folder / f"{name}.launch.py"))
        *declared, nodes = run["generate_launch_description"]().args[0]
        values = {one.args[0]: one.more["default_value"] for one in declared}
        assert set(given) <= set(values), "ros2 launch takes no argument that is not declared"
        context = SimpleNamespace(launch_configurations=values | given)
        actions = nodes.more["function"](context, *nodes.more["args"])
        later = ["name" in a.more for a in actions]
        assert later == sorted(later), "a node that starts before the variables has none of them"
        variables = {a.args[0]: a.args[1] for a in actions if "name" not in a.more}
        return variables, {
            f"{a.more['namespace']}/{a.more['name']}": {
                name: tuple(value.args[0]) if isinstance(value.args[0], list) else value.args[0]
                for name, value in a.more["parameters"][0].items()
            }
            for a in actions if "name" in a.more
        }  # fmt: skip


class Recorded:
    """A class of the launch packages: keeps what it was made with."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self.args, self.more = args, more


@pytest.fixture
def launch(root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Launch:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("STATE_DIRECTORY", launching.PROFILE, launching.RANGE):
        monkeypatch.delenv(name, raising=False)
    return Launch(root, monkeypatch)


def up(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[NodeSpec, ...]:
    """Return what ``kuwa up`` would start."""
    found: list[tuple[NodeSpec, ...]] = []
    monkeypatch.setattr("kuwa_cli.up.attend", lambda machine, specs, *_: found.append(specs))
    monkeypatch.setattr("kuwa_cli.up.signal.signal", lambda *_: None)
    app = typer.Typer()
    app.command()(kuwa_cli.up.command)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return found[0]


@pytest.mark.parametrize("robot", ["com3_can", "isobus", "opera"])
def test_ros2_launch_starts_a_real_machine_as_kuwa_up_does(
    launch: Launch, robot: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ["--robot", robot, "--bus", "can:x", "--cpus", "2,3"]
    _, nodes = launch("robot", robot=robot, bus="can:x", cpus="2,3")
    specs = up(monkeypatch, *words)
    assert nodes == {f"{spec.namespace}/{spec.name}": spec.parameters for spec in specs}
    kept = tmp_path / "kuwa" / "zx200"
    assert nodes["/zx200/safety"]["latch_file"] == str(kept / "stopped.json")
    assert nodes["/zx200/safety"]["preflight"] == str(kept / "preflight.json")
    assert nodes["/zx200/supervisor"]["blackbox"] == str(kept / "blackbox" / "zx200")
    assert nodes["/zx200/control"]["controller_state_out"] == str(kept / "controller.npz")
    assert nodes["/zx200/safety"]["rt_priority"] == 75
    assert nodes["/zx200/safety"]["cpus"] == "2,3"
    assert kept.is_dir(), "a latch needs its folder"


def test_other_folders_and_files_are_taken_as_they_are_given(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/service:/other")
    _, nodes = launch("robot", robot="com3_can")
    assert nodes["/zx200/safety"]["latch_file"] == f"{tmp_path}/service/zx200/stopped.json"
    _, nodes = launch("robot", robot="com3_can", state=f"{tmp_path}/mine", preflight="/p.json")
    assert nodes["/zx200/safety"]["latch_file"] == f"{tmp_path}/mine/zx200/stopped.json"
    assert nodes["/zx200/safety"]["preflight"] == "/p.json"
    _, nodes = launch("robot", robot="com3_can", latch_file="/l", blackbox="/b", realtime="false")
    assert nodes["/zx200/safety"]["latch_file"] == "/l"
    assert nodes["/zx200/supervisor"]["blackbox"] == "/b/zx200"
    assert "rt_priority" not in nodes["/zx200/safety"], "it was not wanted"


def test_two_stacks_of_one_machine_have_a_latch_each(launch: Launch, tmp_path: Path) -> None:
    _, nodes = launch("robot", robot="opera", namespace="kuwa/zx200", bus="namespace=/zx200")
    latch = nodes["/kuwa/zx200/safety"]["latch_file"]
    assert latch == str(tmp_path / "kuwa/zx200/stopped-kuwa-zx200.json")


@pytest.mark.parametrize(
    ("name", "robot", "bus", "real"),
    [
        ("robot", "mock", "", False), ("sim", "sim", "", False), ("sim", "com3_can", "", False),
        ("sim", "com3_can", "socketcan:vcan0", False), ("teleop", "sim", "", False),
        ("teleop", "isobus", "", False), ("teleop", "isobus", "socketcan:can0", True),
    ],
)  # fmt: skip
def test_a_simulated_machine_keeps_no_stop_and_a_real_one_does(
    launch: Launch, name: str, robot: str, bus: str, real: bool, tmp_path: Path
) -> None:
    _, nodes = launch(name, robot=robot, bus=bus)
    assert bool(nodes["/zx200/safety"]["latch_file"]) == real
    assert bool(nodes["/zx200/supervisor"]["blackbox"]) == real
    assert (nodes["/zx200/safety"]["preflight"] not in ("", "none")) == real
    assert ("/zx200/machine" in nodes) == (robot in EMULATED and not real)
    assert (tmp_path / "kuwa").exists() == real


def test_a_real_machine_is_not_started_where_its_stop_cannot_be_kept(
    launch: Launch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be made"):
        launch("robot", robot="com3_can", state=str(tmp_path / "file"))


@pytest.mark.parametrize("name", ["sim", "robot", "teleop"])
def test_nothing_leaves_this_computer_unless_a_person_says_so(
    launch: Launch, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, _ = launch(name)
    profile = Path(variables[launching.PROFILE])
    assert "127.0.0.1" in profile.read_text()
    assert variables[launching.RANGE] == "SYSTEM_DEFAULT", "LOCALHOST would replace the profile"
    assert launch(name, network="open")[0] == {}
    with pytest.raises(ValueError, match="'loopback' or 'open'"):
        launch(name, network="closed")


@pytest.mark.parametrize(
    ("environment", "kept"),
    [
        ({launching.RANGE: "LOCALHOST"}, False),
        ({launching.RANGE: "SUBNET"}, True),
        ({launching.PROFILE: "/site.xml"}, True),
        ({launching.PROFILE: "/site.xml", launching.RANGE: "SUBNET"}, True),
        ({launching.PROFILE: ""}, False),
    ],
)
def test_a_profile_or_a_range_of_the_environment_stays(
    environment: dict[str, str], kept: bool
) -> None:
    assert (launching.loopback(environment) == {}) == kept


def test_another_middleware_is_kept_to_this_computer_by_its_range() -> None:
    found = launching.loopback({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"})
    assert found == {launching.RANGE: "LOCALHOST"}


def test_a_launch_ends_with_its_supervisor_but_not_with_its_recorder() -> None:
    specs = stack("zx200", "com3_can", emulated=True, record="runs/x")
    assert {"record", "supervisor", "machine"} <= {spec.name for spec in specs}
    assert {spec.name for spec in specs if ends_all(spec)} == {"supervisor", "machine"}


def test_a_machine_that_does_not_exist_ends_the_supervisor_with_an_error(
    ros_domain: int, tmp_path: Path
) -> None:
    with Processes(stack("zx2000", "mock"), tmp_path) as processes:
        wait_for("the supervisor gives up", lambda: "supervisor" in processes.ended())
        assert processes.ended() == {"supervisor": 1}
        assert "robot cannot configure" in processes.tail("supervisor")
        assert "did you mean 'zx200'" in processes.tail("robot")


def test_nodes_end_when_their_starter_is_killed(ros_domain: int, tmp_path: Path) -> None:
    script = textwrap.dedent(
        f"""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from stack_rig import mock_stack
        from kuwa_bringup.processes import Processes
        with Processes(mock_stack(), Path({str(tmp_path)!r})) as processes:
            print(*(processes.pid(name) for name in processes.specs), flush=True)
            time.sleep(60)
        """
    )
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    pids = [int(pid) for pid in starter.stdout.readline().split()]
    assert len(pids) == 5
    wait_for("a running stack", lambda: "activate planning" in log(tmp_path, "supervisor"))
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    wait_for("every node has ended", lambda: not any(alive(pid) for pid in pids), 10.0)


def test_what_died_is_started_again_but_brought_up_only_when_nothing_is_armed(
    ros_domain: int, tmp_path: Path
) -> None:
    with running(mock_stack(), tmp_path, respawn=True) as rig:
        probe, processes = rig.probe, rig.processes
        with probe.repeating(probe.deadman):
            probe.engage("teleop")
            processes.send("control", signal.SIGKILL)
            wait_for("a new process", lambda: processes.respawns.get("control") == 1)
            wait_for("the stop", lambda: probe.mode == "stopped", 5.0)
        wait_for("control is active again", lambda: "activate control" in again(tmp_path), 60.0)
        wait_for("the stack is up", lambda: probe.supervisor() == "stopped", 60.0)
        wait_for("the release", lambda: probe.set_mode("ready")[0])
        words = log(tmp_path, "supervisor")
        assert words.index("emergency stop") < words.rindex("configure control")


def again(folder: Path) -> str:
    """Return what the supervisor said after it demanded the stop."""
    return log(folder, "supervisor").partition("emergency stop")[2]


def test_what_does_not_stop_is_killed(
    ros_domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kuwa_bringup.processes.ASK_S", 0.5)
    with Processes(mock_stack("robot", "safety"), tmp_path) as processes:
        wait_for("safety runs", lambda: "activate safety" in log(tmp_path, "supervisor"))
        processes.send("safety", signal.SIGSTOP)
        codes = processes.stop()
    assert codes["safety"] == -signal.SIGKILL
    assert processes.stop() == codes


def log(folder: Path, name: str) -> str:
    path = folder / f"{name}.log"
    return path.read_text() if path.is_file() else ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "zombie" not in Path(f"/proc/{pid}/status").read_text()
