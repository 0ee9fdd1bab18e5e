"""The back ends of the efficient balanced network, and what the suites of it drive them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters

LEAK, DT = 20.0, 1e-3
SPEED = np.array([3.0, 4.1, 2.3])


@dataclass(frozen=True)
class Backend:
    """One back end.

    Args:
        make: from parameters and a seed.
        loss: how far voltages may be off in one step, as a share of the mean threshold.
        drift: how far x̂ may be from D r.
        rounding: relative, of what is learnt.
        weight_steps: of a weight, on either side of 0; 0 for floats.
        needs: a module without which it is left out.
    """

    make: Callable[..., Any]
    loss: float
    drift: float
    rounding: float
    weight_steps: int = 0
    needs: str | None = None

    def step(self, p: EbnParameters) -> float:
        """What one step of a weight is."""
        return p.w_max / self.weight_steps if self.weight_steps else 0.0

    def plain(self, net: Any) -> Any:
        """The network as what saves and restores sees it."""
        return getattr(net, "inner", net)

    def weights(self, net: Any) -> np.ndarray:
        return np.asarray(net.Omega_s, float) * net.weight_unit

    def write(self, net: Any, weights: np.ndarray) -> None:
        scaled = weights / net.weight_unit
        net.Omega_s[:] = np.rint(scaled).astype(np.int8) if self.weight_steps else scaled


def parameters(N: int = 40, K: int = 12) -> EbnParameters:
    M, theta = random_dendrites(3, [(0, 1), (1, 2)] if K else [], K // 2, seed=3)
    return EbnParameters(
        random_decoders(3, N, 0.1, seed=0), LEAK, mu=1e-4, nu=1e-4, dt=DT, noise=0.05, M=M,
        theta=theta, w_max=1.0, eta=1.0,
    )  # fmt: skip


def pushed(n: int) -> np.ndarray:
    """The signal after step n: the drive of :func:`signal` adds up to it."""
    return 0.6 * (1.0 - np.exp(-8.0 * (n + 1) * DT)) * np.sin(SPEED * (n + 1) * DT)


def signal(steps: int, fast: float = 1.0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (c, e): a drive that makes ``pushed`` of a leaky integral, and some error."""
    x = np.zeros(3)
    for n in range(steps):
        new = fast * pushed(n)
        c = (new - (1.0 - LEAK * DT) * x) / DT
        x = new
        yield c, 0.1 * np.cos(7.0 * SPEED * n * DT)


BACKENDS = {
    "float64": Backend(Ebn, 1e-9, 1e-12, 1e-9),
    "float32": Backend(lambda p, seed=0: Ebn(p, seed, "float32"), 1e-4, 1e-5, 1e-5),
    "fixed": Backend(FixedEbn, 0.02, 5e-4, 0.02, 127),
}


class OneOfTorch:
    """The only network of a batch of one; its arrays share the tensors' memory."""

    def __init__(self, p: EbnParameters, seed: int = 0) -> None:
        from kuwa_policies.ebn.torch_backend import TorchEbn

        self.batch = TorchEbn(p, seed, device="cpu", dtype="float64")
        self.p, self.weight_unit = p, 1.0
        for name in ("V", "r", "x_hat", "psi", "Omega_s", "alive"):
            setattr(self, name, getattr(self.batch, name)[0].numpy())
        self.D, self.thresholds = self.batch.D.numpy(), self.batch.thresholds.numpy()
        a = self.batch.activity
        self.activity = SimpleNamespace(
            steps=a.steps.numpy(), spikes=a.spikes[0].numpy(), last=a.last[0].numpy()
        )
        self.reset = self.batch.reset

    def step(self, *args: Any, **kwargs: Any) -> np.ndarray:
        return self.batch.step(*args, **kwargs)[0].numpy()


BACKENDS["torch"] = Backend(OneOfTorch, 1e-9, 1e-12, 1e-9, needs="torch")
