"""Speaks with a running recorder: what it is doing, and what it is asked for."""

from __future__ import annotations

import time
from typing import Any, Final

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from kuwa_machines.errors import KuwaError
from kuwa_ros import topics
from kuwa_ros.loop import Reader

LONG: Final = 100 * 3600.0
"""A disk that lasts longer is not spoken of [s]."""


class Episodes:
    """A node beside a machine's recorder.

    Args:
        namespace: of the stack, without slashes.
        domain: ROS domain id.
    """

    def __init__(self, namespace: str, domain: int) -> None:
        self._context = Context()
        self._context.init(args=[], domain_id=domain)
        self.node = Node(
            "kuwa_episodes", namespace=f"/{namespace}", context=self._context,
            enable_rosout=False, start_parameter_services=False, use_global_arguments=False,
        )  # fmt: skip
        self._reader = Reader(self.node, topics.RECORDING)
        self._client = self.node.create_client(topics.EPISODE[1], topics.EPISODE[0])
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.newest: Any | None = None
        """What the recorder said last."""

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        self._context.try_shutdown()

    @property
    def saved(self) -> int:
        """Episodes in the data set."""
        return 0 if self.newest is None else int(self.newest.saved)

    def look(self) -> None:
        """Take what has arrived."""
        for message in self._reader.drain():
            self.newest = message

    def wait(self, state: str, patience: float) -> None:
        """Wait until the recorder is in a state.

        Raises:
            KuwaError: it is not within so many seconds.
        """
        until = time.monotonic() + patience
        while self.newest is None or self.newest.state != state:
            if time.monotonic() > until:
                now = "silent" if self.newest is None else self.newest.state
                raise KuwaError(f"the recorder is {now}, not {state}, after {patience:g} s")
            time.sleep(0.02)
            self.look()

    def ask(self, command: str, text: str = "", patience: float = 10.0) -> tuple[bool, str]:
        """Ask for something; return (done, why).

        Raises:
            KuwaError: there was no answer.
        """
        if not self._client.wait_for_service(timeout_sec=patience):
            raise KuwaError(f"no service {topics.EPISODE[0]} in {self.node.get_namespace()}")
        request = topics.EPISODE[1].Request(command=command, text=text)
        future: Any = self._client.call_async(request)
        self._executor.spin_until_future_complete(future, timeout_sec=patience)
        if not future.done():
            raise KuwaError(f"no answer to {command!r} within {patience:g} s")
        # What it said before it was asked is over; its next word is fresh.
        self.newest = None
        until = time.monotonic() + patience
        while self.newest is None and time.monotonic() < until:
            time.sleep(0.01)
            self.look()
        return bool(future.result().done), str(future.result().why)

    def words(self) -> str:
        """Say in a line what the recorder is doing."""
        m = self.newest
        if m is None:
            return "no recorder heard"
        text = f"{m.state}: {m.task or 'no task yet'} · {m.saved} saved"
        if m.state == "countdown":
            text += f" · begins in {m.countdown:.1f} s"
        if m.elapsed:
            text += f" · episode {m.episode}, {m.elapsed:.1f} s"
        if m.dropped:
            text += f" · {m.dropped} dropped"
        text += f" · {m.free / 1e9:.1f} GB free"
        if m.remaining < LONG:
            text += f" for {m.remaining / 3600:.1f} h"
        return text + (f"\n{m.message}" if m.message else "")
