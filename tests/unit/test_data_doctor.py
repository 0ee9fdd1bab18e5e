"""The doctor finds what is wrong, names it, and leaves what is right alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from _data_defects import CODES, seeded

from dataset_double import make_set
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.doctor import CHECKS, examine
from kuwa_policies.datasets.doctor.finding import markdown
from kuwa_policies.datasets.doctor.subject import longest_run
from kuwa_policies.datasets.doctor.timing import correlations
from kuwa_policies.datasets.layout import Place


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
