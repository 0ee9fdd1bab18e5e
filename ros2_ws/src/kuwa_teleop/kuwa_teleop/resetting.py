"""Setting a simulation back: the robot node is taken down and brought up with the ground it had.

There is no way past the supervisor: it finds the node inactive, demands the stop, brings it up
again, and a person releases the stop, as after any other loss of a node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node

STEPS = (
    ("deactivate", Transition.TRANSITION_DEACTIVATE),
    ("cleanup", Transition.TRANSITION_CLEANUP),
)


def reset(
    node: Node, who: str, ask_mode: Callable[[str], None], note: Callable[[str, bool], None]
) -> None:
    """Take the robot node down; the supervisor brings it up again."""
    client = node.create_client(ChangeState, "robot/change_state")
    if not client.service_is_ready() and not client.wait_for_service(timeout_sec=1.0):
        note("the robot node does not answer", False)
        node.destroy_client(client)
        return
    node.get_logger().warning(f"{who} sets the simulation back")
    ask_mode("ready")

    def step(k: int) -> None:
        if k == len(STEPS):
            node.destroy_client(client)
            return
        words, number = STEPS[k]
        future = client.call_async(ChangeState.Request(transition=Transition(id=number)))

        def done(answer: Any) -> None:
            if answer.exception() is not None or not answer.result().success:
                note(f"the simulation could not be set back: {words} failed", False)
                node.destroy_client(client)
            else:
                step(k + 1)

        future.add_done_callback(done)

    step(0)
