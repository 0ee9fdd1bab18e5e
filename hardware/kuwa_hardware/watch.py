"""Who must be heard: nodes by their heartbeats, the operator's deadman, perception's doubt, place.

All times are of receipt on the steady clock. A node is watched from the first heartbeat on that
says it is active, and no more once it says that it is not.
"""

from __future__ import annotations

import math
from typing import Final

from kuwa_hardware.failures import failure, failures
from kuwa_hardware.limits import GateLimits
from kuwa_machines.arrays import Array, finite
from kuwa_machines.contracts import Level

ACTIVE: Final = "active"
SUPERVISOR: Final = "supervisor"
GONE: Final = 10.0
"""Silent for longer, a node is not on its way back: a person who goes on goes on without it [s]."""
NEVER: Final = -1e9

Demand = tuple[str, Level, str]
"""A code, the level it demands, and why."""


class Heartbeats:
    """Ages of the heartbeats of other nodes."""

    def __init__(self, limits: GateLimits) -> None:
        self._limits = limits
        self._at: dict[str, float] = {}
        self._problem: dict[str, str] = {}
        self._first = math.inf

    def heard(self, now: float, node: str, state: str, problem: str = "") -> None:
        """A heartbeat of ``node`` was received at steady time ``now`` [s]."""
        if state == ACTIVE:
            self._at[node] = now
            self._problem[node] = problem
        elif node in self._at:
            del self._at[node]
        self._first = min(self._at.values(), default=math.inf)

    def go_on_without(self, now: float) -> list[str]:
        """A person goes on at steady time ``now`` [s]; return the codes of nodes that are gone.

        A node that was just started again speaks before it is heard, for tenths of a second:
        forgotten then, its next death would not be noticed. The supervisor is never forgotten:
        nobody works unsupervised by accident.
        """
        gone = [n for n, at in self._at.items() if now - at > GONE and n != SUPERVISOR]
        for node in gone:
            del self._at[node]
        self._first = min(self._at.values(), default=math.inf)
        return [_killed(node)[0] for node in gone]

    def silent(self, now: float) -> list[Demand]:
        """Return what the silence of nodes demands at steady time ``now`` [s]."""
        if now - self._first <= self._limits.heartbeat_timeout:  # no guard: a short cut
            return []
        found: list[Demand] = []
        for node, at in self._at.items():
            age = now - at
            if age <= self._limits.heartbeat_timeout:
                continue
            code, level = _killed(node)
            # The words do not count up: they would be news at every tick.
            why = f"no heartbeat of {node} for {self._limits.heartbeat_timeout:g} s"
            if self._problem[node]:
                why += f"; it last said: {self._problem[node]}"
            found.append((code, level, why))
            gone = self._limits.supervisor_timeout
            if node == SUPERVISOR and gone and age > gone:
                found.append(
                    ("supervisor_gone", Level.STOPPED, f"the supervisor is silent for {gone:g} s")
                )
        return found


class Deadman:
    """Whether the operator holds the deadman, and when that was last heard."""

    def __init__(self, limits: GateLimits) -> None:
        self._timeout = limits.deadman_timeout
        self._held = False
        self._at = NEVER
        self.known = False
        """Whether it was ever heard."""

    def said(self, now: float, held: bool) -> None:
        """A word of the deadman was received at steady time ``now`` [s]."""
        self._held, self._at, self.known = held, now, True

    def trouble(self, now: float) -> tuple[str, str]:
        """Return the code and words of why the operator may not move the machine, or two ``""``."""
        if not self.known:
            return "deadman_released", "the deadman was never held"
        if not self._held:
            return "deadman_released", "the deadman is not held"
        if now - self._at > self._timeout:
            return "teleop_killed", f"no word of the deadman for {self._timeout:g} s"
        return "", ""


class Place:
    """Whether it is known where the machine stands; zones on the map can be kept out only then.

    Args:
        needed: whether there are such zones.
    """

    CODE: Final = "place_unknown"

    def __init__(self, limits: GateLimits, needed: bool) -> None:
        self._timeout, self._needed = limits.place_timeout, needed
        self._at = NEVER
        self._stamp = -math.inf
        """Of the newest position [s]."""

    def measured(self, now: float, position: Array, stamp: float) -> None:
        """A state was received at steady time ``now`` [s].

        Args:
            position: base frame on the map, shape (3,) [m]; NaN where unknown.
            stamp: at which it was true [s]; NaN where nobody knows.
        """
        # A receiver that is out may repeat its last position, with its stamp.
        if self._needed and finite(position) and stamp != self._stamp:
            self._at, self._stamp = now, stamp

    def demand(self, now: float) -> Demand | None:
        """Return what not knowing the place demands at steady time ``now`` [s]."""
        if not self._needed or now - self._at <= self._timeout:
            return None
        why = f"no position on the map for {self._timeout:g} s, and zones on it are kept out"
        return self.CODE, failure(self.CODE).reaction.level, why


class Doubt:
    """For how long perception has not known the scene; it must know it as long to be trusted."""

    CODES: Final = ("scene_unknown", "latent_nan")

    def __init__(self, limits: GateLimits) -> None:
        self._patience = limits.unknown_time
        self._code = ""
        self._why = ""
        self._bad_since = math.inf
        self._good_since = math.inf
        self._in_force = False

    def said(self, now: float, free_energy: float, limit: float) -> None:
        """A latent was received at steady time ``now`` [s]; energies in nat."""
        if math.isfinite(free_energy) and free_energy <= limit:
            self._good_since = min(self._good_since, now)
            if not self._in_force or now - self._good_since >= self._patience:
                self._bad_since, self._in_force = math.inf, False
            return
        if math.isfinite(free_energy) and math.isfinite(limit):
            self._code = "scene_unknown"
            self._why = "perception does not know such a scene: free energy above its limit"
        else:
            self._code = "latent_nan"
            self._why = "perception's free energy, or its limit, is no number"
        self._good_since = math.inf
        self._bad_since = min(self._bad_since, now)

    def demand(self, now: float) -> Demand | None:
        """Return what the doubt demands at steady time ``now`` [s]."""
        self._in_force = self._in_force or now - self._bad_since > self._patience
        return (self._code, Level.HOLD, self._why) if self._in_force else None


def _killed(node: str) -> tuple[str, Level]:
    """Return the row and the level of a node's death."""
    code = f"{node}_killed"
    row = failures().get(code)
    # A node without a row of its own matters no less than planning.
    return code, Level.HOLD if row is None else row.reaction.level
