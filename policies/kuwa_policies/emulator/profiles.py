"""Which reference an emulation is exact to, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.emulator.arithmetic import ALIGN


@dataclass(frozen=True, slots=True)
class Profile:
    """How one reference counts.

    The current that is meant is the one that the voltage takes: Brian2-Loihi lets it decay at the
    end of a step rather than at the start of the next, which is the same.

    Args:
        name: as people write it.
        reference: package, version and what of it.
        decay_u_offset: added to the decay register of the current.
        decay_u_max: the largest register value of it. decay_v_max: of the voltage's.
        synaptic_bits: the sum of synapses wraps at so many bits, sign included; 0: it does not.
        u_overflow: of the current: ``"once"`` (``wrap_once``), ``"wrap"``, or not at all.
        bias_range: of its mantissa; 0 to 0: there is none. bias_wraps: current and bias together
            wrap before the voltage takes them.
        v_limits: of the voltage: held within ±(2²³ − 1), within the neuron's own limits, or free.
        refractory: there are refractory periods.
        state_bits: of an integer that holds a current or a voltage; what overflows it wraps.
        weight_bits: which precisions there are.
        weight_rounding: how the low bits of a weight are cut off: ``"floor"``, ``"nearest"`` (ties
            to even) or ``"zero"``.
        weight_ranges: least and most weight by sign mode. weights_clip: what is outside is held at
            the end rather than refused.
        exponent_on_sum: the weight exponent shifts the sum of a step, not each weight.
        aligned_late: sums are shifted by 6 at the neuron; otherwise each weight is, after its
            exponent, and cut to whole multiples of 64.
        effective_limit: of a shifted weight; 0: none.
        input_delay: steps from a spike of an input to the neurons.
        delay_max: the longest delay; 0: none are possible. delay_each: every synapse may have its
            own.
        learning: how connections learn: with traces of neurons in epochs (``learning.py``), by PES
            (``pes.py``), with traces of synapses (``synaptic.py``), or not at all.
    """

    name: str
    reference: str
    decay_u_offset: int
    decay_u_max: int
    decay_v_max: int
    synaptic_bits: int
    u_overflow: Literal["once", "wrap", "none"]
    bias_range: tuple[int, int]
    bias_wraps: bool
    v_limits: Literal["24 bits", "own", "none"]
    refractory: bool
    state_bits: Literal[32, 64]
    weight_bits: tuple[int, ...]
    weight_rounding: Literal["floor", "nearest", "zero"]
    weight_ranges: dict[str, tuple[int, int]]
    weights_clip: bool
    exponent_on_sum: bool
    aligned_late: bool
    effective_limit: int
    exponent_range: tuple[int, int]
    input_delay: int
    delay_max: int
    delay_each: bool
    learning: Literal["epochs", "pes", "synapses", "none"]

    @property
    def biased(self) -> bool:
        """Whether neurons have a bias."""
        return self.bias_range != (0, 0)


LAVA = Profile(
    name="lava",
    reference="lava-nc 0.10.0: PyLifModelBitAcc, PyDenseModelBitAcc, PyDelayDenseModelBitAcc, "
    "PyLearningDenseModelBitApproximate",
    decay_u_offset=1,
    decay_u_max=4095,
    decay_v_max=4095,
    synaptic_bits=0,
    u_overflow="once",
    bias_range=(-4096, 4095),
    bias_wraps=False,
    v_limits="24 bits",
    refractory=False,
    state_bits=32,
    weight_bits=(1, 2, 3, 4, 5, 6, 7, 8),
    weight_rounding="floor",
    weight_ranges={"mixed": (-256, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)},
    weights_clip=True,
    exponent_on_sum=True,
    aligned_late=True,
    effective_limit=0,
    exponent_range=(-8, 7),
    input_delay=1,
    delay_max=63,
    delay_each=True,
    learning="epochs",
)
NENGO_LOIHI = Profile(
    name="nengo-loihi",
    reference="nengo-loihi 1.1.0: EmulatorInterface, discretize_weights, discretize_synapse",
    decay_u_offset=1,
    decay_u_max=4095,
    decay_v_max=4095,
    synaptic_bits=22,
    u_overflow="wrap",
    bias_range=(-4095, 4095),
    bias_wraps=True,
    v_limits="own",
    refractory=True,
    state_bits=32,
    weight_bits=(1, 2, 3, 4, 5, 6, 8),
    weight_rounding="nearest",
    weight_ranges={"mixed": (-255, 255), "excitatory": (0, 255), "inhibitory": (-255, 0)},
    weights_clip=False,
    exponent_on_sum=False,
    aligned_late=False,
    effective_limit=0,
    exponent_range=(-6, 7),
    input_delay=1,
    delay_max=0,
    delay_each=False,
    learning="pes",
)
BRIAN2_LOIHI = Profile(
    name="brian2-loihi",
    reference="brian2-loihi 0.5.2 on Brian2 2.9.0: LoihiNeuronGroup, LoihiSynapses",
    decay_u_offset=0,
    decay_u_max=4096,
    decay_v_max=4096,
    synaptic_bits=0,
    u_overflow="none",
    bias_range=(0, 0),
    bias_wraps=False,
    v_limits="none",
    refractory=True,
    state_bits=64,
    weight_bits=(1, 2, 3, 4, 5, 6, 7, 8),
    weight_rounding="zero",
    weight_ranges={"mixed": (-256, 254), "excitatory": (0, 255), "inhibitory": (-256, 0)},
    weights_clip=False,
    exponent_on_sum=False,
    aligned_late=False,
    effective_limit=2**21 - (1 << ALIGN),
    exponent_range=(-8, 7),
    input_delay=0,
    delay_max=62,
    delay_each=False,
    learning="synapses",
)
PROFILES = {profile.name: profile for profile in (LAVA, NENGO_LOIHI, BRIAN2_LOIHI)}


def profile_of(name: str | Profile) -> Profile:
    """Return a profile by its name."""
    if isinstance(name, Profile):
        return name
    if name not in PROFILES:
        raise KuwaError(f"no profile {name!r}; {choices(name, PROFILES)}")
    return PROFILES[name]
