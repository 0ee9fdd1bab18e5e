"""Which engine a profile learns with, and which rules it takes."""

from __future__ import annotations

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator import synaptic
from kuwa_policies.emulator.learners import Engine, Learner, Stage
from kuwa_policies.emulator.learning import EpochEngine
from kuwa_policies.emulator.pes import Pes, PesEngine, pes_state
from kuwa_policies.emulator.profiles import Profile
from kuwa_policies.emulator.rules import LearningRule

SEED_MAX = 2**32 - 1
RULES = {"epochs": LearningRule, "pes": Pes, "synapses": LearningRule, "none": None}


def check(learner: Learner, profile: Profile) -> None:
    """Refuse a rule that the profile does not have.

    Raises:
        KuwaError: the rule or a number of it, and what it may be.
    """
    what = f"of {learner.dense.name} in profile {profile.name}"
    rule, wanted = learner.dense.learning, RULES[profile.learning]
    if wanted is None:
        raise KuwaError(f"learning {what}: this profile has none; leave learning at None")
    if not isinstance(rule, wanted):
        raise KuwaError(
            f"learning {what}: a {type(rule).__name__}; this profile learns by {wanted.__name__}"
        )
    if profile.learning != "synapses" and learner.kept.delays.any():
        raise KuwaError(f"learning {what}: its connections have no delays")
    if isinstance(rule, Pes):
        rule.check(what, learner.kept.weights.shape[1])
    elif profile.learning == "synapses":
        synaptic.check(rule, what)
    else:
        rule.check(what)


def engine(learners: list[Learner], stage: Stage, profile: Profile, seed: int) -> Engine:
    """Return the engine of a profile.

    Args:
        learners: connections that learn, at least one, in the order of all connections.
        seed: of the random numbers where a whole network shares them.
    """
    for learner in learners:
        check(learner, profile)
    if seed != int(seed) or not 0 <= seed <= SEED_MAX:
        raise KuwaError(f"seed is {seed}; expected 0 to {SEED_MAX}")
    if profile.learning == "pes":
        # The reference draws block after block.
        states = {
            m.index: pes_state(
                m.dense.learning, m.weights, m.source, m.dense.exponent, m.dense.bits,
                m.kept.sign_mode,
            )
            for m in sorted(learners, key=lambda m: (m.start, m.index))
            if isinstance(m.dense.learning, Pes)
        }  # fmt: skip
        return PesEngine(states, stage.spikes, stage.clock, stage.neurons, seed)
    if profile.learning == "synapses":
        return synaptic.SynapticEngine(learners, stage, profile.input_delay == 0, profile, seed)
    return EpochEngine(learners, stage)
