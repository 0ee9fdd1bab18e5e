"""Learning rules as data: sums of products.

Δw = Σ_p  s_p · dependency_p · Π_f (variable_f + constant_f)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from kuwa_machines.errors import KuwaError, choices

Variable = Literal["x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "d", "t"]
VARIABLES: tuple[Variable, ...] = ("x0", "x1", "x2", "y0", "y1", "y2", "y3", "w", "d", "t")
DEPENDENCIES = ("x0", "y0", "u")
TRACE_MAX = 127
EPOCH_MAX = 63
TARGETS = ("dw", "dd", "dt")


@dataclass(frozen=True, slots=True)
class Factor:
    """(variable + constant), or its sign.

    Args:
        variable: trace x1 … y3, presence of a spike x0 or y0, weight w, tags d (second) and t.
        constant: added.
        sign: take the sign; for w, d and t only.
    """

    variable: Variable
    constant: int = 0
    sign: bool = False

    def __str__(self) -> str:
        if self.sign:
            return f"sgn({self.variable}{self.constant:+d})" if self.constant else (
                f"sgn({self.variable})"
            )  # fmt: skip
        return f"({self.variable}{self.constant:+d})" if self.constant else self.variable


@dataclass(frozen=True, slots=True)
class Product:
    """mantissa · 2^exponent · dependency · factors.

    Args:
        dependency: ``"x0"`` (a spike of the source in the epoch), ``"y0"`` (of the target) or
            ``"u"`` (every 2^decimate epochs): when, and at which spike's time traces are read.
        mantissa: −7 … 7. exponent: −7 … 8.
    """

    dependency: Literal["x0", "y0", "u"]
    mantissa: int
    exponent: int
    factors: tuple[Factor, ...] = ()

    def text(self, decimate: int) -> str:
        """Return the product as Lava writes it."""
        dependency = f"u{decimate}" if self.dependency == "u" else self.dependency
        scale = f"({self.mantissa}) * 2^{self.exponent}"
        return " * ".join([scale, dependency, *map(str, self.factors)])


@dataclass(frozen=True, slots=True)
class Trace:
    """impulse: added at a spike, 0 … 127; tau: steps in which it falls to 1/e, 0 for at once."""

    impulse: float = 0.0
    tau: float = 0.0


@dataclass(frozen=True, eq=False)
class LearningRule:
    """How the weights and tags of a connection change.

    Args:
        dw: products added to the weight. dd: to the second tag. dt: to the first.
        x: the two traces of the source. y: the three of the target.
        epoch: steps between changes, 1 … 63.
        decimate: of dependency u.
        seed: of the random numbers.
    """

    dw: tuple[Product, ...] = ()
    dd: tuple[Product, ...] = ()
    dt: tuple[Product, ...] = ()
    x: tuple[Trace, Trace] = (Trace(), Trace())
    y: tuple[Trace, Trace, Trace] = (Trace(), Trace(), Trace())
    epoch: int = 1
    decimate: int = 0
    seed: int = 0

    def text(self, target: str) -> str | None:
        """Return the sum of products of ``"dw"``, ``"dd"`` or ``"dt"`` as Lava writes it."""
        products: tuple[Product, ...] = getattr(self, target)
        return " + ".join(p.text(self.decimate) for p in products) if products else None

    def check(self, what: str) -> None:
        """Refuse what the learning engine does not have.

        Raises:
            KuwaError: the number, and what it may be.
        """
        if not any(getattr(self, target) for target in TARGETS):
            raise KuwaError(f"learning {what}: no products; give dw, dd or dt at least one")
        for number, value, least, most in (
            ("epoch", self.epoch, 1, EPOCH_MAX),
            ("decimate", self.decimate, 0, 9),
            ("seed", self.seed, 0, 2**31 - 5),
        ):
            if value != int(value) or not least <= value <= most:
                raise KuwaError(f"learning {what}: {number} is {value}; expected {least} to {most}")
        for trace in (*self.x, *self.y):
            if not (0 <= trace.impulse <= TRACE_MAX and 0 <= trace.tau < np.inf):
                raise KuwaError(
                    f"learning {what}: {trace}; expected an impulse of 0 to 127, tau not negative"
                )
        for target in TARGETS:
            for product in getattr(self, target):
                _check_product(product, what)


def _check_product(product: Product, what: str) -> None:
    if product.dependency not in DEPENDENCIES:
        raise KuwaError(
            f"learning {what}: no dependency {product.dependency!r}; "
            f"{choices(product.dependency, DEPENDENCIES)}"
        )
    whole = all(value == int(value) for value in (product.mantissa, product.exponent))
    if not (whole and -7 <= product.mantissa <= 7 and -7 <= product.exponent <= 8):
        raise KuwaError(
            f"learning {what}: scale {product.mantissa}·2^{product.exponent}; expected a whole "
            f"mantissa of −7 to 7 and exponent of −7 to 8"
        )
    for factor in product.factors:
        if factor.variable not in VARIABLES:
            raise KuwaError(
                f"learning {what}: no variable {factor.variable!r}; "
                f"{choices(factor.variable, VARIABLES)}"
            )
        if factor.constant != int(factor.constant):
            raise KuwaError(f"learning {what}: constant {factor.constant}; expected a whole number")
        if factor.sign and factor.variable not in "wdt":
            raise KuwaError(f"learning {what}: sign of {factor.variable}; only of w, d and t")
