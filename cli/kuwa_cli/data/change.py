"""``kuwa data merge`` and ``split``: new sets of the episodes of others, which stay as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kuwa_cli.data.opening import DataError, need, open_set, size_of, whole
from kuwa_machines.errors import choices
from kuwa_policies.datasets import Dataset, DatasetWriter
from kuwa_policies.datasets.adopt import adopt, differences, info_of

LABELS = {"success": True, "failure": False, "none": None}


def merge(
    datasets: list[Path] = typer.Argument(..., help="Folders of two data sets or more."),
    out: Path = typer.Option(..., "--out", help="Folder of the new set."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Make one data set of several, of one machine with the same features.

    Videos are copied, not encoded again. The sets themselves stay as they are.
    """
    if len(datasets) < 2:
        raise DataError("merge: give two data sets or more")
    sets = [open_set(path) for path in datasets]
    # Each with each: what the first one does not say two others may say differently.
    for one, other in combinations(range(len(sets)), 2):
        wrong = differences(sets[one], sets[other])
        if wrong:
            raise DataError(
                f"{datasets[one]} and {datasets[other]} differ in {wrong[0]}; they cannot be one"
            )
    kuwa = {"merged_from": [each.folder.name for each in sets]}
    picked = [(each, index) for each in sets for index in range(len(each.episodes))]
    _write({out: picked}, kuwa, as_json)


def split(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    out: Path = typer.Option(..., "--out", help="Folder of the new set, or sets."),
    episodes: str = typer.Option("", help="Which: 0-9,12 or all but: ^3,7. [default: all]"),
    label: str = typer.Option("", help="Only those called: success, failure, none."),
    task: str = typer.Option("", help="Only those whose task holds these words."),
    shares: str = typer.Option(
        "", help="Several sets by chance: train=0.8,val=0.1,test=0.1, as folders below --out."
    ),
    seed: int = typer.Option(0, help="Of the chance."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Make a data set of some episodes of another, or several sets by chance.

    Episodes keep their order and their notes; the set itself stays as it is.
    """
    found = open_set(dataset)
    which = chosen(episodes, len(found.episodes))
    if label:
        if label not in LABELS:
            raise DataError(f"--label {label}: {choices(label, LABELS)}")
        which = [i for i in which if found.episodes[i].success is LABELS[label]]
    if task:
        which = [i for i in which if any(task in t for t in found.episodes[i].tasks)]
    if not which:
        raise DataError(f"{dataset}: no episode is left; of {len(found.episodes)} none is meant")
    parts = {out: which} if not shares else {
        out / name: part for name, part in by_chance(shares, which, seed).items()
    }  # fmt: skip
    if shares and out.expanduser().exists():
        raise DataError(f"{out}: is there already; give a new name, so that nothing is overwritten")
    kuwa = {"split_from": found.folder.name}
    _write({place: [(found, i) for i in part] for place, part in parts.items()}, kuwa, as_json)


def chosen(text: str, count: int) -> list[int]:
    """Return the episodes that ``0-9,12`` or ``^3`` (all but these) mean, in order.

    Raises:
        DataError: naming what is wrong.
    """
    text = text.replace(" ", "")
    if not text:
        return list(range(count))
    all_but, text = text.startswith("^"), text.removeprefix("^")
    named: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if match is None:
            raise DataError(f"--episodes: {part!r} is no episode; give e.g. 0-9,12 or ^3")
        first, last = int(match[1]), int(match[2] or match[1])
        if not first <= last < count:
            raise DataError(f"--episodes: {part}; the set has episodes 0 to {count - 1}")
        named |= set(range(first, last + 1))
    return [i for i in range(count) if (i in named) != all_but]


def by_chance(text: str, which: Sequence[int], seed: int) -> dict[str, list[int]]:
    """Return the episodes of each share of ``train=0.8,val=0.2``; all are in one, in their order.

    Raises:
        DataError: naming what is wrong.
    """
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not equals or not re.fullmatch(r"[\w-]+", name) or not 0 < share <= 1 or name in shares:
            raise DataError(f"--shares: {part!r}; give e.g. train=0.8,val=0.1,test=0.1")
        shares[name] = share
    if abs(sum(shares.values()) - 1.0) > 1e-6:
        raise DataError(f"--shares {text}: together {sum(shares.values()):g}; expected 1")
    order = np.random.default_rng(seed).permutation(np.asarray(which))
    ends = np.rint(np.cumsum(list(shares.values())) * len(which)).astype(int)
    parts = np.split(order, ends[:-1])
    found = {name: sorted(map(int, part)) for name, part in zip(shares, parts, strict=True)}
    for name, those in found.items():
        if not those:
            raise DataError(f"--shares: {name} would have none of {len(which)} episodes")
    return found


def write_set(
    out: Path, picked: Iterable[tuple[Dataset, int]], kuwa: dict[str, Any], tick: Any = None
) -> int:
    """Write episodes as a new set that appears when it is whole; return how many.

    Raises:
        KuwaError: something is there already, or an episode is torn.
    """
    picked = list(picked)
    info = info_of(*{each.folder: each for each, _ in picked}.values())
    info = replace(info, kuwa={**info.kuwa, **kuwa})
    with whole(out) as beside, DatasetWriter(beside, info) as writer:
        for each, index in picked:
            adopt(writer, each, index, origin=f"{each.folder.name}/{index}")
            if tick is not None:
                tick()
    return len(picked)


def _write(
    parts: dict[Path, list[tuple[Dataset, int]]], kuwa: dict[str, Any], as_json: bool
) -> None:
    console = Console(stderr=True, highlight=False)
    total = sum(len(part) for part in parts.values())
    sets = {each.folder: each for part in parts.values() for each, _ in part}
    share = total / sum(len(each.episodes) for each in sets.values())
    need(next(iter(parts)), share * sum(map(size_of, sets)), "the new set")
    columns = (
        TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    written = {}
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("copying episodes", total=total)
        for out, part in parts.items():
            written[str(out)] = write_set(out, part, kuwa, lambda: bar.advance(line))
    for place, count in written.items():
        console.print(f"  {place}: {count} episodes", soft_wrap=True)
    if as_json:
        print(json.dumps({"sets": written}, ensure_ascii=False))
