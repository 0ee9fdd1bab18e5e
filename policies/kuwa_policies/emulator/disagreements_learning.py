"""Where the profiles disagree in learning: one synapse, one spike or two, and what becomes of it.

Random numbers decide some of it: each case is run several times, and what came out is given from
the least to the most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import ALIGN, SignMode
from kuwa_policies.emulator.dense import Dense
from kuwa_policies.emulator.disagreements import REFUSED
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import Neurons
from kuwa_policies.emulator.pes import ERROR_MAX, Pes
from kuwa_policies.emulator.profiles import PROFILES, Profile
from kuwa_policies.emulator.rules import LearningRule, Product, Trace

RUNS = 12
PERIOD = 4
"""Steps of the slowest reference's learning; runs begin so many steps apart."""
FIRST = 2
"""Step of the first spike, from 0: the slowest reference has learnt from it a step later."""
FORGETS_NOTHING = 2**20
LISTENS = 16
"""Impulse of a trace that only tells of a spike."""
FAST = Trace(LISTENS, 1)


@dataclass(frozen=True, slots=True)
class LearningCase:
    """One synapse onto a neuron that never spikes.

    Args:
        title: in words, as the table shows it.
        read: ``"w"``: the weight in units of its mantissa, as the spike leaves it; ``"x"``: the
            trace.
        spikes: of the source, in steps after the first one.
        change: of the weight at a spike, mantissa and exponent; read ``"w"`` only.
        weight, mode, bits: of the synapse.
        trace: which is read ``later`` steps after the step at whose end it is there first.
    """

    title: str
    read: Literal["w", "x"]
    spikes: tuple[int, ...] = (0,)
    change: tuple[int, int] = (1, 0)
    weight: int = 50
    mode: SignMode = "excitatory"
    bits: int = 8
    trace: Trace = FAST
    later: int = 0


CASES = (
    LearningCase("weight 50, change ⅛, 8 bits", "w", change=(1, -3)),
    LearningCase("weight 50, change −⅛, 8 bits", "w", change=(-1, -3)),
    LearningCase("weight 50, change 1, signs mixed", "w", change=(1, 0), mode="mixed"),
    LearningCase("weight 48, change 3, 4 bits", "w", change=(3, 0), weight=48, bits=4),
    LearningCase("weight 50, change 16, 4 bits", "w", change=(1, 4), bits=4),
    LearningCase("weight 10, change −20, excitatory", "w", change=(-5, 2), weight=10),
    LearningCase("weight −10, change 20, inhibitory", "w", change=(5, 2), weight=-10,
                 mode="inhibitory"),
    LearningCase("weight 250, change 20, signs mixed", "w", change=(5, 2), weight=250,
                 mode="mixed"),
    LearningCase("weight −250, change −20, signs mixed", "w", change=(-5, 2), weight=-250,
                 mode="mixed"),
    LearningCase("trace of impulse 64, τ 2, two steps later", "x", trace=Trace(64, 2), later=2),
    LearningCase("trace of impulse 127, τ 100, two steps later", "x", trace=Trace(127, 100),
                 later=2),
    LearningCase("trace of impulse 10, τ 2²⁰, after two spikes in a row", "x", (-1, 0),
                 trace=Trace(10, FORGETS_NOTHING), later=2),
    LearningCase("trace of impulse 100, τ 2²⁰, after two spikes", "x", (0, 4),
                 trace=Trace(100, FORGETS_NOTHING), later=4),
    LearningCase("trace of impulse 10½, τ 2²⁰", "x", trace=Trace(10.5, FORGETS_NOTHING)),
)  # fmt: skip


def network_of(
    case: LearningCase, profile: Profile, run: int
) -> tuple[Network, NDArray[np.uint8], dict[int, NDArray[np.float64]]]:
    """Return the network of a case in a profile's rules, its input's spikes, and errors."""
    steps = FIRST + PERIOD * (run + 2) + 1
    raster = np.zeros((steps, 1), np.uint8)
    raster[[FIRST + PERIOD * run + s for s in case.spikes]] = 1
    rule: LearningRule | Pes
    errors = {}
    if profile.learning == "pes":
        mantissa, error = 1, 0.0
        if case.read == "w":
            error = case.change[0] * 2.0 ** case.change[1] * 128 / LISTENS
            while abs(error) > ERROR_MAX:
                mantissa, error = 2 * mantissa, error / 2
        rule = Pes(case.trace, mantissa, -5, 1.0)
        errors[0] = np.full((steps, 1), error)
    else:
        products = (Product("x0", *(case.change if case.read == "w" else (0, 0))),)
        rule = LearningRule(products, x=(case.trace, Trace()), seed=_seed(profile, run))
    neurons = Neurons(2, decay_v=4095, threshold=2**17 - 1)
    weights = np.full((2, 1), case.weight)
    dense = Dense("in", "n", weights, 0, case.bits, case.mode, learning=rule)
    return Network({"in": 1}, {"n": neurons}, [dense]), raster, errors


def _seed(profile: Profile, run: int) -> int:
    """Return the seed of a rule, where rules have one of their own."""
    return run if profile.learning == "epochs" else 0


def outcome(case: LearningCase, profile: Profile, rows: NDArray[Any], run: int) -> int:
    """Return the number of a case from what learning has left after every step.

    Args:
        rows: as the peers return it, shape (steps, numbers): weights onto both neurons come first.
    """
    synapses = 2
    if case.read == "w":
        # Of the second neuron, whose error is the positive one where there are pairs.
        w = int(rows[FIRST + 1 + PERIOD * run, synapses - 1])
        return w >> ALIGN if profile.learning == "pes" else w
    # Traces follow: weights and tags (lava), weights (nengo-loihi), w and its weights.
    column = {"epochs": 3 * synapses, "pes": synapses, "synapses": 2 * synapses}[profile.learning]
    trace = rows[:, column]
    return int(trace[int(np.flatnonzero(trace)[0]) + case.later])


def rows_of(emulator: Emulator, raster: NDArray[Any], errors: dict[int, Any]) -> NDArray[Any]:
    """Run and return what learning has left after every step, as the peers do."""
    rows = []
    state = emulator.learning[0]
    for t, spikes in enumerate(raster):
        for index, given in errors.items():
            emulator.set_error(index, given[t])
        emulator.set("in", spikes)
        emulator.step()
        parts: tuple[NDArray[Any], ...]
        match emulator.profile.learning:
            case "pes":
                parts = (state.weights, state.trace)
            case "synapses":
                parts = (state.mantissas, state.weights, state.traces)
            case _:
                parts = (state.weights, state.tag_1, state.tag_2, state.x)
        rows.append(np.concatenate([np.ravel(part) for part in parts]))
    return np.array(rows)


def answers(case: LearningCase, profile: Profile, runs: int = RUNS) -> list[int] | str:
    """Return what a profile makes of a case, run by run."""
    found = []
    try:
        for run in range(runs):
            network, raster, errors = network_of(case, profile, run)
            rows = rows_of(Emulator(network, profile, run), raster, errors)
            found.append(outcome(case, profile, rows, run))
    except KuwaError:
        return REFUSED
    return found


def table() -> list[str]:
    """Return the cases as a table in Markdown."""
    names = list(PROFILES)
    lines = [f"| | {' | '.join(f'`{n}`' for n in names)} | |", "|---|" + "---|" * (len(names) + 1)]
    for case in CASES:
        shown = [_shown(answers(case, PROFILES[name])) for name in names]
        same = "" if len(set(shown)) > 1 else "all agree"
        lines.append(f"| {case.title} | {' | '.join(shown)} | {same} |")
    return lines


def _shown(found: list[int] | str) -> str:
    if isinstance(found, str):
        return found
    ends = sorted({min(found), max(found)})
    return " or ".join(str(end) for end in ends).replace("-", "−")
