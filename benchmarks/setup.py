"""Time of a fresh set-up, and of a second start. Takes minutes and the network; not in ``test``.

A clone of this checkout's last commit in a temporary folder is set up from nothing; packages come
from pip's cache where there is one.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from kuwa_cli.figure import Figure
from kuwa_machines.errors import KuwaError

INHERITED = ("HOME", "LANG", "TERM", "http_proxy", "https_proxy", "no_proxy", "PIP_INDEX_URL")


def measure() -> Iterator[Figure]:
    """Set up a clone, then start it again."""
    root = os.environ["KUWA_ROOT"]
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    inside = [p for p in os.environ["PATH"].split(":") if not p.startswith(root)]
    environment = kept | {"PATH": ":".join(inside)}
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder, "kuwa")
        subprocess.run(["git", "clone", "--quiet", root, str(clone)], check=True)
        minutes = _timed([str(clone / "kuwa"), "setup"], environment) / 60
        yield Figure("setup.fresh", minutes, "min", "<= 8")
        again = min(_timed([str(clone / "kuwa"), "--help"], environment) for _ in range(3))
        yield Figure("setup.second_start", again, "s", "<= 2")


def _timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise KuwaError(f"{' '.join(command[1:])} ended with code {done.returncode}")
    return time.monotonic() - began
