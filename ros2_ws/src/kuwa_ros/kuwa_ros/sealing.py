"""The key that sources, gate and driver share, and requests for modes that are sealed with it."""

from __future__ import annotations

import itertools
import time
from array import array
from pathlib import Path
from typing import Any

from kuwa_msgs.srv import SetMode

from kuwa_hardware.envelope import Envelope, load_key
from kuwa_ros.conversions import seconds, time_msg

# Counts on from above where a process of the same name was before.
_sequences = itertools.count(time.monotonic_ns() // 1_000_000)


def envelope_of(key_file: str) -> Envelope | None:
    """Return the envelope of a key file, or None without one.

    Raises:
        KeyFileError: it is missing, open to others, or holds no key.
    """
    return Envelope(load_key(Path(key_file))) if key_file else None


def mode_request(mode: str, who: str, envelope: Envelope | None = None) -> Any:
    """Return the request to ask for a mode with; send it at once."""
    request = SetMode.Request(mode=mode, who=who, sequence=next(_sequences))
    request.stamp = time_msg(time.time())
    if envelope is not None:
        # The gate's end sees the stamp after its way through seconds and nanoseconds.
        mac = envelope.seal_mode(mode, who, seconds(request.stamp), request.sequence)
        request.mac = array("B", mac)
    return request
