"""OPERA's table and codec: aliases, orders by mode, units, and commands as velocities and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuwa_hardware.flow import FlowCurve
from kuwa_machines.loader import load_machine

opera_table = pytest.importorskip("kuwa_robot.opera_table")
opera_codec = pytest.importorskip("kuwa_robot.opera_codec")
SPEC = load_machine("zx200")
PROFILE = opera_table.profile(SPEC)
FRONT = PROFILE.commands[0]
U = np.array([0.1, -0.2, 0.3, -0.4])


@pytest.mark.parametrize("machine", ["zx200", "zx200_nfc", "zx120", "ic120", "d37"])
def test_every_joint_of_an_opera_machine_has_a_command(machine: str) -> None:
    spec = load_machine(machine)
    profile = opera_table.profile(spec)
    told = {profile.ours(name) for command in profile.commands for name in command.order}
    assert set(spec.joint_names) <= told


def test_a_machine_that_opera_has_not_is_refused() -> None:
    with pytest.raises(opera_table.OperaError, match="tractor: OPERA has none"):
        opera_table.profile(load_machine("tractor_plough"))


@pytest.mark.parametrize(
    ("mode", "order"),
    [("effort", (3, 2, 1, 0)), ("velocity", (0, 1, 2, 3)), ("position", (3, 2, 1, 0))],
)
def test_programs_that_read_by_place_find_each_joint(mode: str, order: tuple[int, ...]) -> None:
    encoder = opera_codec.Encoder(SPEC, PROFILE, mode)
    sent = encoder.encode(FRONT, U, SPEC.home)
    assert sent.names == tuple(SPEC.joint_names[j] for j in order)
    wanted = {
        "effort": U,
        "velocity": FlowCurve(SPEC).velocity(U, SPEC.home),
        "position": encoder.positions(U, SPEC.home),
    }[mode]
    assert sent.values == pytest.approx(wanted[list(order)])


def test_joints_that_we_lack_are_told_zero() -> None:
    sent = opera_codec.Encoder(SPEC, PROFILE, "effort").encode(PROFILE.commands[1], U, SPEC.home)
    assert sent.names == ("left_track", "right_track") and sent.values == [0.0, 0.0]


def test_tracks_in_metres_a_second() -> None:
    spec = load_machine("ic120")
    profile = opera_table.profile(spec)
    u = np.array([0.5, -0.5, 0.0])
    by_sprocket = opera_codec.Encoder(spec, profile, "velocity").encode(
        profile.commands[1], u, spec.home
    )
    by_track = opera_codec.Encoder(spec, profile, "velocity", "m/s").encode(
        profile.commands[1], u, spec.home
    )
    ratio = np.array(by_track.values) / np.array(by_sprocket.values)
    assert ratio == pytest.approx(spec.undercarriage.sprocket_radius)  # type: ignore[union-attr]


def test_a_position_is_held_at_neutral() -> None:
    encoder = opera_codec.Encoder(SPEC, PROFILE, "position")
    first = encoder.positions(np.zeros(4), SPEC.home)
    assert encoder.positions(np.zeros(4), SPEC.home + 0.1) == pytest.approx(first)
    moving = encoder.positions(U, SPEC.home)
    assert (np.sign(moving - SPEC.home) == np.sign(U)).all()
    assert (moving <= SPEC.q_max).all() and (moving >= SPEC.q_min).all()


@given(st.permutations(list(range(4))), st.sampled_from([0, 1]))
def test_any_order_and_alias_comes_back_by_name(order: list[int], alias: int) -> None:
    decoder = opera_codec.Decoder(SPEC, PROFILE)
    q = np.array([0.1, 0.2, 0.3, 0.4])
    names = [PROFILE.joints[SPEC.joint_names[j]][alias] for j in order] + ["bucket_end_joint"]
    assert decoder.take(names, [*q[order], 9.0]) == pytest.approx(q)


@pytest.mark.parametrize(
    ("names", "values", "why"),
    [
        (["swing", "boom", "arm"], [0.0] * 3, "bucket_joint 0 times"),
        (["swing", "boom", "arm", "bucket", "boom_joint"], [0.0] * 5, "boom_joint 2 times"),
        (["swing", "boom", "arm", "bucket"], [0.0] * 3, "3 values for 4 joints"),
        (["swing", "boom", "arm", "bucket"], [0.0, np.nan, 0.0, 0.0], "not all finite"),
    ],
)
def test_joint_states_that_are_not_whole_are_refused(
    names: list[str], values: list[float], why: str
) -> None:
    with pytest.raises(opera_table.OperaError, match=why):
        opera_codec.Decoder(SPEC, PROFILE).take(names, values)


def test_settings_in_words() -> None:
    made = opera_table.parse("mode=velocity rpm=1200 eco=true", "zx200")
    assert (made.namespace, made.mode, made.rpm, made.eco) == ("/zx200", "velocity", 1200.0, True)
    for text, why in (
        ("rpm=800", "rpm: .*900"), ("speed=1", "no setting of OPERA"), ("mode=fast", "no mode"),
        ("rpm", "no setting of OPERA"),
    ):  # fmt: skip
        with pytest.raises(opera_table.OperaError, match=why):
            opera_table.parse(text, "zx200")


@given(st.floats(-1.0, 1.0), st.integers(0, 3), st.floats(0.0, 1.0))
def test_velocity_of_a_valve_and_back(u: float, joint: int, share: float) -> None:
    curve = FlowCurve(SPEC)
    q = float(SPEC.q_min[joint] + share * (SPEC.q_max[joint] - SPEC.q_min[joint]))
    v = curve.one(joint, u, q)
    band = float(list(SPEC.joints.values())[joint].drive.valve.dead_band)
    if abs(u) <= band:
        assert v == 0.0
    else:
        assert v * u >= 0.0
        assert curve.one(joint, curve.inverse(joint, v, q), q) == pytest.approx(v, rel=1e-6)
