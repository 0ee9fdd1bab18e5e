"""A process that has imported the nodes already and forks one when told: restarts in a blink.

What is killed and started a hundred times would spend most of a benchmark importing. Each line of
its input is JSON: name, package, arguments, log; the answer is the child's process id.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib import import_module

from kuwa_ros.main import PARENT_VARIABLE


def main() -> None:
    """Serve until the input ends."""
    modules = {name: import_module(name) for name in sys.argv[1:]}
    # Children are reaped by the kernel.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order, modules)
        print(pid, flush=True)


def _become(order: dict[str, object], modules: dict[str, object]) -> None:
    """Be the node; never return."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    log = os.open(str(order["log"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    sys.argv = [str(order["name"]), *order["arguments"]]  # type: ignore[misc]
    try:
        modules[str(order["module"])].main()  # type: ignore[attr-defined]
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
