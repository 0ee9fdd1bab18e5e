"""Speaks with a running recorder: what it is doing, and what it is asked for."""

from __future__ import annotations

import time
from typing import Any, Final

from kuwa_cli.beside import Beside
from kuwa_machines.errors import KuwaError
from kuwa_ros import topics
from kuwa_ros.loop import Reader

LONG: Final = 100 * 3600.0
"""A disk that lasts longer is not spoken of [s]."""


class Episodes(Beside):
    """A node beside a machine's recorder.

    Args:
        namespace: of the stack, without slashes.
        domain: ROS domain id.
    """

    def __init__(self, namespace: str, domain: int) -> None:
        super().__init__("kuwa_episodes", namespace, domain)
        self._reader = Reader(self.node, topics.RECORDING)
        self._client = self.node.create_client(topics.EPISODE[1], topics.EPISODE[0])
        self.newest: Any | None = None
        """What the recorder said last."""

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
        request = topics.EPISODE[1].Request(command=command, text=text)
        answer = self.call(self._client, request, repr(command), patience)
        # What it said before it was asked is over; its next word is fresh.
        self.newest = None
        until = time.monotonic() + patience
        while self.newest is None and time.monotonic() < until:
            time.sleep(0.01)
            self.look()
        return bool(answer.done), str(answer.why)

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
