"""Mode requests with codes: genuine, asked just now, and asked once."""

from __future__ import annotations

from kuwa_hardware.envelope import Envelope

WINDOW = 2.0
"""Between asking and receipt [s]; the clocks of the computers must agree better than that."""


class ModeRequests:
    """Keeps the newest mode request of each person or program.

    Args:
        envelope: of the key. window: longest time from asking to receipt, either way [s].
    """

    def __init__(self, envelope: Envelope, window: float = WINDOW) -> None:
        self._envelope, self._window = envelope, window
        self._newest: dict[str, tuple[float, int]] = {}

    def refusal(
        self, mode: str, who: str, stamp: float, sequence: int, mac: bytes, now: float
    ) -> str:
        """Return why a request is not taken, or ``""``; then it is the newest.

        Args:
            stamp: of asking; now: of receipt; both system time [s].
        """
        why = self._envelope.check_mode(mode, who, stamp, sequence, mac)
        if why:
            return f"mode {mode!r} for {who!r} refused: {why}"
        if not abs(now - stamp) <= self._window:
            return (
                f"mode {mode!r} for {who!r} refused: asked {now - stamp:.1f} s ago, "
                f"at most {self._window:g} s is allowed; ask again, and look at the clocks"
            )
        if (stamp, sequence) <= self._newest.get(who, (-1.0, -1)):
            return f"mode {mode!r} for {who!r} refused: it was asked before"
        self._newest[who] = (stamp, sequence)
        return ""
