"""A driver on OPERA's topics and an emulated machine of the platform, in one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import rclpy
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from kuwa_machines.contracts import Array, MachineState
from kuwa_machines.loader import load_machine
from kuwa_robot.opera import OperaRobot
from kuwa_robot.opera_machine import OperaMachineNode
from kuwa_robot.opera_table import parse
from kuwa_ros.loop import Reader
from kuwa_ros.topics import Topic

PERIOD: Final = 0.01
"""Of driver and machine [s]."""


class Owner:
    """Owns the driver's topics as a lifecycle node does."""

    def __init__(self, namespace: str) -> None:
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node("robot", namespace=namespace, context=self.context)
        self.get_namespace = self.node.get_namespace
        self.count_publishers = self.node.count_publishers
        self.complaints: list[str] = []

    def reader(self, topic: Topic, depth: int = 1, namespace: str = "") -> Reader:
        return Reader(self.node, topic, depth, namespace)

    def writer(self, topic: Topic, namespace: str = "") -> Callable[[Any], None]:
        name = topic.within(namespace)
        return self.node.create_publisher(topic.type, name, topic.qos()).publish

    def complain(self, what: str, error: Exception) -> None:
        self.complaints.append(f"{what}: {error}")

    def close(self) -> None:
        self.node.destroy_node()
        self.context.try_shutdown()


class OperaBench:
    """The driver, real topics, and a machine on them with the mock plant; all in real time.

    What is unplugged is the machine's end: OPERA's driver opens no bus, it meets the machine on
    the network, and what it sees is that the machine's topics are gone.
    """

    settle = 0.6
    remedy = "start the machine's own programs"

    def __init__(self, machine: str) -> None:
        names = ["-r", f"__ns:=/{machine}", "-p", f"machine:={machine}", "-p", "plant:=mock"]
        rclpy.init(args=["--ros-args", *names], signal_handler_options=SignalHandlerOptions.NO)
        self._node = OperaMachineNode()
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self._owner = Owner(f"/kuwa/{machine}")
        settings = parse(f"namespace=/{machine} mode=effort patience=2", machine)
        self.robot = OperaRobot(self._owner, load_machine(machine), settings)  # type: ignore[arg-type]
        self._stamp = -1.0

    def tick(self) -> MachineState:
        """Wait for the machine's next word, or for the end of a period in which none comes."""
        until = time.monotonic() + 2.0 * PERIOD
        while True:
            state = self.robot.read()
            if state.stamp != self._stamp or time.monotonic() > until:
                self._stamp = state.stamp
                return state
            time.sleep(1e-3)

    def unplug(self) -> None:
        self._node.leave()

    def plug_in(self) -> None:
        self._node.join()

    def machine_goes_on(self) -> None:
        time.sleep(PERIOD)

    @property
    def valves(self) -> Array:
        machine = self._node.machine
        return machine.valves(time.monotonic(), machine.robot.read().q)

    def close(self) -> None:
        self.robot.close()
        self._owner.close()
        self._executor.shutdown()
        self._thread.join(5.0)
        self._node.finish()
        self._node.destroy_node()
        rclpy.shutdown()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()
