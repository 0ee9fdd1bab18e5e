"""The batched network: each of the batch is a network of its own, on whatever device."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ebn_backends import parameters, signal
from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.save import restore

torch = pytest.importorskip("torch")
from kuwa_policies.ebn.torch_backend import TorchEbn  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU"))]  # fmt: skip


@pytest.mark.parametrize("device", DEVICES)
def test_each_of_a_batch_is_a_network_of_its_own(device: str) -> None:
    p = dataclasses.replace(parameters(), eta=30.0, noise=0.0)
    batch = TorchEbn(p, batch=3, device=device, dtype="float64")
    alone = [Ebn(p) for _ in range(3)]
    batch.alive[2, ::2] = False
    alone[2].alive[::2] = False
    scale = np.array([[1.0], [0.5], [-0.7]])
    for c, e in signal(200):
        x = batch.step(scale * c, scale * e, 2)
        y = np.array([net.step(s * c, s * e, 2) for net, s in zip(alone, scale, strict=True)])
        np.testing.assert_allclose(x.cpu().numpy(), y, atol=1e-9)
    for b, net in enumerate(alone):
        np.testing.assert_allclose(batch.Omega_s[b].cpu().numpy(), net.Omega_s, atol=1e-9)
        np.testing.assert_array_equal(batch.activity.spikes[b].cpu(), net.activity.spikes)
        np.testing.assert_array_equal(batch.activity.last[b].cpu(), net.activity.last)


def test_noise_differs_within_a_batch() -> None:
    net = TorchEbn(parameters(), batch=2, device="cpu")
    net.step(np.zeros(3), np.zeros(3), 5)
    assert (net.V[0] != net.V[1]).any()


def test_weights_go_to_a_file_and_to_other_back_ends(tmp_path: Path) -> None:
    p = dataclasses.replace(parameters(), eta=300.0, noise=0.0)
    net = TorchEbn(p, batch=2, device="cpu")
    for c, e in signal(50):
        net.step(np.stack([c, -c]), np.stack([e, -e]))
    net.save(tmp_path / "net.npz", 1)
    other, single = TorchEbn(p, batch=3, device="cpu"), Ebn(p)
    other.restore(tmp_path / "net.npz", 2)
    restore(tmp_path / "net.npz", single)
    np.testing.assert_array_equal(other.Omega_s[2].numpy(), net.Omega_s[1].numpy())
    np.testing.assert_allclose(single.Omega_s, net.Omega_s[1].numpy())
    assert single.Omega_s.any() and not other.Omega_s[:2].any()
    other.restore(tmp_path / "net.npz")
    assert other.Omega_s[0].any()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"device": "cuda"}, "finds no GPU"),
        ({"dtype": "int8"}, "dtype is"),
        ({"batch": 0}, "batch"),
    ],
)
def test_what_cannot_be_is_named(change: dict, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(KuwaError, match=says):
        TorchEbn(parameters(), **change)
    assert TorchEbn(parameters(), device="auto").device.type == "cpu"
