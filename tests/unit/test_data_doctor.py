"""The doctor finds what is wrong, names it, and leaves what is right alone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _data_console import ATTACK, Thrown
from _data_defects import CODES, seeded

from dataset_double import FPS, make_set
from kuwa_machines import load_machine
from kuwa_policies.datasets import Dataset, DatasetInfo, DatasetWriter, tables
from kuwa_policies.datasets.adopt import info_of
from kuwa_policies.datasets.doctor import CHECKS, examine
from kuwa_policies.datasets.doctor.finding import markdown
from kuwa_policies.datasets.doctor.subject import longest_run
from kuwa_policies.datasets.doctor.timing import correlations
from kuwa_policies.datasets.features import ACTION, RECEIPT, STAMP, STATE
from kuwa_policies.datasets.layout import Place

SPEC = load_machine("zx200")


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_set(tmp_path_factory.mktemp("sets") / "clean", episodes=3)


def test_clean_episodes_raise_no_alarm(clean: Dataset) -> None:
    report = examine(clean)
    assert report.episodes == 3
    assert [f.words for f in report.findings] == []


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("code", CODES)
def test_each_seeded_defect_is_found_where_it_is(
    clean: Dataset, tmp_path: Path, code: str, seed: int
) -> None:
    spoilt = seeded(clean, tmp_path / "set", code, seed)
    report = examine(Dataset(tmp_path / "set"))
    assert (code, spoilt) in {(f.code, f.episode) for f in report.findings}
    # Whoever has one defect is not told of episodes that have none.
    assert {f.episode for f in report.findings} == {spoilt}


def console_set(folder: Path, hands: Thrown, seconds: float = 20.0, oil: float = 1.3) -> Dataset:
    """Write an episode of an excavator at whose levers ``hands`` are, and whose joints share oil.

    Args:
        oil: at most so many joints reach their maximum velocity at once.
    """
    tick, every, rng = 0.01, round(100 / FPS), np.random.default_rng(0)
    n, late = len(SPEC.joint_names), np.round(SPEC.dead_time / 0.01).astype(int)
    state: Any = SimpleNamespace(q=SPEC.home.copy())
    asked, qd = np.zeros((late.max() + 1, n)), np.zeros(n)
    info = DatasetInfo.of_machine(
        "zx200", SPEC.joint_names, FPS, kuwa={"qd_max": SPEC.qd_max.tolist()}
    )
    with DatasetWriter(folder, info) as writer:
        hands.reset(state)
        writer.begin("drive", machine="zx200")
        for k in range(round(seconds / tick)):
            t, action = k * tick, hands.step(state, None, np.zeros(n))
            if k % every == 0:
                read = np.concatenate([state.q + rng.normal(0, 1e-4, n), qd])
                read[n:] += rng.normal(0, 1e-3, n)
                writer.add(
                    {name: np.zeros(each.shape) for name, each in info.features.items()}
                    | {STATE: read, ACTION: action, RECEIPT: t + 0.004, STAMP: t}
                )
            asked = np.concatenate([action[None], asked[:-1]])
            now = asked[late, range(n)]
            # At its stop a joint rests, whatever is asked for.
            free = np.where(now > 0, state.q < SPEC.q_max, state.q > SPEC.q_min)
            now = now * min(1.0, oil / max(np.abs(now).sum(), 1e-9))
            qd = qd + (now * SPEC.qd_max - qd) * tick / 0.15
            qd = np.where(free, qd, 0.0)
            state.q = state.q + qd * tick
        writer.save(None)
    return Dataset(folder)


@pytest.mark.parametrize("how", ATTACK)
def test_levers_thrown_to_their_ends_are_no_defect(how: str, tmp_path: Path) -> None:
    for seed in range(3):
        driven = console_set(tmp_path / str(seed), Thrown(SPEC, 0.01, how, seed))
        # Much of what these hands do lies at the bound: what was asked for.
        size = np.abs(driven.episode(0)[ACTION])
        assert np.count_nonzero(size >= 0.999) > 0.25 * np.count_nonzero(size > 0.05)
        assert [f.words for f in examine(driven).findings] == []


def changed(source: Dataset, folder: Path, change: Callable[[dict[str, Any]], None]) -> set[str]:
    """Return what is found in a copy whose first episode was changed before it was recorded."""
    shutil.copytree(source.folder, folder)
    columns = {name: np.array(values) for name, values in source.episode(0).items()}
    change(columns)
    (folder / Place(0).data).write_bytes(tables.data_bytes(info_of(source), columns))
    found = examine(Dataset(folder), [0]).findings
    return {f.code for f in found} - {"changed"}


@pytest.mark.parametrize(
    ("hands", "scale"), [("soft", 2.0), ("soft", 3.0), ("soft", 6.0), ("levers", 3.0)]
)
def test_actions_on_too_large_a_scale_are_found_however_the_levers_are_led(
    clean: Dataset, tmp_path: Path, hands: str, scale: float
) -> None:
    source = clean
    if hands == "levers":
        source = console_set(tmp_path / "led", Thrown(SPEC, 0.01, "levers", 0), 40.0, oil=4.0)
    by = scale / float(np.abs(source.episode(0)[ACTION]).max())

    def scaled(c: dict[str, Any]) -> None:
        c[ACTION][:] = np.clip(by * c[ACTION], -1.0, 1.0)

    def beyond(c: dict[str, Any]) -> None:
        c[ACTION][:] = np.clip(by * c[ACTION], -1.01, 1.01)

    assert "clipped_action" in changed(source, tmp_path / "scaled", scaled)
    assert "clipped_action" in changed(source, tmp_path / "beyond", beyond)


def test_a_machine_that_never_reaches_what_is_asked_for_is_another(
    clean: Dataset, tmp_path: Path
) -> None:
    def slower(c: dict[str, Any]) -> None:
        q, qd = np.split(c[STATE], 2, axis=1)
        c[STATE][:] = np.concatenate([q[0] + (q - q[0]) / 3.0, qd / 3.0], axis=1)

    driven = console_set(tmp_path / "source", Thrown(SPEC, 0.01, "keys", 0))
    for name, source in {"clean": clean, "driven": driven}.items():
        assert "mixed_machines" in changed(source, tmp_path / name, slower)


def test_a_torn_table_is_told_of_and_the_rest_is_examined(clean: Dataset, tmp_path: Path) -> None:
    seeded(clean, tmp_path / "set", "label_error", 0)
    path = tmp_path / "set" / Place(1).data
    path.write_bytes(path.read_bytes()[:-100])
    codes = {(f.code, f.episode) for f in examine(Dataset(tmp_path / "set")).findings}
    assert ("unreadable", 1) in codes
    assert any(code == "label_error" for code, _ in codes)


def test_actions_that_were_changed_after_recording_are_found(
    clean: Dataset, tmp_path: Path
) -> None:
    seeded(clean, tmp_path / "set", "wrong_sign", 0)
    notes = tmp_path / "set" / Place(0).notes
    notes.write_text((clean.folder / Place(1).notes).read_text().replace('"episode": 1', ""))
    notes.write_text((clean.folder / Place(1).notes).read_text())
    assert "changed" in {f.code for f in examine(Dataset(tmp_path / "set"), [0]).findings}


def test_correlation_finds_the_lag() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=400)
    b = np.concatenate([np.zeros(7), a[:-7]])
    assert int(correlations(a, b, 20).argmax()) - 20 == 7
    assert int(correlations(b, a, 20).argmax()) - 20 == -7
    assert correlations(a, a, 3)[3] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("flags", "found"),
    [([0, 0], (0, -1)), ([1, 1, 0, 1], (2, 0)), ([0, 1, 0, 1, 1, 1], (3, 3)), ([], (0, -1))],
)
def test_longest_run(flags: list[int], found: tuple[int, int]) -> None:
    assert longest_run(np.array(flags, bool)) == found


def test_every_defect_has_a_row_and_a_remedy() -> None:
    assert set(CODES) <= set(CHECKS)
    assert markdown().count("\n") == len(CHECKS) + 1
    assert all(check.remedy.endswith(".") for check in CHECKS.values())
