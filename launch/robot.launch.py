"""The whole stack with a robot of any kind: ``ros2 launch launch/robot.launch.py robot:=mock``."""

from kuwa_bringup.launching import REAL, description


def generate_launch_description():
    """Return the stack; a real machine stays in mode ready until a person arms it."""
    return description("mock", REAL)
