"""The latch: a stop outlives the process, and what cannot be read or written counts as stopped."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gate_rig import Rig, Spec, state_at
from kuwa_hardware.gate import Gate
from kuwa_hardware.latch import Latch
from kuwa_machines.contracts import Mode


def stopped_gate(path: Path) -> Gate:
    """A gate as it is after a restart, with a fresh state."""
    gate = Gate(Spec(), latch=Latch(path))
    gate.step(1.0, state_at(1.0), None)
    return gate


def test_a_new_place_is_not_stopped(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "latch")
    assert not latch.stopped
    assert list(tmp_path.iterdir()) == []


def test_a_stop_outlives_a_restart_until_a_person_releases_it(tmp_path: Path) -> None:
    path = tmp_path / "latch"
    rig = Rig(gate={"latch": Latch(path)})
    rig.run((0.1, 0.1, 0.1, 0.1), 5)
    rig.gate.emergency_stop(True, "button")
    # The neutral command goes out before anything is written.
    assert not rig.tick(None).applied.values.any()
    assert not path.exists()
    rig.tick(None)
    assert path.exists()

    gate = stopped_gate(path)
    out = gate.step(1.01, None, None)
    assert out.safety.mode is Mode.STOPPED
    assert out.safety.alarms == ("stop_restarted",)
    assert "button" in " ".join(out.safety.reasons)
    assert not gate.set_mode(Mode.READY, "supervisor")[0]
    assert stopped_gate(path).mode is Mode.STOPPED
    assert gate.set_mode(Mode.READY, "Ada")[0]
    assert stopped_gate(path).mode is Mode.OFF


def test_nothing_is_latched_that_nobody_stopped_and_a_mode_that_is_asked_for_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "latch"
    rig = Rig(gate={"latch": Latch(path)})
    rig.run((0.1, 0.1, 0.1, 0.1), 5)
    assert not path.exists()
    assert rig.gate.set_mode(Mode.STOPPED, "Ada")[0]
    rig.tick(None)
    rig.tick(None)
    assert stopped_gate(path).mode is Mode.STOPPED


@pytest.mark.parametrize("cut", [0, 1, 10, -1, -9])
def test_a_torn_file_counts_as_stopped_and_can_be_released(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "latch"
    assert Latch(path).set("somebody pushed the button") == ""
    path.write_bytes(path.read_bytes()[:cut])
    gate = stopped_gate(path)
    out = gate.step(1.01, None, None)
    assert out.safety.mode is Mode.STOPPED
    if cut != -1:  # the last byte is a new line only
        assert out.safety.alarms == ("latch_unreadable",)
    assert gate.set_mode(Mode.READY, "Ada")[0]
    assert not Latch(path).stopped


@pytest.mark.parametrize("content", [b"\xff" * 100, b"{}\n00000000\n", b"\n" * 70000])
def test_any_content_counts_as_stopped(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "latch"
    path.write_bytes(content)
    assert Latch(path).stopped
    assert Latch(path).code == "latch_unreadable"


def test_a_changed_reason_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "latch"
    Latch(path).set("button")
    path.write_bytes(path.read_bytes().replace(b"button", b"buttom"))
    assert Latch(path).code == "latch_unreadable"


def test_a_stop_is_not_released_where_the_next_could_not_be_written(tmp_path: Path) -> None:
    path = tmp_path / "latch"
    latch = Latch(path)
    latch.set("button")
    (tmp_path / ".latch.probe.tmp").mkdir()
    assert "cannot be written" in latch.clear()
    assert path.exists()


def test_a_place_that_cannot_be_written_counts_as_stopped_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "latch"
    latch = Latch(path)
    assert latch.stopped
    assert "cannot be written" in latch.why
    gate = stopped_gate(path)
    granted, why = gate.set_mode(Mode.READY, "Ada")
    assert not granted
    assert str(path) in why
    assert gate.mode is Mode.STOPPED
    path.parent.mkdir()
    assert gate.set_mode(Mode.READY, "Ada")[0]


def test_a_disk_that_fails_at_the_stop_is_told_and_bars_the_release(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "latch"
    path.parent.mkdir()
    rig = Rig(gate={"latch": Latch(path)})
    path.parent.rmdir()
    rig.gate.emergency_stop(True, "button")
    rig.gate.emergency_stop(False, "button")
    rig.tick(None)
    out = rig.tick(None)
    assert "latch_unreadable" in out.safety.alarms
    assert not rig.gate.set_mode(Mode.READY, "Ada")[0]
    path.parent.mkdir()
    assert rig.gate.set_mode(Mode.READY, "Ada")[0]


def test_nothing_is_left_beside_it(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "latch")
    latch.set("once")
    latch.set("twice")
    assert os.listdir(tmp_path) == ["latch"]
    assert "twice" in Latch(tmp_path / "latch").why
