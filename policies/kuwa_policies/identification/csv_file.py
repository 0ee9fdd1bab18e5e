"""A log as a table of comma-separated values, for machines whose recorder writes nothing better.

Columns: ``stamp`` [s], and for each joint ``<joint>_command`` in [−1, 1], ``<joint>_q`` [rad] and,
if it is measured, ``<joint>_qd`` [rad/s]. An empty cell or ``nan`` is a missing sample.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from kuwa_policies.identification.joint_log import JointLog, LogError

MOST_BYTES = 2_000_000_000
ENDINGS = ("_command", "_q", "_qd")


def read_csv(path: Path, source: str) -> JointLog:
    """Read a table.

    Raises:
        LogError: naming the column or the cell that is wrong, and what would be right.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise LogError(f"{path}: larger than {MOST_BYTES} bytes; give the part that matters")
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            joints = _joints(path, header)
            rows = [_row(path, number, row, header) for number, row in enumerate(reader, 2) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LogError(f"{path}: no table that can be read: {error}") from None
    if not rows:
        raise LogError(f"{path}: no rows below the header")
    table = np.array(rows)
    column = {name: table[:, k] for k, name in enumerate(header)}
    stamp = column["stamp"]
    speeds = [f"{joint}_qd" for joint in joints]
    qd = None
    if any(name in column for name in speeds):
        nothing = np.full(len(table), np.nan)
        qd = np.stack([column.get(name, nothing) for name in speeds], axis=1)
    return JointLog(
        joints, stamp, np.stack([column[f"{joint}_q"] for joint in joints], axis=1), qd,
        stamp, np.stack([column[f"{joint}_command"] for joint in joints], axis=1), source,
    )  # fmt: skip


def _joints(path: Path, header: list[str]) -> tuple[str, ...]:
    for name in header:
        if header.count(name) > 1:
            raise LogError(f"{path}: column {name!r} is there {header.count(name)} times")
    if "stamp" not in header:
        raise LogError(
            f"{path}: no column 'stamp' among {header[:8]}; a log has stamp, <joint>_command, "
            "<joint>_q and may have <joint>_qd"
        )
    joints = []
    for name in header:
        if name == "stamp":
            continue
        ending = next((e for e in ENDINGS if name.endswith(e)), None)
        if ending is None:
            raise LogError(
                f"{path}: column {name!r}; valid: stamp, <joint>_command, <joint>_q, <joint>_qd"
            )
        joint = name.removesuffix(ending)
        if joint not in joints:
            joints.append(joint)
    for joint in joints:
        for ending in ("_command", "_q"):
            if f"{joint}{ending}" not in header:
                raise LogError(f"{path}: joint {joint!r} has no column '{joint}{ending}'")
    if not joints:
        raise LogError(f"{path}: no joint's columns beside the stamp")
    return tuple(joints)


def _row(path: Path, number: int, row: list[str], header: list[str]) -> list[float]:
    if len(row) != len(header):
        raise LogError(f"{path}: line {number} has {len(row)} cells; the header has {len(header)}")
    values = []
    for name, cell in zip(header, row, strict=True):
        try:
            values.append(float(cell) if cell.strip() else float("nan"))
        except ValueError:
            raise LogError(
                f"{path}: line {number}, column {name}: {cell!r} is no number; leave a missing "
                "sample empty"
            ) from None
    return values
