"""Stops, releases, the deadman, the preflight, doubt about the scene, and files of safety."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from failure_rows import Seen, row
from gate_bench import SPEC, TICK, Bench, level, neutral
from kuwa_hardware.envelope import KeyFileError, load_key
from kuwa_hardware.latch import Latch
from kuwa_hardware.modes import PROGRAMS
from kuwa_machines.contracts import GateOutput, Level, Mode
from kuwa_machines.errors import MachineError
from kuwa_machines.loader import load_machine_file

FAST = (0.3, 0.2, 0.3, 0.3)


def release(bench: Bench) -> bool:
    """A person releases the stop, and the machine works again."""
    stayed = bench.gate.mode is Mode.STOPPED and not bench.run(5).applied.values.any()
    bench.engage(Mode.AUTO)
    return stayed and bench.passes()


@row("emergency_stop")
def emergency_stop(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.run(50, FAST)
    bench.gate.emergency_stop(True, "button")
    after = bench.until(neutral, bench.good)
    assert not bench.gate.set_mode(Mode.READY, "Ada")[0]
    bench.gate.emergency_stop(False, "button")
    assert bench.last is not None
    said = bench.last.safety
    assert said.level is Level.STOPPED
    assert "emergency_stop" in said.alarms
    return Seen("stopped", after, release(bench), said.reasons[0])


@row("stop_restarted")
def stop_restarted(tmp_path: Path) -> Seen:
    before = Bench(latch=Latch(tmp_path / "latch"))
    before.run(10)
    before.gate.emergency_stop(True, "button")
    before.run(2)
    again = Bench(Mode.STOPPED, latch=Latch(tmp_path / "latch"))
    out = again.run(1)
    assert "stop_restarted" in out.safety.alarms
    return Seen("stopped", 1e3 * TICK, release(again), out.safety.reasons[-1])


@row("latch_unreadable")
def latch_unreadable(tmp_path: Path) -> Seen:
    path = tmp_path / "latch"
    path.write_bytes(b'{"stopped": tr')
    bench = Bench(Mode.STOPPED, latch=Latch(path))
    out = bench.run(1)
    assert "latch_unreadable" in out.safety.alarms
    nowhere = Bench(Mode.STOPPED, latch=Latch(tmp_path / "missing" / "latch"))
    assert "latch_unreadable" in nowhere.run(1).safety.alarms
    assert not nowhere.gate.set_mode(Mode.READY, "Ada")[0]
    return Seen("stopped", 1e3 * TICK, release(bench), out.safety.reasons[-1])


@row("release_by_program")
def release_by_program(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.gate.set_mode(Mode.STOPPED, "Ada")
    why = [bench.gate.set_mode(Mode.READY, who) for who in PROGRAMS]
    assert not any(granted for granted, _ in why)
    return Seen("refuse", 1e3 * TICK, release(bench), why[0][1])


@row("deadman_released")
def deadman_released(tmp_path: Path) -> Seen:
    bench = Bench(Mode.TELEOP)
    bench.run(50, FAST)
    bench.gate.deadman(bench.now, False)
    after = bench.until(neutral, lambda: bench.tick(bench.request(FAST)))
    out = bench.last
    assert out is not None
    assert "deadman_released" in out.safety.alarms
    assert out.safety.mode is Mode.ARMED
    # Held again it moves nothing; it must be asked for.
    stayed = not bench.run(20, FAST).applied.values.any()
    granted, why = bench.gate.set_mode(Mode.TELEOP, "Ada")
    assert granted, why
    return Seen("neutral", after, stayed and bench.passes(), bench.gate._modes.why)


@row("preflight_missing")
def preflight_missing(tmp_path: Path) -> Seen:
    record = ["it was never run"]
    bench = Bench(Mode.READY, preflight=lambda: record[0])
    granted, why = bench.gate.set_mode(Mode.ARMED, "Ada")
    assert not granted
    # Its own guided motions are let through, small, and nothing else can be reached from there.
    assert bench.gate.set_mode(Mode.ARMED, "preflight")[0]
    assert not bench.gate.set_mode(Mode.AUTO, "Ada")[0]
    bench.source = "preflight"
    assert np.abs(bench.run(60, (1.0, -1.0, 1.0, 1.0)).applied.values).max() <= 0.3
    record[0] = ""
    bench.source = "control"
    bench.run(1)
    assert bench.gate.set_mode(Mode.AUTO, "Ada")[0]
    return Seen("refuse", 1e3 * TICK, bench.passes(), why)


# The scene, and the supervisor ------------------------------------------------------------


def doubt(free_energy: float, code: str) -> Seen:
    """Perception sends at 20 Hz: good ones, then these; a single one is forgiven."""
    bench = Bench()

    def tick(energy: float) -> None:
        if len(bench.told) % 5 == 0:
            bench.gate.latent(bench.now, energy, 100.0)
        bench.good()

    def run(energy: float) -> GateOutput:
        tick(energy)
        assert bench.last is not None
        return bench.last

    for k in range(200):
        tick(free_energy if k == 100 else 50.0)
        assert bench.last is not None
        assert bench.last.safety.level is Level.NONE
    after = bench.until(level(Level.HOLD), lambda: run(free_energy))
    out = bench.last
    assert out is not None
    assert code in out.safety.alarms
    said = out.safety.reasons[0]
    for _ in range(50):
        tick(50.0)
    assert bench.last is not None
    return Seen("hold", after, bench.last.safety.level is Level.NONE and bench.passes(), said)


@row("scene_unknown")
def scene_unknown(tmp_path: Path) -> Seen:
    return doubt(150.0, "scene_unknown")


@row("latent_nan")
def latent_nan(tmp_path: Path) -> Seen:
    return doubt(float("nan"), "latent_nan")


@row("supervisor_gone")
def supervisor_gone(tmp_path: Path) -> Seen:
    bench = Bench()
    for _ in range(50):
        bench.gate.heard(bench.now, "supervisor", "active", "")
        bench.run(5)
    silent = bench.now
    held = bench.until(level(Level.HOLD), bench.good)
    assert held <= 200.0
    bench.until(level(Level.STOPPED), bench.good)
    after = 1e3 * (bench.now - silent)
    out = bench.last
    assert out is not None
    assert neutral(out)
    assert "supervisor_gone" in out.safety.alarms
    assert not bench.gate.set_mode(Mode.READY, "Ada")[0]
    bench.gate.heard(bench.now, "supervisor", "active", "")
    return Seen("stopped", after, release(bench), out.safety.reasons[0])


# Files ------------------------------------------------------------


@row("machine_file_wrong")
def machine_file_wrong(tmp_path: Path) -> Seen:
    folder = tmp_path / "zx200"
    folder.mkdir()
    (folder / "model.xml").write_bytes((SPEC.folder / "model.xml").read_bytes())
    text = (SPEC.folder / "machine.yaml").read_text()
    said = ""
    for place, wrong in (("velocity", ".nan"), ("dead_time", "-1"), ("min", ".inf")):
        raw = yaml.safe_load(text)
        joint = raw["joints"]["boom_joint"]
        where = {"velocity": joint["velocity"], "dead_time": joint["drive"]["valve"]["dead_time"]}
        where |= {"min": joint["position"]["min"]}
        where[place]["value"] = yaml.safe_load(wrong)
        (folder / "machine.yaml").write_text(yaml.safe_dump(raw))
        with pytest.raises(MachineError, match="boom_joint") as refused:
            load_machine_file(folder / "machine.yaml")
        said = str(refused.value)
    (folder / "machine.yaml").write_text(text)
    return Seen("refuse", 1.0, load_machine_file(folder / "machine.yaml").name == "zx200", said)


@row("key_file_open")
def key_file_open(tmp_path: Path) -> Seen:
    path = tmp_path / "key"
    path.write_text(bytes(range(32)).hex())
    path.chmod(0o644)
    with pytest.raises(KeyFileError) as refused:
        load_key(path)
    path.chmod(0o600)
    return Seen("refuse", 1.0, load_key(path) == bytes(range(32)), str(refused.value))
