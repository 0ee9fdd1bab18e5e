"""A node beside a running stack, for a command that listens to it and asks it for something."""

from __future__ import annotations

from typing import Any

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from kuwa_machines.errors import KuwaError


class Beside:
    """A node in a machine's namespace, with a context of its own.

    Args:
        name: of the node.
        namespace: of the stack, without slashes.
        domain: ROS domain id.
    """

    def __init__(self, name: str, namespace: str, domain: int) -> None:
        self._context = Context()
        self._context.init(args=[], domain_id=domain)
        self.node = Node(
            name, namespace=f"/{namespace}", context=self._context, enable_rosout=False,
            start_parameter_services=False, use_global_arguments=False,
        )  # fmt: skip
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        self._context.try_shutdown()

    def call(self, client: Any, request: Any, what: str, patience: float) -> Any:
        """Ask a service; return its answer.

        Args:
            what: is asked for, in words. patience: for the service, and for its answer [s].

        Raises:
            KuwaError: there is no such service, or no answer.
        """
        if not client.wait_for_service(timeout_sec=patience):
            raise KuwaError(f"no service {client.srv_name}")
        future = client.call_async(request)
        self._executor.spin_until_future_complete(future, timeout_sec=patience)
        if not future.done():
            raise KuwaError(f"no answer to {what} within {patience:g} s")
        return future.result()
