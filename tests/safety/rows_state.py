"""Joint states that are lost, spoilt, frozen, jumping or untrue; hydraulics that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from failure_rows import Seen, row
from gate_bench import SPEC, TICK, Bench, changed, level, neutral
from kuwa_hardware.keepout import KeepOut, Zone
from kuwa_machines.contracts import Array, GateOutput, Level, MachineState, Mode

STEADY = (0.3, -0.25, 0.4, 0.4)
"""Motion that goes on for seconds before a limit is near."""


def spoilt(
    code: str,
    change: Callable[[MachineState], MachineState | None],
    values: Any = STEADY,
    warm: int = 100,
    mend: Callable[[Bench], None] = lambda bench: None,
    **gate: Any,
) -> Seen:
    """States are changed from now on: the valves go to neutral, and the work goes on afterwards."""
    bench = Bench(**gate)
    out = bench.run(warm, values)
    assert out.safety.level is Level.NONE, out.safety
    bench.change = change
    after = bench.until(neutral, lambda: bench.run(1, values))
    out = bench.run(1, values)
    assert code in out.safety.alarms, out.safety
    bench.change = lambda state: state
    mend(bench)
    stopped = bench.gate.mode is Mode.STOPPED
    if stopped:
        stayed = not bench.run(50).applied.values.any()
        bench.engage(Mode.AUTO)
        return Seen("stopped", after, stayed and bench.passes(200), said(out))
    return Seen("neutral", after, bench.passes(200), said(out))


def said(out: GateOutput) -> str:
    return " ".join(out.safety.reasons)


def at_joint(values: Array, joint: int, value: float) -> Array:
    out = np.array(values)
    out[joint] = value
    return out


@row("state_lost")
def state_lost(tmp_path: Path) -> Seen:
    return spoilt("state_lost", lambda state: None)


@row("state_nan")
def state_nan(tmp_path: Path) -> Seen:
    return spoilt("state_nan", lambda s: changed(s, q=at_joint(s.q, 2, np.nan)))


@row("place_unknown")
def place_unknown(tmp_path: Path) -> Seen:
    """No position any more, or the last one again, where a zone on the map is kept out."""
    away = Zone(frame="map", polygon_m=((90.0, 0.0), (91.0, 0.0), (91.0, 1.0)))
    last: list[float] = []

    def repeated(state: MachineState) -> MachineState:
        last.append(state.stamp)
        return changed(state, base_stamp=last[0])

    for change in (lambda s: changed(s, base_position=np.full(3, np.nan)), repeated):
        seen = spoilt("place_unknown", change, zones=KeepOut({"away": away}))
    # Neither matters where nothing on the map is kept out.
    beside = Zone(frame="base", polygon_m=away.polygon_m)
    bench = Bench(zones=KeepOut({"beside": beside}))
    bench.change = lambda s: changed(s, base_position=np.full(3, np.nan))
    assert bench.run(100, STEADY).safety.level is Level.NONE
    return seen


@row("state_stamp_frozen")
def state_stamp_frozen(tmp_path: Path) -> Seen:
    first: list[float] = []

    def freeze(state: MachineState) -> MachineState:
        first.append(state.stamp)
        return changed(state, stamp=first[0])

    return spoilt("state_stamp_frozen", freeze)


@row("state_stamp_back")
def state_stamp_back(tmp_path: Path) -> Seen:
    return spoilt("state_stamp_back", lambda s: changed(s, stamp=s.stamp - 0.5))


@row("clock_jump")
def clock_jump(tmp_path: Path) -> Seen:
    """An hour ahead, and an hour back again; requests answer the states, whatever their clock."""
    found = []
    for hour in (3600.0, -3600.0):
        bench = Bench()
        bench.run(100, STEADY)
        bench.change = lambda s, h=hour: changed(s, stamp=s.stamp + h)  # type: ignore[misc]

        def tick(b: Bench = bench, h: float = hour) -> GateOutput:
            return b.tick(b.request(STEADY, stamp=b.now + h))

        after = bench.until(neutral, tick)
        out = bench.last
        assert out is not None
        assert "clock_jump" in out.safety.alarms, out.safety
        for _ in range(200):
            out = tick()
        found.append(Seen("neutral", after, bool(out.applied.values.any()), "clock_jump"))
    return max(found, key=lambda seen: (not seen.recovered, seen.after_ms))


@row("state_jump")
def state_jump(tmp_path: Path) -> Seen:
    return spoilt("state_jump", lambda s: changed(s, q=at_joint(s.q, 2, s.q[2] + 0.3)))


@row("state_frozen")
def state_frozen(tmp_path: Path) -> Seen:
    """The whole sensor of one joint is frozen, as with a lost cable."""
    kept: list[MachineState] = []

    def freeze(s: MachineState) -> MachineState:
        kept.append(s)
        old = kept[0]
        return changed(s, q=at_joint(s.q, 2, old.q[2]), qd=at_joint(s.qd, 2, old.qd[2]))

    def mend(bench: Bench) -> None:
        bench.q[2] = kept[0].q[2]

    return spoilt("state_frozen", freeze, mend=mend)


@row("velocity_bias")
def velocity_bias(tmp_path: Path) -> Seen:
    return spoilt("velocity_bias", lambda s: changed(s, qd=at_joint(s.qd, 2, s.qd[2] + 0.4)))


@row("position_impossible")
def position_impossible(tmp_path: Path) -> Seen:
    return spoilt("position_impossible", lambda s: changed(s, q=at_joint(s.q, 2, 5.0)))


# Hydraulics --------------------------------------------------------------------------------------


@row("pressure_loss")
def pressure_loss(tmp_path: Path) -> Seen:
    return spoilt("pressure_loss", lambda s: changed(s, pump_pressure=2e5))


@row("engine_slow")
def engine_slow(tmp_path: Path) -> Seen:
    return spoilt("engine_slow", lambda s: changed(s, engine_speed=80.0))


@row("joint_overspeed")
def joint_overspeed(tmp_path: Path) -> Seen:
    """A load pulls the arm away: its speed and its position say so."""
    at = [0.0]

    def fall(s: MachineState) -> MachineState:
        at[0] += TICK * 1.6
        return changed(s, q=at_joint(s.q, 2, s.q[2] + at[0]), qd=at_joint(s.qd, 2, s.qd[2] + 1.6))

    def mend(bench: Bench) -> None:
        bench.q[2] += at[0]

    return spoilt("joint_overspeed", fall, mend=mend)


@row("uncommanded_motion")
def uncommanded_motion(tmp_path: Path) -> Seen:
    """All valves have been in neutral; then the boom sinks by itself."""
    bench = Bench()
    bench.run(200, (0.0, 0.0, 0.0, 0.0))
    at = [0.0]

    def sink(s: MachineState) -> MachineState:
        at[0] += TICK * 0.12
        return changed(s, q=at_joint(s.q, 1, s.q[1] + at[0]), qd=at_joint(s.qd, 1, s.qd[1] + 0.12))

    bench.change = sink
    after = bench.until(level(Level.STOPPED), lambda: bench.run(1, (0.0, 0.0, 0.0, 0.0)))
    out = bench.last
    assert out is not None
    assert "uncommanded_motion" in out.safety.alarms
    bench.change = lambda state: state
    bench.q[1] += at[0]
    stayed = not bench.run(100).applied.values.any()
    bench.engage(Mode.AUTO)
    return Seen("stopped", after, stayed and bench.passes(), said(out))


@row("joint_stuck")
def joint_stuck(tmp_path: Path) -> Seen:
    """The boom's valve does not open; that nothing holds it the pressures say."""
    bench = Bench()
    bench.run(50, (0.0, 0.0, 0.0, 0.0))
    at = bench.q[1]
    rng = np.random.default_rng(1)

    def stand(s: MachineState) -> MachineState:
        noise = 1e-4 * rng.standard_normal(2)
        return changed(s, q=at_joint(s.q, 1, at + noise[0]), qd=at_joint(s.qd, 1, noise[1]))

    bench.change = stand
    push = (0.0, 0.7, 0.0, 0.0)
    began = bench.now
    bench.until(lambda out: "joint_stuck" in out.safety.alarms, lambda: bench.run(1, push))
    bench.until(neutral, lambda: bench.run(1, push))
    after = 1e3 * (bench.now - began)
    assert bench.last is not None
    reasons = said(bench.last)
    bench.change = lambda state: state
    bench.q[1] = at
    return Seen("neutral", after, bench.passes(400), reasons)


@row("oil_cold")
def oil_cold(tmp_path: Path) -> Seen:
    """At 0 °C the gate brakes earlier; told so at once."""
    stops = {}
    for temperature in (50.0, 0.0):
        bench = Bench()
        bench.change = lambda s, t=temperature: changed(s, oil_temperature=t)  # type: ignore[misc]
        out = bench.run(1)
        assert ("oil_cold" in out.safety.alarms) == (temperature < 20.0)
        for _ in range(2000):
            bench.run(1, (0.0, 0.0, 0.6, 0.0))
            if bench.told[-1][2] < 0.55 and len(bench.told) > 30:
                break
        stops[temperature] = bench.q[2]
    assert stops[0.0] < stops[50.0] - 0.05, stops
    assert stops[50.0] < SPEC.q_max[2]
    warm = bench.run(100, (0.0, 0.0, -0.6, 0.0))
    return Seen("limit", 1e3 * TICK, bool(warm.applied.values.any()), said(out))
