"""The whole stack with a simulated machine: ``ros2 launch launch/sim.launch.py seed:=1``."""

from kuwa_bringup.launching import description


def generate_launch_description():
    """Return the stack in simulation; it arms itself."""
    return description(
        "sim",
        (
            "machine",
            "robot",
            "scenario",
            "seed",
            "speed",
            "namespace",
            "controller",
            "controller_state",
            "controller_state_out",
            "parameters",
            "partners",
            "bus",
            "record",
            "task",
            "use_sim_time",
            "params_file",
            "log_level",
        ),
        emulated=True,
    )
