"""Requests that are lost, spoilt, replayed or forged; forged applied commands behind the gate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from failure_rows import Seen, row
from gate_bench import SMALL, SPEC, TICK, Bench, neutral
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.mode_requests import ModeRequests
from kuwa_hardware.watchdog import Watchdog
from kuwa_machines.contracts import CommandKind, JointCommand

NAMES = SPEC.joint_names
LARGE = np.ones(4)


@row("request_lost")
def request_lost(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.run(30, -LARGE * 0.9)
    after = bench.until(neutral, lambda: bench.tick(None))
    assert bench.last is not None
    said = bench.last.safety
    assert "request_lost" in said.alarms
    return Seen("neutral", after, bench.passes(), said.reasons[0])


def _refused(code: str, **changes: Any) -> None:
    @row(code)
    def inject(tmp_path: Path) -> Seen:
        bench = Bench()
        return bench.refused(lambda: bench.request(**({"values": LARGE} | changes)), code)


_refused("request_nan", values=[0.1, np.nan, 0.1, 0.1])
_refused("request_infinite", values=[0.1, np.inf, 0.1, 0.1])
_refused("request_wrong_joints", names=("swing_joint", "boom_joint", "arm_joint", "arm_joint"))
_refused("request_wrong_size", values=LARGE[:3])
_refused("request_wrong_source", source="teleop")
_refused("request_wrong_kind", kind=CommandKind.VELOCITY_FRACTION)
_refused("request_from_past", stamp=990.0)
_refused("request_from_future", stamp=4600.0)
_refused("request_out_of_order", sequence=1)


@row("request_replayed")
def request_replayed(tmp_path: Path) -> Seen:
    bench = Bench()
    taken = bench.request()
    bench.tick(taken)

    def again() -> JointCommand:
        newest = bench.request()
        bench.tick(newest)
        return replace(newest, values=LARGE)

    bench.run(30)
    bad = again()
    before = bench.last
    assert before is not None
    out = bench.tick(bad)
    assert "request_replayed" in out.safety.alarms
    np.testing.assert_array_equal(out.applied.values, before.applied.values)
    return Seen("refuse", 1e3 * TICK, bench.passes(), out.safety.reasons[0])


@row("request_huge")
def request_huge(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.run(30)
    out = bench.tick(bench.request([1e300, 0.0, 0.0, 0.0]))
    assert out.safety.limited[0]
    assert np.abs(bench.run(30, [1e300, -1e300, 0.0, 0.0]).applied.values).max() <= 1.0
    return Seen("limit", 1e3 * TICK, bench.passes(200), " ".join(out.safety.reasons))


@row("request_jump")
def request_jump(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.run(40, [-0.9, 0.0, 0.0, 0.0])
    before = bench.told[-1][0]
    out = bench.tick(bench.request([0.9, 0.0, 0.0, 0.0]))
    assert out.safety.limited[0]
    assert 0.0 <= out.applied.values[0] - before <= bench.gate.limits.slew * TICK + 1e-9
    return Seen("limit", 1e3 * TICK, bench.passes(), " ".join(out.safety.reasons))


@row("request_flood")
def request_flood(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.run(30)
    began = bench.now
    for _ in range(100):
        bench.now += TICK / 100
        out = bench.gate.step(bench.now, None, bench.request())
        if "request_flood" in out.safety.alarms:
            break
    after = 1e3 * (bench.now - began)
    said = out.safety.reasons[0]
    for _ in range(500):
        bench.now += TICK / 100
        out = bench.gate.step(bench.now, None, bench.request())
    assert out.safety.refused > 400
    return Seen("refuse", after, bench.passes(), said)


# With codes --------------------------------------------------------------------------------------

KEY = bytes(range(32))


def sealed_bench() -> Bench:
    bench = Bench(envelope=Envelope(KEY))
    bench.seal = Envelope(KEY).seal
    return bench


@row("code_missing")
def code_missing(tmp_path: Path) -> Seen:
    bench = sealed_bench()
    return bench.refused(lambda: replace(bench.request(LARGE), mac=b""), "code_missing")


@row("code_wrong")
def code_wrong(tmp_path: Path) -> Seen:
    bench = sealed_bench()
    return bench.refused(lambda: replace(bench.request(SMALL), values=LARGE), "code_wrong")


@row("code_replayed")
def code_replayed(tmp_path: Path) -> Seen:
    """A recording of an earlier run, from the same key; its count is even higher than today's."""
    bench = sealed_bench()
    recorded = bench.request(LARGE, stamp=bench.now - 600.0, sequence=10**12)
    return bench.refused(lambda: recorded, "code_replayed")


@row("mode_without_code")
def mode_without_code(tmp_path: Path) -> Seen:
    bench = sealed_bench()
    asked = ModeRequests(Envelope(KEY), window=2.0)
    wall = 1e9
    mac = Envelope(KEY).seal_mode("ready", "Ada", wall, 1)
    forged = [
        asked.refusal("ready", "Ada", wall, 1, b"", wall),
        asked.refusal("ready", "Eve", wall, 1, mac, wall),
        asked.refusal("ready", "Ada", wall, 1, mac, wall + 60.0),
    ]
    assert all(forged), forged
    good = asked.refusal("ready", "Ada", wall, 1, mac, wall + 0.1)
    again = asked.refusal("ready", "Ada", wall, 1, mac, wall + 0.2)
    assert again
    return Seen("refuse", 1e3 * TICK, good == "" and bench.passes(), forged[0])


@row("applied_forged")
def applied_forged(tmp_path: Path) -> Seen:
    bench = sealed_bench()
    dog = Watchdog(NAMES, envelope=Envelope(KEY))
    out = bench.run(30)
    # One that was recorded at an earlier start, when the gate had counted further.
    recorded = replace(out.applied, sequence=out.applied.sequence + 10**9, stamp=bench.now - 3600.0)
    assert dog.receive(bench.now, Envelope(KEY).seal(recorded), bench.now)
    assert dog.current(bench.now) is None
    assert dog.receive(bench.now, out.applied, bench.now) == ""
    forged = replace(out.applied, sequence=out.applied.sequence + 1, values=LARGE)
    why = dog.receive(bench.now, forged, bench.now)
    assert why
    assert dog.current(bench.now) is out.applied
    genuine = bench.run(1).applied
    return Seen("refuse", 1e3 * TICK, dog.receive(bench.now, genuine, bench.now) == "", why)
