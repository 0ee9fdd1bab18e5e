"""The operator's program for a test: holds the deadman, 20 times a second, and steers."""

from __future__ import annotations

import sys
import time
from array import array

import rclpy
from kuwa_msgs.msg import JointCommand
from std_msgs.msg import Bool

from kuwa_machines.loader import load_machine
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg


def main() -> None:
    machine = sys.argv[1]
    rclpy.init(domain_id=int(sys.argv[2]))
    node = rclpy.create_node("teleop", namespace=machine)
    names = list(load_machine(machine).joint_names)
    deadman, velocity = (
        node.create_publisher(t.type, t.name, t.qos()).publish
        for t in (topics.DEADMAN, topics.VELOCITY_REFERENCE)
    )
    message = JointCommand(
        joint_name=names, kind=JointCommand.VELOCITY_FRACTION, source="teleop",
        value=array("d", [0.4] + [0.0] * (len(names) - 1)),
    )  # fmt: skip
    while True:
        deadman(Bool(data=True))
        message.value[0] = 0.4 if time.monotonic() % 4.0 < 2.0 else -0.4
        message.header.stamp = time_msg(time.time())
        velocity(message)
        time.sleep(0.05)


if __name__ == "__main__":
    main()
