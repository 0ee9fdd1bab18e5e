"""A stack of processes that a person attends: started, listened to, ended by Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from rich.console import Console

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import NodeSpec
from kuwa_cli.asking import Asking
from kuwa_cli.ros_run import unbroken

LOOK = 0.1
"""Between two looks at what the stack says [s]."""


def attend(
    name: str,
    specs: tuple[NodeSpec, ...],
    logs: Path,
    domain: int,
    environment: Mapping[str, str] | None = None,
    each: Callable[[Console, Processes], bool] | None = None,
) -> int:
    """Start the stack, tell what changes until Ctrl-C or its end, end it; return the exit code.

    Args:
        name: namespace of the stack, without slashes.
        logs: folder of the nodes' output.
        domain: ROS domain id. environment: more of it for the nodes.
        each: looks at something besides ten times a second; False ends the stack with code 1.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    processes = Processes(specs, logs, environment=environment, respawn=True)
    asking = Asking(name, domain)
    code, told = 0, ""
    try:
        with unbroken():
            processes.start()
        console.print(f"kuwa {name}: {len(specs)} nodes started; logs in {logs}")
        while True:
            time.sleep(LOOK)
            if each is not None and not each(console, processes):
                code = 1
                break
            asking.look()
            if asking.mode and asking.words != told:
                told = asking.words
                console.print(told)
            if "supervisor" in processes.ended():
                console.print(f"the supervisor ended:\n{processes.tail('supervisor')}")
                code = 1
                break
    except KeyboardInterrupt:
        console.print("ending: the robot node sends neutral, every node releases what it holds")
    finally:
        with unbroken():
            asking.close()
            codes = processes.stop()
        bad = {title: each_code for title, each_code in codes.items() if each_code}
        if bad:
            console.print(f"ended with an error: {bad}; logs in {logs}")
            code = code or 1
    return code
