"""Setting a simulation back: the robot node is taken down and brought up with the ground it had.

There is no way past the supervisor: it finds the node inactive, demands the stop, brings it up
again, and a person releases the stop, as after any other loss of a node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

ROBOT: Final = ("robot/change_state", ChangeState)
"""The service by which the robot node is taken down."""
STEPS: Final = (
    ("deactivate", Transition.TRANSITION_DEACTIVATE),
    ("cleanup", Transition.TRANSITION_CLEANUP),
)


def reset(client: Any, note: Callable[[str, bool], None], k: int = 0) -> None:
    """Take the robot node down, step by step from the k-th; the supervisor brings it up again.

    Args:
        client: of :data:`ROBOT`. note: told what went wrong, and False.
    """
    if k == len(STEPS):
        return
    words, number = STEPS[k]

    def done(answer: Any) -> None:
        if answer.exception() is not None or not answer.result().success:
            note(f"the simulation could not be set back: {words} failed", False)
        else:
            reset(client, note, k + 1)

    future = client.call_async(ChangeState.Request(transition=Transition(id=number)))
    future.add_done_callback(done)
