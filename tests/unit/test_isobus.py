"""ISOBUS without a bus: database, geometry, mapping, commands, feedback and supervision."""

from __future__ import annotations

import math
from pathlib import Path

import cantools
import numpy as np
import pytest
import yaml

from isobus_rig import TICK, yaml_of
from kuwa_hardware.failures import failure
from kuwa_hardware.isobus.codec import (
    DATABASE,
    IsobusError,
    _field,
    database,
    message,
    messages,
)
from kuwa_hardware.isobus.commands import GuidanceCommand, commands
from kuwa_hardware.isobus.feedback import Feedback
from kuwa_hardware.isobus.geometry import Steering, Travel
from kuwa_hardware.isobus.mapping import Mapping, load_mapping
from kuwa_hardware.isobus.supervision import Supervision
from kuwa_machines.loader import load_machine, load_machine_file
from kuwa_machines.spec import MachineSpec

# --- database ---


def test_every_signal_of_every_message_comes_back_exactly() -> None:
    rng = np.random.default_rng(0)
    for known in messages().values():
        for _ in range(20):
            raws = {n: int(rng.integers(f.low, f.high + 1)) for n, f in known.fields.items()}
            values = {n: r * known.fields[n].scale + known.fields[n].offset
                      for n, r in raws.items()}  # fmt: skip
            data = known.encode(**values)
            back = known.decode(data)
            assert back == values, known.name
            assert known.encode(**back) == data
            # Another implementation reads the same from the same database.
            theirs = database().get_message_by_name(known.name).decode(data, decode_choices=False)
            assert theirs == pytest.approx(values), known.name


def test_no_two_signals_share_a_bit_and_bits_of_nobody_are_ones() -> None:
    for known in messages().values():
        taken = 0
        for field in known.fields.values():
            bits = field.mask << field.start
            assert not taken & bits, f"{known.name}.{field.name}"
            taken |= bits
        assert taken < 1 << 64
        assert known.encode() == database_ones(known.name), known.name


def database_ones(name: str) -> bytes:
    """All ones, but for signed signals, whose "not available" is their lowest number."""
    word = (1 << 64) - 1
    for field in message(name).fields.values():
        if field.signed:
            word &= ~(field.mask << field.start)
            word |= 1 << field.start + field.length - 1
    return word.to_bytes(8, "little")


def test_the_database_is_what_the_public_data_dictionary_says() -> None:
    # isobus.net: position in the group (byte.bit), length, scale, offset.
    for name, signal, byte, bit, length, scale, offset in (
        ("GuidanceSystemCommand", "CurvatureCommand", 1, 1, 16, 0.25, -8032.0),
        ("GuidanceMachineInfo", "RequestReset", 3, 7, 2, 1.0, 0.0),
        ("HitchAndPtoCommands", "RearHitchPosition", 2, 1, 8, 0.4, 0.0),
        ("HitchAndPtoCommands", "RearPtoEngagement", 7, 5, 2, 1.0, 0.0),
        ("RearHitchStatus", "Draft", 4, 1, 16, 10.0, -320000.0),
        ("WheelBasedSpeed", "WheelDistance", 3, 1, 32, 0.001, 0.0),
        ("AuxValve3Command", "PortFlowExtended", 4, 1, 16, 0.0015625, 0.0),
        ("AuxValve9MeasuredFlow", "ExtendPortPressure", 3, 1, 16, 5.0, 0.0),
        ("AllImplementsStop", "StopAllImplements", 8, 1, 2, 1.0, 0.0),
    ):
        field = message(name).fields[signal]
        assert (field.start, field.length) == (8 * (byte - 1) + bit - 1, length), signal
        assert (field.scale, field.offset) == (scale, offset), signal
    numbers = {"GuidanceMachineInfo": 44032, "GuidanceSystemCommand": 44288,
               "AuxValve0Command": 65072, "AuxValve15Command": 65087,
               "AuxValve15EstimatedFlow": 65055, "HitchAndPtoCommands": 65090,
               "RearHitchStatus": 65093, "GroundBasedSpeed": 65097,
               "AllImplementsStop": 64770}  # fmt: skip
    assert {n: message(n).pgn for n in numbers} == numbers
    # Straight ahead is 32128, as public code has it.
    assert message("GuidanceSystemCommand").encode(CurvatureCommand=0.0)[:2] == b"\x80\x7d"


def test_errors_and_not_available_are_no_numbers() -> None:
    hitch = message("RearHitchStatus")
    for raw in (251, 254, 255):
        assert math.isnan(hitch.decode(bytes([raw, *[0xFF] * 7]))["HitchPosition"])
    assert hitch.decode(bytes([250, *[0xFF] * 7]))["HitchPosition"] == 100.0
    assert hitch.encode(HitchPosition=math.nan)[0] == 255


def test_the_file_is_a_database_for_other_tools_as_well() -> None:
    loaded = cantools.database.load_file(DATABASE, strict=True)
    assert {m.protocol for m in loaded.messages} == {"j1939"}
    for m in loaded.messages:
        if m.name.startswith("Emulated"):
            assert str(m.comment).startswith("NOT ISOBUS"), m.name


@pytest.mark.parametrize("beyond", [1e4, math.inf])
def test_a_command_beyond_its_range_is_the_end_of_the_range(beyond: float) -> None:
    """Anything else would be "not available", or bits of the signal beside it."""
    for name, signal, low, high in (
        ("HitchAndPtoCommands", "RearHitchPosition", 0.0, 100.0),
        ("EmulatedDriveCommand", "Drive1", -1.0235, 1.0235),
    ):
        known = message(name)
        for value, end in ((beyond, high), (-beyond, low)):
            rest = known.decode(known.encode())
            said = known.decode(known.encode(**{signal: value}))
            assert said.pop(signal) == pytest.approx(end)
            assert said == pytest.approx({n: rest[n] for n in said}, nan_ok=True)


@pytest.mark.parametrize("length", [7, 9])
def test_data_of_another_length_is_not_read(length: int) -> None:
    with pytest.raises(IsobusError, match=f"RearHitchStatus has {length} bytes; expected 8"):
        message("RearHitchStatus").decode(bytes(length))


def test_what_the_database_does_not_have_is_named_with_what_it_has() -> None:
    with pytest.raises(IsobusError, match=r"RearHitchStat'.*RearHitchStatus"):
        message("RearHitchStat")
    with pytest.raises(IsobusError, match=r"HitchPlace'.*HitchPosition"):
        message("RearHitchStatus").encode(HitchPlace=50.0)
    # Without a range an error or "not available" would be a number.
    text = 'BU_: A\nBO_ 2365450494 M: 8 A\n SG_ Angle : 0|8@1+ (1,0) [0|0] "" A\n'
    (raw,) = cantools.database.load_string(text, "dbc").messages
    with pytest.raises(IsobusError, match="signal Angle has no range"):
        _field(raw.signals[0])


# --- geometry and mapping ---


def test_curvature_is_that_of_the_fixed_axle_and_positive_to_the_right() -> None:
    steering = Steering(wheelbase=2.7, gauge=1.6)
    # 10 m to the left of the axle's middle: the left wheel runs on 9.2 m.
    assert steering.angle(-100.0) == pytest.approx(math.atan(2.7 / 9.2))
    assert steering.angle(100.0) == pytest.approx(-math.atan(2.7 / 10.8))
    for angle in np.linspace(-0.69, 0.69, 15):
        assert steering.angle(steering.curvature(angle)) == pytest.approx(angle, abs=1e-12)


def test_the_ends_of_a_hitch() -> None:
    travel = Travel(-0.25, 0.75)
    assert (travel.angle(0.0), travel.angle(100.0)) == (-0.25, 0.75)
    assert travel.percent(0.75) == 100.0 and travel.percent(2.0) == 100.0
    assert travel.percent(-0.25) == 0.0 and travel.percent(-2.0) == 0.0


def test_machines_without_a_mapping_say_what_is_missing() -> None:
    with pytest.raises(IsobusError, match=r"zx200 has no isobus.yaml"):
        load_mapping(load_machine("zx200"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"commander": {"address": 240}}, "both have address"),
        ({"functions": "two valves"}, "roll_joint"),
        ({"functions": "two steerings"}, "guidance"),
    ],
)
def test_mappings_that_contradict_themselves_are_refused(
    change: dict[str, object], words: str
) -> None:
    raw = yaml_of("tractor_sprayer")
    functions = raw["functions"]
    if change.get("functions") == "two valves":
        functions["lift_joint"] = dict(functions["roll_joint"])
    elif change.get("functions") == "two steerings":
        functions["lift_joint"] = dict(functions["steering_joint"])
    else:
        raw |= change
    with pytest.raises(ValueError, match=words):
        Mapping.model_validate(raw)


def machine_of(joints: dict[str, str]) -> MachineSpec:
    """Return a tractor whose joints, by their names, are such as these of the sprayer."""
    spec = load_machine_file(load_machine("tractor_sprayer").folder / "machine.yaml")
    ours = {name: spec.joints[like] for name, like in joints.items()}
    return spec.model_copy(update={"joints": ours})


def test_valves_and_hitches_may_be_as_many_as_there_are_ports() -> None:
    raw = yaml_of("tractor_sprayer")
    functions = raw["functions"]
    functions["lift_joint"] = functions["roll_joint"] | {"valve": 2}
    assert Mapping.model_validate(raw)
    functions |= yaml_of("tractor_plough")["functions"]
    functions["roll_joint"] = functions["lift_joint"] | {"side": "front"}
    assert Mapping.model_validate(raw)


ROLLS = {f"joint{k}": "roll_joint" for k in range(9)}


@pytest.mark.parametrize(
    ("joints", "likes", "words"),
    [
        ({}, {"rol_joint": "roll_joint"}, "'rol_joint' is no joint of the machine"),
        ({"arm_joint": "lift_joint"}, {}, "'arm_joint' is missing"),
        (ROLLS, ROLLS, "9 joints; the database has room for 8"),
        ({"arm_joint": "roll_joint"}, {"arm_joint": "steering_joint"}, "no wheel follows 'arm_"),
        ({"arm_joint": "roll_joint"}, {"arm_joint": "rear_left_wheel_joint"}, "not fit a motor"),
        ({"arm_joint": "rear_left_wheel_joint"}, {"arm_joint": "roll_joint"}, "not fit a hydrost"),
    ],
)
def test_mappings_that_do_not_fit_the_machine_are_refused(
    tmp_path: Path, joints: dict[str, str], likes: dict[str, str], words: str
) -> None:
    raw = yaml_of("tractor_sprayer")
    raw["functions"] = {
        name: raw["functions"][like] | ({"valve": k} if like == "roll_joint" else {})
        for k, (name, like) in enumerate(likes.items())
    }
    spec = machine_of(joints)
    spec._folder = tmp_path
    (tmp_path / "isobus.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(IsobusError, match=words):
        load_mapping(spec)


# --- commands, feedback and supervision ---


@pytest.mark.parametrize("opening", [-1.0, 1.0])
def test_set_points_stay_within_the_travel_and_what_they_amount_to_is_a_valve_command(
    opening: float,
) -> None:
    spec = load_machine("tractor_sprayer")
    u, still = np.full(len(spec.joint_names), opening), np.zeros(len(spec.joint_names))
    low, high = np.maximum(spec.q_min, -9.0), np.minimum(spec.q_max, 9.0)  # Wheels have no end.
    steering = spec.joint_names.index("steering_joint")
    for command in commands(spec, load_mapping(spec)):
        for part in np.linspace(0.0, 1.0, 100):
            data, applied = command.compose(u, low + part * (high - low), still)
            assert np.abs(applied).max() <= 1.0, command.message.name
            if isinstance(command, GuidanceCommand):
                told = command.steering.angle(command.message.decode(data)["CurvatureCommand"])
                # The steering would turn against its stop; a step of the curvature is 0.7 mrad.
                assert spec.q_min[steering] - 1e-3 < told < spec.q_max[steering] + 1e-3


def test_a_state_of_the_functions_own_messages_is_whole_without_any_of_ours() -> None:
    """So a tractor is driven that has no joints but those that ISO 11783-7 knows."""
    spec = machine_of({name: name for name in ("steering_joint", "lift_joint")})
    raw = yaml_of("tractor_sprayer")
    raw["functions"] = {n: raw["functions"][n] | {"feedback": "status"} for n in spec.joint_names}
    feedback = Feedback(spec, Mapping.model_validate(raw))
    guidance, hitch = feedback.expected
    assert feedback.take(1.0, guidance, {"EstimatedCurvature": 0.0})
    feedback.settle(1.0)
    assert not feedback.complete and feedback.stamp == 0.0
    assert feedback.take(1.1, hitch, {"HitchPosition": 100.0})
    feedback.settle(1.1)
    assert feedback.q == pytest.approx([0.0, spec.q_max[1]]) and feedback.stamp == 1.1
    feedback.settle(1.2)
    assert feedback.stamp == 1.1, "nothing came since"
    # A clock that is set back takes no stamp back: what is older would not be taken.
    assert feedback.take(1.2, hitch, {"HitchPosition": 100.0})
    feedback.settle(0.5)
    assert 1.1 < feedback.stamp < 1.1001
    assert not feedback.take(1.3, hitch, {"HitchPosition": math.nan})
    assert feedback.q == pytest.approx([0.0, spec.q_max[1]])


def test_slow_messages_are_missed_after_some_of_their_own_periods() -> None:
    """Of a tractor whose fastest message comes every 100 ms, 100 ms without one say nothing."""
    known = [message("GuidanceMachineInfo"), message("RearHitchStatus")]
    watch = Supervision(known)
    watch.reset(10.0)
    assert watch.faults(10.24) == ()
    assert watch.faults(10.26) == ("driver_disconnected",)
    watch.heard(10.2, known[0].pgn)
    assert watch.faults(10.26) == ("machine_silent",)
    watch.heard(10.2, known[1].pgn)
    assert watch.faults(10.44) == ()


def test_time_outs_are_not_longer_than_the_table_has_them() -> None:
    for machine in ("tractor_plough", "tractor_sprayer"):
        for name, function in load_mapping(load_machine(machine)).functions.items():
            assert 1e3 * function.timeout <= failure("robot_killed").within_ms - 2e3 * TICK, name
            assert function.timeout >= 2.0 * function.period, name
