"""From the episodes that workers have recorded to one data set, in the order of their numbers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kuwa_cli.demos.crew import staged
from kuwa_machines.atomic import replace_file
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset, DatasetError, DatasetInfo, DatasetWriter, layout
from kuwa_policies.datasets.adopt import adopt

STAGING = ".demo"
"""Folder of finished episodes that wait for those before them."""

LEFT_OUT = "meta/kuwa/left-out.json"
"""Numbers of the episodes that failed and were left out, so that nobody records them again."""

DEMO = {
    "noise": "another noise", "scenario": "another state of the scenario",
    "duration": "--duration {:g}", "only_success": "--only-success {}",
}  # fmt: skip
"""What equal calls have in common beside the name of the scenario, in words."""


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
        demo = {**info.kuwa.get("demo", {}), "only_success": only_success}
        info = replace(info, kuwa={**info.kuwa, "demo": demo})
        if (folder / layout.INFO).exists():
            _check_same(folder, info)
        # A set that is begun in a folder must find it empty.
        self.writer = DatasetWriter(folder, info)
        try:
            demos = [_demo(episode.notes) for episode in Dataset(folder).episodes]
            self.left_out = _left_out(folder / LEFT_OUT)
            """The numbers of those that failed, by this call and by earlier ones."""
            self.next = max([*demos[-1:], *self.left_out[-1:]], default=-1) + 1
            """The number that comes next."""
            self.staging.mkdir(exist_ok=True)
            for place in self.staging.glob("episode-*"):
                # Taken by a call that ended before it had cleared the place.
                number = place.name.partition("-")[2]
                if number.isdigit() and int(number) < self.next:
                    shutil.rmtree(place)
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
                data = layout.json_bytes({"left_out": self.left_out})
                replace_file(self.folder / LEFT_OUT, data, self.staging / "left-out.part")
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


def _left_out(path: Path) -> list[int]:
    if not path.exists():
        return []
    numbers = layout.read_json(path).get("left_out")
    if not isinstance(numbers, list) or not all(isinstance(each, int) for each in numbers):
        raise KuwaError(f"{path}: expected the numbers of episodes that were left out")
    return sorted(numbers)


def _check_same(folder: Path, info: DatasetInfo) -> None:
    """Refuse to go on with what was recorded in another way."""
    there = layout.read_json(folder / layout.KUWA)
    differ = [
        f"{key} {there.get(key)!r}"
        for key in ("scenario", "seed", "controller")
        if there.get(key) != info.kuwa.get(key)
    ]
    before, now = there.get("demo"), info.kuwa["demo"]
    if not isinstance(before, dict):
        differ.append("something else than kuwa demo")
    else:
        for key, words in DEMO.items():
            # What earlier sets do not say is not known.
            if key in before and before[key] != now.get(key):
                differ.append(words.format(before[key]))
    if differ:
        raise KuwaError(
            f"{folder}: recorded with {differ[0]}, and now it is asked for otherwise; give the "
            "same, or another --out"
        )
