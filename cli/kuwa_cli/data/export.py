"""``kuwa data export``: the same numbers in the layouts of others, HDF5 and flat Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py  # type: ignore[import-untyped]
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kuwa_cli.data.opening import DataError, need, open_set, size_of, whole
from kuwa_machines.errors import choices
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.features import ACTION, COLUMNS, IMAGES, STATE
from kuwa_policies.datasets.reader import Episode

Exporter = Callable[[Dataset, Path, bool, Callable[[], None]], None]


def command(
    dataset: Path = typer.Argument(..., help="Folder of the data set."),
    to: str = typer.Option("hdf5", "--to", help="hdf5: robomimic's layout; parquet: one table."),
    out: Path = typer.Option(None, help="File to write. [default: beside the set]"),
    images: bool = typer.Option(True, help="With pictures, decoded (hdf5 only; large)."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as one JSON object."),
) -> None:
    """Write a data set in another layout; the set itself stays as it is."""
    if to not in FORMATS:
        raise DataError(f"--to {to}: {choices(to, FORMATS)}")
    found = open_set(dataset)
    target = out or found.folder.with_name(f"{found.folder.name}.{to}")
    raw = sum(
        found.frames_total * int(np.prod(each.shape))
        for each in found.features.values()
        if each.is_video
    )
    need(target, size_of(found.folder) + (0.6 * raw if images and to == "hdf5" else 0), "the file")
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("  {task.description}"), BarColumn(28), MofNCompleteColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar, whole(target) as beside:
        line = bar.add_task("exporting", total=len(found.episodes))
        FORMATS[to](found, beside, images, lambda: bar.advance(line))
    size = target.expanduser().stat().st_size
    console.print(
        f"  {target}: {len(found.episodes)} episodes, {size / 1e6:.1f} MB", soft_wrap=True
    )
    if as_json:
        values = {"file": str(target), "format": to, "episodes": len(found.episodes), "bytes": size}
        print(json.dumps(values, ensure_ascii=False))


def to_hdf5(dataset: Dataset, path: Path, images: bool, tick: Callable[[], None]) -> None:
    """Write robomimic's layout: ``data/demo_k`` with actions, obs, next_obs, rewards and dones.

    robomimic 0.3 reads it: ``data`` has ``total`` and ``env_args``, each demonstration
    ``num_samples``; a mask holds the names of the demonstrations that succeeded. The reward is 1 at
    the last frame of a success, and 0 else.
    """
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        names = [f"demo_{episode.index}" for episode in dataset.episodes]
        for episode, name in zip(dataset.episodes, names, strict=True):
            columns = dataset.episode(episode.index)
            group = data.create_group(name)
            group.attrs["num_samples"] = episode.length
            group.attrs["task"] = "; ".join(episode.tasks)
            group.attrs["success"] = {True: 1, False: 0, None: -1}[episode.success]
            group.attrs["kuwa"] = json.dumps(episode.notes)
            if ACTION in columns:
                _put(group, "actions", columns[ACTION])
            last = np.zeros(episode.length, np.float32)
            last[-1] = 1.0
            _put(group, "dones", last.astype(np.int64))
            _put(group, "rewards", last if episode.success else np.zeros_like(last))
            if STATE in columns:
                # The state of the robot; a simulator's is not part of the set.
                _put(group, "states", columns[STATE])
            observations = {
                feature.removeprefix("observation.").replace(".", "_"): values
                for feature, values in columns.items()
                if feature.startswith("observation.")
            }
            for key, values in observations.items():
                _put(group, f"obs/{key}", values)
                _put(group, f"next_obs/{key}", _shifted(values))
            others = columns.keys() - {ACTION, *COLUMNS}
            for feature in sorted(n for n in others if not n.startswith("observation.")):
                _put(group, f"kuwa/{feature.replace('.', '_')}", columns[feature])
            if images:
                for camera in dataset.cameras:
                    _put_pictures(group, camera, dataset.frames(episode.index, camera), episode)
            tick()
        data.attrs["total"] = dataset.frames_total
        data.attrs["env_args"] = json.dumps(
            {"env_name": dataset.robot_type, "type": 2, "env_kwargs": {"fps": dataset.fps}}
        )
        data.attrs["joints"] = json.dumps(list(dataset.joints))
        data.attrs["features"] = json.dumps({n: list(f.names) for n, f in dataset.features.items()})
        good = [n for e, n in zip(dataset.episodes, names, strict=True) if e.success]
        _put(file, "mask/success", np.array(good, dtype="S"))
        _put(file, "mask/all", np.array(names, dtype="S"))


def to_parquet(dataset: Dataset, path: Path, images: bool, tick: Callable[[], None]) -> None:
    """Write one table: a row a frame, a column a number, named as in ``info.json``; no pictures."""
    writer: pq.ParquetWriter | None = None
    try:
        for episode in dataset.episodes:
            table = _flat(dataset, episode.index)
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table)
            tick()
    finally:
        if writer is not None:
            writer.close()


def _flat(dataset: Dataset, index: int) -> pa.Table:
    episode, columns = dataset.episodes[index], dataset.episode(index)
    flat: dict[str, Any] = {}
    for name, values in columns.items():
        if name.startswith(IMAGES):
            continue
        if values.ndim == 1:
            flat[name] = values
            continue
        feature = dataset.features.get(name)
        names = feature.names if feature is not None else ()
        for k in range(values.shape[1]):
            flat[f"{name}.{names[k] if k < len(names) else k}"] = values[:, k]
    label = {True: 1, False: 0, None: -1}[episode.success]
    flat["success"] = np.full(episode.length, label, np.int8)
    arrays = {name: pa.array(np.ascontiguousarray(values)) for name, values in flat.items()}
    task = pa.array(["; ".join(episode.tasks)] * episode.length, pa.string())
    return pa.table({**arrays, "task": task})


def _put(group: Any, name: str, values: Any) -> None:
    """Write an array, compressed by pages of frames so that a sample is read quickly."""
    array = np.asarray(values)
    if array.size == 0 or array.ndim == 0 or array.dtype.kind == "S":
        group.create_dataset(name, data=array)
        return
    chunk = (min(len(array), 256), *array.shape[1:])
    group.create_dataset(name, data=array, chunks=chunk, compression="gzip", compression_opts=4)


def _put_pictures(group: Any, camera: str, frames: Iterator[Any], episode: Episode) -> None:
    """Write a camera's pictures as they are decoded, one at a time: a minute of them is 10 GB."""
    now: Any = None
    following: Any = None
    for k, frame in enumerate(frames):
        if now is None:
            now, following = (
                group.create_dataset(
                    f"{name}/{camera}_image", (episode.length, *frame.shape), frame.dtype,
                    chunks=(1, *frame.shape), compression="gzip", compression_opts=4,
                )
                for name in ("obs", "next_obs")
            )  # fmt: skip
        now[k] = frame
        if k > 0:
            following[k - 1] = frame
        if k == episode.length - 1:
            following[k] = frame


def _shifted(values: Any) -> Any:
    """Return each next value; the last one stays."""
    return np.concatenate([values[1:], values[-1:]])


FORMATS: dict[str, Exporter] = {"hdf5": to_hdf5, "parquet": to_parquet}
