"""Random networks for comparisons: every mode, with numbers at and beyond their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.pes import Pes
from kuwa_policies.emulator.profiles import Profile
from kuwa_policies.emulator.rules import (
    VARIABLES,
    Factor,
    LearningRule,
    Product,
    Trace,
)

Case = tuple[Network, NDArray[np.uint8], NDArray[Any], NDArray[Any]]
Errors = dict[int, NDArray[np.float64]]
SIGNS = ("mixed", "excitatory", "inhibitory", None)


def some(rng: np.random.Generator, least: int, most: int, size: int) -> NDArray[np.int64]:
    """Return numbers of a range: spread evenly, spread over the magnitudes, and its ends."""
    kind = rng.integers(3, size=size)
    even = rng.integers(least, most + 1, size)
    reach = np.log2(max(abs(least), abs(most)) + 1)
    sign = rng.choice([s for s, end in ((-1, least < 0), (1, most > 0)) if end], size)
    small = sign * np.floor(2.0 ** rng.uniform(0, reach, size)).astype(np.int64)
    ends = rng.choice([least, most], size)
    return np.clip(np.where(kind == 0, even, np.where(kind == 1, small, ends)), least, most)


def neurons(rng: np.random.Generator, size: int, profile: Profile, alike: bool = False) -> Neurons:
    """Return neurons with numbers at random; ``alike``: one number for all where Lava wants it."""
    one = 1 if alike else size

    def pick(least: int, most: int) -> Any:
        values = some(rng, least, most, one)
        return int(values[0]) if alike else values

    own = profile.v_limits == "own"
    return Neurons(
        size,
        decay_u=pick(0, profile.decay_u_max),
        decay_v=pick(0, profile.decay_v_max),
        threshold=pick(0, 2**17 - 1),
        bias=some(rng, -4095, 4095, size) if profile.biased else 0,
        bias_exponent=rng.integers(0, 8, size) if profile.biased else 0,
        refractory=rng.integers(1, 9, None if alike else size) if profile.refractory else 1,
        **({"v_min": -(2 ** rng.integers(0, 24, size)) + 1,
            "v_max": 2 ** (9 + 2 * rng.integers(0, 8, size)) - 1} if own else {}),
    )  # fmt: skip


def weights(
    rng: np.random.Generator, shape: tuple[int, int], profile: Profile, mode: str | None
) -> NDArray[np.int64]:
    """Return weights of a sign mode, beyond the limits where the profile holds them there."""
    low, high = profile.weight_ranges[mode or "mixed"]
    beyond = 50 if profile.weights_clip else 0
    return some(rng, low - beyond, high + beyond, shape[0] * shape[1]).reshape(shape)


def network(
    rng: np.random.Generator,
    profile: Profile,
    inputs: int,
    sizes: tuple[int, int],
    steps: int,
    delays: bool = False,
    alike: bool = False,
) -> Case:
    """Return two groups, driven, connected forth and back, with inputs and states to start from."""
    alike = alike or profile.name == "brian2-loihi"
    groups = {name: neurons(rng, n, profile, alike) for name, n in zip("ab", sizes, strict=True)}
    network_sizes = {"in": inputs, "a": sizes[0], "b": sizes[1]}
    connections = []
    for source, target in (("in", "a"), ("a", "b"), ("b", "a"), ("in", "b"), ("b", "b")):
        shape = (network_sizes[target], network_sizes[source])
        if profile.name == "lava" and shape[0] * shape[1] > 4_000_000:
            continue
        mode = SIGNS[rng.integers(4)]
        least, most = profile.exponent_range
        late: Any = 0
        if delays and profile.delay_max:
            longest = rng.integers(1, profile.delay_max + 1)
            late = rng.integers(0, longest + 1, shape if profile.delay_each else None)
        w = weights(rng, shape, profile, mode)
        if mode is None and not profile.weights_clip:
            # Ranges differ with the mode, which the weights themselves decide here.
            w = np.clip(w, -255, 254)
        connections.append(
            Dense(
                source,
                target,
                w,
                exponent=int(rng.integers(least, most + 1)),
                bits=int(rng.choice(profile.weight_bits)),
                sign_mode=mode,  # type: ignore[arg-type]
                delays=late,
            )
        )
    raster = (rng.random((steps, inputs)) < rng.uniform(0.05, 0.9)).astype(np.uint8)
    total = sum(sizes)
    u, v = some(rng, -(2**23) + 1, 2**23 - 1, total), some(rng, -(2**23) + 1, 2**23 - 1, total)
    return Network({"in": inputs}, groups, connections), raster, u, v


def rule(rng: np.random.Generator) -> LearningRule:
    """Return sums of products at random, with traces of every kind."""

    def factor() -> Factor:
        variable = VARIABLES[rng.integers(len(VARIABLES))]
        constant = int(rng.integers(-20, 21)) if rng.random() < 0.4 else 0
        sign = variable in "wdt" and rng.random() < 0.4
        if variable in ("x0", "y0"):
            constant = 0
        return Factor(variable, constant, bool(sign))

    def product() -> Product:
        mantissa = int(rng.choice([-7, -5, -3, -2, -1, 1, 2, 3, 5, 7]))
        dependency = ("x0", "y0", "u")[rng.integers(3)]
        factors = tuple(factor() for _ in range(rng.integers(0, 4)))
        exponent = int(rng.integers(-7, 3 if factors else 1))
        return Product(dependency, mantissa, exponent, factors)  # type: ignore[arg-type]

    def products(most: int) -> tuple[Product, ...]:
        return tuple(product() for _ in range(rng.integers(1, most + 1)))

    def trace() -> Trace:
        tau = 0.0 if rng.random() < 0.15 else float(np.round(2.0 ** rng.uniform(0, 6), 2))
        return Trace(float(np.round(rng.uniform(0, 127), 2)), tau)

    return LearningRule(
        dw=products(3),
        dd=products(2) if rng.random() < 0.5 else (),
        dt=products(2) if rng.random() < 0.5 else (),
        x=(trace(), trace()),
        y=(trace(), trace(), trace()),
        epoch=int(rng.integers(1, 9)),
        decimate=int(rng.integers(0, 4)),
        seed=int(rng.integers(2**31 - 5)),
    )


def learning(
    rng: np.random.Generator, profile: Profile, sizes: tuple[int, int], steps: int
) -> Case:
    """Return an input that learns its connection to a group that is driven besides."""
    inputs, size = sizes
    mode = SIGNS[rng.integers(3)]
    low, high = profile.weight_ranges[mode or "mixed"]
    group = Neurons(size, decay_u=1000, decay_v=300, threshold=300, bias=some(rng, 0, 300, size),
                    bias_exponent=5)  # fmt: skip
    dense = Dense(
        "in", "a", rng.integers(low, high + 1, (size, inputs)),
        exponent=int(rng.integers(-2, 3)), bits=int(rng.integers(1, 9)),
        sign_mode=mode, learning=rule(rng),  # type: ignore[arg-type]
    )  # fmt: skip
    raster = (rng.random((steps, inputs)) < rng.uniform(0.05, 0.5)).astype(np.uint8)
    zero = np.zeros(size, np.int64)
    return Network({"in": inputs}, {"a": group}, [dense]), raster, zero, zero


def synaptic_rule(rng: np.random.Generator) -> LearningRule:
    """Return sums of products at random as Brian2-Loihi has them."""

    def trace() -> Trace:
        if rng.random() < 0.25:
            return Trace()
        return Trace(int(rng.integers(1, 128)), int(2.0 ** rng.uniform(0, 8)))

    x, y = (trace(), trace()), (trace(), trace(), trace())
    there = [n for n, t in zip(("x1", "x2", "y1", "y2", "y3"), (*x, *y), strict=True) if t.tau]

    def factor() -> Factor:
        variable = str(rng.choice(["x0", "y0", "w", "w", *there, *there]))
        if variable != "w":
            return Factor(variable)  # type: ignore[arg-type]
        constant = int(rng.integers(-20, 21)) if rng.random() < 0.4 else 0
        return Factor("w", constant, bool(rng.random() < 0.4))

    def product() -> Product:
        factors = tuple(factor() for _ in range(rng.integers(0, 4)))
        size = sum(0 if f.sign or f.variable in ("x0", "y0") else 7 for f in factors)
        # So that a change is often of a few units: traces have 7 bits.
        exponent = int(np.clip(rng.integers(-5, 5) - size // 2, -7, 8))
        dependency = ("x0", "y0", "u")[rng.integers(3)]
        return Product(dependency, int(rng.integers(-7, 8)), exponent, factors)  # type: ignore[arg-type]

    return LearningRule(
        dw=tuple(product() for _ in range(rng.integers(1, 4))),
        x=x, y=y, decimate=int(10 * rng.random() ** 3),
    )  # fmt: skip


def synaptic(
    rng: np.random.Generator, profile: Profile, sizes: tuple[int, int], steps: int
) -> Case:
    """Return an input that learns its connection to a driven group, which learns its own."""
    inputs, size = sizes
    group = Neurons(size, decay_u=1000, decay_v=300, threshold=int(rng.integers(100, 1000)))
    denses = [Dense("in", "a", rng.integers(0, 60, (size, inputs)), exponent=2)]
    for source, n in (("in", inputs), ("a", size)):
        mode = SIGNS[rng.integers(3)]
        low, high = profile.weight_ranges[mode or "mixed"]
        denses.append(
            Dense(
                source, "a", rng.integers(low, high + 1, (size, n)),
                exponent=int(rng.integers(-8, 3)), bits=int(rng.integers(1, 9)),
                sign_mode=mode, delays=int(rng.integers(0, 4)), learning=synaptic_rule(rng),  # type: ignore[arg-type]
            )
        )  # fmt: skip
    raster = (rng.random((steps, inputs)) < rng.uniform(0.05, 0.5)).astype(np.uint8)
    zero = np.zeros(size, np.int64)
    return Network({"in": inputs}, {"a": group}, denses), raster, zero, zero


def pes(
    rng: np.random.Generator, profile: Profile, sizes: tuple[int, int], steps: int
) -> tuple[Case, Errors]:
    """Return two groups that learn from an input, from each other and from themselves, and errors.

    Errors go beyond the 7 bits that they have.
    """
    inputs, pairs = sizes
    scale = float(2.0 ** rng.uniform(0, 7))

    def group(size: int) -> Neurons:
        return Neurons(
            size, decay_u=1000, decay_v=300, threshold=int(rng.integers(100, 3000)),
            bias=some(rng, 0, 300, size), bias_exponent=5,
        )  # fmt: skip

    groups = {"b": group(2 * pairs + 2), "a": group(2 * pairs)}
    count = {"in": inputs} | {name: g.size for name, g in groups.items()}
    denses: list[Dense] = []
    errors: Errors = {}
    for index, (source, target) in enumerate((("in", "a"), ("a", "b"), ("b", "b"), ("b", "a"))):
        mode = SIGNS[rng.integers(3)] or "mixed"
        low, high = profile.weight_ranges[mode]
        least, most = profile.exponent_range
        rule = None
        if index != 3:
            trace = Trace(int(rng.integers(1, 128 * 128)) / 128, int(2.0 ** rng.uniform(0, 8)))
            rule = Pes(trace, int(rng.integers(1, 8)), int(rng.integers(-7, 1)), scale)
            drawn = rng.normal(0.0, 60.0 / scale, (steps, count[target] // 2))
            errors[index] = np.where(rng.random(drawn.shape) < 0.3, 0.0, drawn)
        denses.append(
            Dense(
                source, target, rng.integers(low, high + 1, (count[target], count[source])),
                exponent=int(rng.integers(least, most + 1)),
                bits=int(rng.choice(profile.weight_bits)), sign_mode=mode, learning=rule,
            )
        )  # fmt: skip
    raster = (rng.random((steps, inputs)) < rng.uniform(0.05, 0.5)).astype(np.uint8)
    zero = np.zeros(sum(g.size for g in groups.values()), np.int64)
    return (Network({"in": inputs}, groups, denses), raster, zero, zero), errors


def any_learning(
    rng: np.random.Generator, profile: Profile, sizes: tuple[int, int], steps: int
) -> tuple[Case, Errors]:
    """Return a network that learns in the profile's way, and the errors that it learns from.

    Args:
        sizes: of the input and of the group, or how many pairs there are in it.
    """
    match profile.learning:
        case "pes":
            return pes(rng, profile, sizes, steps)
        case "synapses":
            return synaptic(rng, profile, sizes, steps), {}
        case _:
            return learning(rng, profile, sizes, steps), {}
