"""Identification finds what made a log, and says what a log does not tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from identification_rig import synthetic
from kuwa_machines import MachineError, load_machine
from kuwa_policies.identification import Identification, JointLog, LogError, identify
from kuwa_policies.identification.model import MachineModel, changed

SPEC = load_machine("ic120")
NAME = "vessel_pin_joint"
CLAIMED = MachineModel(SPEC).prior[0]
TRUTH = changed(
    CLAIMED,
    dead_time=0.322,
    dead_band=0.071,
    curve=1.5,
    time_constant=0.08,
    max_flow_positive=1.3 * CLAIMED.max_flow_positive,
    max_flow_negative=0.7 * CLAIMED.max_flow_negative,
)
FITTED = (
    "dead_time", "dead_band", "curve", "time_constant", "max_flow_positive", "max_flow_negative",
)  # fmt: skip


@pytest.fixture(scope="module")
def log() -> JointLog:
    return synthetic(SPEC, [TRUTH], 180.0)


def worst(found: Identification, keys: tuple[str, ...] = FITTED) -> float:
    estimates = found.functions[NAME].estimates
    assert all(estimates[key].identified for key in keys), found.functions[NAME]
    return max(abs(estimates[key].value / getattr(TRUTH, key) - 1) for key in keys)


def test_it_finds_what_made_the_log_and_its_intervals_hold(log: JointLog) -> None:
    found = identify(log, SPEC)
    assert worst(found) < 0.03
    for key in FITTED:
        estimate = found.functions[NAME].estimates[key]
        reach = (estimate.high - estimate.low) / 2
        assert abs(estimate.value - getattr(TRUTH, key)) <= 1.5 * reach
    assert found.functions[NAME].explained > 0.99


def test_the_same_log_gives_the_same_bits(log: JointLog) -> None:
    a, b = (identify(log, SPEC).functions[NAME].function for _ in range(2))
    assert a == b


def test_positions_alone_are_enough(log: JointLog) -> None:
    found = identify(replace(log, qd=None), SPEC)
    assert worst(found) < 0.05


def test_irregular_stamps_and_missing_samples_do_no_harm(log: JointLog) -> None:
    rng = np.random.default_rng(1)
    rows = np.flatnonzero(rng.random(len(log.t)) > 0.3)
    t = log.t[rows] + 1e-9
    q = log.q[rows].copy()
    q[rng.random(q.shape) < 0.1] = np.nan
    q[500] += 0.3  # A spike.
    found = identify(replace(log, t=t, q=q, qd=log.qd[rows]), SPEC)  # type: ignore[index]
    assert worst(found) < 0.05
    assert any("positions missing" in remark for remark in found.remarks)
    assert any("jump alone" in remark for remark in found.remarks)


def test_a_gap_is_left_out(log: JointLog) -> None:
    keep = (log.t < 70) | (log.t > 82)
    command = log.command.copy()
    command[(log.t > 120) & (log.t < 121)] = np.nan
    found = identify(
        replace(log, t=log.t[keep], q=log.q[keep], qd=log.qd[keep], command=command),  # type: ignore[index]
        SPEC,
    )
    assert worst(found) < 0.05
    t = found.functions[NAME].trace[:, 0]
    assert not np.any((t > 70) & (t < 82)) and not np.any((t > 120.01) & (t < 121))


def test_a_velocity_that_is_late_is_not_used(log: JointLog) -> None:
    assert log.qd is not None
    late = np.roll(log.qd, 5, axis=0)
    found = identify(replace(log, qd=late), SPEC)
    assert any(" ms late" in remark for remark in found.remarks)
    assert worst(found) < 0.05


def steps(level: Callable[[int], float]) -> Callable[[float], np.ndarray]:
    """A step of 0.6 s every 4 s, the k-th of height level(k); no hold before that would show."""
    return lambda t: np.array([level(int(t / 4)) if 1.0 < t % 4 < 1.6 else 0.0])


def test_a_direction_that_never_moved_keeps_its_data() -> None:
    levels = (0.12, 0.2, 0.3, 0.4)
    log = synthetic(SPEC, [TRUTH], 40.0, script=steps(lambda k: -levels[k % 4]))
    estimates = identify(log, SPEC).functions[NAME].estimates
    assert not estimates["max_flow_positive"].identified
    assert "positive direction" in estimates["max_flow_positive"].remark
    assert estimates["max_flow_positive"].value == CLAIMED.max_flow_positive
    assert estimates["dead_time"].value == pytest.approx(TRUTH.dead_time, rel=0.03)


def test_one_level_shows_no_curve() -> None:
    log = synthetic(SPEC, [TRUTH], 40.0, script=steps(lambda k: 0.3 if k % 2 else -0.3))
    estimates = identify(log, SPEC).functions[NAME].estimates
    assert estimates["curve"].remark == estimates["dead_band"].remark != ""
    assert estimates["dead_time"].value == pytest.approx(TRUTH.dead_time, rel=0.03)


def still(log: JointLog) -> JointLog:
    return replace(log, q=np.repeat(log.q[:1], len(log.q), 0), qd=None)


def edited(log: JointLog, field: str, row: int, value: float) -> JointLog:
    array = getattr(log, field).copy()
    array[row] = value
    return replace(log, **{field: array})


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda g: replace(g, joints=("vesel_pin_joint",)), "did you mean 'vessel_pin_joint'"),
        (lambda g: replace(g, joints=("sprocket_left_joint",)), "'vessel_pin_joint' 0 times"),
        (lambda g: replace(g, q=np.degrees(g.q)), "degrees"),
        (lambda g: replace(g, q=g.q[:-1]), "shape"),
        (lambda g: edited(g, "t", 900, g.t[300]), "step back"),
        (lambda g: edited(g, "command", 700, -4.0), "-4 at 7.000 s"),
        (lambda g: replace(g, command=100 * g.command), "divide by 100"),
        (lambda g: replace(g, q=np.full_like(g.q, np.nan)), "are no number"),
        (lambda g: replace(g, command=np.full_like(g.command, np.nan)), "are no number"),
        (lambda g: replace(g, t=g.t / 10, t_command=g.t_command / 10), "18.0 s of joint states"),
        (lambda g: replace(g, t=g.t * 10, t_command=g.t_command * 10), "10.0 Hz"),
        (lambda g: replace(g, command=0 * g.command), "never commanded"),
        (still, "no motion"),
        (lambda g: replace(g, command=-g.command), "against its command"),
    ],
)
def test_a_log_that_cannot_be_used_is_refused(
    log: JointLog, spoil: Callable[[JointLog], JointLog], says: str
) -> None:
    kept = log.q.copy(), log.command.copy()
    with pytest.raises(LogError, match=says):
        identify(spoil(log), SPEC)
    assert np.array_equal(kept[0], log.q) and np.array_equal(kept[1], log.command)


def test_noise_alone_is_no_motion(log: JointLog) -> None:
    rng = np.random.default_rng(2)
    with pytest.raises(LogError, match="no motion"):
        identify(
            replace(still(log), q=still(log).q + 1e-4 * rng.standard_normal(log.q.shape)), SPEC
        )


def test_drift_at_rest_gives_the_leakage() -> None:
    truth = changed(TRUTH, leakage=3e-12)
    log = synthetic(SPEC, [truth], 180.0)
    estimate = identify(log, SPEC).functions[NAME].estimates["leakage"]
    assert estimate.identified
    assert estimate.value == pytest.approx(3e-12, rel=0.1)


def test_a_circuit_that_the_model_does_not_know_is_refused(log: JointLog) -> None:
    with pytest.raises(MachineError, match=r"zx200_nfc: hydraulics.type: negative_flow"):
        identify(log, load_machine("zx200_nfc"))
