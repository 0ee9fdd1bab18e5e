"""The reference page of the emulator: its profiles and where they disagree, from their own data."""

from __future__ import annotations

from kuwa_policies.emulator import disagreements_learning
from kuwa_policies.emulator.arithmetic import SIGN_MODES
from kuwa_policies.emulator.disagreements import REFUSED, table
from kuwa_policies.emulator.energy import LOIHI_2018
from kuwa_policies.emulator.profiles import PROFILES, Profile

INTRODUCTION = """\
How it counts and how to use it: [the emulator](../explanation/emulator.md). Each profile is exact
to the reference that it names, which is software; none of them claims to be exact to a chip.
"""
DISAGREEMENTS = f"""\
One neuron each; w is the current over 64. "{REFUSED}" is refused with an error that says so. Every
number has been asked of the reference as well:
[compare with peers](../how-to/compare-with-peers.md).
"""
LEARNING = {
    "epochs": "sums of products, every 1 … 63 steps; traces and their random numbers belong to "
    "neurons, tags to synapses",
    "pes": "PES by pairs of neurons: traces every 2 steps, weights every 4; errors from outside",
    "synapses": "sums of products, in every step; traces and random numbers belong to synapses",
    "none": "none",
}
LEARNING_DISAGREEMENTS = f"""\
One synapse, one spike; the weight is in units of its mantissa, as the spike leaves it, a trace as
it is at the end of a step. "a or b": the least and the most that {disagreements_learning.RUNS} runs
with different random numbers have given. Changes are of a sum of products on a spike of the source,
or of PES with trace and error to match. The references have been asked for two runs of every case.
"""


def page(note: str) -> str:
    """Return the page."""
    lines = ["# Emulator", "", note, INTRODUCTION]
    lines += ["## Profiles", "", *_profiles(), ""]
    lines += ["## Where they disagree", "", DISAGREEMENTS, *table(), ""]
    lines += ["## Where they learn differently", "", LEARNING_DISAGREEMENTS]
    lines += [*disagreements_learning.table(), ""]
    lines += ["## Energy of an event", "", *_energy(), ""]
    return "\n".join(lines)


def _profiles() -> list[str]:
    rows: dict[str, list[str]] = {}
    for profile in PROFILES.values():
        for key, value in _row(profile).items():
            rows.setdefault(key, []).append(value)
    names = [f"`{name}`" for name in PROFILES]
    lines = [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    return lines + [f"| {key} | {' | '.join(values)} |" for key, values in rows.items()]


def _row(p: Profile) -> dict[str, str]:
    overflow = {"once": "wraps once", "wrap": "wraps", "none": "none"}[p.u_overflow]
    limits = {
        "24 bits": "held within ±(2²³ − 1)",
        "own": "held within the neuron's own limits",
        "none": "none",
    }[p.v_limits]
    cut = {"floor": "rounded down", "nearest": "rounded to nearest", "zero": "rounded to zero"}
    ranges = ", ".join(
        f"{mode} {p.weight_ranges[mode][0]} … {p.weight_ranges[mode][1]}" for mode in SIGN_MODES
    ).replace("-", "−")
    sums = f"wraps at {p.synaptic_bits} bits" if p.synaptic_bits else "free"
    each = ", each synapse its own" if p.delay_each else ""
    delays = f"0 … {p.delay_max}{each}" if p.delay_max else "none"
    return {
        "exact to": p.reference,
        "decay of the current": f"register 0 … {p.decay_u_max} + {p.decay_u_offset}, of 4096",
        "decay of the voltage": f"register 0 … {p.decay_v_max}, of 4096",
        "sum of synapses": sums,
        "overflow of the current": overflow + (", and with the bias" if p.bias_wraps else ""),
        "limits of the voltage": limits,
        "bias": "mantissa and exponent" if p.biased else "none",
        "refractory period": "1 … 64 steps" if p.refractory else "none",
        "weights": ranges + ("; beyond: held there" if p.weights_clip else "; beyond: refused"),
        "bits cut off": cut[p.weight_rounding] + ("; not 7 bits" if 7 not in p.weight_bits else ""),
        "weight exponent": f"{p.exponent_range[0]} … {p.exponent_range[1]}, on ".replace("-", "−")
        + ("the sum of a step" if p.exponent_on_sum else "each weight"),
        "an input's spike arrives after": f"{p.input_delay} step" + "s" * (p.input_delay != 1),
        "delays": delays,
        "learning": LEARNING[p.learning],
    }


def _energy() -> list[str]:
    c = LOIHI_2018
    rows = {
        "a spike at a synapse": c.synaptic_operation,
        "a step of a neuron, active": c.neuron_active,
        "a step of a neuron, inactive": c.neuron_inactive,
        "a message within its tile": c.spike,
        "a message to the next tile": c.hop,
        "a learning rule at a synapse": c.weight_update,
    }
    lines = [f"{c.name}: {c.source}.", "", "| | pJ |", "|---|---|"]
    return lines + [f"| {key} | {value * 1e12:g} |" for key, value in rows.items()]
