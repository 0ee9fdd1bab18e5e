"""The stack with an operator's page: ``ros2 launch launch/teleop.launch.py pattern:=sae``."""

from kuwa_bringup.launching import REAL, description

PAGE = ("pattern", "joystick", "open_joystick", "host", "port", "url_file")


def generate_launch_description():
    """Return the stack with its teleop node; it waits in mode ready until a person arms it."""
    names = ("scenario", "seed", "planner", *PAGE, *REAL)
    return description("sim", names, emulated=True, console=True)
