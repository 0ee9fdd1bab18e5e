"""CANopen encoders and inclinometers, both ends of one bus."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import can
import numpy as np
import pytest
import yaml
from pydantic import ValidationError

from canopen_rig import CHASSIS, ENCODER, FILE, FRAME, TICK, CanopenRig, number
from kuwa_hardware.canopen_sensors import profiles
from kuwa_hardware.canopen_sensors.config import SensorError, SensorFile, load_sensors
from kuwa_machines.loader import load_machine

STEP = 2.0 * math.pi / 4096 * 0.5
"""One count of the encoder at the joint [rad]."""


def connected(**changes: object) -> CanopenRig:
    """Return a rig whose sensors have measured something."""
    rig = CanopenRig(**changes)
    rig.connect()
    rig.run(0.1)
    return rig


@pytest.fixture
def rig() -> Iterator[CanopenRig]:
    made = connected()
    yield made
    made.close()


def test_angles_arrive_to_half_a_count_whatever_sign_gear_and_offset(rig: CanopenRig) -> None:
    for lift in (-0.7, -0.2, 0.0, 0.3, 0.6):
        rig.q = {"lift_joint": lift, "roll_joint": -0.1 * lift}
        rig.run(0.1)
        assert rig.sensors.readings["lift"].angle == pytest.approx(lift, abs=0.5 * STEP + 1e-9)
        assert rig.sensors.readings["frame"].angle == pytest.approx(-0.1 * lift, abs=2e-4)


def test_the_nodes_were_configured(rig: CanopenRig) -> None:
    lift = rig.there._senders[10].node
    assert lift.sdo[profiles.UNITS_PER_REVOLUTION].raw == 4096
    assert lift.sdo[profiles.HEARTBEAT_TIME].raw == 40
    assert lift.sdo[0x1800][5].raw == 10
    assert rig.there._senders[12].node.sdo[profiles.RESOLUTION].raw == 10
    assert lift.nmt.state == "OPERATIONAL"


def test_an_inclinometer_tells_its_joint_and_not_the_slope_of_the_ground(rig: CanopenRig) -> None:
    rig.q["roll_joint"] = 0.03
    tilt = 0.2
    rig.there.file.sensors["chassis"].__dict__["joint"] = "ground"
    rig.q["ground"] = tilt
    rig.run(0.1)
    assert rig.sensors.readings["chassis"].angle == pytest.approx(tilt, abs=2e-4)
    assert rig.sensors.readings["frame"].angle == pytest.approx(0.03, abs=4e-4)


def test_speed_is_the_mean_over_a_few_values(rig: CanopenRig) -> None:
    for _ in range(20):
        rig.q["lift_joint"] += 0.2 * TICK
        rig.run(TICK)
    speed = rig.sensors.readings["lift"].speed
    assert speed == pytest.approx(0.2, abs=STEP / (3 * TICK) + 1e-9)
    rig.run(0.1)
    assert rig.sensors.readings["lift"].speed == 0.0


def test_a_reader_that_is_late_measures_the_same_speed(rig: CanopenRig) -> None:
    speeds = []
    for late in (0.0, 0.0, 0.0, 0.0, 0.008, 0.002, 0.006, 0.0, 0.009, 0.001):
        rig.now += TICK
        rig.q["lift_joint"] += 0.5 * TICK
        rig.there.step(rig.q)
        rig.now += late
        rig.late = late
        rig.sensors.read()
        rig.now -= late
        speeds.append(rig.sensors.readings["lift"].speed)
    assert np.array(speeds[4:]) == pytest.approx(0.5, abs=STEP / (3 * TICK) + 1e-9)


def test_who_reads_more_often_than_values_come_measures_the_same_speed(rig: CanopenRig) -> None:
    for _ in range(20):
        rig.q["lift_joint"] += 0.2 * TICK
        rig.run(TICK)
        for _ in range(5):
            rig.sensors.read()
    speed = rig.sensors.readings["lift"].speed
    assert speed == pytest.approx(0.2, abs=STEP / (3 * TICK) + 1e-9)


def test_an_encoder_that_others_refer_to_needs_no_joint() -> None:
    rig = connected(sensors={"body": ENCODER | {"joint": None}})
    assert rig.sensors.readings["body"].angle == pytest.approx(0.0, abs=STEP)
    assert rig.sensors.joints() == {}
    rig.close()


def test_an_encoder_that_begins_its_count_anew_does_not_jump(rig: CanopenRig) -> None:
    rig.q["lift_joint"] = 0.0
    rig.run(0.1)
    angles = []
    for _ in range(300):
        rig.q["lift_joint"] += 0.02
        rig.run(TICK)
        angles.append(rig.sensors.readings["lift"].angle)
    assert angles[-1] == pytest.approx(6.0, abs=STEP)
    assert np.diff(angles) == pytest.approx(0.02, abs=1.1 * STEP)


def test_a_sensor_that_falls_silent_is_found_and_comes_back(rig: CanopenRig) -> None:
    assert rig.sensors.faults() == ()
    rig.there.mute.add(10)
    rig.run(0.05)
    assert rig.sensors.faults() == ()
    rig.run(0.06)
    assert rig.sensors.faults() == ("sensor_silent",)
    rig.there.mute.clear()
    rig.run(0.1)
    assert rig.sensors.faults() == ()


def answered(rig: CanopenRig) -> None:
    """Let the reader connect again by itself, which takes time of the wall's clock."""
    until = time.monotonic() + 10.0
    while rig.sensors.faults() and time.monotonic() < until:
        rig.answer(0.01)
        rig.run(TICK)
    rig.run(0.1)


def test_a_sensor_that_lost_its_supply_is_told_everything_again(rig: CanopenRig) -> None:
    rig.there.restart(10)
    rig.run(0.2)
    assert rig.sensors.faults() == ("sensor_silent",)
    rig.run(0.5)
    assert rig.sensors.faults() == ("sensor_silent",), "the adapter is not to blame"
    answered(rig)
    assert rig.sensors.faults() == ()
    rig.q["lift_joint"] = 0.3
    rig.run(0.1)
    assert rig.sensors.readings["lift"].angle == pytest.approx(0.3, abs=STEP)


def test_a_sensor_that_is_back_counts_from_its_first_value_on(rig: CanopenRig) -> None:
    """The joint may have turned meanwhile: the angle from before the gap is no measurement."""
    rig.there.restart(10)
    rig.run(0.7)
    rig.there._senders[10].value_at = rig.now + 0.05
    until = time.monotonic() + 10.0
    while rig.sensors._network is None and time.monotonic() < until:
        rig.answer(0.01)
    rig.run(0.03)
    assert rig.sensors.faults() == ("sensor_silent",)
    rig.run(0.1)
    assert rig.sensors.faults() == ()


def test_a_node_that_beats_and_does_not_measure_is_silent(rig: CanopenRig) -> None:
    """Somebody's tool has taken it out of operation."""
    stop = bytes([0x80, 10])
    rig.stranger.send(can.Message(arbitration_id=0, data=stop, is_extended_id=False))
    rig.run(0.2)
    assert rig.sensors.faults() == ("sensor_silent",)


def test_an_angle_against_a_sensor_that_is_silent_is_not_told(rig: CanopenRig) -> None:
    rig.there.mute.add(11)
    rig.run(0.3)
    assert rig.sensors.faults() == ("sensor_silent",)
    readings = rig.sensors.readings
    assert readings["frame"].stamp < rig.now - 0.1 and readings["lift"].stamp == rig.now


@pytest.mark.parametrize("slow", ["heartbeat", "period"])
def test_slow_sensors_are_given_their_time(slow: str) -> None:
    rig = connected(**{slow: number(400, "ms")})
    rig.run(0.4)
    found = []
    for _ in range(100):
        rig.run(TICK)
        found += rig.sensors.faults()
    assert found == []
    rig.close()


def test_connecting_again_asks_the_sensors_nothing_and_closing_leaves_the_bus(
    rig: CanopenRig,
) -> None:
    rig.sensors.connect()  # Nobody answers now.
    assert rig.sensors.faults() == ()
    network = rig.sensors._network
    assert network is not None and network.bus is not None
    rig.sensors.close()
    assert network.bus is None, "nobody else could open the adapter"


def test_a_defect_from_before_it_listened_is_told(rig: CanopenRig) -> None:
    rig.sensors.close()
    rig.there.emergency(12, 0x5030)
    rig.connect()
    rig.run(0.1)
    assert rig.sensors.faults() == ("sensor_emergency",)
    rig.there.emergency(12, 0)
    rig.run(TICK)
    assert rig.sensors.faults() == ()


def test_a_frame_that_is_too_short_or_of_another_protocol_is_not_taken(rig: CanopenRig) -> None:
    before = rig.sensors.readings["lift"].angle
    rig.stranger.send(can.Message(arbitration_id=0x18A, data=b"\x01", is_extended_id=False))
    rig.stranger.send(can.Message(arbitration_id=0x08A, data=b"\x30", is_extended_id=False))
    rig.sensors.read()
    assert rig.sensors.faults() == ("frame_corrupt",)
    rig.stranger.send(can.Message(arbitration_id=0x18A, data=bytes(4), is_extended_id=True))
    rig.sensors.read()
    assert rig.sensors.readings["lift"].angle == before
    rig.run(0.6)
    assert rig.sensors.faults() == ()


def test_a_state_that_there_is_not_is_no_heartbeat_and_no_end(rig: CanopenRig) -> None:
    # While it connects again as well: there the library would look the old state up by name.
    beat = can.Message(arbitration_id=0x70A, data=b"\x6f", is_extended_id=False)
    rig.stranger.send(beat)
    rig.sensors.read()
    assert rig.sensors.faults() == ("frame_corrupt",)
    rig.there.restart(10)
    rig.run(0.7)
    until = time.monotonic() + 10.0
    while "sensor_silent" in rig.sensors.faults() and time.monotonic() < until:
        rig.stranger.send(beat)
        rig.answer(0.01)
        rig.run(TICK)
    rig.run(0.1)
    assert "sensor_silent" not in rig.sensors.faults()


def test_an_emergency_lasts_until_the_node_takes_it_back(rig: CanopenRig) -> None:
    rig.there.emergency(12, 0x5030)
    rig.run(TICK)
    assert rig.sensors.faults() == ("sensor_emergency",)
    assert "0x5030" in rig.sensors.emergencies[12]
    rig.there.emergency(12, 0)
    rig.run(TICK)
    assert rig.sensors.faults() == ()


def test_a_lost_bus_never_holds_the_reader_up_and_comes_back(rig: CanopenRig) -> None:
    assert rig.sensors._network is not None and rig.sensors._network.bus is not None
    rig.sensors._network.bus.shutdown()
    # It can be opened again at once, but nobody answers: every try waits for an SDO.
    took = []
    until = time.monotonic() + 2.0
    while time.monotonic() < until:
        start = time.monotonic()
        rig.sensors.read()
        took.append(time.monotonic() - start)
        # The bus is back before a sensor on it has been waited for.
        assert rig.sensors.faults() in (("driver_disconnected",), ("sensor_silent",))
        time.sleep(0.01)
    # One SDO takes 0.5 s; a computer under load holds a thread up for less, and seldom.
    assert max(took) < 0.25 and np.quantile(took, 0.9) < 0.005, sorted(took)[-5:]
    rig.q["lift_joint"] = 0.4
    answered(rig)
    assert rig.sensors.faults() == ()
    assert rig.sensors.readings["lift"].angle == pytest.approx(0.4, abs=STEP)
    rig.sensors.close()
    assert "canopen" not in {thread.name for thread in threading.enumerate()}


def test_a_reader_closed_while_it_connects_again_stays_closed(rig: CanopenRig) -> None:
    assert rig.sensors._network is not None and rig.sensors._network.bus is not None
    rig.sensors._network.bus.shutdown()
    rig.sensors.read()
    rig.sensors.close()
    names = {thread.name for thread in threading.enumerate()}
    assert "canopen" not in names, "nobody is left who would take the adapter once more"
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        rig.there.step(rig.q)
        rig.sensors.read()
        time.sleep(0.01)
    assert rig.sensors.faults() == ("driver_disconnected",)


@pytest.mark.timeout(60)
def test_who_does_not_answer_is_named() -> None:
    rig = CanopenRig()
    rig.there.mute.add(10)
    with pytest.raises(SensorError, match=r"lift.*node 10"):
        rig.sensors.connect()
    rig.close()


def test_another_device_than_expected_is_named() -> None:
    rig = CanopenRig()
    rig.there._senders[12].node.sdo[profiles.DEVICE_TYPE].raw = 406
    with pytest.raises(SensorError, match=r"frame.*406.*410"):
        rig.connect()
    rig.close()


WRONG: dict[str, dict[str, object]] = {
    "node 10 is another sensor's": {
        "sensors": {"a": ENCODER, "b": ENCODER | {"joint": "roll_joint"}}
    },
    "has two": {"sensors": {"a": ENCODER, "b": ENCODER | {"node": 9}}},
    "no sensor 'chassis'": {"sensors": {"frame": FRAME}},
    "less than or equal to 127": {"sensors": {"a": ENCODER | {"node": 128}}},
    "period 0.0 s: expected 1 ms to 10 s": {"period": number(0, "ms")},
    "heartbeat 20.0 s: expected 1 ms to 10 s": {"heartbeat": number(20, "s")},
}


@pytest.mark.parametrize("words", WRONG)
def test_files_that_contradict_themselves_are_refused(words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SensorFile.model_validate(FILE | WRONG[words])


def test_a_sensor_of_a_joint_that_the_machine_lacks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "canopen.yaml").write_text(
        yaml.safe_dump(FILE | {"sensors": {"lift": ENCODER | {"joint": "left_joint"}}})
    )
    with pytest.raises(SensorError, match=r"sensors\.lift\.joint: .*'lift_joint'"):
        load_sensors(load_machine("tractor_sprayer"), tmp_path / "canopen.yaml")


def test_two_axes_of_one_inclinometer_are_two_sensors() -> None:
    both = {"a": CHASSIS, "b": CHASSIS | {"axis": "long"}}
    assert len(SensorFile.model_validate(FILE | {"sensors": both}).sensors) == 2
