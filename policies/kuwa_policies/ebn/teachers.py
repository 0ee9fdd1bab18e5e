"""Dynamics that a network learns from their error: six systems, scaled to about unit size.

Each is ẋ = f(x) + c, and what is pushed through c is pushed in teacher and network alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError, choices

HARMONIC, DAMPED, CYCLE, SWITCH, LORENZ, PENDULUM = range(6)


@dataclass(frozen=True, slots=True)
class Teacher:
    """One system, and what has been found to teach it.

    Args:
        name: of it. kind: of its flow. start: a state, length J.
        kick: random pushes lead to a state within ± this, while it is learnt.
        every: between them [s]. hold: of the state before a push, what is left in it.
        gain: slope of the dendrites for each standard deviation of the states.
        offsets: their least and greatest size. φ = tanh has no third derivative at ±0.66, and is
            most bent there: around it for flows that are nearly linear or quadratic.
        leak: λ of the network [1/s]: what is learnt is f(x) + λx, so small where slow growth
            matters.
        k: feedback at first [1/s]. k_late: in the end.
        haste: η⟨|p|²⟩/(k/2)² at first; learning rings above 1. haste_late: in the end.
        seconds: of learning. dendrites: K, without the constant one. neurons: N. norm: of the
            decoders.
    """

    name: str
    kind: int
    start: tuple[float, ...]
    kick: float
    every: float
    hold: float = 0.0
    gain: float = 0.1
    offsets: tuple[float, float] = (0.3, 1.0)
    leak: float = 5.0
    k: float = 200.0
    k_late: float = 50.0
    haste: float = 0.03
    haste_late: float = 0.01
    seconds: float = 300.0
    dendrites: int = 60
    neurons: int = 200
    norm: float = 0.01


TEACHERS = (
    Teacher("harmonic", HARMONIC, (0.7, 0.0), 0.7, 2.0),
    Teacher("damped", DAMPED, (0.7, 0.0), 0.7, 1.0),
    Teacher(
        "van_der_pol", CYCLE, (0.7, 0.0), 0.7, 1.0, gain=2.0, offsets=(0.0, 3.0),
        haste=0.5, haste_late=0.1, dendrites=100,
    ),
    Teacher(
        "bistable", SWITCH, (0.7,), 1.1, 0.7, gain=2.0, offsets=(0.0, 3.0),
        haste=0.5, haste_late=0.1, dendrites=100,
    ),
    # Its quadratic part decides, and is taught best by dendrites that are more bent than steep.
    Teacher(
        "lorenz", LORENZ, (0.1, 0.0, 0.0), 0.35, 0.5, hold=1.0, gain=0.3, offsets=(0.7, 1.6),
        haste=0.3, haste_late=0.3, seconds=1200.0, dendrites=240,
    ),
    # Pushes that send it over the top would leave the range of its dendrites.
    Teacher(
        "pendulum", PENDULUM, (0.6, 0.0), 0.6, 1.0, gain=0.5, offsets=(0.5, 1.2), leak=2.0,
        seconds=400.0, dendrites=100,
    ),
)  # fmt: skip
LEVEL = 0.7
"""Of the two states of the switch."""
TURN = 300
"""Steps of 1 ms that a turn of the Lorenz system takes at least."""
STIFFNESS = 5.0
"""√(g/l) of the pendulum [1/s]; its signals are half its angle, and its rate over twice this."""


def teacher(name: str) -> Teacher:
    """Return a teacher by name."""
    names = {each.name: each for each in TEACHERS}
    if name not in names:
        raise KuwaError(f"no teacher {name!r}; {choices(name, names)}")
    return names[name]


def peaks(z: Array) -> Array:
    """Return the height of each turn of the Lorenz system; on a periodic orbit all are the same.

    Args:
        z: its third signal, every 1 ms.
    """
    smooth = np.convolve(z, np.ones(20) / 20, "same")
    rises = np.diff(smooth)
    tops = np.nonzero((rises[:-1] > 0.0) & (rises[1:] <= 0.0) & (smooth[1:-1] > 0.0))[0] + 1
    found: list[float] = []
    last = -TURN
    for t in tops:
        if t - last > TURN:
            found.append(smooth[t])
            last = int(t)
        else:
            found[-1] = max(found[-1], smooth[t])
    return np.array(found)


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


@njit(cache=True)
def advance(kind: Any, x: Any, c: Any, dt: Any, work: Any) -> None:
    """Advance x by one step of ẋ = f(x) + c (Heun's rule); ``work`` has shape (3, J)."""
    here, there, ahead = work[0], work[1], work[2]
    flow(kind, x, here)
    for j in range(len(x)):
        ahead[j] = x[j] + dt * (here[j] + c[j])
    flow(kind, ahead, there)
    for j in range(len(x)):
        x[j] += dt * (0.5 * (here[j] + there[j]) + c[j])


@njit(cache=True)
def watched(kind: Any, x: Any, pushes: Any, dt: Any, out: Any) -> None:
    """Advance x under pushes, shape (steps, J) [1/s], and write each state to ``out``."""
    work = np.zeros((3, len(x)))
    for t in range(len(pushes)):
        advance(kind, x, pushes[t], dt, work)
        out[t] = x
