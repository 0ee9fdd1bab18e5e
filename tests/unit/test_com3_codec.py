"""COM3's database against the published facts; every signal of every message both ways."""

from __future__ import annotations

import math

import cantools
import pytest
from cantools.database.can import Signal as DbcSignal
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_hardware.com3.codec import (
    FILE,
    FrameError,
    MessageCodec,
    Signal,
    Status,
    _bound,
    by_id,
    command_groups,
    messages,
    pgn,
)

# What PWRI published on 2023-08-15: identifier, cycle [ms], and of its signals either all (start,
# bits) or one kind: width, scale, offset, low, high, unit, how many.
PILOT = (8, 0.02, 0.0, 0.0, 5.0, "MPa")
PRESSURE = (8, 0.2, -10.0, -10.0, 40.0, "MPa")
FLOW = (8, 8.0, -1000.0, -1000.0, 1000.0, "L/min")
PUBLISHED = {
    "Pilot_Pressure_Cmd_1": (0x18FF640A, 10, PILOT, 8),
    "Pilot_Pressure_Cmd_2": (0x18FF650A, 10, PILOT, 8),
    "Machine_Setting_Cmd": (0x18FF660A, 50, None, 9),
    "Velocity_Cmd_1": (0x18FF670A, 10, (16, 0.0005, -16.0, -16.0, 16.0, "rad/s"), 4),
    "Velocity_Cmd_2": (0x18FF680A, 10, None, 4),
    "Front_Angular_Velocity": (0x18FF78E8, 10, (16, 0.0002, -5.0, -5.0, 5.0, "rad/s"), 4),
    "Pressure_1": (0x18FF79E8, 10, PRESSURE, 8),
    "Pressure_2": (0x18FF7AE8, 10, PRESSURE, 8),
    "Pilot_Pressure_1": (0x18FF7BE8, 10, PILOT, 8),
    "Pilot_Pressure_2": (0x18FF7CE8, 10, PILOT, 8),
    "Front_Angle": (0x18FF7DE8, 10, (16, 0.0004, -10.0, -10.0, 10.0, "rad"), 4),
    "Roll_Pitch_Angle": (0x18FF7EE8, 20, (14, 0.0005, -4.0, -4.0, 4.0, "rad"), 2),
    "Hydraulic_Flow_Rate_1": (0x18FF7FE8, 20, FLOW, 8),
    "Hydraulic_Flow_Rate_2": (0x18FF80E8, 20, FLOW, 4),
    "Front_Pin_Position_1": (0x18FF81E8, 50, (16, 0.0004, -12.0, -12.0, 12.0, "m"), 3),
    "Front_Pin_Position_2": (0x18FF82E8, 50, (16, 0.0004, -12.0, -12.0, 12.0, "m"), 3),
    "Front_Pin_Position_3": (0x18FF83E8, 50, (16, 0.0004, -12.0, -12.0, 12.0, "m"), 3),
    "Machine_State": (0x18FF84E8, 50, None, 13),
    "Swing_Center_Position_1": (0x18FF85E8, 100, (64, 0.001, -5e6, -5e6, 5e6, "m"), 1),
    "Swing_Center_Position_2": (0x18FF8CE8, 100, (64, 0.001, -5e6, -5e6, 5e6, "m"), 1),
    "Swing_Center_Position_3": (0x18FF8DE8, 100, (64, 0.001, -5e6, -5e6, 5e6, "m"), 1),
    "Vehicle_Azimuth": (0x18FF96E8, 100, (16, 0.0004, -10.0, -10.0, 10.0, "rad"), 2),
}  # fmt: skip
PLACES = {
    "Pilot_Pressure_Cmd_1": "boom_up boom_down arm_crowd arm_dump bucket_crowd bucket_dump "
    "swing_right swing_left",
    "Pilot_Pressure_Cmd_2": "right_track_forward left_track_forward right_track_backward "
    "left_track_backward attachment_a attachment_b assist_a assist_b",
}
BITS = {
    "Machine_Setting_Cmd": {
        "engine_rpm": (0, 8), "power_eco_mode": (8, 1), "travel_speed_mode": (9, 2),
        "working_mode_notice": (11, 1), "yellow_led_mode": (12, 2), "horn_cmd": (14, 2),
        "travel_signal_switch_command": (24, 4), "front_signal_switch_command": (28, 4),
        "alive_counter": (56, 8),
    },
    "Machine_State": {
        "lock_cmd_state": (0, 1), "pilot_shutoff_valve_state": (6, 1), "system_error": (8, 1),
        "can_error_pl": (9, 1), "can_error_body": (10, 1), "can_error_ict": (11, 1),
        "lock_receiver_error": (12, 1), "emergency_stop_receiver_error": (13, 1),
        "switch_error": (14, 1), "control_state": (16, 8), "hydraulic_oil_temp": (24, 8),
        "engine_state": (40, 1), "alive_counter": (56, 8),
    },
    "Front_Angle": {
        "boom_relative_angle": (0, 16), "arm_relative_angle": (16, 16),
        "bucket_relative_angle": (32, 16), "swing_relative_angle": (48, 16),
    },
}  # fmt: skip
MESSAGES = pytest.mark.parametrize("message", messages().values(), ids=lambda m: m.name)
KINDS = {
    (s.length, s.scale, s.offset, s.high, s.unit): s
    for m in messages().values()
    for s in m.signals.values()
    if s.length <= 16
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_message_is_as_published(name: str) -> None:
    identifier, cycle, kind, count = PUBLISHED[name]
    message = messages()[name]
    assert (message.id, round(1e3 * message.cycle), len(message.signals)) == (
        identifier,
        cycle,
        count,
    )
    assert message.sender == ("controller" if identifier & 0xFF == 0x0A else "machine")
    if kind is not None:
        for i, s in enumerate(message.signals.values()):
            assert (s.length, s.scale, s.offset, s.low, s.high, s.unit) == kind
            assert s.start == i * (16 if kind[0] in (14, 16) else kind[0])
    for signal, place in BITS.get(name, {}).items():
        assert (message.signals[signal].start, message.signals[signal].length) == place
    if name in PLACES:
        assert list(message.signals) == PLACES[name].split()


def test_there_are_22_messages_from_65380_to_65430() -> None:
    assert set(messages()) == set(PUBLISHED)
    groups = sorted(m.pgn for m in messages().values())
    assert (len(groups), groups[0], groups[-1]) == (22, 65380, 65430)
    assert command_groups() == {65380, 65381, 65382, 65383, 65384}
    assert by_id()[0x18FF670A].name == "Velocity_Cmd_1"


def test_a_group_number_leaves_out_the_address_of_a_frame_to_one_node() -> None:
    assert pgn(0x18FF640A) == 0xFF64
    assert pgn(0x18EA0A20) == 0xEA00


@MESSAGES
@settings(max_examples=200, deadline=None)
@given(bits=st.integers(0, 2**64 - 1))
def test_every_signal_of_a_frame_goes_both_ways(message: MessageCodec, bits: int) -> None:
    """Decode → encode → decode is exact, raw and physical, whatever stands in the frame."""
    raws = message.decode_raw(bits.to_bytes(8, "little"))
    frame = message.encode_raw(raws)
    assert (len(frame), message.decode_raw(frame)) == (8, raws)
    values = message.decode(frame)
    for name, signal in message.signals.items():
        if signal.status(raws[name]) is Status.VALID:
            assert values[name] == signal.value(raws[name])
            assert signal.raw(values[name]) == raws[name]
        else:
            assert math.isnan(values[name])


@MESSAGES
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_every_signal_keeps_out_of_the_others_bits(
    message: MessageCodec, data: st.DataObject
) -> None:
    raws = {s.name: data.draw(st.integers(0, s.top), s.name) for s in message.signals.values()}
    assert message.decode_raw(message.encode_raw(raws)) == raws


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda s: f"{s.length} bits, {s.unit or 1}")
def test_every_raw_number_goes_both_ways(kind: Signal) -> None:
    """All of them, for each kind of signal of up to 16 bits."""
    for raw in range(kind.top + 1):
        if kind.status(raw) is Status.VALID:
            assert kind.raw(kind.value(raw)) == raw


@settings(max_examples=500, deadline=None)
@given(raw=st.integers(0, 10**10))
def test_every_place_on_a_site_goes_both_ways(raw: int) -> None:
    """The 64-bit positions, over their whole range of ±5000 km."""
    place = messages()["Swing_Center_Position_1"].signals["swing_center_position_x"]
    assert place.status(raw) is Status.VALID
    assert place.raw(place.value(raw)) == raw


@MESSAGES
def test_the_ends_of_the_physical_range_go_both_ways(message: MessageCodec) -> None:
    lowest = {s.name: s.low for s in message.signals.values()}
    for name, signal in message.signals.items():
        for value in (signal.low, signal.high):
            back = message.decode(message.encode({**lowest, name: value}))[name]
            assert back == pytest.approx(value, abs=1e-9)
        if signal.unit:
            gone = message.decode(message.encode({**lowest, name: math.nan}))
            assert [n for n, v in gone.items() if math.isnan(v)] == [name]
        else:
            with pytest.raises(FrameError, match="always has a value"):
                message.encode({**lowest, name: math.nan})


def test_the_same_bits_as_cantools() -> None:
    """Our extraction against the library that read the database."""
    database = cantools.database.load_file(FILE)
    for message in messages().values():
        theirs = database.get_message_by_name(message.name)  # type: ignore[union-attr]
        for k in range(40):
            raws = {
                s.name: (0x9E3779B97F4A7C15 * (k + 1) + i * 0xBF58476D1CE4E5B9) & s.top
                for i, s in enumerate(message.signals.values())
            }
            frame = message.encode_raw(raws)
            assert frame == theirs.encode(raws, scaling=False, strict=False)
            assert theirs.decode(frame, scaling=False, decode_choices=False) == raws


def test_the_top_of_a_range_says_why_there_is_no_value() -> None:
    angle = messages()["Front_Angle"].signals["boom_relative_angle"]
    roll = messages()["Roll_Pitch_Angle"].signals["roll_angle"]
    alive = messages()["Machine_State"].signals["alive_counter"]
    said = {
        (angle, 50_000): Status.VALID, (angle, 50_001): Status.OUT_OF_RANGE,
        (angle, 0xFDFF): Status.OUT_OF_RANGE, (angle, 0xFE00): Status.ERROR,
        (angle, 0xFEFF): Status.ERROR, (angle, 0xFF00): Status.UNAVAILABLE,
        (angle, 0xFFFF): Status.UNAVAILABLE, (roll, 16_000): Status.VALID,
        (roll, 16_382): Status.ERROR, (roll, 16_383): Status.UNAVAILABLE,
        (alive, 0xFF): Status.VALID,
    }  # fmt: skip
    assert {key: key[0].status(key[1]) for key in said} == said


def test_what_no_signal_can_carry_is_carried_as_its_nearest() -> None:
    speed = messages()["Velocity_Cmd_1"].signals["boom_target_angular_velocity"]
    for beyond, end in ((1e6, speed.high), (math.inf, speed.high), (-1e6, speed.low)):
        assert speed.raw(beyond) == speed.raw(end)
    counter = messages()["Machine_Setting_Cmd"].signals["alive_counter"]
    assert (counter.raw(1e6), counter.raw(-1.0)) == (counter.top, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"byte_order": "big_endian"}, "little endian"),
        ({"is_signed": True}, "unsigned"),
        ({"is_multiplexer": True}, "plain"),
        ({"minimum": None}, "has no range"),
        ({"maximum": None}, "has no range"),
    ],
)
def test_a_database_with_another_kind_of_signal_is_refused(
    changes: dict[str, object], says: str
) -> None:
    right: dict[str, object] = {"minimum": 0.0, "maximum": 5.0}
    assert _bound(DbcSignal("angle", 0, 8, **right)).high == 5.0  # type: ignore[arg-type]
    with pytest.raises(FrameError, match=f"angle .*{says}"):
        _bound(DbcSignal("angle", 0, 8, **right | changes))  # type: ignore[arg-type]


def test_a_frame_that_makes_no_sense_is_refused() -> None:
    message = messages()["Velocity_Cmd_1"]
    for decode in (message.decode, message.decode_raw):
        with pytest.raises(FrameError, match="7 bytes; expected 8"):
            decode(bytes(7))
    with pytest.raises(FrameError, match="are missing"):
        message.encode({"boom_target_angular_velocity": 0.0})
    full = dict.fromkeys(message.signals, 0)
    with pytest.raises(FrameError, match="expected 0 to 65535"):
        message.encode_raw({**full, "boom_target_angular_velocity": 65536})
    with pytest.raises(FrameError, match="has no signal 'boom_target_anguler_velocity'"):
        raws = {**full, "boom_target_anguler_velocity": 0}
        del raws["boom_target_angular_velocity"]
        message.encode_raw(raws)
