"""Where a plant's joints really are, from an emulated machine to its emulated sensors.

No topic of the stack: nobody in it may know, and on a site there is none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sensor_msgs.msg import JointState

from kuwa_machines.contracts import MachineState
from kuwa_ros.conversions import JointStateWriter
from kuwa_ros.topics import Topic

PLANT_JOINTS: Final = Topic(
    "plant_joints", JointState, "100 Hz", "emulated machine", "emulated sensors"
)


class PlantJoints:
    """The writer.

    Args:
        publish: of a publisher of :data:`PLANT_JOINTS`. names: of the joints.
    """

    def __init__(self, publish: Callable[[Any], None], names: tuple[str, ...]) -> None:
        self._publish = publish
        self._message = JointStateWriter(names)

    def tell(self, state: MachineState) -> None:
        """Publish the joints of a state of the plant."""
        self._publish(self._message(state))
