"""From a log to the numbers of a machine's functions: what it tells, and what it does not."""

from __future__ import annotations

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_machines.errors import MachineError
from kuwa_machines.spec import LoadSensing, MachineSpec
from kuwa_policies.identification.drift import leakage
from kuwa_policies.identification.fit import Fit, Objective, fit
from kuwa_policies.identification.joint_log import JointLog, LogError, checked
from kuwa_policies.identification.model import Function, MachineModel, changed
from kuwa_policies.identification.result import Estimate, FunctionResult, Identification
from kuwa_policies.identification.start import dead_time_profile, first_guess
from kuwa_policies.identification.velocity import usable
from kuwa_policies.identification.windows import BLOCK, NEUTRAL, Activity, Stretch

FITTED = (
    "dead_time", "dead_band", "curve", "time_constant", "max_flow_positive", "max_flow_negative",
)  # fmt: skip
LEAST_LEVELS = 3
"""Distinct commands that move the joint, below which a curve has no shape."""
LEVEL = 0.02
"""Commands closer than this count as one level."""
LEAST_MOTION = 0.01
"""A function that moved less has shown nothing [rad]."""
WIDEST = 0.5
"""An interval wider than ± this share of its value says that the log does not tell the value."""
LONGEST_COMBINED = 60.0


def identify(log: JointLog, spec: MachineSpec) -> Identification:
    """Estimate every function of a machine from a log.

    Raises:
        LogError: the log cannot be used, or no function moved in it.
        MachineError: the machine's circuit is another than the model's.
    """
    if not isinstance(spec.hydraulics, LoadSensing):
        raise MachineError(
            f"{spec.name}: hydraulics.type: {spec.hydraulics.type}; identification knows "
            "load_sensing only: with open-centre valves flow depends on load"
        )
    log, notes = checked(log, spec)
    model = MachineModel(spec)
    if log.qd is not None:
        log, remark = usable(log)
        notes += [remark] if remark else []
    activity = Activity(log)
    drifts = [leakage(activity, model, j) for j in range(len(model.names))]
    others = [
        changed(f, leakage=estimate.value)
        for f, (estimate, _) in zip(model.prior, drifts, strict=True)
    ]
    results: dict[str, FunctionResult] = {}
    for j, name in enumerate(model.names):
        estimate, drift = drifts[j]
        results[name] = _function(log, activity, model, j, others, estimate, drift)
        others[j] = results[name].function
    if not any(result.estimates[key].identified for result in results.values() for key in FITTED):
        reasons = "; ".join(f"{r.name}: {r.remarks[0]}" for r in results.values())
        raise LogError(f"{log.source}: nothing can be identified. {reasons}")
    combined, rms = _combined(log, activity, model, others)
    return Identification(spec.name, log.source, log.seconds, results, tuple(notes), combined, rms)


def _function(
    log: JointLog, activity: Activity, model: MachineModel, j: int, others: list[Function],
    drift: Estimate, drifts: Array,
) -> FunctionResult:  # fmt: skip
    name, prior = model.names[j], others[j]
    remarks: list[str] = []
    stretches = activity.stretches(model, j, alone=True)
    problem = _no_motion(log, stretches, j)
    if problem:
        together = activity.stretches(model, j, alone=False)
        if together and not _no_motion(log, together, j):
            stretches, problem = together, ""
            remarks.append("it never moved alone: intervals leave out what the others add")
    if problem:
        return _kept(name, prior, drift, drifts, problem)
    guess, _ = first_guess(log, stretches, model, j)
    moved, reasons = _directions(log, stretches, guess, j)
    if not any(moved):
        return _kept(name, prior, drift, drifts, "no command was larger than the dead band")
    gains = (guess.max_flow_negative, guess.max_flow_positive)
    if any(gain < 0 for gain, there in zip(gains, moved, strict=True) if there):
        raise LogError(
            f"{log.source}: {name} moves against its command; a positive command must move the "
            "joint positively: check the sign of the column"
        )
    objective = Objective(log, stretches, model, j, others)
    start = _within(guess, prior, moved)
    start, profile = dead_time_profile(objective, start)
    found, kept = _fit(objective, start, prior, reasons)
    estimates = {}
    for key in FITTED:
        if key in kept:
            estimates[key] = Estimate.kept(getattr(prior, key), kept[key])
        else:
            low, high = found.intervals[key]
            estimates[key] = Estimate(
                getattr(found.function, key), max(low, 0.0), high, getattr(prior, key)
            )
    estimates["leakage"] = drift
    left, speed = objective.errors(found.function)
    measured = objective.about_mean()
    return FunctionResult(
        name, estimates, found.function, tuple(remarks), profile, drifts,
        _trace(log, objective, found.function, j), float(np.sqrt(np.mean(left**2))),
        float(np.sqrt(np.mean(speed**2))) if log.qd is not None else float("nan"),
        1.0 - float(left @ left) / float(measured @ measured),
        float(sum(log.t[s.rows[-1]] - log.t[s.rows[0]] for s in stretches)),
    )  # fmt: skip


def _fit(
    objective: Objective, start: Function, prior: Function, reasons: dict[str, str]
) -> tuple[Fit, dict[str, str]]:
    """Fit, keep what the log does not tell at its prior, and fit the rest again."""
    kept = dict(reasons)
    while True:
        start = changed(start, **{key: getattr(prior, key) for key in kept})
        found = fit(objective, start, tuple(key for key in FITTED if key not in kept))
        worst, share = "", WIDEST
        for key, (low, high) in found.intervals.items():
            if key in FITTED:
                value = abs(getattr(found.function, key))
                wide = (high - low) / 2 / max(value, 0.02 if key == "dead_band" else 1e-9)
                if key in found.at_bound:
                    # A dead band or dead time of nothing is a finding, not a failure.
                    wide = wide if value == 0.0 or key == "curve" else np.inf
                if wide > share:
                    worst, share = key, wide
        if not worst or len(kept) == len(FITTED) - 1:
            return found, kept
        kept[worst] = (
            "the fit ends at its bound" if np.isinf(share) else f"known to ± {share:.0%} only"
        )
        start = found.function


def _no_motion(log: JointLog, stretches: list[Stretch], j: int) -> str:
    if not stretches:
        most = float(np.nanmax(np.abs(log.command[:, j])))
        if most <= NEUTRAL:
            return f"never commanded (at most {most:.3f}; more than {NEUTRAL} moves a valve)"
        return "never commanded from rest for long enough; begin with 1 s of zero command"
    rows = np.concatenate([s.rows for s in stretches])
    span = float(np.nanmax(log.q[rows, j]) - np.nanmin(log.q[rows, j]))
    if span < LEAST_MOTION:
        most = float(np.nanmax(np.abs(log.command[:, j])))
        return (
            f"commanded up to {most:.2f}, moved {span:.4f} rad: no motion (lock lever, pilot "
            "pressure, another joint's column?)"
        )
    return ""


def _directions(
    log: JointLog, stretches: list[Stretch], guess: Function, j: int
) -> tuple[tuple[bool, bool], dict[str, str]]:
    """Return whether each direction was moved (negative, positive), and what cannot be told."""
    u = np.concatenate([s.window.command[:, j] for s in stretches])
    counts = []
    for sign in (-1.0, 1.0):
        beyond = sign * u[sign * u > guess.dead_band]
        counts.append(len(np.unique(np.round(beyond / LEVEL))))
    reasons = {}
    for count, word in zip(counts, ("negative", "positive"), strict=True):
        if count == 0:
            reasons[f"max_flow_{word}"] = f"never moved in the {word} direction"
    if max(counts) < LEAST_LEVELS:
        for key in ("dead_band", "curve"):
            reasons[key] = f"{max(counts)} levels of command; {LEAST_LEVELS} are needed"
    return (counts[0] > 0, counts[1] > 0), reasons


def _within(guess: Function, prior: Function, moved: tuple[bool, bool]) -> Function:
    """Return the guess with max flows near enough to the prior to start from."""
    flows = {}
    for key, there in zip(("max_flow_negative", "max_flow_positive"), moved, strict=True):
        claimed = float(getattr(prior, key))
        ratio = float(getattr(guess, key)) / claimed if there else 1.0
        flows[key] = claimed * float(np.clip(ratio, 0.15, 4.0))
    return changed(guess, leakage=prior.leakage, **flows)


def _kept(name: str, prior: Function, drift: Estimate, drifts: Array, why: str) -> FunctionResult:
    estimates = {key: Estimate.kept(getattr(prior, key), why) for key in FITTED}
    nan = float("nan")
    return FunctionResult(
        name, estimates | {"leakage": drift}, prior, (why,), np.empty((0, 2)), drifts,
        np.empty((0, 6)), nan, nan, nan, 0.0,
    )  # fmt: skip


def _trace(log: JointLog, objective: Objective, function: Function, j: int) -> Array:
    """Return time, command, measured and modelled q, measured and modelled q̇, shape (N, 6)."""
    _, qd = objective.motion(function)
    left, _ = objective.errors(function)
    rows = np.concatenate([s.rows for s in objective.stretches])
    t = log.t[rows]
    at = np.searchsorted(log.t_command, t, side="right") - 1
    measured = np.full(len(t), np.nan) if objective.qd is None else objective.qd
    # The model about the mean of each block, as it is compared.
    model = np.where(objective.good, objective.q - left, np.nan)
    return np.column_stack([t, log.command[at, j], objective.q, model, measured, qd])


def _combined(
    log: JointLog, activity: Activity, model: MachineModel, found: list[Function]
) -> tuple[Array, Array]:
    """Return a stretch in which several functions moved, against the model that never saw it."""
    n = len(model.names)
    nothing = np.empty((0, 1 + 2 * n)), np.full(n, np.nan)
    together = activity.busy.sum(1) > 1
    if not together.any():
        return nothing
    first = int(np.argmax(together))
    quiet = np.flatnonzero(activity.since[:first].min(1) > 1.0) if first else np.empty(0, int)
    if not quiet.size:
        return nothing
    a = int(quiet[-1])
    b = int(np.searchsorted(log.t, log.t[a] + LONGEST_COMBINED))
    gap = np.flatnonzero(np.diff(log.t[a:b]) > 0.5)
    b = a + int(gap[0]) if gap.size else b
    rows = np.arange(a, min(b, len(log.t)))
    if len(rows) < 10:
        return nothing
    feels = changed(found[0], ground=float(np.exp(np.mean([np.log(f.ground) for f in found]))))
    t, q, _ = model.simulate(activity.window(model, rows), found, feels)
    modelled = np.stack([np.interp(log.t[rows], t, column) for column in q.T], axis=1)
    left = log.q[rows] - modelled
    block = np.floor((log.t[rows] - log.t[rows[0]]) / BLOCK).astype(int)
    for k in np.unique(block):
        left[block == k] -= np.nanmean(left[block == k], axis=0)
    return (
        np.column_stack([log.t[rows], log.q[rows], modelled]),
        np.sqrt(np.nanmean(left**2, axis=0)),
    )
