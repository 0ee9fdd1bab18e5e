"""Every profile is exact to its reference: to its answers, and to itself where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from emulator_rig import (
    GOLDEN,
    Peer,
    decode,
    differing_bits,
    golden,
    interpreter,
    random_networks,
)
from kuwa_policies.emulator.disagreements import CASES as CASES_OF_THE_TABLE
from kuwa_policies.emulator.disagreements import REFUSED, answer, network_of, outcome
from kuwa_policies.emulator.network import Emulator
from kuwa_policies.emulator.profiles import PROFILES

META, CASES = golden()


def learnt(emulator: Emulator, raster: np.ndarray) -> np.ndarray:
    """Return weights, tags and traces after every step, flat."""
    state = emulator.learning[0]
    rows = []
    for spikes in raster:
        emulator.set("in", spikes)
        emulator.step()
        parts = (state.weights.T, state.tag_1.T, state.tag_2.T, state.x, state.y)
        rows.append(np.concatenate([part.ravel() for part in parts]))
    return np.array(rows)


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
    given, answer = CASES[name]["given"], CASES[name]["answer"]
    emulator = Emulator(decode(META["cases"][name], given))
    ours = learnt(emulator, given["raster"])
    assert (ours == answer["learning:0"]).all()


def test_some_of_the_learning_changes_weights() -> None:
    weights = [c["answer"]["learning:0"][:, :30] for n, c in CASES.items() if "learning" in n]
    assert sum(int((np.diff(w.astype(int), axis=0) != 0).sum()) for w in weights) > 100


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


def test_the_public_emulators_differ_where_others_have_found_them_to() -> None:
    found = {
        case.title: [answer(case, profile) for profile in PROFILES.values()]
        for case in CASES_OF_THE_TABLE
    }
    assert found["current rises to 2²³"][:2] == [2**23, -(2**23)]
    assert found["weight −127, signs mixed"] == [-128, -128, -126]
    assert len(found) == len(CASES_OF_THE_TABLE)
