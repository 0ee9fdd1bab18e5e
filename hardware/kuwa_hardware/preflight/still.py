"""Checks of a machine that stands still in mode ready: what its sensors say, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_hardware.preflight.results import Check, judged, skipped, tolerance
from kuwa_hardware.preflight.weights import GRAVITY, Weights
from kuwa_machines.contracts import Array
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, MachineSpec

LEAST_PRESSURE = 2e4
"""Tank pressure is above this: what is below on every port is another unit [Pa]."""
_DEG = 180.0 / np.pi


@dataclass(frozen=True, slots=True)
class Window:
    """States as they came while the machine stood still.

    Args:
        names: joint names as the driver gives them.
        now: steady times of receipt, shape (k,) [s].
        stamp: of the states, shape (k,) [s]. age: at receipt, where clocks can be compared,
            else NaN, shape (k,) [s].
        q, qd: shape (k, n). pressure: shape (k, n, 2).
        acceleration: shape (k, 3). quaternion_wxyz: shape (k, 4).
    """

    names: tuple[str, ...]
    now: Array
    stamp: Array
    age: Array
    q: Array
    qd: Array
    pressure: Array
    acceleration: Array
    quaternion_wxyz: Array


def still_checks(
    w: Window, spec: MachineSpec, *, simulated: bool, ideal: bool = False
) -> Iterator[Check]:
    """Yield all checks of a window.

    Args:
        simulated: the clock of the states is not the wall's.
        ideal: a mock: sensors without noise, no pressures.
    """
    yield _names(w, spec)
    bad = ~np.isfinite(np.concatenate([w.q, w.qd])).all(axis=0)
    yield judged("finite", not bad.any(), _listed(spec, bad) or "all", "all", _listed(spec, bad))
    if len(w.stamp) < 3:
        yield judged("rate", False, f"{len(w.stamp)} states", "a stream of states")
        return
    yield from _times(w, spec, simulated)
    if not bad.any():
        yield from _positions(w, spec, ideal)
    yield from _attitude(w, spec)
    if ideal:
        yield skipped("pressure", "a mock has no oil")
    else:
        yield from _pressures(w, spec)


def _names(w: Window, spec: MachineSpec) -> Check:
    good = sorted(w.names) == sorted(spec.joint_names)
    wanted = ", ".join(spec.joint_names)
    return judged("names", good, ", ".join(w.names), wanted, joints=wanted)


def _times(w: Window, spec: MachineSpec, simulated: bool) -> Iterator[Check]:
    wanted = spec.sensors.encoders.rate
    new = np.flatnonzero(np.diff(w.stamp) > 0.0)
    span = float(w.stamp[-1] - w.stamp[0])
    rate = len(new) / span if span > 0.0 else 0.0
    good = abs(rate - wanted) <= tolerance("rate") * wanted
    yield judged("rate", good, f"{rate:.1f} Hz", f"{wanted:.0f} Hz", value=rate)
    gap = float(np.diff(w.stamp).max()) * wanted
    yield judged("jitter", gap <= tolerance("jitter"), f"longest {gap:.1f} periods", "1 period",
                 value=gap)  # fmt: skip
    if simulated:
        yield skipped("clock", "a simulated machine has a clock of its own")
        yield skipped("latency", "a simulated machine has a clock of its own")
        return
    passed = float(w.now[-1] - w.now[0])
    ratio = span / passed if passed > 0.0 else 0.0
    yield judged("clock", abs(ratio - 1.0) <= tolerance("clock"), f"{ratio:.3f} s/s", "1 s/s",
                 value=ratio)  # fmt: skip
    age = float(np.median(w.age))
    if not np.isfinite(age) or abs(age) > 3600.0:
        yield skipped("latency", "the machine's stamps are not of this computer's clock")
    else:
        yield judged("latency", -0.02 <= age <= tolerance("latency"), f"{1e3 * age:.0f} ms",
                     "0 ms", value=age)  # fmt: skip


def _positions(w: Window, spec: MachineSpec, ideal: bool) -> Iterator[Check]:
    q = w.q.mean(axis=0)
    slack = tolerance("range")
    for j, name in enumerate(spec.joint_names):
        good = spec.q_min[j] - slack <= q[j] <= spec.q_max[j] + slack
        yield judged(
            "range", bool(good), f"{_DEG * q[j]:.1f}°",
            f"{_DEG * spec.q_min[j]:.1f}° to {_DEG * spec.q_max[j]:.1f}°", name, value=float(q[j]),
        )  # fmt: skip
        slope = _slope(w.stamp, w.q[:, j])
        share = max(abs(slope), abs(float(w.qd[:, j].mean()))) / spec.qd_max[j]
        yield judged("rest", share <= tolerance("rest"), f"{100 * share:.2f} % of full speed",
                     "0 %", name, value=share)  # fmt: skip
        if ideal:
            continue
        error = spec.sensors.encoders.position
        wanted = float(np.hypot(error.noise, error.quantisation / np.sqrt(12.0)))
        # From one state to the next, so that a load that sinks does not count.
        noise = float(np.diff(w.q[:, j]).std() / np.sqrt(2.0))
        yield judged(
            "noise", noise <= tolerance("noise") * wanted, f"{_DEG * noise:.4f}°",
            f"{_DEG * wanted:.4f}°", name, value=noise, allowed="at most 4 times",
        )  # fmt: skip


def _attitude(w: Window, spec: MachineSpec) -> Iterator[Check]:
    if not np.isfinite(w.quaternion_wxyz).all():
        yield skipped("attitude", "the driver does not tell the machine's attitude")
        return
    up = _up(w.quaternion_wxyz.mean(axis=0))
    tilt = float(np.arctan2(np.hypot(up[0], up[1]), up[2]))
    length = float(np.linalg.norm(w.quaternion_wxyz, axis=1).mean())
    good = tilt <= tolerance("attitude") and abs(length - 1.0) < 0.01
    yield judged("attitude", good, f"{_DEG * tilt:.1f}°, quaternion of length {length:.3f}", "0°",
                 value=tilt)  # fmt: skip
    if not np.isfinite(w.acceleration).all():
        yield skipped("gravity", "the driver does not tell accelerations")
        return
    mean = w.acceleration.mean(axis=0)
    size = float(np.linalg.norm(mean))
    angle = float(np.arctan2(np.linalg.norm(np.cross(mean, up)), mean @ up))
    good = angle <= tolerance("gravity") and abs(size - GRAVITY) < 0.08 * GRAVITY
    yield judged("gravity", good, f"{size:.2f} m/s², {_DEG * angle:.1f}° off", "9.81 m/s², 0°",
                 value=angle)  # fmt: skip


def _pressures(w: Window, spec: MachineSpec) -> Iterator[Check]:
    worked = [
        j for j, joint in enumerate(spec.joints.values()) if joint.drive.type != "hydrostatic"
    ]
    pressure = w.pressure.mean(axis=0)[worked]
    if spec.sensors.pressures is None or not np.isfinite(pressure).all():
        yield skipped("pressure", "the driver does not tell pressures")
        return
    joints = list(spec.joints.values())
    relief = max(joints[j].oil.relief for j in worked)
    top = float(pressure.max())
    good = LEAST_PRESSURE <= top <= tolerance("pressure") * relief
    yield judged(
        "pressure", good, f"highest port {top:.4g} Pa", f"{LEAST_PRESSURE:.0e} to {relief:.3g} Pa",
        value=top, allowed="above tank, up to 110 % of the relief valve",
    )  # fmt: skip
    if good and np.isfinite(w.q).all():
        yield from _weights(w, spec, worked)


def _weights(w: Window, spec: MachineSpec, worked: list[int]) -> Iterator[Check]:
    q = w.q.mean(axis=0)
    sensor = spec.sensors.pressures
    assert sensor is not None
    gravity = Weights(spec).at(q)[1]
    for j in worked:
        name, joint = spec.joint_names[j], list(spec.joints.values())[j]
        drive = joint.drive
        if not isinstance(drive, CylinderDrive):
            continue
        stopped = min(q[j] - spec.q_min[j], spec.q_max[j] - q[j]) < 0.05
        arm = float(lever_arm(drive.linkage, np.array([q[j]]))[0])
        # What a bias of both transmitters, three times its usual size, makes of the torque.
        unsure = 3.0 * sensor.bias * abs(arm) * (drive.head_area + drive.rod_area)
        if stopped:
            yield skipped("weight", "it rests near its end stop", name)
        elif abs(gravity[j]) < 3.0 * unsure:
            yield skipped("weight", "what hangs on it is too light for the transmitters", name)
        else:
            head, rod = w.pressure.mean(axis=0)[j]
            torque = arm * (head * drive.head_area - rod * drive.rod_area)
            off = abs(torque + gravity[j])
            allowed = tolerance("weight") * abs(gravity[j]) + unsure
            yield judged(
                "weight", bool(off <= allowed), f"{1e-3 * torque:.1f} kN·m",
                f"{-1e-3 * gravity[j]:.1f} kN·m", name, value=float(torque),
                allowed=f"± {1e-3 * allowed:.1f} kN·m",
            )  # fmt: skip


def pose_checks(q: Array, spec: MachineSpec, pose: dict[str, float] | None) -> Iterator[Check]:
    """Compare positions with a reference pose that a person has measured or confirmed.

    Args:
        q: measured, shape (n,) [rad]. pose: joint → angle [rad]; None: nobody was there to say.
    """
    for j, name in enumerate(spec.joint_names):
        if not np.isfinite(spec.q_max[j]):
            continue
        if pose is None or name not in pose:
            yield skipped("pose", "nobody has measured or confirmed where it stands", name)
            continue
        off = float(q[j] - pose[name])
        yield judged(
            "pose", abs(off) <= tolerance("pose"), f"{_DEG * q[j]:.1f}°",
            f"{_DEG * pose[name]:.1f}°", name, value=off, delta=f"{-_DEG * off:+.1f}",
        )  # fmt: skip


def limit_checks(spec: MachineSpec, file: MachineSpec) -> Iterator[Check]:
    """Compare the limits in force with the machine's file, and both with the linkages.

    A cylinder that reached its linkage's dead centre could not move the joint back.

    Args:
        spec: with the numbers that the stack runs with. file: the machine's own.
    """
    for name, joint in spec.joints.items():
        own = file.joints[name].position
        off = max(_apart(joint.position.min, own.min), _apart(joint.position.max, own.max))
        good = off <= tolerance("limits")
        words = f"{_DEG * joint.position.min:.1f}° to {_DEG * joint.position.max:.1f}°"
        if isinstance(joint.drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 65)
            length, arm = joint.drive.linkage.length(q), lever_arm(joint.drive.linkage, q)
            good = good and bool((arm > 0).all() or (arm < 0).all())
            words += f", cylinder {length.min():.2f} to {length.max():.2f} m"
        yield judged(
            "limits", good, words, f"{_DEG * own.min:.1f}° to {_DEG * own.max:.1f}°", name,
            value=off,
        )  # fmt: skip


def _apart(a: float, b: float) -> float:
    return 0.0 if a == b else abs(a - b)


def _listed(spec: MachineSpec, which: NDArray[np.bool_]) -> str:
    return ", ".join(n for n, hit in zip(spec.joint_names, which, strict=True) if hit)


def _slope(t: Array, y: Array) -> float:
    t = t - t.mean()
    return float((t @ (y - y.mean())) / max(float(t @ t), 1e-12))


def _up(quaternion: Array) -> Array:
    """Return the world's upward direction in the frame that the quaternion turns, shape (3,).

    It is as long as the square of the quaternion.
    """
    w, x, y, z = quaternion
    return np.array([2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z])
