"""ISOBUS: database, mapping, driver and emulated tractor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import cantools
import numpy as np
import pytest

from isobus_rig import TICK, IsobusRig, working
from kuwa_hardware.failures import failure
from kuwa_hardware.isobus.codec import DATABASE, IsobusError, database, message, messages
from kuwa_hardware.isobus.driver import NAME
from kuwa_hardware.isobus.geometry import Steering, Travel
from kuwa_hardware.isobus.mapping import Mapping, load_mapping
from kuwa_hardware.j1939.identifier import Frame, Identifier
from kuwa_hardware.j1939.name import Name
from kuwa_machines.loader import load_machine

LOWER = Name(identity_number=0, arbitrary_address_capable=False, industry_group=0)


@pytest.fixture
def rig() -> Iterator[IsobusRig]:
    made = working()
    yield made
    made.close()


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


def yaml_of(machine: str) -> dict:
    from kuwa_machines.datafile import read_yaml

    return read_yaml(load_machine(machine).folder / "isobus.yaml", IsobusError)


# --- driver and tractor ---


def test_commands_reach_the_valves_as_the_driver_says_they_do(rig: IsobusRig) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        u = rng.uniform(-0.5, 0.5, len(rig.names))
        rig.plant.reset(0)
        rig.run(None, 0.1)
        for _ in range(3):
            rig.tick(u)
        # Flows exactly as far as the frame has steps; set points besides what a joint moves.
        for place, name in enumerate(rig.names):
            flow = "wheel" in name or "roll" in name
            assert rig.tractor.valves[place] == pytest.approx(
                rig.sent[place], abs=1e-9 if flow else 0.08
            ), name
            assert rig.sent[place] == pytest.approx(u[place], abs=6e-4 if flow else 0.05), name


def test_a_hitch_that_is_told_nothing_is_told_to_stay(rig: IsobusRig) -> None:
    rig.run(rig.all(0.0), 1.0)
    before = rig.plant.read().q.copy()
    rig.run(rig.all(0.0), 2.0)
    lift = rig.place("lift_joint")
    assert rig.tractor.valves[lift] == 0.0
    assert rig.plant.read().q[lift] == pytest.approx(before[lift], abs=1e-5)


def test_the_stop_for_all_implements_stops_and_is_told(rig: IsobusRig) -> None:
    rig.tractor.stop_pressed = True
    state = rig.run(rig.all(0.3), 0.03)
    assert "all_implements_stop" in state.faults
    assert not rig.tractor.valves.any()
    rig.run(rig.all(0.3), 0.02)
    assert not rig.sent.any()
    rig.tractor.stop_pressed = False
    state = rig.run(rig.all(0.3), 1.0)
    assert state.faults == () and rig.sent.any()


def test_a_stop_that_was_pressed_and_released_unheard_counts(rig: IsobusRig) -> None:
    rig.stranger_sends("AllImplementsStop", StopTransitions=4, StopAllImplements=1)
    assert rig.tick(rig.all(0.1)).faults == ()
    rig.stranger_sends("AllImplementsStop", StopTransitions=6, StopAllImplements=1)
    assert "all_implements_stop" in rig.tick(rig.all(0.1)).faults


def test_a_lost_address_is_told_and_another_one_taken(rig: IsobusRig) -> None:
    rig.stranger_claims(LOWER, 42)
    state = rig.tick(rig.all(0.3))
    assert "address_lost" in state.faults
    rig.tick(rig.all(0.3))
    assert not rig.sent.any()
    rig.run(rig.all(0.3), 0.2)
    assert not rig.tractor.valves.any()
    state = rig.run(rig.all(0.3), 0.6)
    assert state.faults == () and rig.driver.claim.address == 128
    # The tractor knows its commander by its NAME, not by its address.
    assert rig.tractor.valves.any() and rig.tractor.commander == NAME.value


def test_a_higher_name_does_not_take_our_address(rig: IsobusRig) -> None:
    rig.stranger_claims(replace(NAME, identity_number=5), 42)
    assert rig.run(rig.all(0.3), 0.1).faults == ()
    assert rig.driver.claim.address == 42


def test_another_commander_is_told_and_not_obeyed(rig: IsobusRig) -> None:
    other = replace(NAME, identity_number=7)
    rig.stranger_claims(other, 50)
    rig.tick(rig.all(0.3))
    valve = rig.tractor.valves[rig.place("roll_joint")]
    rig.stranger_sends("AuxValve1Command", source=50, ValveState=2, PortFlow=100, ResolutionMode=0)
    state = rig.tick(rig.all(0.3))
    assert "foreign_commander" in state.faults
    assert rig.tractor.valves[rig.place("roll_joint")] == pytest.approx(valve)


def test_who_has_no_address_is_not_obeyed() -> None:
    rig = IsobusRig()
    for _ in range(40):
        rig.tractor.step()
        rig.now += TICK
    rig.stranger_sends("AuxValve1Command", source=50, ValveState=1, PortFlow=80, ResolutionMode=0)
    rig.tractor.step()
    assert not rig.tractor.valves.any()
    rig.close()


def test_the_operator_takes_over_and_hands_back(rig: IsobusRig) -> None:
    rig.tractor.operator = True
    state = rig.run(rig.all(0.3), 0.5)
    assert "machine_not_external" in state.faults
    assert not rig.tractor.valves.any()
    rig.tractor.operator = False
    state = rig.run(rig.all(0.3), 0.6)
    assert state.faults == ()
    assert rig.tractor.valves[rig.place("steering_joint")] > 0.1


def test_steering_that_timed_out_takes_commands_again_after_a_reset(rig: IsobusRig) -> None:
    steering = rig.place("steering_joint")
    for _ in range(20):
        rig.tractor.step()
        rig.now += TICK
        rig.driver.read()
    assert not rig.tractor.valves.any()
    rig.run(rig.all(-0.3), 0.5)
    assert rig.tractor.valves[steering] < -0.1


def test_a_stack_that_moves_nothing_gives_the_wheel_back(rig: IsobusRig) -> None:
    """A gate that has stopped goes on saying zeros; who drives by hand then must not be held."""
    known, told = message("GuidanceSystemCommand"), []
    for values in (rig.all(0.3), rig.all(0.0), rig.all(0.3)):
        rig.run(values, 0.2)
        while (frame := rig.stranger.recv(0.0)) is not None:
            if Identifier.parse(frame.arbitration_id).pgn == known.pgn:
                newest = known.decode(bytes(frame.data))["CurvatureCommandStatus"]
        told.append(newest)
    assert told == [1.0, 0.0, 1.0]
    assert rig.tractor.valves[rig.place("steering_joint")] > 0.1


@pytest.mark.parametrize(
    ("group", "code"),
    [("EmulatedJoint2", "machine_silent"), ("GuidanceMachineInfo", "machine_silent"),
     ("RearHitchStatus", "machine_silent")],
)  # fmt: skip
def test_a_message_that_stays_away_is_told(rig: IsobusRig, group: str, code: str) -> None:
    rig.tractor.muted.add(message(group).pgn)
    state = rig.run(rig.all(0.1), 0.4)
    assert state.faults == (code,)
    rig.tractor.muted.clear()
    assert rig.run(rig.all(0.1), 0.2).faults == ()


def test_an_alive_counter_that_stands_still_is_told(rig: IsobusRig) -> None:
    rig.tractor.frozen = True
    rig.run(rig.all(0.1), 0.1)
    assert rig.run(rig.all(0.1), 0.05).faults == ("alive_counter_lost",)
    rig.tractor.frozen = False
    assert rig.run(rig.all(0.1), 0.05).faults == ()


def test_frames_that_are_too_short_or_not_valid_are_told(rig: IsobusRig) -> None:
    known = message("EmulatedJoint0")
    before = rig.driver.read()
    rig.put(Frame(known.identifier(240), b"\1\2\3"))
    state = rig.driver.read()
    assert "frame_corrupt" in state.faults
    assert np.array_equal(state.q, before.q)
    rig.run(rig.all(0.1), 0.2)
    rig.put(Frame(known.identifier(240), known.encode(JointPosition=0.5, JointValid=2.0)))
    assert "frame_corrupt" in rig.driver.read().faults


def test_another_tractor_than_expected_is_refused() -> None:
    rig = IsobusRig("tractor_sprayer", there="tractor_plough")
    with pytest.raises(IsobusError, match=r"1100001.*1100002"):
        rig.driver.connect()
    rig.close()


def test_a_tractor_that_is_off_may_come_later() -> None:
    rig = IsobusRig()
    rig.driver._sleep = lambda _: setattr(rig, "now", rig.now + TICK)
    rig.driver.connect()
    state = rig.driver.read()
    assert np.isnan(state.q).all() and state.stamp == 0.0
    assert "driver_disconnected" in state.faults
    assert rig.run(rig.all(0.1), 1.0).faults == ()
    rig.close()


def test_power_take_off() -> None:
    rig = working("tractor_plough")
    rig.driver.pto(540.0)
    rig.run(rig.all(0.0), 0.3)
    assert rig.tractor.pto == 540.0 and rig.driver.pto_speed == 540.0
    rig.run(None, 0.1)
    assert rig.tractor.pto == 0.0
    rig.close()


def test_a_bus_of_250_kbit_s_carries_it() -> None:
    rig = working()
    bits = frames = 0
    rig.run(rig.all(0.2), 0.1)
    while rig.stranger.recv(0) is not None:
        pass
    rig.run(rig.all(0.2), 1.0)
    while rig.stranger.recv(0) is not None:
        # 29-bit identifier, 8 bytes: 131 bits with the pause, and a stuffed bit for every fifth.
        frames, bits = frames + 1, bits + 155
    assert 0.3 < bits / 250e3 < 0.65, f"{frames} frames a second"
    rig.close()


def test_angles_from_the_functions_own_messages() -> None:
    raw = yaml_of("tractor_sprayer")
    raw["functions"]["steering_joint"]["feedback"] = "status"
    raw["functions"]["lift_joint"]["feedback"] = "status"
    rig = IsobusRig("tractor_sprayer", Mapping.model_validate(raw))
    rig.driver.connect()
    rig.run(rig.all(0.2), 0.5)
    state, own = rig.run(None, 1.0), rig.plant.read()
    steering, lift = rig.place("steering_joint"), rig.place("lift_joint")
    assert state.q[steering] == pytest.approx(own.q[steering], abs=5e-4)
    assert state.q[lift] == pytest.approx(own.q[lift], abs=0.5 * 0.004 * 1.4)
    rig.close()


def test_time_outs_are_not_longer_than_the_table_has_them() -> None:
    for machine in ("tractor_plough", "tractor_sprayer"):
        for name, function in load_mapping(load_machine(machine)).functions.items():
            assert 1e3 * function.timeout <= failure("robot_killed").within_ms - 2e3 * TICK, name
            assert function.timeout >= 2.0 * function.period, name
