"""Which requests the gate takes: whole, genuine, newest of their source, from the one who may.

Each refusal has the code of a row of the failure table. A refused request leaves nothing behind
but a count: it is no sign of life, and it does not block the next good one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from kuwa_hardware.envelope import Envelope
from kuwa_hardware.limits import GateLimits
from kuwa_machines.arrays import finite
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.errors import CommandError

RATE: Final = 400.0
"""Requests a second that are looked at on average; control sends a hundred."""
BURST: Final = 6.0
"""Requests at once that are, after a pause of the receiver."""

Refusal = tuple[str, str]
"""A code, and why in words; both empty where the request is taken."""
TAKEN: Final[Refusal] = ("", "")


class Intake:
    """Looks at each request; keeps the newest sequence of each source.

    Args:
        names: the machine's joints.
        envelope: of the key that all sources share; without one, codes are not asked for.
    """

    def __init__(
        self, names: tuple[str, ...], limits: GateLimits, envelope: Envelope | None = None
    ) -> None:
        self._names = names
        self._answer_age = limits.answer_age
        self._envelope = envelope
        self._newest: dict[str, int] = {}
        self._tokens = BURST
        self._filled_at = 0.0
        self.refused = 0

    def forget(self) -> None:
        """A source that was restarted on another computer may count from anywhere, unless codes
        are asked for: then an old recording would be as genuine as the restarted source."""
        if self._envelope is None:
            self._newest.clear()

    def take(
        self, now: float, request: JointCommand, allowed: str, mode: str, newest: float
    ) -> Refusal:
        """Look at a request at steady time ``now`` [s]; return why it is refused.

        Args:
            allowed: the source that moves the machine now; empty: none.
            mode: in force, for the words. newest: stamp of the newest state [s]; NaN: none yet.
        """
        code, why = self._refusal(now, request, allowed, mode, newest)
        if code:
            self.refused += 1
            return code, f"request {request.sequence} of {request.source!r} refused: {why}"
        self._newest[request.source] = request.sequence
        return TAKEN

    def _refusal(
        self, now: float, request: JointCommand, allowed: str, mode: str, newest: float
    ) -> Refusal:
        if request.kind is not CommandKind.VALVE:
            return "request_wrong_kind", f"its kind is {request.kind!r}, the gate takes VALVE"
        if len(request.names) != len(request.values):
            return (
                "request_wrong_size",
                f"{len(request.values)} values for {len(request.names)} names, one for each wanted",
            )
        try:
            values = request.ordered(self._names)
        except CommandError as error:
            return "request_wrong_joints", str(error)
        if request.source != allowed or not allowed:
            who = f"only {allowed!r} moves the machine" if allowed else "nothing moves"
            return "request_wrong_source", f"in mode {mode!r} {who}"
        if self._envelope is not None:
            forged = self._envelope.check(request)
            if forged:
                return ("code_wrong" if request.mac else "code_missing"), forged
        if not self._token(now):
            return "request_flood", f"more than {RATE:g} requests a second"
        last = self._newest.get(request.source)
        if last is not None and request.sequence <= last:
            old = "request_replayed" if request.sequence == last else "request_out_of_order"
            if self._envelope is not None and not self._answers(request, newest):
                old = "code_replayed"
            return old, f"sequence {last} was taken before, the next must be higher"
        if newest == newest and not self._answers(request, newest):
            age = newest - request.stamp
            code = "request_from_past" if age > 0.0 else "request_from_future"
            if self._envelope is not None and age > 0.0:
                code = "code_replayed"
            return code, (
                f"it answers a state {age:.3f} s before the newest, "
                f"at most ±{self._answer_age:g} s is allowed"
            )
        if not finite(values):
            code = "request_nan" if np.isnan(values).any() else "request_infinite"
            return code, f"values {values.tolist()} are not {len(self._names)} finite numbers"
        return TAKEN

    def _answers(self, request: JointCommand, newest: float) -> bool:
        return abs(newest - request.stamp) <= self._answer_age

    def _token(self, now: float) -> bool:
        self._tokens = min(BURST, self._tokens + RATE * (now - self._filled_at))
        self._filled_at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
