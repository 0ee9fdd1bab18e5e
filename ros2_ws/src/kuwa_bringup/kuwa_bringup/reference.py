"""Writes the reference pages that come from code, into ``docs/reference`` or a given folder.

``./kuwa exec python -m kuwa_bringup.reference``
"""

from __future__ import annotations

import sys
from pathlib import Path

from kuwa_bringup.supervisor import SupervisorParameters
from kuwa_control.node import ControlParameters
from kuwa_planning.node import PlanningParameters
from kuwa_record.node import RecordParameters
from kuwa_robot import opera_table
from kuwa_robot.node import RobotParameters
from kuwa_ros import topics
from kuwa_ros.parameters import markdown
from kuwa_ros.realtime import RealtimeParameters
from kuwa_safety.parameters import SafetyParameters
from kuwa_teleop.parameters import TeleopParameters

TABLES = {
    "robot": RobotParameters,
    "safety": SafetyParameters,
    "control": ControlParameters,
    "planning": PlanningParameters,
    "teleop": TeleopParameters,
    "supervisor": SupervisorParameters,
    "record": RecordParameters,
    "every node but supervisor and record": RealtimeParameters,
}


def pages() -> dict[str, str]:
    """Return the text of each generated page by file name."""
    head = [
        "# Node parameters",
        "",
        "Generated from the nodes' tables by `./kuwa exec python -m kuwa_bringup.reference`.",
        "",
        "A node reads its parameters once, when it is configured, and refuses changes after that.",
        "",
    ]
    sections = [markdown(name, table) for name, table in TABLES.items()]
    return {
        "topics.md": topics.markdown(),
        "parameters.md": "\n".join([*head, *sections]),
        "opera.md": opera_table.markdown(),
    }


def main() -> None:
    """Write the pages."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
