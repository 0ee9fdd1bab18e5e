"""``kuwa env``: the environment of Kuwa's processes, for a shell: ``eval "$(./kuwa env)"``."""

from __future__ import annotations

import os
import shlex

NAMES = (
    "KUWA_ROOT",
    "VIRTUAL_ENV",
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "AMENT_PREFIX_PATH",
    "RMW_IMPLEMENTATION",
    "ROS_DOMAIN_ID",
    "ROS_AUTOMATIC_DISCOVERY_RANGE",
    "FASTRTPS_DEFAULT_PROFILES_FILE",
    "MUJOCO_GL",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)


def command() -> None:
    """Print Kuwa's environment for a shell to evaluate: eval "$(./kuwa env)"."""
    for name in NAMES:
        if name in os.environ:
            print(f"export {name}={shlex.quote(os.environ[name])}")
