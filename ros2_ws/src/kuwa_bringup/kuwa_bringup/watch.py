"""What the supervisor knows of its nodes and what it does next, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TIMEOUT_S: Final = 1.5
"""A node that was active and is silent for this long counts as dead."""
_SETTLE_S: Final = 1.0
"""A heartbeat this long after a request, in the old state, says that the request was lost: while
a node works on a transition its heartbeat says so, e.g. ``configuring``."""
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
    lost: bool = False
    late: int = 0


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
        node.problem, node.heard, node.lost = problem, now, False
        if now - node.changed > _OVERTAKE_S:
            node.state = state
        node.was_active = node.was_active or state == "active"
        if node.asked is not None and now - node.asked > _SETTLE_S and state in NEXT:
            node.asked = None

    def late(self, name: str, count: int) -> None:
        """So many heartbeats did not come by their deadline."""
        self._nodes[name].late += count

    def lost(self, name: str) -> None:
        """The middleware says that a node is no longer alive; it may yet be heard again."""
        self._nodes[name].lost = True

    def transition(self, now: float, resting: bool = True) -> tuple[str, str] | None:
        """Return (node, transition) to ask for now, or None; one at a time, in order.

        Args:
            resting: the machine is not armed. Otherwise nothing is brought up.
        """
        if not resting:
            return None
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

    def codes(self, now: float) -> dict[str, str]:
        """Return rows of the failure table that hold for nodes that were active, with reasons."""
        found: dict[str, list[str]] = {}
        for name, node in self._nodes.items():
            if not node.was_active:
                continue
            if node.state == "active" and (node.lost or now - node.heard > self.timeout):
                found.setdefault(f"{name}_killed", []).append(
                    f"{name} is silent for {now - node.heard:.1f} s"
                )
            elif node.problem:
                found.setdefault("node_problem", []).append(f"{name}: {node.problem}")
            elif node.state != "active":
                found.setdefault("node_leaves_active", []).append(f"{name} is {node.state}")
        return {code: "; ".join(reasons) for code, reasons in found.items()}

    def was_active(self, name: str) -> bool:
        """Return whether a node has worked before."""
        return self._nodes[name].was_active

    def is_active(self, now: float, name: str) -> bool:
        """Return whether a node works, as far as is known."""
        node = self._nodes.get(name)
        return node is not None and node.state == "active" and now - node.heard <= self.timeout

    def late_beats(self) -> dict[str, int]:
        """Return how many deadlines each node's heartbeats have missed."""
        return {name: node.late for name, node in self._nodes.items()}

    def waiting_for(self, now: float) -> str:
        """Return the first node that is not active yet, or ``""``."""
        for name, node in self._nodes.items():
            if node.state != "active" or now - node.heard > self.timeout:
                return name
        return ""

    def states(self) -> dict[str, str]:
        """Return the last known state of each node."""
        return {name: node.state or "unknown" for name, node in self._nodes.items()}
