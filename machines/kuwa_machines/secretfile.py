"""Files that nobody but their owner may read: keys, and addresses with a token."""

from __future__ import annotations

import os
from pathlib import Path


def new_secret(path: Path, text: str) -> None:
    """Write a new file that only its owner can read, from its first byte on.

    Raises:
        FileExistsError: there is one already; it is never opened, whoever may have put it there.
        OSError: it cannot be made.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
