"""From the episodes that workers have recorded to one data set, in the order of their numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from kuwa_cli.demos.crew import staged
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, DatasetError, DatasetInfo, DatasetWriter, layout
from kuwa_policies.datasets.adopt import adopt

STAGING = ".demo"
"""Folder of finished episodes that wait for those before them."""


class Gathering:
    """The data set that grows; a context manager.

    Args:
        folder: of the set; one that an earlier, equal call left is gone on with.
        info: of the set.
        only_success: leave out episodes that did not reach what the scenario asks.

    Raises:
        KuwaError: the set that is there is of something else.
    """

    def __init__(self, folder: Path, info: DatasetInfo, only_success: bool) -> None:
        self.folder, self._only = folder, only_success
        self.staging = folder / STAGING
        self.left_out: list[int] = []
        if (folder / layout.INFO).exists():
            _check_same(folder, info)
        # A set that is begun in a folder must find it empty.
        self.writer = DatasetWriter(folder, info)
        try:
            demos = [_demo(episode.notes) for episode in Dataset(folder).episodes]
            self.next = demos[-1] + 1 if demos else 0
            """The number that comes next."""
            self.staging.mkdir(exist_ok=True)
        except BaseException:
            self.writer.close()
            raise

    def todo(self, count: int) -> Iterator[int]:
        """Yield the numbers below ``count`` that are still to be recorded; clear their places."""
        for number in range(self.next, count):
            place = staged(self.staging, number)
            if not self._whole(number):
                shutil.rmtree(place, ignore_errors=True)
                yield number

    def take(self, count: int) -> list[int]:
        """Take what is finished, in order; return the numbers that went in or were left out."""
        taken = []
        while self.next < count and self._whole(self.next):
            number = self.next
            place = staged(self.staging, number)
            one = Dataset(place)
            if one.episodes[0].success or not self._only:
                adopt(self.writer, one, 0)
            else:
                self.left_out.append(number)
            shutil.rmtree(place)
            self.next += 1
            taken.append(number)
        return taken

    def _whole(self, number: int) -> bool:
        try:
            return len(Dataset(staged(self.staging, number)).episodes) == 1
        except DatasetError:
            return False

    def __enter__(self) -> Gathering:
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()
        if self.staging.is_dir() and not any(self.staging.iterdir()):
            self.staging.rmdir()


def _demo(notes: dict[str, object]) -> int:
    number = notes.get("demo")
    if not isinstance(number, int):
        raise KuwaError("the set has episodes that kuwa demo did not record; give another --out")
    return number


def _check_same(folder: Path, info: DatasetInfo) -> None:
    """Refuse to go on with what was recorded in another way."""
    there = layout.read_json(folder / layout.KUWA)
    for key in ("scenario", "seed", "controller", "demo"):
        if there.get(key) != info.kuwa.get(key):
            what = "the noise or the scenario" if key == "demo" else f"{key} {there.get(key)!r}"
            raise KuwaError(
                f"{folder}: recorded with {what}, and now it is asked for otherwise; give the "
                "same, or another --out"
            )
