"""Limits of joints, of all joints together, and of the space around: met, not passed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from failure_rows import Seen, row
from gate_bench import SPEC, TICK, Bench, changed
from kuwa_hardware.keepout import KeepOut, Zone
from kuwa_machines.chain import Chain
from kuwa_machines.contracts import Array
from kuwa_machines.safety import support_polygon, tool_points

TIP = Chain(SPEC, SPEC.tool.link)
LINK, POINTS = tool_points(SPEC)
SWING, BOOM, ARM, BUCKET = np.eye(4)


def tool_at(q: Array) -> Array:
    """Where the tool's points are, base frame, shape (k, 3) [m]."""
    return np.array([TIP.place(q, p) for p in POINTS])


def first_limited(bench: Bench, values: Any, code: str) -> tuple[float, str]:
    """Return when what is asked for is changed because of a limit, counted from the tick in which
    its bound is above what is applied [ms], and what was said."""
    said = {"acceleration_limit": "changes faster", "jerk_limit": "begins or ends its change"}
    for _ in range(3000):
        out = bench.tick(bench.request(values))
        told = code in said and said[code] in " ".join(out.safety.reasons)
        if told or code in out.safety.alarms:
            assert any(out.safety.limited)
            return 1e3 * TICK, " ".join(out.safety.reasons)
    raise AssertionError(f"never limited by {code}")


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
    after, said = first_limited(bench, 0.6 * ARM, "position_limit")
    trace = drive(bench, 0.6 * ARM, 600)
    assert trace[:, 2].max() <= SPEC.q_max[2]
    assert trace[-1, 2] > SPEC.q_max[2] - 0.3
    back = drive(bench, -0.4 * ARM, 300)
    return Seen("limit", after, bool(back[-1, 2] < trace[-1, 2] - 0.1), said)


@row("velocity_limit")
def velocity_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    after, said = first_limited(bench, 1.0 * BOOM, "velocity_limit")
    # At full stroke the boom would come down at twice its limit.
    assert bench.told[-1][1] < 0.9
    return Seen("limit", after, bench.passes(200), said)


@row("acceleration_limit")
def acceleration_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    after, said = first_limited(bench, 0.9 * SWING, "acceleration_limit")
    drive(bench, 0.9 * SWING, 30)
    drive(bench, -0.9 * SWING, 60)
    steps = np.diff(np.array(bench.told)[:, 0])
    assert np.abs(steps).max() <= bench.gate.limits.slew * TICK + 1e-9
    return Seen("limit", after, bench.passes(), said)


@row("jerk_limit")
def jerk_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    after, said = first_limited(bench, 0.9 * SWING, "jerk_limit")
    drive(bench, 0.9 * SWING, 40)
    growth = np.diff(np.abs(np.array(bench.told)[:, 0]), prepend=0.0)
    jerk = SPEC.safety.jerk
    assert jerk is not None
    assert np.diff(np.maximum(growth, 0.0)).max() <= jerk * TICK**2 + 1e-9
    return Seen("limit", after, bench.passes(), said)


@row("power_limit")
def power_limit(tmp_path: Path) -> Seen:
    bench = Bench()
    heavy = np.full((4, 2), 25e6)
    bench.change = lambda s: changed(s, pressure=heavy)
    after, said = first_limited(bench, (0.0, -0.8, 0.8, 0.6), "power_limit")
    bench.change = lambda s: changed(s, pressure=np.full((4, 2), 1e6))
    bench.run(100)
    out = bench.run(100, SWING * 0.3)
    return Seen("limit", after, "power_limit" not in out.safety.alarms and bench.passes(), said)


def altered(**safety: Any) -> Any:
    """The machine with other data of safety."""
    return SPEC.model_copy(update={"safety": SPEC.safety.model_copy(update=safety)})


@row("reach_limit")
def reach_limit(tmp_path: Path) -> Seen:
    space = SPEC.safety.workspace.model_copy(update={"radius": 8.0})
    bench = Bench(spec=altered(workspace=space))
    away = (0.0, 0.2, -0.5, 0.0)
    after, said = first_limited(bench, away, "reach_limit")
    trace = drive(bench, away, 600)
    root = np.array(SPEC.joints["swing_joint"].origin)[:2]
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
    after, said = first_limited(bench, away, "tip_over")
    trace = drive(bench, away, 500)
    margins = [side_margin(q, 1500.0, 0.12) for q in trace]
    assert min(margins) >= SPEC.safety.stability_margin - 0.02, min(margins)
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
    after, said = first_limited(bench, curl, "self_collision")
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
    after, said = first_limited(bench, 0.5 * SWING, "keep_out")
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
