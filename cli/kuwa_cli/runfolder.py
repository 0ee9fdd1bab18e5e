"""Where a run's files go: a new folder, or one that an earlier run left."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kuwa_machines.errors import KuwaError

FILES = (
    "result.json", "report.html", "log.npz", "film.mp4",
    "before.jpg", "at_work.jpg", "after.jpg", "robot_timing.json", "controller.npz",
)  # fmt: skip
OTHERS = ("log-*.npz", "controller-*.npz")
"""Of the machines beside the lead."""
LOGS = "logs"
"""Folder with one log file a node."""
MARK = ".kuwa-run"
"""An empty file that says that Kuwa made this folder, from its first moment on."""


class RunFolderError(KuwaError):
    """The folder cannot be used, and why."""


def default_folder(scenario: str, seed: int) -> Path:
    """Return a new name below ``runs`` of the present folder: date, scenario and seed."""
    runs = Path("runs")
    stem = f"{datetime.now():%Y-%m-%d-%H%M%S}-{Path(scenario).stem}-s{seed}"
    path, count = runs / stem, 1
    while path.exists():
        count += 1
        path = runs / f"{stem}-{count}"
    return path


def prepare(path: Path, needed: str = "") -> Path:
    """Make the folder, or clear what an earlier run wrote into it; return it absolute.

    Args:
        needed: a file that this run reads, and that must not be cleared; empty: none.

    Raises:
        RunFolderError: it holds something else or what is needed, or cannot be written.
    """
    path = path.expanduser().absolute()
    if needed and Path(needed).resolve().parent == path.resolve():
        raise RunFolderError(
            f"--out {path}: would be cleared, and {needed} with it, from which this run starts; "
            "give another folder"
        )
    try:
        if path.exists() and not path.is_dir():
            raise RunFolderError(f"--out {path}: this is a file; give a folder")
        if path.is_dir() and any(path.iterdir()):
            if not (path / MARK).exists():
                raise RunFolderError(
                    f"--out {path}: the folder is not empty and no run of Kuwa made it; "
                    "give a new folder, so that nothing of yours is overwritten"
                )
            others = [file for pattern in OTHERS for file in path.glob(pattern)]
            for file in [*(path / name for name in FILES), *others]:
                file.unlink(missing_ok=True)
            shutil.rmtree(path / LOGS, ignore_errors=True)
        path.mkdir(parents=True, exist_ok=True)
        (path / MARK).touch()
    except OSError as error:
        raise RunFolderError(f"--out {path}: cannot be written: {error.strerror}") from None
    return path


def controller_files(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return where each machine's controller leaves what it has learnt, the lead's first."""
    each = {name: folder / f"controller-{name}.npz" for name in names}
    if each:
        each[next(iter(each))] = folder / "controller.npz"
    return each


def shown(path: Path) -> str:
    """Return the path as a person would type it from here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
