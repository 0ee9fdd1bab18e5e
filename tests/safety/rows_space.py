"""Limits of joints, of all joints together, and of the space around: met, not passed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from failure_rows import Seen, row
from gate_bench import SPEC, TICK, Bench, changed
from kuwa_hardware.keepout import KeepOut, Zone
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array, GateOutput
from kuwa_machines.safety import support_polygon, tool_points

TIP = Chain(SPEC, SPEC.tool.link)
LINK, POINTS = tool_points(SPEC)
SWING, BOOM, ARM, BUCKET = np.eye(4)


def tool_at(q: Array) -> Array:
    """Where the tool's points are, base frame, shape (k, 3) [m]."""
    return np.array([TIP.place(q, p) for p in POINTS])


SAID = {"acceleration_limit": "changes faster", "jerk_limit": "begins or ends its change"}
"""Limits that shape every motion are told as reasons, and are no alarms."""
EARLY = 60
"""Ticks by which a limit may be foreseen before nothing could be done any more."""
Passes = Callable[[Bench, int], bool]
"""Whether what is asked for would pass the bound, were it let through at that tick."""


def limited(out: GateOutput, wanted: Array, code: str) -> bool:
    """Whether what is asked for was changed because of the limit, and people were told."""
    told = SAID[code] in " ".join(out.safety.reasons) if code in SAID else code in out.safety.alarms
    less = bool((out.applied.values != wanted).any())
    return told and less and any(out.safety.limited)


def first_limited(
    bench: Bench, values: Any, code: str, passes: Passes, early: int = EARLY
) -> tuple[float, str]:
    """Ask for the same until the gate limits it and says so; return how late that was [ms], and
    what was said.

    Counted on the machine of this test, which knows nothing of the gate: from the start of the
    first tick at which ``passes`` holds to the end of the one in which the gate reacted. A limit
    that the gate foresees counts as 0, and may be foreseen by ``early`` ticks at most.
    """
    wanted = np.asarray(values, dtype=float)
    began = len(bench.told)
    for _ in range(3000):
        out = bench.tick(bench.request(values))
        if limited(out, wanted, code):
            break
    else:
        raise AssertionError(f"never limited by {code}")
    tick = len(bench.told) - 1
    # From where the gate last let through what is asked for: a limit of which it says nothing yet
    # does not count.
    whole = [k for k in range(began, tick) if (bench.told[k] == wanted).all()]
    there = bench.without_gate(whole[-1] if whole else began, tick + early, values)
    due = bisect_left(range(tick + early), True, lo=began, key=lambda k: passes(there, k))
    assert due < tick + early, f"{code} was limited for nothing, or more than {early} ticks early"
    return 1e3 * TICK * max(tick - due + 1, 0), " ".join(out.safety.reasons)


def at_rest(bound: Callable[[Array], bool], values: Any) -> Passes:
    """A bound on positions: it is passed if it is on the way to rest, whatever is done after."""
    return lambda bench, tick: any(bound(q) for q in bench.rest(tick, values)[::-5])


def drive(bench: Bench, values: Any, ticks: int) -> Array:
    """Every position on the way, shape (ticks, n)."""
    trace = []
    for _ in range(ticks):
        bench.tick(bench.request(values))
        trace.append(bench.q.copy())
    return np.array(trace)


@row("position_limit")
def position_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    most = SPEC.q_max[2] - bench.gate.limits.margin
    end = at_rest(lambda q: q[2] > most, 0.6 * ARM)
    after, said = first_limited(bench, 0.6 * ARM, "position_limit", end)
    trace = drive(bench, 0.6 * ARM, 600)
    assert trace[:, 2].max() <= SPEC.q_max[2]
    assert trace[-1, 2] > SPEC.q_max[2] - 0.3
    back = drive(bench, -0.4 * ARM, 300)
    return Seen("limit", after, bool(back[-1, 2] < trace[-1, 2] - 0.1), said)


@row("velocity_limit")
def velocity_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    # At full stroke the boom would come down at twice its limit, from the first tick on.
    assert bench.steady(1, 1.0) > 1.5 * SPEC.qd_max[1]
    after, said = first_limited(
        bench, 1.0 * BOOM, "velocity_limit", lambda b, tick: b.steady(1, 1.0) > SPEC.qd_max[1]
    )
    drive(bench, 1.0 * BOOM, 200)
    fastest = max(float(qd[1]) for _, qd in bench.trail)
    assert 0.9 * SPEC.qd_max[1] < fastest <= SPEC.qd_max[1]
    return Seen("limit", after, bench.passes(200), said)


@row("acceleration_limit")
def acceleration_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    slew, jerk = bench.gate.limits.slew, SPEC.safety.jerk
    assert jerk is not None
    began = len(bench.told)
    # With the jerk's limit alone the command would grow by jerk·TICK more in each tick.
    growing = lambda b, tick: (tick - began + 1) * jerk * TICK > slew  # noqa: E731
    first, said = first_limited(bench, 0.9 * SWING, "acceleration_limit", growing)
    drive(bench, 0.9 * SWING, 60)
    # Full speed the other way: from the first tick on that is more than the slope.
    assert abs(-0.9 - bench.told[-1][0]) > slew * TICK
    back, _ = first_limited(bench, -0.9 * SWING, "acceleration_limit", lambda b, tick: True)
    after = max(first, back)
    drive(bench, -0.9 * SWING, 60)
    steps = np.diff(np.array(bench.told)[:, 0])
    assert np.abs(steps).max() <= bench.gate.limits.slew * TICK + 1e-9
    return Seen("limit", after, bench.passes(), said)


@row("jerk_limit")
def jerk_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    jerk = SPEC.safety.jerk
    assert jerk is not None
    # From rest to 0.9 in one tick.
    assert jerk * TICK**2 < 0.9
    after, said = first_limited(bench, 0.9 * SWING, "jerk_limit", lambda b, tick: True)
    drive(bench, 0.9 * SWING, 40)
    growth = np.diff(np.abs(np.array(bench.told)[:, 0]), prepend=0.0)
    assert np.diff(np.maximum(growth, 0.0)).max() <= jerk * TICK**2 + 1e-9
    return Seen("limit", after, bench.passes(), said)


@row("power_limit")
def power_limit(tmp_path: Path) -> Seen:
    """Boom, arm and bucket lift a great load, first one after the other, then all together."""
    wanted, most = (0.0, -0.8, 0.8, 0.6), SPEC.hydraulics.pump_power
    light, heavy = (np.full((4, 2), p) for p in (1e6, 25e6))
    bench = Bench()
    bench.change = lambda s: changed(s, pressure=heavy)
    drive(bench, np.zeros(4), 300)
    # The same machine with a light load is told what is let through but for the power.
    free = Bench()
    free.change = lambda s: changed(s, pressure=light)
    drive(free, np.zeros(4), 300)
    drive(free, wanted, 60)
    assert power(free.told[-1], light) < most < power(free.told[-1], heavy)

    def beyond(b: Bench, tick: int) -> bool:
        return power(free.told[min(tick, len(free.told) - 1)], heavy) > most

    after, said = first_limited(bench, wanted, "power_limit", beyond)
    through = [power(u, heavy) for u in (bench.told[-1], *drive_told(bench, wanted, 60))]
    assert 0.95 * most < max(through) <= most * (1.0 + 1e-6), (max(through), most)
    # A load that comes at once is known at once.
    bench.change = lambda s: changed(s, pressure=light)
    drive(bench, wanted, 100)
    bench.change = lambda s: changed(s, pressure=heavy)
    through = [power(u, heavy) for u in drive_told(bench, wanted, 80)]
    assert 0.95 * most < max(through) <= most * (1.0 + 1e-6), through
    bench.change = lambda s: changed(s, pressure=light)
    bench.run(100)
    out = bench.run(100, SWING * 0.3)
    return Seen("limit", after, "power_limit" not in out.safety.alarms and bench.passes(), said)


def drive_told(bench: Bench, values: Any, ticks: int) -> list[Array]:
    """What the gate lets through on the way."""
    drive(bench, values, ticks)
    return bench.told[-ticks:]


def power(u: Array, pressure: Array) -> float:
    """Flow times pressure of all valves [W]: s^curve of each one's greatest flow."""
    total = 0.0
    for value, joint, (both, _) in zip(u, SPEC.joints.values(), pressure, strict=True):
        valve: Any = joint.drive.valve
        s = max(abs(value) - valve.dead_band, 0.0) / (1.0 - valve.dead_band)
        flow = valve.max_flow_positive if value > 0.0 else valve.max_flow_negative
        total += s**valve.curve * flow * both
    return float(total)


def altered(**safety: Any) -> Any:
    """The machine with other data of safety."""
    return SPEC.model_copy(update={"safety": SPEC.safety.model_copy(update=safety)})


@row("reach_limit")
def reach_limit(tmp_path: Path) -> Seen:
    space = SPEC.safety.workspace.model_copy(update={"radius": 8.0})
    bench = Bench(spec=altered(workspace=space))
    away = (0.0, 0.2, -0.5, 0.0)
    root = np.array(SPEC.joints["swing_joint"].origin)[:2]

    def beyond(q: Array) -> bool:
        return bool(np.linalg.norm(tool_at(q)[:, :2] - root, axis=1).max() > 8.0)

    after, said = first_limited(bench, away, "reach_limit", at_rest(beyond, away))
    trace = drive(bench, away, 600)
    reach = [np.linalg.norm(tool_at(q)[:, :2] - root, axis=1).max() for q in trace]
    assert max(reach) <= 8.0
    assert max(reach) > 7.5
    # Across the limit nothing goes; along it, and back, everything does.
    turned = drive(bench, 0.3 * SWING, 300)
    back = drive(bench, 0.4 * ARM, 300)
    moved = turned[-1, 0] - turned[0, 0] > 0.1 and back[-1, 2] - back[0, 2] > 0.1
    return Seen("limit", after, bool(moved), said)


@row("tip_over")
def tip_over(tmp_path: Path) -> Seen:
    """Stretched to the side with far too much in the bucket, on ground that falls to that side."""
    bench = Bench()
    bench.q = np.array([np.pi / 2, -0.55, 2.2, 0.6])
    roll = np.array([np.cos(-0.06), np.sin(-0.06), 0.0, 0.0])
    bench.change = lambda s: changed(s, tool_load=1500.0, base_quaternion_wxyz=roll)
    bench.run(100, np.zeros(4))
    away = -0.4 * ARM
    least = SPEC.safety.stability_margin
    assert least is not None
    tipping = at_rest(lambda q: side_margin(q, 1500.0, 0.12) < least, away)
    # The gate begins to slow the arm more than a second before nothing could be done any more.
    after, said = first_limited(bench, away, "tip_over", tipping, early=150)
    trace = drive(bench, away, 500)
    margins = [side_margin(q, 1500.0, 0.12) for q in trace]
    assert min(margins) >= least - 0.02, min(margins)
    back = drive(bench, 0.4 * ARM, 300)
    return Seen("limit", after, bool(back[-1, 2] - back[0, 2] > 0.1), said)


def side_margin(q: Array, load: float, tilt: float) -> float:
    """Distance of the centre of mass from the line over which the machine tips to its left [m]."""
    masses, places = [], []
    for name, link in SPEC.links.items():
        place = link.com if name == "track_link" else Chain(SPEC, name).place(q, link.com)
        masses.append(link.mass)
        places.append(place)
    masses.append(load)
    places.append(TIP.place(q, (*np.insert(np.mean(SPEC.tool.profile, axis=0), 1, 0.0),)))
    _, y, z = np.average(np.array(places), axis=0, weights=masses)
    return float(support_polygon(SPEC)[:, 1].max() - (y + z * np.tan(tilt)))


@row("self_collision")
def self_collision(tmp_path: Path) -> Seen:
    bench = Bench()
    bench.q = np.array([-0.4, -0.16, 1.6, 0.5])
    bench.run(100, np.zeros(4))
    curl = (0.0, 0.0, 0.4, 0.0)
    kept = SPEC.safety.clearance
    assert kept is not None
    hit = at_rest(lambda q: box_clearance(q) < kept, curl)
    after, said = first_limited(bench, curl, "self_collision", hit)
    trace = drive(bench, curl, 600)
    clearance = min(box_clearance(q) for q in trace[::5])
    assert clearance >= 0.0, clearance
    back = drive(bench, (0.0, 0.0, -0.4, 0.0), 300)
    return Seen("limit", after, bool(back[-1, 2] < back[0, 2] - 0.1), said)


def box_clearance(q: Array) -> float:
    """Distance of the tool's points from the machine's boxes [m]."""
    least = np.inf
    origin = np.array(SPEC.joints["swing_joint"].origin)
    c, s = np.cos(q[0]), np.sin(q[0])
    for box in SPEC.safety.boxes.values():
        p = tool_at(q)
        if box.link == "body_link":
            p = (p - origin) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
        gap = np.maximum(np.maximum(np.array(box.low) - p, p - np.array(box.high)), 0.0)
        least = min(least, float(np.linalg.norm(gap, axis=1).min()))
    return least


@row("keep_out")
def keep_out(tmp_path: Path) -> Seen:
    """A street to the left, told by a file of the site, in the frame of the map."""
    path = tmp_path / "site.yaml"
    path.write_text(
        "clearance_m: 0.3\n"
        "zones:\n  street: {frame: map, polygon_m: [[-20, 4], [20, 4], [20, 9], [-20, 9]]}\n"
    )
    bench = Bench(zones=KeepOut.load(path))
    # The street begins at 4 m, and 0.3 m are kept from it.
    inside = at_rest(lambda q: tool_at(q)[:, 1].max() > 3.7, 0.5 * SWING)
    after, said = first_limited(bench, 0.5 * SWING, "keep_out", inside)
    trace = drive(bench, 0.5 * SWING, 900)
    side = [tool_at(q)[:, 1].max() for q in trace]
    assert max(side) <= 4.0
    assert max(side) > 2.5
    assert isinstance(next(iter(KeepOut.load(path).zones.values())), Zone)
    with pytest.raises(Exception, match="polygon_m"):
        path.write_text("zones: {street: {polygon_m: [[0, 0], [1, 1]]}}")
        KeepOut.load(path)
    back = drive(bench, -0.4 * SWING, 400)
    return Seen("limit", after, bool(back[-1, 0] < trace[-1, 0] - 0.1), said)
