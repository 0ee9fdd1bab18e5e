"""What the tuning guide proposes is what then comes: rates, resolution, no oscillation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kuwa_cli.main import build
from kuwa_machines.errors import KuwaError
from kuwa_policies.control.adaptive.feedforward import AdaptiveFeedforward
from kuwa_policies.control.adaptive.proposal import MOST_LEAK_DT, Proposal, propose
from kuwa_policies.ebn.stats import figures

T = 1e-3


def motion(speed: float, seconds: float = 10.0) -> np.ndarray:
    """Angle, velocity and acceleration of two joints that swing, shape (T, 6)."""
    t = np.arange(0.0, seconds, T)[:, None]
    w = speed * np.array([1.0, 1.4])
    return np.concatenate([np.sin(w * t), w * np.cos(w * t), -(w**2) * np.sin(w * t)], axis=1)


def used(found: Proposal, z: np.ndarray) -> tuple[float, float]:
    """Return the mean rate [Hz] and the RMS error of the encoded inputs, in their scale."""
    f = AdaptiveFeedforward(found.settings)
    errors = []
    for row in z:
        f.step(row, np.zeros(2), learn=False)
        x = f.network.p.D[:6] @ f.network.r
        errors.append(x - row / found.settings.input_scale)
    rms = float(np.sqrt(np.mean(np.square(errors[1000:]))))
    return figures(f.network.activity, found.settings.dt).mean_rate, rms


@pytest.mark.parametrize("speed", [0.7, 2.0, 4.0])
def test_rate_and_resolution_are_as_promised(speed: float) -> None:
    z = motion(speed, 6.0)
    found = propose(z, T, (1.0, 1.0))
    rate, error = used(found, z)
    assert rate == pytest.approx(found.rate, rel=0.25)
    assert error < found.resolution


def test_fewer_hertz_or_neurons_are_coarser() -> None:
    z = motion(2.0)
    plain = propose(z, T, (1.0, 1.0), neurons=200)
    assert propose(z, T, (1.0, 1.0), 7.5, neurons=200).resolution > 1.9 * plain.resolution
    assert propose(z, T, (1.0, 1.0), neurons=100).resolution > 1.9 * plain.resolution


def test_faster_signals_ask_for_a_faster_leak_and_dead_time_for_patience() -> None:
    slow, fast = (propose(motion(s), T, (1.0, 1.0)) for s in (2.0, 4.0))
    assert fast.settings.leak == pytest.approx(2.0 * slow.settings.leak, rel=0.05)
    late = propose(motion(2.0), T, (1.0, 1.0), dead_time=0.5)
    assert late.learning < 0.1 * slow.learning


def test_learning_at_the_proposed_rate_does_not_oscillate() -> None:
    """A lasting error of one is learnt without overshoot, behind the lag that was counted on."""
    found = propose(motion(2.0), T, (1.0, 1.0))
    f = AdaptiveFeedforward(replace(found.settings, dead_zone=0.0))
    y, outputs = np.zeros(2), []
    for _ in range(2000):
        y = f.step(np.array([0.5, -0.5, 0.2, 0.2, 0.0, 0.0]), 1.0 - y)
        outputs.append(y[0])
    assert max(outputs) < 1.3
    assert np.mean(outputs[-500:]) == pytest.approx(1.0, abs=0.1)


def test_what_cannot_be_had_is_said() -> None:
    found = propose(motion(40.0), T, (1.0, 1.0), rate_budget=2.0, neurons=40)
    assert found.settings.leak == pytest.approx(MOST_LEAK_DT / T)
    assert len(found.notes) == 3


@pytest.mark.parametrize(
    ("z", "change", "says"),
    [
        (np.zeros((200, 2)), {}, "never move"),
        (np.full((200, 2), np.nan), {}, "whole samples"),
        (np.ones(5), {}, "shape"),
        (motion(1.0), {"rate_budget": 0.0}, "rate budget"),
        (motion(1.0), {"period": float("nan")}, "period"),
    ],
)
def test_data_that_say_nothing_are_refused(z: np.ndarray, change: dict, says: str) -> None:
    with pytest.raises(KuwaError, match=says):
        propose(**{"z": z, "period": T, "output_scale": (1.0,)} | change)


@given(
    speed=st.floats(0.01, 100.0), budget=st.floats(0.5, 100.0), period=st.floats(1e-3, 0.1),
    dead_time=st.floats(0.0, 2.0),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_every_proposal_is_a_network(
    speed: float, budget: float, period: float, dead_time: float
) -> None:
    found = propose(motion(speed, 2.0), period, (1.0, 1.0), budget, dead_time=dead_time)
    assert found.settings.parameters().neurons <= 200


def test_the_command_reads_a_log(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    t = np.arange(0.0, 40.0, 0.01)
    rows = np.stack([t, np.zeros_like(t), np.sin(t), 0 * t, 0.5 * np.cos(1.3 * t)], axis=1)
    np.savetxt(path, rows, delimiter=",", comments="",
               header="stamp,boom_command,boom_q,arm_command,arm_q")  # fmt: skip
    result = CliRunner().invoke(build(["tune"]), ["tune", str(path), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output)
    assert found["settings"]["period"] == pytest.approx(0.01)
    assert found["settings"]["input_scale"][0] == pytest.approx(1.0, abs=0.02)
    shown = CliRunner().invoke(build(["tune"]), ["tune", str(path)])
    assert "λ" in shown.output
