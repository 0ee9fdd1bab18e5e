"""Start, spin and end of a node's process: the same few lines for every node."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.utilities import ok as context_is_ok
from rclpy.utilities import try_shutdown

from kuwa_machines.errors import KuwaError

PARENT_VARIABLE: Final = "KUWA_PARENT"
"""Environment variable: process id of the starter; a node whose starter is gone ends itself."""


def run(make: Callable[[], Any]) -> None:
    """Make the node, spin it until it is told to end, release it; exit 0 when that went well."""
    rclpy.init()
    node = None
    code = 0
    try:
        node = make()
        if PARENT_VARIABLE in os.environ:
            threading.Thread(
                target=_follow, args=(os.environ[PARENT_VARIABLE],), daemon=True
            ).start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except KuwaError as error:
        print(error, file=sys.stderr)
        code = 1
    except Exception:
        # Between the signal and its exception, rclpy refuses whatever a callback is about.
        if context_is_ok():
            traceback.print_exc()
            code = 1
    finally:
        # A second Ctrl-C, from the terminal and from a launcher, must not cut the release short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            if node is not None:
                node.finish()
                node.destroy_node()
        except Exception:
            traceback.print_exc()
            code = 1
        try_shutdown()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # rclpy has put back the one before
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is released. The interpreter's own end would take a while longer, and aborts now
    # and then when a thread of the middleware comes back into it.
    os._exit(code)


def _follow(parent: str) -> None:
    while str(os.getppid()) == parent:
        time.sleep(0.5)
    print("the process that started this node is gone: ending", file=sys.stderr)
    try_shutdown()
