"""An overlay takes the place of a machine's numbers, and of nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from kuwa_machines import MachineError, load_machine
from kuwa_machines.overlay import load_machine_with
from kuwa_policies.identification import Estimate, FunctionResult, Identification
from kuwa_policies.identification.model import MachineModel
from kuwa_policies.identification.parameter_file import parameter_file

HEAD = "machine: zx200\nsources: {test: a test}\n"
DEAD_TIME = "dead_time: {value: 500, unit: ms, source: test, interval: [490, 510]}"


def valve(text: str) -> str:
    return HEAD + f"joints: {{boom_joint: {{drive: {{valve: {{{text}}}}}}}}}\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "overlay.yaml"
    path.write_text(text)
    return path


def test_it_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    plain = load_machine("zx200")
    spec = load_machine_with("zx200", write(tmp_path, valve(DEAD_TIME)))
    assert spec.joints["boom_joint"].oil.valve.dead_time == pytest.approx(0.5)
    assert plain.joints["boom_joint"].oil.valve.dead_time == pytest.approx(0.65)
    changed = spec.model_dump()
    changed["joints"]["boom_joint"]["drive"]["valve"]["dead_time"] = 0.65
    del changed["sources"]["overlay.test"]
    assert changed == plain.model_dump()
    assert spec.folder == plain.folder
    assert spec.dead_time[1] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "expected a mapping"),
        ("machine: zx120\n", "'zx120'"),
        (HEAD + "joint: {}\n", "joint: unknown key; did you mean 'joints'"),
        (HEAD + "name: {value: 1}\n", "no quantity"),
        (HEAD + "joints: {bom_joint: {}}\n", "did you mean 'boom_joint'"),
        (HEAD + "joints: {boom_joint: 3}\n", "joints.boom_joint: expected a mapping"),
        (valve("dead_tme: {value: 1, unit: s, source: test}"), "did you mean 'dead_time'"),
        (valve("dead_time: 0.5"), "is no quantity"),
        (valve("dead_time: {value: 1, unit: s, source: other}"), "'other' is not in"),
        (valve("dead_time: {value: 1, unit: kg, source: test}"), "'kg' is no time"),
        (valve("dead_time: {value: 9, unit: s, source: test}"), "must be in"),
        (valve("dead_time: {value: .nan, unit: s, source: test}"), "not finite"),
        (valve(DEAD_TIME.replace("[490, 510]", "[510, 490]")), "the lower first"),
        (valve(DEAD_TIME.replace("[490, 510]", "490")), "two numbers"),
        (valve(DEAD_TIME.replace("interval", "intervall")), "'intervall'"),
        (HEAD + "not_identified: [a]\n", "not_identified"),
        ("machine: zx200\nsources: 3\n", "sources"),
    ],
)
def test_what_is_wrong_is_refused(tmp_path: Path, text: str, says: str) -> None:
    before = load_machine("zx200").model_dump()
    with pytest.raises(MachineError, match=says) as caught:
        load_machine_with("zx200", write(tmp_path, text))
    assert "overlay.yaml" in str(caught.value)
    assert load_machine("zx200").model_dump() == before


def test_an_unknown_machine_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="did you mean 'zx200'"):
        load_machine_with("zx20", write(tmp_path, HEAD))
    with pytest.raises(MachineError, match="no such file"):
        load_machine_with("zx200", tmp_path / "none.yaml")


def test_what_identification_writes_is_read_back(tmp_path: Path) -> None:
    spec = load_machine("zx200")
    functions = {}
    for name, f in zip(spec.joint_names, MachineModel(spec).prior, strict=True):
        estimates = {
            key: Estimate(1.1 * v, v, 1.2 * v, v)
            for key, v in (
                ("dead_time", f.dead_time), ("dead_band", f.dead_band), ("curve", f.curve),
                ("time_constant", f.time_constant), ("max_flow_positive", f.max_flow_positive),
                ("max_flow_negative", f.max_flow_negative),
            )
        }  # fmt: skip
        estimates["leakage"] = Estimate.kept(f.leakage, 'a reason with: "signs"')
        functions[name] = FunctionResult(
            name, estimates, f, (), np.empty((0, 2)), np.empty((0, 4)), np.empty((0, 6)),
            0.0, 0.0, 1.0, 100.0,
        )  # fmt: skip
    found = Identification(
        "zx200", 'a "log" (sha256 12)', 600.0, functions, (), np.empty((0, 9)), np.zeros(4)
    )
    path = write(tmp_path, parameter_file(found, date(2026, 3, 1)))
    again = load_machine_with("zx200", path)
    for name, joint in spec.joints.items():
        old, new = joint.oil, again.joints[name].oil
        assert new.leakage == old.leakage
        for key in ("dead_time", "dead_band", "curve", "time_constant", "max_flow_negative"):
            assert getattr(new.valve, key) == pytest.approx(1.1 * getattr(old.valve, key), rel=1e-5)
    assert "2026-03-01" in again.sources["overlay.identified"]
