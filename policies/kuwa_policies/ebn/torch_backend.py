"""Many networks at once in torch, on a GPU where there is one: for studies over seeds and settings.

Imported only by who wants it: nothing that runs on a machine needs torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from kuwa_machines.errors import KuwaError
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.save import restore, save


@dataclass(frozen=True, slots=True)
class BatchActivity:
    """What the neurons have done.

    Args:
        steps: neuron steps since the last reset, shape (1,).
        spikes: of each neuron since then, shape (B, N).
        last: step of its last spike, shape (B, N); −1 before the first.
    """

    steps: torch.Tensor
    spikes: torch.Tensor
    last: torch.Tensor


@dataclass(slots=True)
class _Held:
    """One network's weights as what saves and restores sees them."""

    p: EbnParameters
    Omega_s: Any
    weight_unit: float = 1.0


class TorchEbn:
    """B efficient balanced networks of the same parameters, each with its own state and weights.

    Args:
        p: their parameters.
        seed: of their noise.
        batch: B.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``: a GPU where there is one.
        dtype: ``"float32"`` or ``"float64"``.

    Raises:
        KuwaError: there is no such device or precision.
    """

    def __init__(
        self,
        p: EbnParameters,
        seed: int = 0,
        batch: int = 1,
        device: str = "auto",
        dtype: Literal["float32", "float64"] = "float32",
    ) -> None:
        if batch < 1:
            raise KuwaError(f"batch is {batch}; at least 1 network")
        if dtype not in ("float32", "float64"):
            raise KuwaError(f"dtype is {dtype!r}; expected 'float32' or 'float64'")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise KuwaError(f"device is {device!r}, but torch finds no GPU; 'cpu' or 'auto'")
        self.p, self.batch, self.weight_unit = p, batch, 1.0
        self.device = torch.device(device)
        J, N, K = p.signals, p.neurons, p.dendrites
        self._kind: dict[str, Any] = {
            "dtype": torch.float64 if dtype == "float64" else torch.float32,
            "device": self.device,
        }
        self._seed = seed
        self.V, self.r = self._zeros(batch, N), self._zeros(batch, N)
        self.x_hat, self.psi = self._zeros(batch, J), self._zeros(batch, K)
        self.Omega_s = self._zeros(batch, K, N)
        """Slow connections, shape (B, K, N)."""
        self.alive = torch.ones(batch, N, dtype=torch.bool, device=self.device)
        """Neurons that can spike, shape (B, N)."""
        self.D = torch.as_tensor(p.D, **self._kind)
        self.thresholds = torch.as_tensor(p.thresholds, **self._kind)
        self._D_rows = self.D.T.contiguous()
        self._MT = torch.as_tensor(p.M.copy(), **self._kind).T.contiguous()
        self._theta = torch.as_tensor(p.theta, **self._kind)
        self._rows = torch.arange(batch, device=self.device)
        self._sigma = p.noise * float(p.thresholds.mean()) * float(np.sqrt(2.0 * p.leak * p.dt))
        self._generator = torch.Generator(self.device)
        counts: dict[str, Any] = {"dtype": torch.int64, "device": self.device}
        self.activity = BatchActivity(
            torch.zeros(1, **counts),
            torch.zeros(batch, N, **counts),
            torch.full((batch, N), -1, **counts),
        )
        self.reset()

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, **self._kind)

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest with the same seed; silenced neurons stay silent.

        Args:
            keep_weights: keep what was learnt.
        """
        for state in (self.V, self.r, self.x_hat, self.psi):
            state.zero_()
        if not keep_weights:
            self.Omega_s.zero_()
        self._generator.manual_seed(self._seed)
        self.activity.steps.zero_()
        self.activity.spikes.zero_()
        self.activity.last.fill_(-1)

    @torch.no_grad()
    def step(
        self, c: Any, e: Any, steps: int = 1, learn: bool = True, presynaptic: Any | None = None
    ) -> torch.Tensor:
        """Advance some neuron steps under a constant drive; return x̂, shape (B, J), reused.

        Args:
            c, e, presynaptic: as of :meth:`kuwa_policies.ebn.network.Ebn.step`, arrays or tensors,
                of one network for all or with a row for each.
            steps: neuron steps.
            learn: whether the slow connections change.

        Raises:
            KuwaError: a value that is not finite; nothing has changed then.
        """
        p = self.p
        c, e = (torch.as_tensor(a, **self._kind).expand(self.batch, -1) for a in (c, e))
        learning = learn and p.eta > 0.0
        earned = self.psi
        if presynaptic is not None:
            earned = torch.as_tensor(presynaptic, **self._kind).expand(self.batch, -1)
        given = (c, e, earned) if learning else (c, e)
        if not all(bool(torch.isfinite(a).all()) for a in given):
            raise KuwaError("drive, error or activity has values that are not finite")
        feedback = e @ self.D
        drive = c @ self.D + p.k * feedback
        for _ in range(steps):
            self._neuron_step(drive)
        if learning:
            share = p.dt * steps
            change = torch.einsum("bk,bn->bkn", earned, feedback)
            self.Omega_s.mul_(1.0 - p.forget * share).add_(change, alpha=p.eta * share)
            self.Omega_s.clamp_(-p.w_max, p.w_max)
        return self.x_hat

    def _neuron_step(self, drive: torch.Tensor) -> None:
        p = self.p
        keep = 1.0 - p.leak * p.dt
        phi = self._phi(torch.addmm(self._theta, self.x_hat, self._MT))
        self.psi += (1.0 if p.slow_tau == 0.0 else p.dt / p.slow_tau) * (phi - self.psi)
        slow = torch.bmm(self.psi[:, None], self.Omega_s)[:, 0]
        self.V.mul_(keep).add_(drive + slow, alpha=p.dt)
        if self._sigma > 0.0:
            normal = torch.randn(self.V.shape, generator=self._generator, **self._kind)
            self.V.add_(normal, alpha=self._sigma)
        self.r.mul_(keep)
        self.x_hat.mul_(keep)
        self.activity.steps.add_(1)
        for _ in range(p.max_spikes):
            over = (self.V - self.thresholds).masked_fill_(~self.alive, -torch.inf)
            most, best = over.max(dim=1)
            fires = most > 0.0
            # A look at the result would make a GPU wait.
            if self.device.type == "cpu" and not bool(fires.any()):
                break
            d = self._D_rows[best] * fires[:, None]
            self.V.addmm_(d, self.D, alpha=-1.0)
            # A plain number times truths would be of single precision.
            ones = fires.to(self.r.dtype)
            self.V[self._rows, best] -= p.mu * ones
            self.x_hat += d
            self.r[self._rows, best] += ones
            self.activity.spikes[self._rows, best] += fires
            last = self.activity.last
            last[self._rows, best] = torch.where(fires, self.activity.steps, last[self._rows, best])

    def _phi(self, a: torch.Tensor) -> torch.Tensor:
        if self.p.dendrite == "tanh":
            return torch.tanh(a)
        return a.clamp(-1.0, 1.0) if self.p.dendrite == "clip" else a.clamp(0.0, 2.0)

    def save(self, path: Path, which: int = 0) -> None:
        """Write what one of the networks has learnt; see :func:`kuwa_policies.ebn.save.save`."""
        save(path, _Held(self.p, self.Omega_s[which].cpu().numpy()))

    def restore(self, path: Path, which: int | None = None) -> None:
        """Give weights from a file to one of the networks, or to all of them.

        Raises:
            KuwaError: see :func:`kuwa_policies.ebn.save.restore`.
        """
        held = _Held(self.p, np.zeros((self.p.dendrites, self.p.neurons)))
        restore(path, held)
        chosen = slice(None) if which is None else which
        self.Omega_s[chosen] = torch.as_tensor(held.Omega_s, **self._kind)
