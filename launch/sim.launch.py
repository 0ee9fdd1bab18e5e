"""The whole stack with a simulated machine: ``ros2 launch launch/sim.launch.py seed:=1``."""

from kuwa_bringup.launching import description


def generate_launch_description():
    """Return the stack in simulation; it arms itself."""
    return description("sim", ("scenario", "seed", "speed", "partners"), emulated=True)
