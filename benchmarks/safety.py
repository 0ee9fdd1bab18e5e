"""Safety: reaction times, limits under attack, fuzzing, guards, buses, preflight.

How long and how often is set by KUWA_SAFETY_RUNS (100: faults of each kind), KUWA_SAFETY_COMMANDS
(1000000) and KUWA_SAFETY_FUZZ (3600: seconds of fuzzing, shared by topics, files and frames).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_hardware.failures import failure
from kuwa_hardware.gate import Gate
from kuwa_machines import MachineSpec
from kuwa_machines.contracts import GateOutput, JointCommand, MachineState
from kuwa_policies.control.controllers import DEFAULT, make_controller
from kuwa_policies.planning.experts import make_expert
from kuwa_sim.lockstep import run_lockstep
from kuwa_sim.robot import SimRobot

_ROOT = Path(__file__).resolve().parents[1]
for _folder in ("benchmarks", "tests/safety", "tests/ros", "tests/contract", "tests/unit"):
    sys.path.insert(0, str(_ROOT / _folder))

RUNS = int(os.environ.get("KUWA_SAFETY_RUNS", "100"))
COMMANDS = int(os.environ.get("KUWA_SAFETY_COMMANDS", "1000000"))
FUZZ_S = float(os.environ.get("KUWA_SAFETY_FUZZ", "3600"))
PEERS = {
    "command_loss": {"diff_drive, PX4": "500 ms", "ArduPilot Rover": "1500 ms"},
    "killed": {"Nav2 bond": "4 s", "ROS 2 graph": "20 s"},
}
"""As the projects' sources and documents say; none was run beside ours."""
OILS = ((0.8, None), (0.2, 0.0))
"""Shares of the commands, and the oil's temperature [°C]; None: that of the machine's data."""
DIGS = 5
"""In which the gate's steps are timed."""
FUZZ_SHARE = {"topics": 0.4, "files": 0.3, "frames": 0.3}
"""Of the hour of fuzzing."""


def stops() -> Iterator[Figure]:
    """Times from an emergency stop, and from the last command, to neutral valves."""
    import _reactions

    goals = {"emergency_stop": failure("emergency_stop").within_ms, "command_loss": 150}
    with tempfile.TemporaryDirectory() as folder:
        for kind, times in _reactions.stops(Path(folder), RUNS):
            yield from _times(kind, times, f"<= {goals[kind]:g}", PEERS.get(kind))


def frozen() -> Iterator[Figure]:
    """Times from a frozen node to what the failure table demands."""
    yield from _ends("frozen", signal.SIGSTOP)


def killed() -> Iterator[Figure]:
    """Times from a killed node to what the failure table demands."""
    yield from _ends("killed", signal.SIGKILL)


def _ends(what: str, number: signal.Signals) -> Iterator[Figure]:
    import _reactions

    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, times in _reactions.ends(Path(folder), RUNS, number):
            worst = max(worst, *times)
            yield from _times(f"{what}.{name}", times, "<= 200", PEERS["killed"])
    yield Figure(f"safety.{what}.worst", worst, "ms", "<= 200", PEERS["killed"])


def _times(
    kind: str, times: list[float], goal: str, peer: dict[str, str] | None
) -> Iterator[Figure]:
    yield Figure(f"safety.{kind}.worst", max(times), "ms", goal, peer)
    yield Figure(f"safety.{kind}.median", float(np.median(times)), "ms")
    yield Figure(f"safety.{kind}.runs", len(times), "1", ">= 100")


def bus() -> Iterator[Figure]:
    """The same through CAN, at the valves of the emulated machine; and what a frame costs."""
    import _can

    yield from _can.figures(RUNS)


def stack_bus() -> Iterator[Figure]:
    """The same of the whole stack: emergency stop, killed nodes, at the valves behind the bus."""
    import _can_stack

    with tempfile.TemporaryDirectory() as folder:
        for name, times in _can_stack.reactions(Path(folder), RUNS):
            goal = failure(name).within_ms if name == "emergency_stop" else 200.0
            yield from _times(f"through_can.{name}", times, f"<= {goal:g}", PEERS.get("killed"))


def limits() -> Iterator[Figure]:
    """Limits of the simulated machine under random and adversarial commands."""
    import _gate_limits

    parts = [
        _gate_limits.limits(round(share * COMMANDS), seed, oil)
        for seed, (share, oil) in enumerate(OILS)
    ]
    yield Figure("safety.limits.commands", sum(p.commands for p in parts), "1", ">= 1000000")
    yield Figure("safety.limits.exceeded", sum(sum(p.ticks.values()) for p in parts), "1", "<= 0")
    for group in _gate_limits.GROUPS:
        yield Figure(f"safety.limits.{group}.exceeded", sum(p.ticks[group] for p in parts), "1")
        yield Figure(f"safety.limits.{group}.worst", max(p.worst[group] for p in parts), "1")


def step() -> Iterator[Figure]:
    """Processor time of a step of the gate: in a dig, and under attack near every limit.

    A dig repeats bit for bit, so the median of each step's times in several is what the step itself
    takes; what strikes one step in a hundred is the computer's: its clock, its host.
    """
    import _gate_limits

    digs = np.array([_digging() for _ in range(DIGS)])
    own = float(np.percentile(np.median(digs, 0), 99))
    yield Figure("safety.gate.step_undisturbed_p99", own, "us")
    for what, us in (
        ("step", digs.ravel()),
        ("step_attacked", np.concatenate(_gate_limits.limits(20_000, seed=5).step_us)),
    ):
        yield Figure(f"safety.gate.{what}_p99", float(np.percentile(us, 99)), "us", "<= 100")
        yield Figure(f"safety.gate.{what}_median", float(np.median(us)), "us")


def _digging() -> np.ndarray:
    """Return the times of the gate's steps in a whole dig [µs]."""
    robot = SimRobot("dig_trench", seed=0)
    assert robot.task is not None
    robot.connect()
    gate = _Timed(robot.spec)
    controller = make_controller(DEFAULT, robot.spec, robot.control_period)
    run_lockstep(robot, make_expert(robot.spec), controller, gate, robot.task, 240.0)
    robot.close()
    return np.array(gate.us[50:])


class _Timed(Gate):
    """A gate that notes the processor time of each of its steps [µs]."""

    def __init__(self, spec: MachineSpec) -> None:
        super().__init__(spec)
        self.us: list[float] = []

    def step(
        self, now: float, state: MachineState | None, request: JointCommand | None
    ) -> GateOutput:
        """See :class:`Gate`."""
        began = time.thread_time_ns()
        out = super().step(now, state, request)
        self.us.append(1e-3 * (time.thread_time_ns() - began))
        return out


def preflight() -> Iterator[Figure]:
    """Seeded defects that the preflight finds, and false alarms on sound machines."""
    import _preflight

    found = list(_preflight.defects())
    right = sum(bool(each.failed) for each in found)
    yield Figure("safety.preflight.defects_found", 100.0 * right / len(found), "%", ">= 100")
    yield Figure("safety.preflight.defects", len(found), "1")
    sound = list(_preflight.healthy(50))
    alarms = sum(bool(each.failed) for each in sound)
    yield Figure("safety.preflight.false_alarms", alarms, "1", "<= 0")
    yield Figure("safety.preflight.sound_machines", len(sound), "1", ">= 50")


def _say(all_found: list[Any]) -> None:
    """Print what fuzzing found wrong: a figure alone would send the reader to search again."""
    for found in all_found:
        for what, count in found.bad.most_common(10):
            print(f"{count} × {what}", file=sys.stderr)


def fuzz_topics() -> Iterator[Figure]:
    """Crashes and unsafe outputs of a running stack under strange topics."""
    import fuzz_topics

    seconds = FUZZ_SHARE["topics"] * FUZZ_S
    topics = fuzz_topics.fuzz(seconds, 1)
    yield Figure("safety.fuzz.topics.messages", topics.sent, "1")
    yield Figure("safety.fuzz.topics.in_mode_auto", 100.0 * topics.working, "%")
    yield from _fuzzed("topics", topics.bad, seconds)


def fuzz_files() -> Iterator[Figure]:
    """Crashes of the readers of files under strange ones."""
    import fuzz_files

    seconds = FUZZ_SHARE["files"] * FUZZ_S
    files = [found for _, found in fuzz_files.fuzz(seconds, 1)]
    _say(files)
    yield Figure("safety.fuzz.files.tried", sum(f.tried for f in files), "1")
    yield from _fuzzed("files", sum(f.bad.total() for f in files), seconds)


def fuzz_frames() -> Iterator[Figure]:
    """Crashes and unsafe outputs of drivers under strange frames on their bus."""
    import fuzz_frames

    seconds = FUZZ_SHARE["frames"] * FUZZ_S
    frames = [found for _, found in fuzz_frames.fuzz(seconds, 1)]
    _say(frames)
    yield Figure("safety.fuzz.frames.sent", sum(f.frames for f in frames), "1")
    yield from _fuzzed("frames", sum(f.bad.total() for f in frames), seconds)


def _fuzzed(what: str, bad: int, seconds: float) -> Iterator[Figure]:
    yield Figure(f"safety.fuzz.{what}.bad", bad, "1", "<= 0")
    yield Figure(f"safety.fuzz.{what}.time", seconds, "s", f">= {FUZZ_SHARE[what] * 3600:g}")


def guards() -> Iterator[Figure]:
    """Guards of the safety code of which the tests notice that they are gone."""
    import mutation

    yield from _guards("guards", [each for each in mutation.SUBJECTS if each != mutation.COMPILED])


def guards_compiled() -> Iterator[Figure]:
    """The same of the compiled kernels, which run as Python: hours."""
    import mutation

    yield from _guards("guards_compiled", [mutation.COMPILED])


def _guards(name: str, subjects: list[str]) -> Iterator[Figure]:
    import mutation

    results = []
    for mutant, noticed in mutation.all_guards(subjects=subjects):
        results.append(noticed)
        if not noticed:
            print(f"  nobody misses {mutant}", file=sys.stderr)
    yield Figure(f"safety.{name}", len(results), "1")
    yield Figure(f"safety.{name}.watched", 100.0 * sum(results) / len(results), "%", ">= 100")


PARTS: dict[str, Callable[[], Iterator[Figure]]] = {
    part.__name__: part
    for part in (
        stops,
        frozen,
        killed,
        bus,
        stack_bus,
        limits,
        step,
        preflight,
        guards,
        guards_compiled,
        fuzz_topics,
        fuzz_files,
        fuzz_frames,
    )
}
