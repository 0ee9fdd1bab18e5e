"""Every profile is exact to its reference: to its answers, and to itself where it is installed."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from emulator_rig import (
    GOLDEN,
    Peer,
    decode,
    differing_bits,
    golden,
    interpreter,
    learnt,
    random_networks,
)
from kuwa_policies.emulator import disagreements_learning as learning_table
from kuwa_policies.emulator.disagreements import CASES as CASES_OF_THE_TABLE
from kuwa_policies.emulator.disagreements import REFUSED, answer, network_of, outcome
from kuwa_policies.emulator.network import Emulator
from kuwa_policies.emulator.pes import discretised
from kuwa_policies.emulator.profiles import PROFILES

META, CASES = golden()


@pytest.mark.parametrize("name", [name for name in CASES if "learning" not in name])
def test_not_a_bit_differs_from_what_the_reference_has_answered(name: str) -> None:
    given, answer = CASES[name]["given"], CASES[name]["answer"]
    emulator = Emulator(decode(META["cases"][name], given), name.split("/")[0])
    emulator.u[:], emulator.v[:] = given["u"], given["v"]
    ours = emulator.run({"in": given["raster"]}, states=True)
    assert differing_bits(ours, answer) == 0
    assert answer["spikes"].any() and np.ptp(answer["u"].astype(np.int64)) > 1000


@pytest.mark.parametrize("name", [name for name in CASES if "learning" in name])
def test_not_a_bit_differs_from_what_the_reference_has_learnt(name: str) -> None:
    """Random numbers included: they are the reference's own, in its order."""
    described, given, answer = META["cases"][name], CASES[name]["given"], CASES[name]["answer"]
    emulator = Emulator(decode(described, given), name.split("/")[0], described["seed"])
    ours, history = learnt(emulator, given["raster"], errors_of(given))
    assert differing_bits(ours, answer) == 0
    assert history.keys() == {key for key in answer if key.startswith("learning:")}
    for key, rows in history.items():
        np.testing.assert_array_equal(rows, answer[key])


def errors_of(given: dict[str, np.ndarray]) -> dict[int, np.ndarray]:
    return {int(k.split(":")[1]): rows for k, rows in given.items() if k.startswith("errors:")}


def test_a_model_of_nengo_that_learns_is_emulated_as_nengo_loihi_has_built_it() -> None:
    """What is learnt is in the data of the test above; here, how the rule is made of Nengo's."""
    asked, model = META["model"], META["cases"]["nengo-loihi/learning_model"]
    rules = {
        index: c["learning"]["pes"]
        for index, c in enumerate(model["connections"])
        if c["learning"] is not None
    }
    assert rules
    for index, built in rules.items():
        ours = discretised(
            asked["learning_rate"], asked["tau"], asked["neurons"],
            model["weight_scale"][str(index)],
        )  # fmt: skip
        assert asdict(ours) == built


@pytest.mark.parametrize("profile", PROFILES)
def test_some_of_the_learning_changes_weights(profile: str) -> None:
    changes = 0
    for name, case in CASES.items():
        if name.startswith(f"{profile}/learning"):
            for index, c in enumerate(META["cases"][name]["connections"]):
                if c["learning"] is not None:
                    synapses = case["given"][f"weights:{index}"].size
                    weights = case["answer"][f"learning:{index}"][:, :synapses].astype(int)
                    changes += int((np.diff(weights, axis=0) != 0).sum())
    assert changes > 100


def test_the_data_say_who_answered_and_are_small() -> None:
    assert META["versions"]["lava"]["lava-nc"] == "0.10.0"
    for profile in PROFILES.values():
        for package, version in META["versions"][profile.name].items():
            if package != "numpy":
                assert f"{package} {version}" in profile.reference or package == "nengo"
    assert GOLDEN.stat().st_size < 200_000


@pytest.mark.parametrize("name", PROFILES)
def test_not_a_bit_differs_from_the_reference_itself(name: str) -> None:
    if interpreter(name) is None:
        pytest.skip(f"{name} is not installed; see docs/how-to/compare-with-peers.md")
    profile = PROFILES[name]
    with Peer(name) as peer:
        for seed in range(6):
            rng = np.random.default_rng(seed)
            case = random_networks.network(rng, profile, 12, (30, 40), 60, delays=seed % 2 == 1)
            network, raster, u, v = case
            emulator = Emulator(network, profile)
            emulator.u[:], emulator.v[:] = u, v
            ours = emulator.run({"in": raster}, states=True)
            assert differing_bits(ours, peer.run(network, raster, u, v)) == 0


@pytest.mark.parametrize("name", PROFILES)
def test_not_a_bit_differs_from_what_the_reference_itself_learns(name: str) -> None:
    if interpreter(name) is None:
        pytest.skip(f"{name} is not installed; see docs/how-to/compare-with-peers.md")
    profile = PROFILES[name]
    with Peer(name) as peer:
        for seed in (2, 3, 4):
            (network, raster, u, v), errors = random_networks.any_learning(
                np.random.default_rng(seed), profile, (8, 3), 50
            )
            emulator = Emulator(network, profile, seed)
            theirs = peer.run(network, raster, u, v, errors=errors, seed=seed)
            ours, history = learnt(emulator, raster, errors)
            assert differing_bits(ours, theirs) == 0
            for key, rows in history.items():
                np.testing.assert_array_equal(rows, theirs[key])


def test_lava_as_a_whole_does_what_its_models_do() -> None:
    """Processes, ports and monitors, not only the models called by hand."""
    if interpreter("lava") is None:
        pytest.skip("lava is not installed; see docs/how-to/compare-with-peers.md")
    with Peer("lava") as peer:
        for seed in range(2):
            rng = np.random.default_rng(seed)
            case = random_networks.network(
                rng, PROFILES["lava"], 12, (30, 40), 30, delays=seed == 1, alike=True
            )
            network, raster, u, v = case
            emulator = Emulator(network)
            emulator.u[:], emulator.v[:] = u, v
            ours = emulator.run({"in": raster}, states=True)
            assert differing_bits(ours, peer.run(network, raster, u, v, "runtime")) == 0


@pytest.mark.parametrize("name", PROFILES)
def test_the_references_disagree_as_the_table_says(name: str) -> None:
    if interpreter(name) is None:
        pytest.skip(f"{name} is not installed; see docs/how-to/compare-with-peers.md")
    with Peer(name) as peer:
        for case in CASES_OF_THE_TABLE:
            said = answer(case, PROFILES[name])
            if said != REFUSED:
                network, raster = network_of(case, PROFILES[name])
                states = peer.run(network, raster, np.array([case.u]), np.array([case.v]))
                assert outcome(case, states) == said, case.title


@pytest.mark.parametrize("name", PROFILES)
def test_the_references_disagree_in_learning_as_the_table_says(name: str) -> None:
    if interpreter(name) is None:
        pytest.skip(f"{name} is not installed; see docs/how-to/compare-with-peers.md")
    profile = PROFILES[name]
    with Peer(name) as peer:
        for case in learning_table.CASES:
            said = learning_table.answers(case, profile, 2)
            if said != REFUSED:
                for run, number in enumerate(said):
                    network, raster, errors = learning_table.network_of(case, profile, run)
                    theirs = peer.run(network, raster, errors=errors, seed=run)["learning:0"]
                    assert learning_table.outcome(case, profile, theirs, run) == number, case.title


def test_the_references_learn_differently() -> None:
    found = {
        case.title: [learning_table.answers(case, profile, 3) for profile in PROFILES.values()]
        for case in learning_table.CASES
        if case.read == "w"
    }
    # A weight whose sign the chip would not let change, and one that a change below 1 moves surely.
    assert [set(f) for f in found["weight 10, change −20, excitatory"]] == [{0}, {-10}, {0}]
    assert set(found["weight 50, change ⅛, 8 bits"][2]) == {51}


def test_the_public_emulators_differ_where_others_have_found_them_to() -> None:
    found = {
        case.title: [answer(case, profile) for profile in PROFILES.values()]
        for case in CASES_OF_THE_TABLE
    }
    assert found["current rises to 2²³"][:2] == [2**23, -(2**23)]
    assert found["weight −127, signs mixed"] == [-128, -128, -126]
    assert len(found) == len(CASES_OF_THE_TABLE)
