"""The COM3 driver and the emulated machine's controllers, both ends of one bus."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import can
import numpy as np
import pytest
import yaml

from com3_rig import ASKED, Com3Rig, running
from gate_rig import state_at
from kuwa_hardware.canbus import BusError, BusSettings
from kuwa_hardware.com3.codec import messages
from kuwa_hardware.com3.driver import WrongMachineError
from kuwa_hardware.com3.mapping import Com3Map, load_map
from kuwa_hardware.com3.oil import Drives, pump_pressure
from kuwa_hardware.com3.pose import from_bus, to_bus
from kuwa_hardware.failures import failure
from kuwa_hardware.flow import FlowCurve
from kuwa_hardware.limits import GateLimits
from kuwa_hardware.monitors import Monitors
from kuwa_machines.contracts import CommandKind, JointCommand, Robot
from kuwa_machines.datafile import load_data
from kuwa_machines.errors import CommandError, MachineError
from kuwa_machines.kinematics import rotation
from kuwa_machines.linkage import lever_arm
from kuwa_machines.loader import load_machine
from kuwa_machines.safety import pump_pressure_min

STEP = 0.02 / 5.0
"""Of a valve command on the bus: 0.02 MPa of 5 MPa."""


@pytest.fixture
def rig() -> Iterator[Com3Rig]:
    made = running()
    yield made
    made.close()


def test_it_is_a_robot_and_its_machine_can_be_read_before_it_is_connected() -> None:
    rig = Com3Rig()
    assert isinstance(rig.driver, Robot)
    assert rig.driver.spec.name == "zx200"
    state = rig.driver.read()
    assert np.isnan(state.q).all()
    rig.close()


def test_commands_arrive_as_they_were_sent_to_half_a_step_of_the_bus(rig: Com3Rig) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        u = rng.uniform(-1.0, 1.0, 4)
        rig.tick(u)
        assert np.abs(rig.sent - u).max() <= 0.5 * STEP + 1e-12
        assert np.array_equal(rig.machine.valves, rig.sent)


def test_the_ends_of_the_stroke_and_zero_are_exact(rig: Com3Rig) -> None:
    for u in (np.ones(4), -np.ones(4), np.zeros(4)):
        rig.tick(u)
        assert np.array_equal(rig.sent, u)


def test_the_state_is_the_plants_to_half_a_step_of_the_bus(rig: Com3Rig) -> None:
    for _ in range(100):
        state = rig.tick()
        true = rig.machine.robot.read()
        assert np.abs(state.q - true.q).max() <= 0.0002 + 1e-9
        assert np.abs(state.qd - true.qd).max() <= 0.0001 + 1e-9
        assert np.abs(state.base_position - true.base_position).max() < 0.002
        assert state.oil_temperature == 50.0
    assert math.isnan(state.engine_speed) and math.isnan(state.tool_load)


def test_stamps_grow_with_each_new_measurement_and_stay_without_one(rig: Com3Rig) -> None:
    stamps = [rig.tick().stamp for _ in range(20)]
    assert all(b > a for a, b in pairwise(stamps))
    before = rig.driver.read()
    assert rig.driver.read() is before


def test_positive_is_left_down_crowd_crowd(rig: Com3Rig) -> None:
    """The signs as OPERA's gateway has them: joint positive → this pilot pressure."""
    pilot = messages()["Pilot_Pressure_Cmd_1"]
    raws = rig.driver.signals.pilot_raw(np.array([0.5, 0.5, 0.5, 0.5]))
    assert {n for n, r in raws.items() if r} == {
        "swing_left", "boom_down", "arm_crowd", "bucket_crowd",
    }  # fmt: skip
    raws = rig.driver.signals.pilot_raw(np.array([-0.5, -0.5, -0.5, -1.0]))
    assert {n for n, r in raws.items() if r} == {
        "swing_right", "boom_up", "arm_dump", "bucket_dump",
    }  # fmt: skip
    assert raws["boom_up"] * pilot.signals["boom_up"].scale == pytest.approx(2.5)
    assert raws["bucket_dump"] == 250


def test_a_dead_zone_is_added_on_the_way_out_and_taken_off_on_the_way_in() -> None:
    spec = load_machine("zx200")
    signals = load_map(spec)
    joints = dict(signals.data.joints)
    side = joints["boom_joint"].negative.model_copy(update={"dead_zone": 0.1})
    joints["boom_joint"] = joints["boom_joint"].model_copy(update={"negative": side})
    shifted = type(signals)(spec, signals.data.model_copy(update={"joints": joints}))
    for u in (-0.2, -0.0005, 0.4):
        raws = shifted.pilot_raw(np.array([0.0, u, 0.0, 0.0]))
        values = {n: 0.02 * r for n, r in raws.items()}
        expected = 0.0 if abs(u) < 0.001 else 5.0 * (abs(u) + (0.1 if u < 0 else 0.0))
        assert max(values.values()) == pytest.approx(expected)
        carried = 0.0 if abs(u) < 0.001 else u
        assert shifted.valves(values)[1] == pytest.approx(carried, abs=1e-9)


@pytest.mark.parametrize("machine", ["zx200", "zx120"])
def test_a_velocity_is_what_the_gate_takes_the_valve_command_for(machine: str) -> None:
    spec = load_machine(machine)
    signals, curve = load_map(spec), FlowCurve(spec)
    table = messages()["Velocity_Cmd_1"].signals
    bands = np.array([joint.oil.valve.dead_band for joint in spec.joints.values()])
    for share in (0.1, 0.5, 0.9):
        q = spec.q_min + share * (spec.q_max - spec.q_min)
        for u in np.linspace(-1.0, 1.0, 81):
            asked = np.full(4, u)
            raws = signals.target_raw(asked, q)
            told = signals.speeds({name: table[name].value(raw) for name, raw in raws.items()})
            wanted = curve.velocity(asked, q)
            assert np.abs(told - wanted).max() <= 0.5 * 0.0005 + 1e-9, u
            inside = abs(u) <= bands
            assert not told[inside].any(), u
            # And back; only the end of the stroke may have been rounded to beyond it.
            back = signals.opened(told, q)
            assert not back[told == 0.0].any()
            off, end = np.abs(curve.velocity(back, q) - told), np.abs(back) == 1.0
            assert off[~end].max(initial=0.0) < 1e-9 and off.max() <= 0.5 * 0.0005 + 1e-9
            assert np.abs(signals.opened(wanted, q) - np.where(inside, 0.0, u)).max() < 1e-9


def test_a_joint_that_is_nowhere_is_told_to_stand_in_velocity_mode() -> None:
    signals = load_map(load_machine("zx200"))
    q = np.array([0.0, math.nan, 1.5, 0.9])
    told = messages()["Velocity_Cmd_1"].encode_raw(signals.target_raw(np.full(4, 0.5), q))
    speeds = signals.speeds(messages()["Velocity_Cmd_1"].decode(told))
    assert speeds[1] == 0.0 and (speeds[[0, 2, 3]] > 0.0).all()


def test_velocity_mode_asks_for_speeds_and_the_machine_makes_valve_commands_of_them() -> None:
    rig = running(mode="velocity")
    rig.tick()
    # Half a step of the bus, by the slope of the valve's curve; boom and bucket are the slowest.
    assert np.abs(rig.sent - ASKED).max() < 0.002
    assert np.abs(rig.machine.valves - ASKED).max() < 0.01
    # What the gate takes for no motion is none.
    rig.tick(np.full(4, 0.05))
    assert not rig.sent.any() and not rig.machine.valves.any()
    rig.tick(np.zeros(4))
    assert not rig.machine.valves.any()
    rig.close()


def test_the_cycle_is_a_command_each_tick_and_a_setting_each_fifth(rig: Com3Rig) -> None:
    ears = rig.settings.open()
    rig.run(1.0)
    heard = [frame.arbitration_id for frame in iter(lambda: ears.recv(0.0), None)]
    ears.shutdown()
    table = messages()
    assert heard.count(table["Pilot_Pressure_Cmd_1"].id) == 100
    assert heard.count(table["Machine_Setting_Cmd"].id) in (19, 20, 21)
    assert table["Velocity_Cmd_1"].id not in heard
    for name, message in table.items():
        if message.sender == "machine":
            assert abs(heard.count(message.id) - round(1.0 / message.cycle)) <= 1, name


def test_close_says_neutral_and_the_machine_stops_within_its_own_time_out(rig: Com3Rig) -> None:
    rig.driver.close()
    rig.machine.step()
    assert not rig.machine.valves.any()
    rig.driver.close()


def test_nothing_but_a_whole_valve_command_is_sent_and_what_is_refused_means_neutral(
    rig: Com3Rig,
) -> None:
    good = rig.command()
    names, values = good.names, good.values
    for bad in (
        JointCommand(0.0, 1, "x", CommandKind.VELOCITY_FRACTION, names, values),
        JointCommand(0.0, 1, "x", CommandKind.VALVE, names, np.full(4, np.nan)),
        JointCommand(0.0, 1, "x", CommandKind.VALVE, names, np.full(4, 1.01)),
        JointCommand(0.0, 1, "x", CommandKind.VALVE, names[:3], values[:3]),
        JointCommand(0.0, 1, "x", CommandKind.VALVE, names, values[:3]),
    ):
        rig.tick()
        assert rig.machine.valves.any()
        with pytest.raises(CommandError):
            rig.driver.write(bad)
        rig.machine.step()
        assert not rig.machine.valves.any()


def test_the_pump_is_known_from_ports_and_flows_while_both_are_young(rig: Com3Rig) -> None:
    state = rig.run(0.2)
    pump = (state.pump_pressure, state.pump_flow, state.pump_power)
    assert np.isfinite(state.pump_flow) and np.isfinite(state.pump_power), pump


def test_what_a_fault_forbids_is_not_sent_and_that_is_said(rig: Com3Rig) -> None:
    step = rig.machine.step
    rig.machine.step = lambda ticks=1: None  # type: ignore[method-assign]
    sent = [rig.tick() and rig.sent.any() for _ in range(60)]
    rig.machine.step = step  # type: ignore[method-assign]
    assert sent[0] and "driver_disconnected" in rig.driver.why
    assert not sent[-1], "the valves may not open as soon as the machine hears again"
    assert not rig.driver._carried.any()
    # The first thing that the machine hears is neutral.
    rig.machine.step()
    assert not rig.machine.valves.any()


def test_connecting_again_opens_nothing_and_forgets_nothing(rig: Com3Rig) -> None:
    bus = rig.bus
    rig.driver.connect()
    assert rig.bus is bus and rig.driver.why == {}


def test_a_measurement_that_is_just_on_its_way_is_waited_for(rig: Com3Rig) -> None:
    before = rig.driver.read().stamp
    now = rig.now
    rig.waiting = rig.machine.step
    assert rig.driver.read().stamp > before
    assert 0.0 < rig.now - now <= messages()["Front_Angle"].cycle


def test_joints_go_by_name(rig: Com3Rig) -> None:
    order = [2, 0, 3, 1]
    command = rig.command()
    turned = JointCommand(
        0.0, 9, "x", command.kind, tuple(command.names[i] for i in order), command.values[order]
    )
    sent = rig.driver.write(turned)
    assert sent.names == command.names
    assert np.abs(sent.values - command.values).max() < STEP


def test_a_machine_that_is_off_may_be_switched_on_later() -> None:
    rig = Com3Rig()
    rig.driver.connect()
    assert rig.driver.read().faults == ("driver_disconnected",)
    rig.machine.step()
    rig.run(0.3)
    assert rig.driver.read().faults == ()
    rig.close()


def test_another_machine_is_refused_and_its_lengths_are_named() -> None:
    rig = Com3Rig("zx200", there="zx120")
    rig.waiting = rig.machine.step  # the machine goes on while the driver listens
    with pytest.raises(WrongMachineError, match=r"4\.60 and 2\.52 m; zx200 has 5\.65 and 2\.89"):
        rig.driver.connect()
    rig.close()


def test_frames_that_are_nobodys_business_are_passed_over(rig: Com3Rig) -> None:
    rng = np.random.default_rng(1)
    for k in range(500):
        data = rng.bytes(int(rng.integers(0, 9)))
        extended = bool(k % 2)
        identifier = int(rng.integers(0, 1 << (29 if extended else 11)))
        if extended and (identifier >> 16) & 0xFF == 0xFF:
            continue
        remote = bool(k % 7 == 0)
        rig.stranger.send(
            can.Message(arbitration_id=identifier, is_extended_id=extended, is_remote_frame=remote,
                        data=None if remote else data)
        )  # fmt: skip
    rig.tick()
    assert rig.driver.why == {}


def test_on_the_loopback_a_node_hears_the_others_and_not_itself() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = BusSettings("udp_multicast", "239.74.163.2", port)
    one, two = settings.open(), settings.open()
    try:
        for k in range(50):
            frame = can.Message(arbitration_id=k, data=bytes([k]), is_extended_id=True)
            one.send(frame)
            heard = two.recv(1.0)
            assert heard is not None
            assert (heard.arbitration_id, bytes(heard.data)) == (k, bytes([k]))
            assert abs(heard.timestamp - time.time()) < 5.0
        assert one.recv(0.0) is None and two.recv(0.0) is None
        # Whatever else somebody sends to the port is no frame.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1")
            )
            for junk in (b"", b"\xff" * 40, b"\x81\xa1a"):
                stranger.sendto(junk, ("239.74.163.2", port))
        assert one.recv(0.05) is None
        two.send(frame)
        assert one.recv(1.0) is not None
    finally:
        one.shutdown()
        two.shutdown()
    with pytest.raises(can.CanOperationError):
        one.send(frame)


def test_the_pose_survives_the_bus_at_any_swing_and_tilt() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        q = rng.normal(size=4) * (1.0, 0.1, 0.1, 0.8)
        q /= np.linalg.norm(q)
        at, swing, mount = rng.normal(size=3), rng.uniform(-3, 3), np.array([0.1, 0.0, 1.1])
        position, attitude = from_bus(to_bus(at, q, swing, mount), swing, mount)
        assert np.abs(position - at).max() < 1e-9
        assert np.abs(rotation(attitude) - rotation(q)).max() < 1e-9


def test_torque_and_flow_are_those_of_cylinder_and_linkage() -> None:
    spec = load_machine("zx200")
    drives = Drives(spec)
    q = np.array([0.3, -0.6, 1.5, 0.9])
    p = np.array([[9e6, 2e6], [12e6, 1e6], [3e6, 8e6], [5e6, 4e6]])
    drive = spec.joints["arm_joint"].drive
    arm = float(lever_arm(drive.linkage, q[2]))  # type: ignore[union-attr]
    force = 3e6 * drive.head_area - 8e6 * drive.rod_area  # type: ignore[union-attr]
    torque = drives.torque(q, p)
    assert torque[2] == pytest.approx(force * arm, rel=1e-3)
    assert torque[0] == pytest.approx(0.00254 * 7e6)
    flow = drives.flow(q, np.array([0.0, 0.0, 0.5, 0.0]))
    assert flow[2, 0] == pytest.approx(drive.head_area * arm * 0.5, rel=1e-3)  # type: ignore[union-attr]
    # What the pistons give is what the oil takes.
    power = (p * flow).sum()
    assert power == pytest.approx(torque[2] * 0.5, rel=1e-9)


def test_the_pump_is_at_the_highest_port_that_takes_oil_and_unknown_while_none_does() -> None:
    p = np.array([[20e6, 1e6], [9e6, 2e6], [3e6, 12e6], [1e6, 1e6]])
    flow = np.zeros((4, 2))
    flow[0] = (-1e-3, 1e-3)  # lowered by its load: oil leaves the loaded side
    flow[2] = (-1e-3, 1e-3)
    none = np.zeros((4, 2), bool)
    assert pump_pressure(p, flow, none, 2e6) == pytest.approx(14e6)
    assert math.isnan(pump_pressure(p, np.zeros((4, 2)), none, 2e6))
    assert math.isnan(pump_pressure(np.full((4, 2), np.nan), flow, none, 2e6))
    # The boom is told to rise and stands: its cylinder extends while its joint would go negative.
    drives = Drives(load_machine("zx200"))
    asked = drives.inlets(np.array([0.0, -0.6, 1.5, 0.9]), np.array([0.0, -0.5, 0.0, 0.03]))
    assert asked.tolist() == [[False, False], [True, False], [False, False], [False, False]]
    assert pump_pressure(p, flow, asked, 2e6) == pytest.approx(14e6)
    assert pump_pressure(p, np.zeros((4, 2)), asked, 2e6) == pytest.approx(11e6)


def test_a_dead_pump_is_found_by_joints_that_do_not_move_since_its_pressure_is_inferred() -> None:
    """``pressure_loss`` is not watched over COM3, as the guide says: ``joint_stuck`` stands in."""
    spec = load_machine("zx200")
    margin, told = spec.hydraulics.load_sensing_margin, 0.5 * np.asarray(spec.qd_max)  # type: ignore[union-attr]
    none, u = np.zeros((4, 2)), np.full(4, 0.6)
    asked = Drives(spec).inlets(spec.home, u)
    pump = pump_pressure(none, none, asked, margin)
    # The least that is ever inferred is above what would count as lost.
    assert pump == margin > pump_pressure_min(spec)
    monitors, rng, found = Monitors(spec, GateLimits()), np.random.default_rng(3), set()
    for k in range(400):
        now = 0.01 * k
        q = spec.home + rng.normal(size=4) * 1e-5
        state = replace(state_at(7.0 + now, q, np.zeros(4)), pump_pressure=pump)
        monitors.look(100.0 + now, state, told, u, moving=True)
        found |= {code for code, _, _ in monitors.demands(100.0 + now)}
    assert found == {"joint_stuck"}
    assert failure("joint_stuck").reaction.level >= failure("pressure_loss").reaction.level


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("watched", ["Front_Angel"], "did you mean 'Front_Angle'"),
        ("joints.boom_joint.angle", "boom_angle", "did you mean 'boom_relative_angle'"),
        ("joints.boom_joint.sign", 0, "sign"),
        (
            "joints.boom_joint.scale",
            {"value": 0, "unit": "1", "source": "estimate"},
            "scale 0.0 must be positive",
        ),
        ("joints.boom_joint.positive.command", "boom_up", "share one pilot pressure"),
        (
            "pilot.full",
            {"value": 6, "unit": "MPa", "source": "estimate"},
            r"must be in \(0, 5e\+06",
        ),
    ],
)
def test_a_wrong_map_names_the_key(tmp_path: Path, key: str, value: object, says: str) -> None:
    raw = yaml.safe_load((load_machine("zx200").folder / "com3.yaml").read_text())
    at = raw
    *path, last = key.split(".")
    for part in path:
        at = at[part]
    at[last] = value
    (tmp_path / "com3.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(MachineError, match=says):
        load_data(tmp_path / "com3.yaml", Com3Map, MachineError)


def test_a_variant_speaks_as_the_machine_whose_model_it_uses() -> None:
    assert load_map(load_machine("zx200_nfc")).data == load_map(load_machine("zx200")).data
    with pytest.raises(MachineError, match=r"'d37' has no com3\.yaml"):
        load_map(load_machine("d37"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("can0", "no interface 'can0'"),
        ("socketcan:", "expected socketcan:<channel>"),
        ("udp_multicast:10.0.0.1", "is no IPv4 multicast address"),
        ("udp_multicast:239.0.0.1:80", "port 1024 to 65535"),
        ("virtual:a:b", "expected virtual:<channel>"),
    ],
)
def test_a_bus_that_is_described_wrongly_is_refused(text: str, says: str) -> None:
    with pytest.raises(BusError, match=says):
        BusSettings.parse(text)


def test_bus_settings_go_both_ways_and_a_bus_that_is_not_there_names_the_remedy() -> None:
    for text in ("socketcan:can0", "udp_multicast:239.1.2.3:5000", "virtual:a"):
        assert str(BusSettings.parse(text)) == text
    with pytest.raises(BusError, match="ip link set nocan7 up"):
        BusSettings.parse("socketcan:nocan7").open()
