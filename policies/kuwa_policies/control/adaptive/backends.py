"""Networks by name: the same network in double and single precision and in integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.ebn.fixed import FixedEbn
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.watch import Activity


class Network(Protocol):
    """What every network of the EBN library does."""

    p: EbnParameters
    psi: Any
    """Activity of the dendrites, shape (K,)."""
    Omega_s: Any
    """Slow connections, shape (K, N), in ``weight_unit``."""
    weight_unit: float
    alive: NDArray[Any]
    """Neurons that can spike, shape (N,)."""
    activity: Activity

    def reset(self, keep_weights: bool = False) -> None:
        """Return to rest."""

    def step(
        self,
        c: Array,
        e: Array,
        steps: int = 1,
        learn: bool = True,
        presynaptic: Array | None = None,
    ) -> Array:
        """Advance some neuron steps; return x̂, shape (J,)."""


NetworkMaker = Callable[[EbnParameters, int], Network]
"""Makes a network from its parameters and the seed of its noise."""


def _float64(p: EbnParameters, seed: int) -> Network:
    return Ebn(p, seed)


def _float32(p: EbnParameters, seed: int) -> Network:
    return Ebn(p, seed, "float32")


BACKENDS: dict[str, NetworkMaker] = {"float64": _float64, "float32": _float32, "fixed": FixedEbn}


def make_network(backend: str | NetworkMaker, p: EbnParameters, seed: int) -> Network:
    """Return the network of a back end, given by name or as what makes it.

    Raises:
        KuwaError: there is no such back end.
    """
    if callable(backend):
        return backend(p, seed)
    if backend not in BACKENDS:
        raise KuwaError(f"no network back end {backend!r}; {choices(backend, BACKENDS)}")
    return BACKENDS[backend](p, seed)


def encoding(p: EbnParameters, steps: int) -> tuple[float, float]:
    """Return (keep, push): under c = push (z' − keep z) the signal is z' after so many steps.

    What a constant drive ẋ = −λx + c makes of z in neuron steps, exactly.
    """
    keep = (1.0 - p.leak * p.dt) ** steps
    return keep, p.leak / (1.0 - keep)
