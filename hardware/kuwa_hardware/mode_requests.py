"""Mode requests with codes: genuine, asked just now, and asked once."""

from __future__ import annotations

from kuwa_hardware.envelope import Envelope
from kuwa_hardware.freshness import Freshness

WINDOW = 2.0
"""Between asking and receipt [s]."""


class ModeRequests:
    """Looks at the mode requests of each person or program.

    Args:
        envelope: of the key. window: longest time from asking to receipt, either way [s].
    """

    def __init__(self, envelope: Envelope, window: float = WINDOW) -> None:
        self._envelope, self._fresh = envelope, Freshness(window)

    def refusal(
        self, mode: str, who: str, stamp: float, sequence: int, mac: bytes, now: float
    ) -> str:
        """Return why a request is not taken, or ``""``; then it is the newest.

        Args:
            stamp: of asking; now: of receipt; both system time [s].
        """
        why = self._envelope.check_mode(mode, who, stamp, sequence, mac)
        why = why or self._fresh.refusal(who, stamp, sequence, now)
        return f"mode {mode!r} for {who!r} refused: {why}" if why else ""
