"""The stack with an operator's page: ``ros2 launch launch/teleop.launch.py pattern:=sae``."""

from kuwa_bringup.launching import description


def generate_launch_description():
    """Return the stack with its teleop node; it waits in mode ready until a person arms it."""
    return description(
        "sim",
        (
            "machine",
            "robot",
            "scenario",
            "seed",
            "namespace",
            "planner",
            "pattern",
            "joystick",
            "host",
            "port",
            "url_file",
            "controller",
            "controller_state",
            "controller_state_out",
            "parameters",
            "bus",
            "latch_file",
            "key_file",
            "zones",
            "preflight",
            "blackbox",
            "record",
            "task",
            "use_sim_time",
            "params_file",
            "log_level",
        ),
        emulated=True,
        console=True,
    )
