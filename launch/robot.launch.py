"""The whole stack with a robot of any kind: ``ros2 launch launch/robot.launch.py robot:=mock``."""

from kuwa_bringup.launching import description


def generate_launch_description():
    """Return the stack; a real machine stays in mode ready until a person arms it."""
    return description(
        "mock",
        (
            "machine",
            "controller",
            "controller_state",
            "controller_state_out",
            "parameters",
            "robot",
            "namespace",
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
    )
