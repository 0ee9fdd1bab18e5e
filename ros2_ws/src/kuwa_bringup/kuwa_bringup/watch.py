"""What the supervisor knows of its nodes and what it does next, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIMEOUT_S: Final = 1.5
"""A node that was active and is silent for this long counts as dead."""
_SETTLE_S: Final = 1.0
"""A heartbeat this long after a request, in the old state, says that the request was lost: a
node does not send heartbeats while it works on a transition."""
_OVERTAKE_S: Final = 0.3
"""A heartbeat sent before a transition may come this long after the answer to it."""

NEXT: Final = {"unconfigured": "configure", "inactive": "activate"}


@dataclass(slots=True)
class _Node:
    state: str = ""
    problem: str = ""
    heard: float = -1e9
    was_active: bool = False
    asked: float | None = None
    changed: float = -1e9


class Watch:
    """Heartbeats in; faults and the next transition out.

    Args:
        names: the nodes in the order in which they are brought up.
        timeout: of a heartbeat [s].
    """

    def __init__(self, names: tuple[str, ...], timeout: float = TIMEOUT_S) -> None:
        self.timeout = timeout
        self._nodes = {name: _Node() for name in names}

    def heard(self, now: float, name: str, state: str, problem: str) -> None:
        """A heartbeat of a node came: its lifecycle state, and what is wrong with it or ``""``."""
        node = self._nodes.get(name)
        if node is None:
            return
        node.problem, node.heard = problem, now
        if now - node.changed > _OVERTAKE_S:
            node.state = state
        node.was_active = node.was_active or state == "active"
        if node.asked is not None and now - node.asked > _SETTLE_S:
            node.asked = None

    def transition(self, now: float) -> tuple[str, str] | None:
        """Return (node, transition) to ask for now, or None; one at a time, in order."""
        for name, node in self._nodes.items():
            if node.state == "active" and now - node.heard <= self.timeout:
                continue
            fresh = now - node.heard <= self.timeout
            if node.asked is None and fresh and node.state in NEXT:
                return name, NEXT[node.state]
            return None
        return None

    def asked(self, now: float, name: str) -> None:
        """A transition was asked for."""
        self._nodes[name].asked = now

    def answered(self, now: float, name: str, state: str) -> None:
        """A transition succeeded and led to ``state``."""
        node = self._nodes[name]
        node.asked, node.changed, node.heard = None, now, now
        node.state, node.was_active = state, node.was_active or state == "active"

    def faults(self, now: float) -> dict[str, str]:
        """Return what is wrong, by node, with nodes that were active before."""
        faults = {}
        for name, node in self._nodes.items():
            if not node.was_active:
                continue
            silent = now - node.heard
            if silent > self.timeout:
                faults[name] = f"silent for {silent:.1f} s"
            elif node.problem:
                faults[name] = node.problem
            elif node.state and node.state != "active":
                faults[name] = node.state
        return faults

    def waiting_for(self, now: float) -> str:
        """Return the first node that is not active yet, or ``""``."""
        for name, node in self._nodes.items():
            if node.state != "active" or now - node.heard > self.timeout:
                return name
        return ""

    def problem(self, name: str) -> str:
        """Return what a node said is wrong with it."""
        return self._nodes[name].problem

    def states(self) -> dict[str, str]:
        """Return the last known state of each node."""
        return {name: node.state or "unknown" for name, node in self._nodes.items()}
