"""Where the profiles disagree: cases as data, what each makes of them, and the table of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.profiles import PROFILES, Profile

REFUSED = "not there"
TOP = 2**23


@dataclass(frozen=True, eq=False)
class Case:
    """One neuron, what drives it, and what is looked at.

    Args:
        title: in words, as the table shows it.
        read: current ``u`` or voltage ``v`` after the last step; ``w``: the current over 64, which
            is what the weights count; ``arrival``: the first step, from 0, that changes the
            current; ``spikes``: how many.
        weights: of as many inputs, each of which spikes once: so that it arrives in the second
            step, or, where that is what is asked for, in the first one.
        dense: more of the connection. neurons: more of the neuron.
        forget_u: 4096ths of the current that a step loses, whatever register that takes.
        u, v: to start from.
        steps: how many.
    """

    title: str
    read: Literal["u", "v", "w", "arrival", "spikes"]
    weights: tuple[int, ...] = ()
    dense: dict[str, Any] = field(default_factory=dict)
    neurons: dict[str, Any] = field(default_factory=dict)
    forget_u: int = 4096
    u: int = 0
    v: int = 0
    steps: int = 2


def _before(rest: int) -> int:
    """Return a current of which ``rest`` is left after a step that loses 1/4096 of it."""
    return -(-rest * 4096 // 4095)


# With 64·2⁶ more after two steps it is 2²³ exactly.
RISING = _before(_before(TOP - (64 << 6)))

CASES = (
    Case("weight −127, signs mixed", "w", (-127,), {"sign_mode": "mixed"}),
    Case("weight −125, signs mixed", "w", (-125,), {"sign_mode": "mixed"}),
    Case("weight 127, signs mixed", "w", (127,), {"sign_mode": "mixed"}),
    Case("weight 255, signs mixed", "w", (255,), {"sign_mode": "mixed"}),
    Case("weight −256, signs mixed", "w", (-256,), {"sign_mode": "mixed"}),
    Case("weight 300, excitatory", "w", (300,), {"sign_mode": "excitatory"}),
    Case("weight 9 in 4 bits, excitatory", "w", (9,), {"bits": 4}),
    Case("weight −25 in 4 bits, inhibitory", "w", (-25,), {"bits": 4}),
    Case("weight 201 in 7 bits", "w", (201,), {"bits": 7}),
    Case("two weights 3, exponent −2", "w", (3, 3), {"exponent": -2}),
    Case("two weights −3, exponent −2", "w", (-3, -3), {"exponent": -2}),
    Case("exponent −8", "w", (255,), {"exponent": -8}),
    Case("sum of a step 2²¹", "u", (128,) * 8, {"exponent": 5, "sign_mode": "excitatory"}),
    Case("sum of a step 2²³", "u", (128,) * 32, {"exponent": 5, "sign_mode": "excitatory"}),
    Case(
        "current rises to 2²³", "u", (64,), {"sign_mode": "excitatory"}, forget_u=1,
        u=RISING,
    ),
    Case(
        "current falls to −2²³", "u", (-64,), {"sign_mode": "inhibitory"}, forget_u=1,
        u=-RISING,
    ),
    Case("sum of a step 3·2²³ + 2¹⁸", "u", (128,) * 97, {"exponent": 5, "sign_mode": "excitatory"}),
    Case(
        "current 2²³ − 1 with bias 4095·2⁷: voltage", "v",
        neurons={"bias": 4095, "bias_exponent": 7, "decay_v": 4095}, u=TOP - 1, forget_u=1, steps=1,
    ),
    Case("voltage −2²³ + 1 and current −2²²", "v", u=-(2**22), v=1 - TOP, forget_u=1, steps=1),
    Case("voltage equal to the threshold", "spikes", v=100 << 6, steps=1),
    Case("current 2²⁰, decay register 4095", "u", neurons={"decay_u": 4095}, u=2**20, steps=1),
    Case("current 2²⁰, decay register 0", "u", neurons={"decay_u": 0}, u=2**20, steps=1),
    Case("input spikes in step 0, current changes in step", "arrival", (100,), steps=4),
    Case("bias", "v", neurons={"bias": 100, "decay_v": 4095}, steps=1),
    Case("refractory period of 3 steps", "spikes", neurons={"refractory": 3}, u=2**20, forget_u=1,
         steps=9),
    Case("delay of 2 steps", "arrival", (100,), {"delays": 2}, steps=6),
    Case("delays of 1 and 2 steps in a connection", "arrival", (100, 100),
         {"delays": np.array([[1, 2]])}, steps=6),
)  # fmt: skip


def network_of(case: Case, profile: Profile) -> tuple[Network, NDArray[np.uint8]]:
    """Return the network of a case in a profile's registers, and what its inputs spike."""
    register = min(max(case.forget_u - profile.decay_u_offset, 0), profile.decay_u_max)
    neuron = Neurons(1, **({"decay_u": register, "threshold": 100} | case.neurons))
    if case.read != "spikes":
        # Where no spike shall come in between.
        neuron = Neurons(1, **({"decay_u": register, "threshold": 2**17 - 1} | case.neurons))
    inputs = {"in": len(case.weights)} if case.weights else {}
    denses = [Dense("in", "n", np.array([case.weights]), **case.dense)] if case.weights else []
    raster = np.zeros((case.steps, len(case.weights)), np.uint8)
    if case.weights:
        raster[0 if case.read == "arrival" else 1 - profile.input_delay] = 1
    return Network(inputs, {"n": neuron}, denses), raster


def outcome(case: Case, states: dict[str, NDArray[Any]]) -> int:
    """Return the number of a case from spikes, u and v of every step, shape (steps, 1)."""
    u = states["u"][:, 0].astype(np.int64)
    if case.read == "arrival":
        return int(np.flatnonzero(u)[0])
    if case.read == "spikes":
        return int(states["spikes"].sum())
    last = int(states[case.read][-1, 0]) if case.read != "w" else 0
    # Weights are counted when they arrive, in whichever step that is.
    return last if case.read != "w" else int(u[np.abs(u).argmax()] // 64)


def answer(case: Case, profile: Profile) -> int | str:
    """Return what a profile makes of a case."""
    try:
        network, raster = network_of(case, profile)
        emulator = Emulator(network, profile)
    except KuwaError:
        return REFUSED
    emulator.u[:], emulator.v[:] = case.u, case.v
    done = emulator.run({"in": raster} if case.weights else {}, case.steps, states=True)
    assert done.u is not None and done.v is not None
    return outcome(case, {"spikes": done.spikes["n"], "u": done.u["n"], "v": done.v["n"]})


def table() -> list[str]:
    """Return the cases as a table in Markdown."""
    names = list(PROFILES)
    lines = [f"| | {' | '.join(f'`{n}`' for n in names)} | |", "|---|" + "---|" * (len(names) + 1)]
    for case in CASES:
        answers = [answer(case, PROFILES[name]) for name in names]
        same = "" if len(set(answers)) > 1 else "all agree"
        lines.append(f"| {case.title} | {' | '.join(map(_shown, answers))} | {same} |")
    return lines


def _shown(number: int | str) -> str:
    if isinstance(number, str):
        return number
    for offset in (0, 1, -1):
        near = number + offset
        power = abs(near).bit_length() - 1
        if power >= 18 and abs(near) == 1 << power:
            sign = "−" if near < 0 else ""
            tail = "" if offset == 0 else (" − 1" if offset > 0 else " + 1")
            return f"{sign}2{str(power).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}{tail}"
    return f"{number:,}".replace(",", " ").replace("-", "−")
