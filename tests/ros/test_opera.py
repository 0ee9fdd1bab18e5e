"""The OPERA driver moves an emulated machine of the platform, whatever the order of its joints."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from com3_msgs.msg import JointCmd
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from opera_rig import Owner
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from kuwa_bringup.processes import Processes, command_line
from kuwa_bringup.stack import NodeSpec
from kuwa_machines.contracts import CommandKind, JointCommand, MachineState
from kuwa_machines.loader import load_machine
from kuwa_robot.opera import OperaRobot
from kuwa_robot.opera_table import OperaError, parse
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg, seconds
from kuwa_ros.loop import Reader
from kuwa_ros.topics import Topic
from stack_rig import wait_for

pytestmark = pytest.mark.ros
SPEC = load_machine("zx200")
NAMES = SPEC.joint_names
BOOM = NAMES.index("boom_joint")


@dataclass
class Site:
    owner: Owner
    processes: Processes

    def driver(self, bus: str) -> OperaRobot:
        # The emulated machine may still be starting.
        settings = parse(f"patience=30 {bus}", "zx200")
        return OperaRobot(self.owner, SPEC, settings)  # type: ignore[arg-type]

    def stop_process(self, number: int) -> None:
        os.kill(self.processes._running["machine"].pid, number)


@pytest.fixture(scope="module")
def machine(
    ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Processes]:
    values = {"machine": "zx200", "plant": "mock", "order": "permuted", "seed": 3}
    spec = NodeSpec("kuwa_robot", "opera_machine", "machine", "/zx200", values, lifecycle=False)
    processes = Processes((spec,), Path(tmp_path_factory.mktemp("opera")))
    try:
        processes.start()
        yield processes
    finally:
        codes = processes.stop()
    assert set(codes.values()) == {0}, processes.tail("machine", 30)


@pytest.fixture
def site(machine: Processes) -> Iterator[Site]:
    owner = Owner("/kuwa/zx200")
    try:
        yield Site(owner, machine)
    finally:
        owner.close()


def hold(robot: OperaRobot, u: dict[str, float], seconds: float) -> MachineState:
    """Command for a while at 100 Hz; return the last state."""
    values = np.array([u.get(name, 0.0) for name in NAMES])
    command = JointCommand(0.0, 1, "gate", CommandKind.VALVE, NAMES, values)
    until = time.monotonic() + seconds
    state = robot.read()
    while time.monotonic() < until:
        robot.write(command)
        time.sleep(0.01)
        state = robot.read()
    return state


def rest(robot: OperaRobot) -> MachineState:
    def still() -> bool:
        return bool(np.abs(hold(robot, {}, 0.1).qd).max() < 1e-3)

    wait_for("rest", still, 5.0)
    return robot.read()


@pytest.mark.parametrize("mode", ["effort", "velocity", "position", "setpoints"])
def test_moves_one_joint_by_name_in_every_mode(site: Site, mode: str) -> None:
    robot = site.driver(f"mode={mode}")
    robot.connect()
    try:
        assert robot.speaker == "joint_state"
        hold(robot, {}, 0.3)  # the machine setting is on its way
        for sign in (-1.0, 1.0):
            before = rest(robot).q
            moved = hold(robot, {"boom_joint": 0.3 * sign}, 0.5).q - before
            assert sign * moved[BOOM] > 0.01, moved
            assert np.abs(np.delete(moved, BOOM)).max() < 2e-3, moved
    finally:
        robot.close()


def test_states_come_in_our_order_and_go_on_in_theirs(site: Site) -> None:
    robot = site.driver("mode=effort")
    heard = Reader(site.owner.node, Topic("/zx200/joint_states", JointState, "", "", "", depth=10))
    robot.connect()
    try:
        # The test before may have left it in motion.
        at_rest = rest(robot).q
        assert robot.read().q == pytest.approx(at_rest, abs=1e-3)
        got: list[JointState] = []

        def five() -> bool:
            robot.read()
            got.extend(heard.drain())
            return bool(got)

        wait_for("joint states for OPERA's controllers", five, 5.0)
        message = got[-1]
        assert list(message.name) == [*NAMES, "bucket_end_joint"]
        assert list(message.position[:4]) == pytest.approx(robot.read().q.tolist(), abs=1e-3)
    finally:
        robot.close()


def test_a_silent_machine_is_a_fault_and_comes_back(site: Site) -> None:
    robot = site.driver("mode=effort")
    robot.connect()
    try:
        wait_for("no fault", lambda: not robot.read().faults, 2.0)
        stamp = robot.read().stamp
        site.stop_process(signal.SIGSTOP)
        try:
            took = wait_for("a fault", lambda: robot.read().faults, 2.0)
            assert robot.read().faults == ("machine_silent",)
            assert took < 0.4
            last = robot.read().stamp
            time.sleep(0.05)
            assert robot.read().stamp == last >= stamp
        finally:
            site.stop_process(signal.SIGCONT)
        wait_for("no fault again", lambda: not robot.read().faults, 2.0)
        assert robot.read().stamp > last
    finally:
        robot.close()


def test_the_machine_goes_neutral_without_commands_and_stops_when_told(site: Site) -> None:
    robot = site.driver("mode=effort")
    robot.connect()
    stop = site.owner.writer(topics.EMERGENCY_STOP)
    try:
        rest(robot)
        assert abs(hold(robot, {"swing_joint": 0.5}, 0.6).qd[0]) > 0.2
        wait_for("neutral by itself", lambda: abs(robot.read().qd[0]) < 1e-2, 2.0)
        stop(Bool(data=True))
        hold(robot, {}, 0.2)
        assert abs(hold(robot, {"swing_joint": 0.5}, 0.5).qd[0]) < 1e-3
        stop(Bool(data=False))
        hold(robot, {}, 0.2)
        assert abs(hold(robot, {"swing_joint": -0.5}, 0.5).qd[0]) > 0.2
    finally:
        stop(Bool(data=False))
        robot.close()


def test_another_commander_is_a_fault(site: Site) -> None:
    robot = site.driver("mode=effort")
    robot.connect()
    try:
        assert "foreign_commander" not in hold(robot, {}, 0.2).faults
        other = rclpy.create_node("other", context=site.owner.context)
        other.create_publisher(JointCmd, "/zx200/front_cmd", 10)
        wait_for("a fault", lambda: "foreign_commander" in hold(robot, {}, 0.02).faults, 2.0)
        other.destroy_node()
    finally:
        robot.close()


NODE = {"machine": "zx200", "robot": "opera", "bus": "namespace=/zx200 mode=effort"}
START = 'KUWA_PARENT=$$ "$@" >"$LOG" 2>&1 & echo $!; wait $!'


class Commanded:
    """A robot node as a process of a shell, in motion, and what its machine hears."""

    def __init__(self, owner: Owner, log: Path) -> None:
        spec = NodeSpec("kuwa_robot", "robot", "robot", "/kuwa/zx200", NODE)
        self.log = log
        self.shell = subprocess.Popen(
            ["sh", "-c", START, "sh", *command_line(spec)],
            env={**os.environ, "LOG": str(log)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.shell.stdout is not None
        self.pid = int(self.shell.stdout.readline())
        self._owner, self._sequence = owner, 0
        self._apply = owner.writer(topics.APPLIED)
        self._states, self._stamp = owner.reader(topics.JOINT_STATES), Time()
        front = Topic("/zx200/front_cmd", JointCmd, "", "", "", depth=100)
        self._machine = owner.reader(front, 100)
        self.heard: list[list[float]] = []

    def activate(self) -> None:
        node = self._owner.node
        client = node.create_client(ChangeState, "robot/change_state")
        assert client.wait_for_service(20.0), self.log.read_text()
        executor = SingleThreadedExecutor(context=self._owner.context)
        for number in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
            rclpy.spin_until_future_complete(node, future, executor, 20.0)
            assert future.result().success, self.log.read_text()

    def alive(self) -> bool:
        """Command it as the gate does, hear it; say whether it lives."""
        for state in self._states.drain():
            self._stamp = state.header.stamp
        self._sequence += 1
        u = np.full(len(NAMES), 0.3)
        self._apply(command_msg(JointCommand(
            seconds(self._stamp), self._sequence, "gate", CommandKind.VALVE, NAMES, u
        )))  # fmt: skip
        self.heard += [list(message.effort) for message in self._machine.drain()]
        try:
            return ") Z" not in Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return False

    def moves(self) -> bool:
        return self.alive() and bool(self.heard) and any(self.heard[-1])


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "starter killed"])
def test_a_robot_node_that_ends_in_motion_says_neutral_last(
    site: Site, tmp_path: Path, how: str
) -> None:
    robot = Commanded(site.owner, tmp_path / "log")
    try:
        robot.activate()
        wait_for("motion", robot.moves, 10.0)
        if how == "starter killed":
            robot.shell.kill()
        else:
            for _ in range(2):  # a second one does not cut the end short
                os.kill(robot.pid, getattr(signal, how))
        # The gate commands on, so that it is not the watchdog that says neutral.
        wait_for("its end", lambda: not robot.alive(), 10.0)
        time.sleep(0.2)
        robot.alive()
        assert not any(map(any, robot.heard[-5:])), (robot.heard[-12:], robot.log.read_text())
        if how != "starter killed":
            assert robot.shell.wait(5.0) == 0, robot.log.read_text()
    finally:
        if robot.alive():
            os.kill(robot.pid, signal.SIGKILL)
        robot.shell.kill()
        robot.shell.communicate()


def test_what_cannot_be_is_refused_with_the_remedy(site: Site) -> None:
    with pytest.raises(OperaError, match=r"no joint state of zx200 on /nobody/joint_state or"):
        site.driver("namespace=/nobody patience=0.1").connect()
    with pytest.raises(OperaError, match="the machine's own namespace"):
        site.driver("namespace=/kuwa/zx200").connect()
    with pytest.raises(OperaError, match="hold sprocket_left_joint 0 times"):
        robot = OperaRobot(site.owner, load_machine("d37"), parse("namespace=/zx200", "d37"))  # type: ignore[arg-type]
        robot.connect()
