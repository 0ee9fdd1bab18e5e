"""Checks of a guided motion: order, sign, scale, dead time, and that nothing else moved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kuwa_hardware.preflight.pulses import Answer, Mover, together
from kuwa_hardware.preflight.results import Check, judged, skipped, tolerance
from kuwa_machines.spec import MachineSpec

TRAVEL_FACTOR = 1.8
"""The scale of travel drives is known no better: the ground decides how hard they turn."""
_DEG = 180.0 / np.pi


def moved_checks(
    mover: Mover, answers: Mapping[int, Sequence[Answer]], spec: MachineSpec, ideal: bool
) -> Iterator[Check]:
    """Yield all checks of one mover.

    Args:
        answers: joint → its answers, one a direction.
        ideal: a mock, whose joints know no valves: its scale and dead time mean nothing.
    """
    for joint in mover.joints:
        yield from _one(joint, mover, answers[joint], spec, ideal)


def _one(
    joint: int, mover: Mover, answers: Sequence[Answer], spec: MachineSpec, ideal: bool
) -> Iterator[Check]:
    name = spec.joint_names[joint]
    noise = 6.0 * float(np.hypot(spec.sensors.encoders.position.noise,
                                 spec.sensors.encoders.position.quantisation))  # fmt: skip
    frozen = all(a.frozen for a in answers)
    yield judged("frozen", not frozen, "the same to the last bit" if frozen else "alive", "alive",
                 name)  # fmt: skip
    ways = [abs(a.moved) for a in answers]
    wanted = [abs(a.wanted) for a in answers]
    if min(wanted) < noise:
        # Say so rather than divide by it: the model went nowhere under what was let through.
        why = "the gate let too little of the command through"
        yield judged("moves", False, f"{_DEG * max(ways):.2f}°", f"a motion, but {why}", name)
        for check in ("order", "others", "sign", "scale", "dead_time", "velocity"):
            yield skipped(check, why, name)
        return
    share = max(w / m for w, m in zip(ways, wanted, strict=True))
    moves = share >= tolerance("moves") * (1.0 if not mover.travel else 0.2) and max(ways) > noise
    yield judged("moves", moves, f"{_DEG * max(ways):.2f}°", f"{_DEG * max(wanted):.2f}°", name,
                 value=share, allowed="at least 25 %")  # fmt: skip
    yield from _neighbours(joint, mover, answers, spec, noise)
    if not moves:
        why = "it did not move"
        for check in ("sign", "scale", "dead_time", "velocity"):
            yield skipped(check, why, name)
        return
    signs = [a.moved * a.wanted > 0.0 for a in answers]
    yield judged("sign", all(signs), ", ".join(f"{_DEG * a.moved:+.2f}°" for a in answers),
                 ", ".join(f"{_DEG * a.wanted:+.2f}°" for a in answers), name)  # fmt: skip
    yield from _fitted(mover, answers, name, spec, joint, ideal)
    velocity = float(np.median([a.velocity for a in answers]))
    good = abs(velocity - 1.0) <= tolerance("velocity")
    yield judged("velocity", good, f"{velocity:.2f} ×", "1 ×", name, value=velocity)


def _neighbours(
    joint: int, mover: Mover, answers: Sequence[Answer], spec: MachineSpec, noise: float
) -> Iterator[Check]:
    name = spec.joint_names[joint]
    strangers = [j for j in range(len(spec.joints)) if j not in mover.joints]
    if not strangers:
        return
    others = np.max([a.others for a in answers], axis=0)
    worst = max(strangers, key=lambda j: float(others[j]))
    other, way = spec.joint_names[worst], float(others[worst])
    own = max(abs(a.moved) for a in answers)
    wanted = max(abs(a.wanted) for a in answers)
    led = way > tolerance("order") * own and way > 3.0 * noise
    yield judged("order", not led, other if led else name, name, name, other=other,
                 allowed="nothing else by half as much")  # fmt: skip
    allowed = tolerance("others") * wanted + noise
    yield judged(
        "others", way <= allowed, f"{other} {_DEG * way:.2f}°", "0°", name, other=other, value=way,
        allowed=f"at most {_DEG * allowed:.2f}°",
    )  # fmt: skip


def _fitted(
    mover: Mover, answers: Sequence[Answer], name: str, spec: MachineSpec, joint: int, ideal: bool
) -> Iterator[Check]:
    if ideal:
        yield skipped("scale", "a mock has no valves", name)
        yield skipped("dead_time", "a mock has no valves", name)
        return
    scale, delay = together(answers)
    factor = TRAVEL_FACTOR if mover.travel else 1.0 + tolerance("scale")
    good = 1.0 / factor <= abs(scale) <= factor
    hint = ", as if degrees were taken for radians" if 40.0 < abs(scale) < 80.0 else ""
    yield judged("scale", good, f"{scale:.2f} × the model{hint}", "1 ×", name, value=scale,
                 allowed=f"a factor of {factor:g}")  # fmt: skip
    dead = float(spec.dead_time[joint])
    allowed = tolerance("dead_time") + 0.1 * dead
    yield judged(
        "dead_time", abs(delay) <= allowed, f"{1e3 * (dead + delay):.0f} ms",
        f"{1e3 * dead:.0f} ms", name, value=delay, allowed=f"± {1e3 * allowed:.0f} ms",
    )  # fmt: skip
