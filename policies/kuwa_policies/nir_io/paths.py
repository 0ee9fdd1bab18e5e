"""Linear nodes and delays between two populations of a graph, which become one matrix each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.nir_io.network import Projection

WHOLE = 1e-6
"""A delay is a whole number of steps within so much."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What leads to a population, followed backwards.

    Args:
        weight: from where it has got to; None for the identity.
        delay: of what arrives at the target's neurons, shape (n,), and of what leaves the place
            where it has got to, ``early``; in steps.
        mixed: it has passed a matrix; until then a neuron's own delay is the target's.
        seen: linear nodes that it has passed.
    """

    target: str
    sizes: dict[str, int]
    weight: Array | None
    delay: NDArray[np.int64]
    early: NDArray[np.int64]
    mixed: bool = False
    seen: tuple[str, ...] = ()

    @classmethod
    def to(cls, target: str, sizes: dict[str, int]) -> Chain:
        zero = np.zeros(sizes[target], np.int64)
        return cls(target, sizes, None, zero, zero)

    @property
    def matrix(self) -> Array:
        return np.eye(self.sizes[self.target]) if self.weight is None else self.weight

    def delayed(self, name: str, node: Any, dt: float) -> Chain:
        """Return it before a Delay."""
        steps = np.array(node.delay, float).ravel() / dt
        whole = np.round(steps).astype(np.int64)
        if len(steps) != len(self.early):
            raise KuwaError(
                f"node {name!r} delays {len(steps)} numbers; expected {len(self.early)}"
            )
        if (np.abs(steps - whole) > WHOLE).any() or (whole < 0).any():
            wrong = steps[np.abs(steps - whole).argmax()]
            raise KuwaError(
                f"node {name!r} delays by {wrong * dt:g} s; expected whole steps of {dt:g} s"
            )
        return replace(self, early=self.early + whole, seen=(*self.seen, name))

    def weighted(self, name: str, node: Any, at: str) -> Chain:
        """Return it before a linear node."""
        scale = type(node).__name__ == "Scale"
        own = np.array(node.scale if scale else node.weight, float)
        own = np.diag(own.ravel()) if scale else own
        if own.ndim != 2:
            raise KuwaError(f"node {name!r} has weights of shape {own.shape}; expected a matrix")
        if self.matrix.shape[1] != own.shape[0]:
            raise KuwaError(
                f"node {name!r} puts out {own.shape[0]} numbers; {at!r} takes "
                f"{self.matrix.shape[1]}"
            )
        delay, early = self.delay, self.early
        if not scale:
            if not self.mixed:
                delay = delay + early
            elif (early == early[0]).all():
                delay = delay + early[0]
            else:
                raise KuwaError(
                    f"behind node {name!r} delays differ between two matrices; expected one delay "
                    f"for all, or the delay before the first or behind the last"
                )
            early = np.zeros(own.shape[1], np.int64)
        return replace(
            self, weight=self.matrix @ own, delay=delay, early=early,
            mixed=self.mixed or not scale, seen=(*self.seen, name),
        )  # fmt: skip

    def projection(self, source: str) -> Projection:
        n, m = self.sizes[self.target], self.sizes[source]
        if self.weight is None and n != m:
            raise KuwaError(
                f"{source!r} of {m} is joined to {self.target!r} of {n} without weights"
            )
        if not self.mixed:
            delay = (self.delay + self.early)[:, None]
        else:
            delay = self.delay[:, None] + self.early[None, :]
        delays = np.broadcast_to(delay, (n, m)).copy() if delay.any() else None
        return Projection(source, self.target, self.matrix, delay=delays)


def paths(graph: Any, at: str, path: Chain, dt: float) -> Iterator[Projection]:
    """Yield what reaches the path's target through linear nodes, from ``at`` backwards."""
    for source, to in graph.edges:
        if to != at:
            continue
        node = graph.nodes[source]
        if source in path.sizes:
            yield path.projection(source)
            continue
        if source in path.seen:
            raise KuwaError(f"node {source!r} is in a cycle without neurons: it cannot be stepped")
        if type(node).__name__ == "Delay":
            before = path.delayed(source, node, dt)
        else:
            before = path.weighted(source, node, at)
        found = list(paths(graph, source, before, dt))
        if not found:
            raise KuwaError(f"node {source!r} has no source")
        if type(node).__name__ == "Affine":
            # Once, however many sources the node has.
            constant = path.matrix @ np.array(node.bias, float)
            bias = found[0].bias
            found[0] = replace(found[0], bias=constant if bias is None else bias + constant)
        yield from found


def summed(projections: Iterator[Projection]) -> list[Projection]:
    """Add up projections of the same source, target and delays."""
    found: dict[tuple[str, str, bytes], Projection] = {}
    for p in projections:
        key = (p.source, p.target, p.delays().tobytes())
        old = found.get(key)
        if old is not None:
            biases = [b for b in (old.bias, p.bias) if b is not None]
            bias = np.sum(biases, axis=0) if biases else None
            p = replace(p, weight=old.weight + p.weight, bias=bias)
        found[key] = p
    return list(found.values())
