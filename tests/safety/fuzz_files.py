"""Fuzzing of every kind of file that Kuwa reads: taken and whole, or refused by a KuwaError.

./kuwa exec python tests/safety/fuzz_files.py [seconds] [seed]
"""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_machines.errors import KuwaError

ROOT = Path(__file__).resolve().parents[2]

NUMBERS = ("nan", ".nan", ".inf", "-.inf", "1e400", "-1", "0", "1e-320", "99999999999999999999",
           "true", "~", "[]", "{}", "''", "!!python/object:os.system x", "2026-11-25", "0x7f",
           "*a", "&a 1", "1_000", "🚜", "''''", "- -", "1.0.0")  # fmt: skip
NUMBER = re.compile(rb"(?<![\w.])-?\d+(\.\d+)?([eE][-+]?\d+)?")
WORD = re.compile(rb"[A-Za-z_]{3,}")


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        name: of the file that is written. seeds: contents of good ones. read: takes a path.
        folder: in which it must lie. beside: files of the checkout that must lie there as well.
    """

    name: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    folder: str = ""
    beside: tuple[str, ...] = ()


@dataclass
class Found:
    """What came of it.

    Args:
        tried: files. refused: of them by a KuwaError. bad: with the error, how often.
    """

    tried: int = 0
    refused: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    example: dict[str, bytes] = field(default_factory=dict)


def _texts(pattern: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(ROOT.glob(pattern))]


def _machine(path: Path) -> object:
    from kuwa_machines.loader import load_machine_file

    spec = load_machine_file(path)
    numbers = (spec.qd_max, spec.qdd_max, spec.dead_time, spec.home)
    assert all(np.isfinite(values).all() for values in numbers), "a machine of NaN was taken"
    return spec


def _scenario(path: Path) -> object:
    from kuwa_sim.scenario import load_scenario

    return load_scenario(str(path))


def _overlay(path: Path) -> object:
    from kuwa_machines.overlay import load_machine_with

    return load_machine_with("zx200", path)


def _overlays() -> list[bytes]:
    return [
        b"""machine: zx200
sources: {identified: "from a log"}
joints:
  boom_joint:
    drive:
      valve:
        dead_time: {value: 652, unit: ms, source: identified, interval: [649, 655]}
        dead_band: {value: 7.5, unit: percent, source: identified}
not_identified: {boom_joint.curve: "2 levels"}
"""
    ]


def _failures(path: Path) -> object:
    from kuwa_hardware.failures import FailureTable, FailureTableError
    from kuwa_machines.datafile import parse_data, read_yaml

    raw = {"groups": read_yaml(path, FailureTableError)}
    return parse_data(raw, path.name, FailureTable, FailureTableError)


def _csv(path: Path) -> object:
    from kuwa_policies.identification.csv_file import read_csv

    return read_csv(path, "fuzz")


def _csvs() -> list[bytes]:
    rows = ["stamp,boom_command,boom_q,boom_qd"]
    rows += [f"{0.01 * k:.2f},{(-1) ** k * 0.3},{0.001 * k},{0.1}" for k in range(30)]
    return ["\n".join(rows).encode()]


@cache
def _learner() -> Any:
    from kuwa_machines.loader import load_machine
    from kuwa_policies.control.controllers import make_controller
    from kuwa_policies.control.options import ControllerOptions

    return make_controller("ebn", load_machine("zx200"), 0.01, ControllerOptions())


def _saved_controller(path: Path) -> object:
    return _learner().restore(path)


def _saved_controllers() -> list[bytes]:
    from kuwa_policies.control.saved import keep

    with tempfile.TemporaryDirectory() as folder:
        keep(_learner(), Path(folder) / "x.npz")
        return [(Path(folder) / "x.npz").read_bytes()]


def _run_log(path: Path) -> object:
    from kuwa_cli.runlog import RunLog

    return RunLog.load(path)


def _run_logs() -> list[bytes]:
    from kuwa_cli.runlog import RunLog

    with tempfile.TemporaryDirectory() as folder:
        RunLog(("boom_joint", "arm_joint")).save(Path(folder) / "x.npz")
        return [(Path(folder) / "x.npz").read_bytes()]


KINDS: list[Kind] = [
    Kind(
        "machine.yaml",
        _texts("machines/zx200/machine.yaml"),
        _machine,
        "zx200",
        ("machines/zx200/model.xml",),
    ),
    Kind("dig_trench.yaml", _texts("sim/scenarios/dig_trench.yaml"), _scenario),
    Kind("overlay.yaml", _overlays, _overlay),
    Kind("table.yaml", _texts("hardware/kuwa_hardware/failures/table.yaml"), _failures),
    Kind("log.csv", _csvs, _csv),
    Kind("controller.npz", _saved_controllers, _saved_controller),
    Kind("log.npz", _run_logs, _run_log),
]


def mutate(rng: random.Random, data: bytes) -> bytes:
    """Return a damaged copy: as a careless editor, a full disk or an enemy would leave it."""
    out = data
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        how = rng.randrange(8)
        at = rng.randrange(len(out) + 1)
        if how == 0:
            out = out[:at]
        elif how == 1 and out:
            at = min(at, len(out) - 1)
            out = out[:at] + bytes([rng.randrange(256)]) + out[at + 1 :]
        elif how == 2:
            out = out[:at] + out[at + rng.randrange(200) :]
        elif how == 3:
            lines = out.split(b"\n")
            lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            out = b"\n".join(lines)
        elif how == 4:
            out = out[:at] + rng.randbytes(rng.randrange(1, 40)) + out[at:]
        elif how in (5, 6):
            places = list((NUMBER if how == 5 else WORD).finditer(out))
            if places:
                place = rng.choice(places)
                other = rng.choice(NUMBERS).encode() if how == 5 else rng.choice(places).group()
                out = out[: place.start()] + other + out[place.end() :]
        elif how == 7:
            lines = out.split(b"\n")
            del lines[rng.randrange(len(lines))]
            out = b"\n".join(lines)
    return out


def fuzz(seconds: float, seed: int, kinds: list[Kind] | None = None) -> Iterator[tuple[str, Found]]:
    """Damage files of each kind for its share of the time; yield what came of it."""
    kinds = KINDS if kinds is None else kinds
    for kind in kinds:
        # A kind's files do not depend on which others are tried.
        rng = random.Random(f"{seed} {kind.name}")
        found, seeds = Found(), kind.seeds()
        until = time.monotonic() + seconds / len(kinds)
        with tempfile.TemporaryDirectory() as top:
            path = Path(top, kind.folder, kind.name)
            path.parent.mkdir(exist_ok=True)
            for other in kind.beside:
                shutil.copy(ROOT / other, path.parent)
            while time.monotonic() < until:
                data = mutate(rng, rng.choice(seeds))
                path.write_bytes(data)
                found.tried += 1
                try:
                    kind.read(path)
                except KuwaError:
                    found.refused += 1
                except Exception as error:
                    frame = traceback.extract_tb(error.__traceback__)[-1]
                    what = f"{type(error).__name__}: {str(error)[:100]} "
                    what += f"({Path(frame.filename).name}:{frame.lineno})"
                    found.bad[what] += 1
                    found.example.setdefault(what, data)
        yield kind.name, found


if __name__ == "__main__":
    given = [float(word) for word in sys.argv[1:]]
    failed = 0
    for name, found in fuzz(given[0] if given else 20.0, int(given[1]) if len(given) > 1 else 0):
        print(
            f"{name:<20} {found.tried:>7} files, {found.refused} refused, {found.bad.total()} bad"
        )
        for what, count in found.bad.most_common(8):
            print(f"    {count} × {what}")
        failed += found.bad.total()
    sys.exit(1 if failed else 0)
