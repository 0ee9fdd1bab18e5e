"""Start, spin and end of a node's process: the same few lines for every node."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.utilities import try_shutdown

from kuwa_machines.errors import KuwaError


def run(make: Callable[[], Any]) -> None:
    """Make the node, spin it until it is told to end, release it; exit 0 when that went well."""
    rclpy.init()
    node = None
    code = 0
    try:
        node = make()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except KuwaError as error:
        print(error, file=sys.stderr)
        code = 1
    except Exception:
        traceback.print_exc()
        code = 1
    finally:
        try:
            if node is not None:
                node.finish()
                node.destroy_node()
        except Exception:
            traceback.print_exc()
            code = 1
        try_shutdown()
    sys.exit(code)
