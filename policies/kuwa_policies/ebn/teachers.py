"""Dynamics that a network learns from their error: six systems, scaled to about unit size.

Each is ẋ = f(x) + c, and what is pushed through c is pushed in teacher and network alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.errors import KuwaError, choices

HARMONIC, DAMPED, CYCLE, SWITCH, LORENZ, PENDULUM = range(6)


@dataclass(frozen=True, slots=True)
class Teacher:
    """One system, and what has been found to teach it.

    Args:
        name: of it. kind: of its flow. start: a state, length J.
        kick: standard deviation of the state that random pushes lead to while it is learnt.
        every: between them [s]. hold: of the state before a push, what is left in it.
        leak: λ of the network [1/s]: small where slow growth has to be learnt exactly, since what
            is learnt is f(x) + λx. gain: of the dendrites.
        eta: η at first [1/s]. calm: its share in the end. k: at first [1/s]; k_late: in the end.
        seconds: of learning. dendrites: K. neurons: N. norm: of the decoders.
    """

    name: str
    kind: int
    start: tuple[float, ...]
    kick: float
    every: float
    hold: float = 0.0
    leak: float = 10.0
    gain: float = 2.0
    eta: float = 300.0
    calm: float = 0.02
    k: float = 100.0
    k_late: float = 10.0
    seconds: float = 200.0
    dendrites: int = 100
    neurons: int = 100
    norm: float = 0.02


TEACHERS = (
    Teacher("harmonic", HARMONIC, (0.7, 0.0), 0.4, 2.0, gain=1.0, k_late=30.0, dendrites=40),
    Teacher(
        "damped", DAMPED, (0.7, 0.0), 0.4, 1.0, eta=30.0, calm=0.1, k=30.0, k_late=3.0,
        seconds=300.0,
    ),
    Teacher(
        "van_der_pol", CYCLE, (0.7, 0.0), 0.4, 1.0, eta=30.0, calm=0.1, k=30.0, k_late=3.0,
        seconds=300.0,
    ),
    Teacher("bistable", SWITCH, (0.7,), 0.5, 0.7),
    Teacher(
        "lorenz", LORENZ, (0.1, 0.0, 0.0), 0.2, 0.5, hold=1.0, leak=5.0, eta=1000.0, k=200.0,
        k_late=100.0, seconds=400.0, dendrites=240, neurons=200,
    ),
    # Pushes that send it over the top would leave the range of its dendrites.
    Teacher(
        "pendulum", PENDULUM, (0.6, 0.0), 0.25, 2.0, gain=1.0, k_late=30.0, seconds=300.0,
        dendrites=60,
    ),
)  # fmt: skip
LEVEL = 0.7
"""Of the two states of the switch."""
STIFFNESS = 5.0
"""√(g/l) of the pendulum [1/s]; its signals are half its angle, and its rate over twice this."""


def teacher(name: str) -> Teacher:
    """Return a teacher by name."""
    names = {each.name: each for each in TEACHERS}
    if name not in names:
        raise KuwaError(f"no teacher {name!r}; {choices(name, names)}")
    return names[name]


# Numba leaves decorated functions untyped: the annotations are for readers.


@njit(cache=True)
def flow(kind: Any, x: Any, out: Any) -> None:
    """Write f(x) [1/s]."""
    if kind == 0:
        out[0], out[1] = 2.0 * np.pi * x[1], -2.0 * np.pi * x[0]
    elif kind == 1:
        out[0], out[1] = 2.0 * np.pi * x[1], -2.0 * np.pi * (x[0] + 0.2 * x[1])
    elif kind == 2:  # Van der Pol in Liénard's plane, of half its size
        out[0], out[1] = 6.0 * (x[0] - 4.0 / 3.0 * x[0] ** 3 - x[1]), 6.0 * x[0]
    elif kind == 3:
        out[0] = 4.0 * x[0] * (1.0 - (x[0] / LEVEL) ** 2)
    elif kind == 4:  # Lorenz (1963): σ 10, ρ 28, β 8/3; x = 20, y = 25, z = 25 + 20 of ours
        X, Y, Z = 20.0 * x[0], 25.0 * x[1], 25.0 + 20.0 * x[2]
        out[0] = 10.0 * (Y - X) / 20.0
        out[1] = (X * (28.0 - Z) - Y) / 25.0
        out[2] = (X * Y - 8.0 / 3.0 * Z) / 20.0
    else:
        out[0], out[1] = STIFFNESS * x[1], -0.5 * STIFFNESS * np.sin(2.0 * x[0])
