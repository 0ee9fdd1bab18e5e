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
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from kuwa_machines.errors import KuwaError

PARENT_VARIABLE: Final = "KUWA_PARENT"
"""Environment variable: process id of the starter; a node whose starter is gone ends itself."""

_ENDS: Final = (signal.SIGINT, signal.SIGTERM)


def run(make: Callable[[], Any]) -> None:
    """Make the node, spin it until it is told to end, release it; exit 0 when that went well."""
    # rclpy's own handlers shut the context down at the signal, and then nothing can be published:
    # a robot node that speaks ROS to its machine could not send neutral any more.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = None
    code = 0
    ended = threading.Event()
    try:
        executor = SingleThreadedExecutor()
        _end_on_signals(executor, ended)
        node = make()
        if PARENT_VARIABLE in os.environ:
            threading.Thread(
                target=_follow, args=(os.environ[PARENT_VARIABLE],), daemon=True
            ).start()
        executor.add_node(node)
        while not ended.is_set():
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except KuwaError as error:
        print(error, file=sys.stderr)
        code = 1
    except Exception:
        # Raised inside a binding's call, the handler's KeyboardInterrupt becomes an error of it.
        if not ended.is_set():
            traceback.print_exc()
            code = 1
    finally:
        _ignore_signals()
        try:
            if node is not None:
                node.finish()
                node.destroy_node()
        except Exception:
            traceback.print_exc()
            code = 1
        try_shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is released. The interpreter's own end would take a while longer, and aborts now
    # and then when a thread of the middleware comes back into it.
    os._exit(code)


def _end_on_signals(executor: SingleThreadedExecutor, ended: threading.Event) -> None:
    """Have SIGINT and SIGTERM set ``ended`` and end whatever the main thread does.

    The exception alone would do, but Python loses one that is raised while it collects garbage.
    """
    told, tell = os.pipe()
    os.set_blocking(tell, False)

    def wake() -> None:
        while os.read(told, 1)[0] not in _ENDS:
            pass  # a signal that somebody else listens for
        ended.set()
        # Python runs a handler once the executor's wait is over, which a signal does not end.
        executor.wake()

    def end(number: int, frame: object) -> None:
        _ignore_signals()
        ended.set()
        raise KeyboardInterrupt

    threading.Thread(target=wake, name="signals", daemon=True).start()
    signal.set_wakeup_fd(tell)
    for number in _ENDS:
        signal.signal(number, end)


def _ignore_signals() -> None:
    """A second Ctrl-C, from the terminal and from a launcher, must not cut the release short."""
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)


def _follow(parent: str) -> None:
    while str(os.getppid()) == parent:
        time.sleep(0.5)
    print("the process that started this node is gone: ending", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
