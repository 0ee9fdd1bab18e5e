"""Networks that cannot be are refused by name; what is drawn is as it says; files are checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebn_backends import parameters
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites, with_constant
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.save import restore, save
from kuwa_policies.ebn.stats import figures
from kuwa_policies.ebn.watch import count, remember


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"D": np.ones(3)}, "decoders D have shape"),
        ({"D": np.full((3, 40), np.nan)}, "D has values"),
        ({"D": np.zeros((3, 40))}, "all zeros"),
        ({"M": np.ones((12, 4))}, "dendrites M have shape"),
        ({"theta": np.ones(11)}, "dendrites M have shape"),
        ({"dendrite": "sigmoid"}, "no dendrite 'sigmoid'"),
        ({"max_spikes": 0}, "max_spikes"),
        ({"leak": -1.0}, "leak is -1"),
        ({"leak": np.nan}, "leak is nan"),
        ({"leak": 1000.0}, "dt 0.001 s times leak 1000"),
        ({"dt": 0.0}, "dt 0 s times leak"),
        ({"mu": np.inf}, "mu is inf"),
        ({"noise": -0.1}, "noise is"),
        ({"eta": np.inf}, "eta is inf"),
        ({"w_max": np.nan}, "w_max is nan"),
        ({"slow_tau": 1e-4}, "slow_tau 0.0001 s"),
        ({"mu": -1}, "mu is -1"),
        ({"eta": np.float32(np.nan)}, "eta is nan"),
        ({"max_spikes": 1.5}, "max_spikes is 1.5"),
        ({"theta": np.ones((12, 1))}, "theta have shape"),
        ({"M": np.zeros((0, 0))}, "dendrites M have shape"),
    ],
)
def test_a_bad_parameter_is_named(change: dict, says: str) -> None:
    with pytest.raises(KuwaError, match=says):
        dataclasses.replace(parameters(), **change)


@pytest.mark.parametrize("make", [Ebn, FixedEbn, lambda p: Ebn(p, 0, "float32")])
@pytest.mark.parametrize(
    "wrong",
    [
        {"c": np.zeros(1)}, {"c": np.zeros(4)}, {"e": np.zeros(2)}, {"e": np.zeros((3, 1))},
        {"presynaptic": np.zeros(11)}, {"presynaptic": np.zeros(13)},
    ],
)  # fmt: skip
def test_arrays_of_another_size_are_refused_and_nothing_is_read_beyond_them(
    make: Callable[[EbnParameters], Any], wrong: dict
) -> None:
    net = make(parameters())
    with pytest.raises(KuwaError, match="shape"):
        net.step(**({"c": np.zeros(3), "e": np.zeros(3)} | wrong))
    assert net.activity.steps[0] == 0 and not net.Omega_s.any()


def test_thresholds_are_where_a_spike_pays() -> None:
    p = dataclasses.replace(parameters(), mu=0.02, nu=0.03)
    np.testing.assert_allclose(p.thresholds, 0.5 * (0.05 + (p.D**2).sum(axis=0)))


@pytest.mark.parametrize(("J", "N"), [(1, 2), (3, 7), (5, 200)])
def test_decoders_are_of_one_length_and_point_everywhere(J: int, N: int) -> None:
    D = random_decoders(J, N, 0.3, seed=4)
    assert D.shape == (J, N)
    np.testing.assert_allclose(np.linalg.norm(D, axis=0), 0.3)
    # Opposite pairs, so every direction has a neuron that can move x̂ along it.
    directions = np.random.default_rng(0).standard_normal((100, J))
    assert ((directions @ D).max(axis=1) > 0.0).all()
    with pytest.raises(KuwaError, match="cannot carry"):
        random_decoders(4, 7, 0.3, seed=4)


def test_a_constant_signal_is_raised_by_all() -> None:
    D = random_decoders(3, 20, 0.3, seed=4)
    E = with_constant(D, 0.5)
    np.testing.assert_allclose(np.linalg.norm(E, axis=0), 0.3)
    np.testing.assert_allclose(E[-1], 0.5 * 0.3 / np.sqrt(1.25))
    np.testing.assert_allclose(E[:3] / np.linalg.norm(E[:3], axis=0), D / 0.3)


def test_dendrites_read_their_own_group() -> None:
    M, theta = random_dendrites(5, [(0, 1), (3,)], 20, seed=0, gain=2.0, offset=0.5)
    assert M.shape == (40, 5) and theta.shape == (40,)
    assert not M[:20, 2:].any() and not M[20:, [0, 1, 2, 4]].any() and M[:, 4].sum() == 0.0
    assert np.abs(theta).max() <= 1.0


def tampered(path: Path, **changes: object) -> Path:
    """Write the file again with another header or other weights."""
    with np.load(path) as file:
        header, weights = json.loads(str(file["header"])), file["Omega_s"]
    weights = changes.pop("Omega_s", weights)
    other = path.with_name("other.npz")
    np.savez(other, header=np.array(json.dumps(header | changes)), Omega_s=weights)
    return other


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"format": 2}, "format is 2; this network needs 1"),
        ({"signals": 4}, "signals is 4; this network needs 3"),
        ({"neurons": 41}, "neurons is 41; this network needs 40"),
        ({"dendrites": 13}, "dendrites is 13; this network needs 12"),
        ({"drawn": "0"}, "drawn is '0'; this network needs '"),
        ({"weight_unit": "x"}, "weight_unit is 'x'; expected a number"),
        ({"Omega_s": np.zeros((12, 41))}, r"shape \(12, 41\); expected \(12, 40\)"),
        ({"Omega_s": np.full((12, 40), np.nan)}, "not finite"),
    ],
)
def test_a_file_of_another_network_is_refused(tmp_path: Path, changes: dict, says: str) -> None:
    net = Ebn(parameters())
    net.Omega_s[:] = 0.25
    save(tmp_path / "net.npz", net)
    with pytest.raises(KuwaError, match=says):
        restore(tampered(tmp_path / "net.npz", **changes), net)
    assert (net.Omega_s == 0.25).all()


def test_other_decoders_are_another_network(tmp_path: Path) -> None:
    save(tmp_path / "net.npz", Ebn(parameters()))
    p = dataclasses.replace(parameters(), D=random_decoders(3, 40, 0.1, seed=1))
    with pytest.raises(KuwaError, match="drawn is"):
        restore(tmp_path / "net.npz", Ebn(p))


def test_weights_pass_between_back_ends(tmp_path: Path) -> None:
    a, b, c = Ebn(parameters()), FixedEbn(parameters()), Ebn(parameters())
    a.Omega_s[:] = np.random.default_rng(0).uniform(-0.9, 0.9, (12, 40))
    save(tmp_path / "a.npz", a)
    restore(tmp_path / "a.npz", b)
    np.testing.assert_allclose(b.Omega_s * b.weight_unit, a.Omega_s, atol=0.51 * b.weight_unit)
    save(tmp_path / "b.npz", b)
    restore(tmp_path / "b.npz", c)
    np.testing.assert_allclose(c.Omega_s, b.Omega_s * b.weight_unit, rtol=1e-12)
    a.Omega_s[0, 0] = 1.5
    save(tmp_path / "a.npz", a)
    with pytest.raises(KuwaError, match=r"reaches 1\.5; expected at most 1,"):
        restore(tmp_path / "a.npz", b)


def test_what_an_8_bit_weight_does_not_show_yet_is_kept(tmp_path: Path) -> None:
    a, b, c = FixedEbn(parameters()), FixedEbn(parameters()), Ebn(parameters())
    for net in (a, c):
        net.step(np.zeros(3), np.array([2.0, -3.0, 1.0]), presynaptic=np.full(12, 1.0))
    assert a.tag.any() and not a.Omega_s.any()
    save(tmp_path / "a.npz", a)
    restore(tmp_path / "a.npz", b)
    np.testing.assert_array_equal(b.tag, a.tag)
    # From floats as well: to a step of the tag.
    save(tmp_path / "c.npz", c)
    restore(tmp_path / "c.npz", b)
    np.testing.assert_allclose(b.tag * b.weight_unit / 256.0, c.Omega_s, atol=b.weight_unit / 512)
    # A weight that was written from outside is worth more than the tag that it contradicts.
    a.Omega_s[0, 0] = 9
    save(tmp_path / "a.npz", a)
    restore(tmp_path / "a.npz", b)
    assert b.Omega_s[0, 0] == 9


def test_weights_beyond_the_bound_of_the_network_that_takes_them_are_refused(
    tmp_path: Path,
) -> None:
    wide, narrow = Ebn(dataclasses.replace(parameters(), w_max=2.0)), Ebn(parameters())
    wide.Omega_s[2, 3] = -1.5
    save(tmp_path / "wide.npz", wide)
    with pytest.raises(KuwaError, match=r"reaches 1\.5; expected at most 1,"):
        restore(tmp_path / "wide.npz", narrow)
    assert not narrow.Omega_s.any()
    wide.Omega_s[2, 3] = -1.0
    save(tmp_path / "wide.npz", wide)
    restore(tmp_path / "wide.npz", narrow)
    assert narrow.Omega_s[2, 3] == -1.0


def test_what_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    net = Ebn(parameters())
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "bare.npz", x=np.zeros(3))
    np.savez(tmp_path / "objects.npz", header=np.array([{}], object), Omega_s=np.zeros(1))
    for name in ("text.npz", "bare.npz", "objects.npz", "missing.npz"):
        with pytest.raises(KuwaError, match=name):
            restore(tmp_path / name, net)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    net = Ebn(parameters())
    net.Omega_s[3, 3] = np.nan
    with pytest.raises(KuwaError, match="not finite"):
        save(tmp_path / "net.npz", net)
    assert not list(tmp_path.iterdir())


def test_a_network_needs_its_parameters_only() -> None:
    p = EbnParameters(random_decoders(2, 20, 0.1, 0))
    for net in (Ebn(p), FixedEbn(p)):
        for _ in range(200):
            net.step(np.array([10.0, -6.0]), np.zeros(2))
        assert np.abs(net.x_hat - [0.5, -0.3]).max() < 0.1


def test_figures_are_of_the_neurons_that_count() -> None:
    seen = Ebn(EbnParameters(random_decoders(2, 20, 0.1, 0))).activity
    for now in range(100, 2100, 100):
        count(0, now, seen.spikes, seen.last, seen.isi)
    for now in np.cumsum(np.random.default_rng(0).exponential(100.0, 200)).astype(int) + 1:
        count(1, int(now), seen.spikes, seen.last, seen.isi)
    seen.steps[0] = 20_000
    rng = np.random.default_rng(1)
    for i, sign in ((0, 1.0), (1, -1.0)):
        for a in rng.standard_normal(200):
            seen.currents[:, i] = 1.0 + a, 1.0 + sign * a
            remember(0.1, seen.currents, seen.moments)
    one, other = (figures(seen, 1e-3, np.arange(20) == i) for i in (0, 1))
    assert one.isi_cv == one.isi_cv2 == 0.0 and other.isi_cv > 0.6
    assert one.ei_correlation > 0.9


@pytest.mark.parametrize("kind", ["Poisson", "regular", "in bouts"])
def test_irregularity_is_told_apart_from_bouts(kind: str) -> None:
    """CV mixes the intervals within bouts with the pauses between them; CV2 does not."""
    rng = np.random.default_rng(0)
    gaps = {
        "Poisson": rng.exponential(200.0, 20_000),
        "regular": np.full(2000, 100.0),
        "in bouts": np.where(np.arange(20_000) % 10 == 0, 5000.0, rng.exponential(100.0, 20_000)),
    }[kind]
    seen = Ebn(EbnParameters(random_decoders(2, 20, 0.1, 0))).activity
    for now in np.cumsum(np.maximum(np.rint(gaps), 1.0)).astype(int):
        count(0, now, seen.spikes, seen.last, seen.isi)
    done = figures(seen, 1e-3)
    cv, cv2 = {"Poisson": (1.0, 1.0), "regular": (0.0, 0.0), "in bouts": (2.4, 1.2)}[kind]
    assert done.isi_cv == pytest.approx(cv, abs=0.25)
    assert done.isi_cv2 == pytest.approx(cv2, abs=0.15)


@pytest.mark.parametrize("back_end", ["float64", "float32", "fixed"])
def test_counts_of_a_century_stay_exact(back_end: str) -> None:
    p = EbnParameters(random_decoders(2, 20, 0.1, 0), dt=1e-3)
    net = FixedEbn(p) if back_end == "fixed" else Ebn(p, 0, back_end)
    before, spikes = 2**42, 2**48
    seen = net.activity
    seen.steps[0], seen.spikes[:], seen.last[:] = before, spikes, before - 50
    for _ in range(400):
        net.step(np.array([10.0, -6.0]), np.zeros(2))
    new = seen.spikes - spikes
    assert seen.steps[0] == before + 400 and 0 < new.sum() < 400 * 20
    assert (seen.last[new > 0] > before).all() and (seen.last <= before + 400).all()
    assert seen.isi[1].max() <= 450.0, "an interval between two times that are both large"
    assert figures(seen, p.dt).mean_rate == pytest.approx(spikes / (before * p.dt), rel=1e-6)
