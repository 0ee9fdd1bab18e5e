"""Machines of one make differ by chance as the data say, and nothing impossible comes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import MachineError, MachineSpec, load_machine
from kuwa_machines.datafile import quantities
from kuwa_machines.randomise import matched, randomised

SPEC = load_machine("zx200")
SHARES = {"joints.*.drive.valve.dead_time": 0.2, "hydraulics.pump_power": 0.1}


def drawn(shares: dict[str, float], seed: int) -> MachineSpec:
    return randomised(SPEC, shares, np.random.default_rng(seed))


def values(spec: MachineSpec) -> dict[str, object]:
    return {key: leaf["value"] for key, leaf in quantities(spec.raw)}


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_named_stays_within_its_share_and_the_rest_as_it_was(seed: int) -> None:
    spec = drawn(SHARES, seed)
    assert np.all(np.abs(spec.dead_time / SPEC.dead_time - 1) <= 0.2 + 1e-12)
    assert spec.hydraulics.pump_power == pytest.approx(SPEC.hydraulics.pump_power, rel=0.1)
    changed = {key for key, value in values(spec).items() if value != values(SPEC)[key]}
    assert changed == set(matched(SPEC, SHARES))
    assert len(changed) == 5
    assert spec.folder == SPEC.folder and spec.name == SPEC.name


def test_the_spread_is_uniform() -> None:
    factors = np.array([drawn(SHARES, k).dead_time / SPEC.dead_time - 1 for k in range(150)])
    assert np.abs(factors).max() > 0.195
    assert factors.std() == pytest.approx(0.2 / math.sqrt(3), rel=0.1)
    assert abs(factors.mean()) < 0.02
    correlation = np.corrcoef(factors.T) - np.eye(4)
    assert np.abs(correlation).max() < 0.3, "each joint has a factor of its own"


def test_a_seed_repeats_and_does_not_care_what_else_is_randomised() -> None:
    first, again = drawn(SHARES, 5), drawn(SHARES, 5)
    assert first.raw == again.raw
    more = drawn({"links.*.mass": 0.1, **SHARES}, 5)
    assert more.dead_time.tolist() == first.dead_time.tolist()
    assert drawn(SHARES, 6).dead_time.tolist() != first.dead_time.tolist()


def test_it_draws_one_number_whatever_it_does() -> None:
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    randomised(SPEC, {}, rng)
    randomised(SPEC, SHARES, other)
    assert rng.random() == other.random()


def test_nothing_randomised_is_the_machine_itself() -> None:
    assert drawn({}, 1) is SPEC


def test_a_vector_keeps_its_direction() -> None:
    com = np.array(drawn({"links.boom_link.com": 0.3}, 2).links["boom_link"].com)
    plain = np.array(SPEC.links["boom_link"].com)
    assert com / np.linalg.norm(com) == pytest.approx(plain / np.linalg.norm(plain))
    assert not np.allclose(com, plain)


@pytest.mark.parametrize(
    ("shares", "says"),
    [
        ({"joint.*.drive.leakage": 0.1}, "did you mean 'joints'"),
        ({"joints.bom_joint.drive.leakage": 0.1}, "'bom_joint'.*did you mean 'boom_joint'"),
        ({"joints.*.drive.valve.dead_tme": 0.1}, "'dead_tme'.*did you mean 'dead_time'"),
        ({"hydraulics": 0.1}, "add one of .*pump_flow"),
        ({"hydraulics.pump_flow.value": 0.1}, "nothing lies below"),
        ({"hydraulics.pump_flow": 1.0}, r"share 1.0 must be in \[0, 1\)"),
        ({"hydraulics.pump_flow": -0.1}, r"pump_flow: share -0.1 must be in"),
        ({"hydraulics.pump_flow": math.nan}, "pump_flow: share nan must be in"),
        ({"hydraulics.pump_flow": True}, "True is no number"),
        ({"hydraulics.*": 0.1, "hydraulics.pump_flow": 0.2}, "named by hydraulics.. already"),
    ],
)
def test_what_names_nothing_or_twice_is_refused(shares: dict[str, float], says: str) -> None:
    with pytest.raises(MachineError, match=says):
        drawn(shares, 0)


def test_what_can_be_no_machine_is_refused_with_key_and_value() -> None:
    with pytest.raises(MachineError, match=r"randomised: zx200: .*rod .* must be .* below bore"):
        for seed in range(50):
            drawn({"joints.arm_joint.drive.rod": 0.9}, seed)


def test_a_machine_changed_by_hand_cannot_be_randomised() -> None:
    by_hand = SPEC.model_copy(update={"title": "another"})
    with pytest.raises(MachineError, match="changed by hand"):
        randomised(by_hand, SHARES, np.random.default_rng(0))
