"""Which sealed messages are taken: genuine, sent just now, and sent once.

The code is made over the serialised message, so that no byte of a stranger's is taken apart before
it is proved.
"""

from __future__ import annotations

from typing import Final

from kuwa_hardware.envelope import Envelope, SealedMessage
from kuwa_hardware.freshness import Freshness

WINDOW: Final = 0.5
"""Between sealing and receipt [s]."""
LARGEST: Final = 1 << 20
"""Bytes of a message; a code over more is not worked out."""


class Seals:
    """Looks at the sealed messages of one receiver.

    Args:
        envelope: of the key. window: longest time from sealing to receipt, either way [s].
    """

    def __init__(self, envelope: Envelope, window: float = WINDOW) -> None:
        self._envelope, self._fresh = envelope, Freshness(window)

    def refusal(self, message: SealedMessage, now: float) -> str:
        """Return why a message received at system time ``now`` [s] is not taken, or ``""``."""
        if len(message.data) > LARGEST:
            return f"it has {len(message.data)} bytes, at most {LARGEST} are allowed"
        why = self._envelope.check_message(message)
        return why or self._fresh.refusal(message.source, message.stamp, message.sequence, now)
