"""The Parquet files of a data set: rows of an episode, its row of metadata, the tasks."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from kuwa_policies.datasets.features import COLUMNS, DatasetInfo, Feature
from kuwa_policies.datasets.layout import DatasetError, Place
from kuwa_policies.datasets.stats import NAMES, Stats

PA_TYPES = {"float32": pa.float32(), "float64": pa.float64(), "int64": pa.int64(),
            "bool": pa.bool_()}  # fmt: skip
MAGIC = b"PAR1"
"""At both ends of a Parquet file."""
MAX_TABLE = 4_000_000_000
"""A Parquet file that says it is larger than this, unpacked, is refused [B]."""


def data_bytes(info: DatasetInfo, columns: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the rows of an episode as Parquet; ``columns`` have shapes (frames, n)."""
    features = {**info.vectors, **COLUMNS}
    arrays, fields = [], []
    for name, feature in features.items():
        kind = PA_TYPES[feature.dtype]
        flat = pa.array(np.ascontiguousarray(columns[name]).reshape(-1), kind)
        if feature.shape != (1,):
            kind = pa.list_(kind, feature.shape[0])
            flat = pa.FixedSizeListArray.from_arrays(flat, feature.shape[0])
        arrays.append(flat)
        fields.append(pa.field(name, kind))
    hints = {name: _hint(feature) for name, feature in features.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": hints}})}
    return _parquet(pa.table(arrays, schema=pa.schema(fields, metadata)))


def _hint(feature: Feature) -> dict[str, Any]:
    """Return a column as the ``datasets`` library describes it."""
    value = {"dtype": feature.dtype, "_type": "Value"}
    if feature.shape == (1,):
        return value
    return {"feature": value, "length": feature.shape[0], "_type": "List"}


def row_bytes(
    info: DatasetInfo,
    place: Place,
    task: str,
    first: int,
    length: int,
    stats: Mapping[str, Stats],
) -> bytes:
    """Return the row of metadata of an episode whose first frame has index ``first``."""
    where = {"chunk_index": place.chunk, "file_index": place.file}
    integers = {
        "episode_index": place.index, "length": length, "dataset_from_index": first,
        "dataset_to_index": first + length,
        **{f"data/{key}": value for key, value in where.items()},
        **{f"meta/episodes/{key}": value for key, value in where.items()},
    }  # fmt: skip
    columns = {name: pa.array([value], pa.int64()) for name, value in integers.items()}
    columns["tasks"] = pa.array([[task]], pa.list_(pa.string()))
    for video in info.videos:
        for key, value in where.items():
            columns[f"videos/{video}/{key}"] = pa.array([value], pa.int64())
        for key, seconds in (("from_timestamp", 0.0), ("to_timestamp", length / info.fps)):
            columns[f"videos/{video}/{key}"] = pa.array([seconds], pa.float64())
    for name, each in stats.items():
        for key, array in each.items():
            kind = pa.int64() if array.dtype.kind == "i" else pa.float64()
            for _ in range(array.ndim):
                kind = pa.list_(kind)
            columns[f"stats/{name}/{key}"] = pa.array([array.tolist()], kind)
    return _parquet(pa.table(columns))


def tasks_bytes(tasks: list[str]) -> bytes:
    """Return the tasks in the order of their indices, as pandas keeps a frame indexed by task."""
    table = pa.table(
        {"task_index": pa.array(range(len(tasks)), pa.int64()),
         "__index_level_0__": pa.array(tasks, pa.string())}
    )  # fmt: skip
    columns = [
        {
            "name": name,
            "field_name": field,
            "pandas_type": kind,
            "numpy_type": numpy,
            "metadata": None,
        }
        for name, field, kind, numpy in (
            ("task_index", "task_index", "int64", "int64"),
            (None, "__index_level_0__", "unicode", "object"),
        )
    ]
    pandas = {
        "index_columns": ["__index_level_0__"], "columns": columns,
        "column_indexes": [{"name": None, "field_name": None, "pandas_type": "unicode",
                            "numpy_type": "object", "metadata": {"encoding": "UTF-8"}}],
        "creator": {"library": "pyarrow", "version": pa.__version__}, "pandas_version": "2.0.0",
    }  # fmt: skip
    return _parquet(table.replace_schema_metadata({"pandas": json.dumps(pandas)}))


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="snappy", write_page_checksum=True)
    return sink.getvalue()


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a Parquet file.

    Raises:
        DatasetError: it is not there, torn or too large.
    """
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            meta = file.metadata
            size = sum(meta.row_group(k).total_byte_size for k in range(meta.num_row_groups))
            if size > MAX_TABLE:
                raise DatasetError(f"{path}: {size} bytes unpacked; at most {MAX_TABLE}")
            return file.read(columns)
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DatasetError(f"{path}: no whole Parquet file: {error}") from None


def check_whole(path: Path) -> None:
    """Look whether a Parquet file has both of its ends, without parsing it.

    Raises:
        DatasetError: it is not there, or torn.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - 8, 0))
            tail = file.read(8)
    except FileNotFoundError:
        raise DatasetError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DatasetError(f"{path}: no whole Parquet file: {error}") from None
    footer = int.from_bytes(tail[:4], "little")
    if head != MAGIC or tail[4:] != MAGIC or footer > size - 12:
        raise DatasetError(f"{path}: no whole Parquet file: torn after {size} bytes")


def numpy_of(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column as an array, shape (frames,) or (frames, n)."""
    kind = column.type
    if pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        flat = column.combine_chunks()
        if isinstance(flat, pa.ChunkedArray):
            flat = pa.concat_arrays(flat.chunks) if flat.num_chunks else pa.array([], kind)
        values = flat.flatten().to_numpy(zero_copy_only=False)
        return values.reshape(len(column), -1) if len(column) else values.reshape(0, 0)
    array: NDArray[Any] = column.to_numpy()
    return array


def read_tasks(path: Path) -> list[str]:
    """Return the tasks in the order of their indices.

    Raises:
        DatasetError: it is no table of tasks.
    """
    table = read_table(path)
    texts = next((n for n in table.column_names if n != "task_index"), None)
    if texts is None or "task_index" not in table.column_names:
        raise DatasetError(f"{path}: expected task_index and texts; found {table.column_names}")
    pairs = zip(table["task_index"].to_pylist(), table[texts].to_pylist(), strict=True)
    return [str(text) for _, text in sorted(pairs)]


def stats_of_row(row: Mapping[str, Any]) -> dict[str, Stats]:
    """Return the statistics that a row of metadata holds, by feature."""
    found: dict[str, Stats] = {}
    for column, value in row.items():
        if column.startswith("stats/") and value is not None:
            name, _, key = column.removeprefix("stats/").rpartition("/")
            if key in NAMES:
                found.setdefault(name, {})[key] = np.asarray(value)
    return found
