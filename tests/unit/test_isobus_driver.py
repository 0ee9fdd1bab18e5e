"""ISOBUS: driver and emulated tractor on one bus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from isobus_rig import TICK, IsobusRig, working, yaml_of
from kuwa_hardware.isobus.codec import IsobusError, message
from kuwa_hardware.isobus.driver import NAME, OLD
from kuwa_hardware.isobus.mapping import Mapping
from kuwa_hardware.j1939.identifier import Frame, Identifier
from kuwa_hardware.j1939.name import Name
from kuwa_machines.errors import CommandError

TRACTOR = 240
LOWER = Name(identity_number=0, arbitrary_address_capable=False, industry_group=0)


@pytest.fixture
def rig() -> Iterator[IsobusRig]:
    made = working()
    yield made
    made.close()


def mapping(**functions: dict[str, object]) -> Mapping:
    """Return the sprayer's mapping, some of whose joints have other functions."""
    raw = yaml_of("tractor_sprayer")
    return Mapping.model_validate(raw | {"functions": raw["functions"] | functions})


def by_status(*joints: str) -> dict[str, dict[str, object]]:
    """Return their functions, with angles from the functions' own messages."""
    functions = yaml_of("tractor_sprayer")["functions"]
    return {joint: functions[joint] | {"feedback": "status"} for joint in joints}


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
    rig = IsobusRig(mapping=mapping(**by_status("steering_joint", "lift_joint")))
    rig.driver.connect()
    rig.run(rig.all(0.2), 0.5)
    state, own = rig.run(None, 1.0), rig.plant.read()
    steering, lift = rig.place("steering_joint"), rig.place("lift_joint")
    assert state.q[steering] == pytest.approx(own.q[steering], abs=5e-4)
    assert state.q[lift] == pytest.approx(own.q[lift], abs=0.5 * 0.004 * 1.4)
    rig.close()


def test_connecting_again_does_not_interrupt_the_work(rig: IsobusRig) -> None:
    before = rig.now
    rig.driver.connect()
    assert rig.now == before and rig.tick(rig.all(0.3)).faults == () and rig.sent.any()


def test_a_bus_that_was_lost_is_commanded_only_after_another_claim(rig: IsobusRig) -> None:
    """Somebody else may have taken the address meanwhile; and old angles are no angles."""
    rig.unplug()
    rig.run(rig.all(0.3), 0.3)
    rig.unplugged = False
    rig.tick(rig.all(0.3))
    rig.tick(rig.all(0.3))
    assert rig.driver.link.connected and not rig.driver.claim.claimed and not rig.sent.any()
    assert rig.run(rig.all(0.3), 0.8).faults == () and rig.sent.any()


def test_who_can_get_no_address_is_told_so_and_gives_the_bus_back() -> None:
    rig = IsobusRig(name=replace(NAME, arbitrary_address_capable=False))
    goes_on = rig.driver._sleep

    def contended(seconds: float) -> None:
        rig.stranger_claims(LOWER, 42)
        goes_on(seconds)

    rig.driver._sleep = contended
    with pytest.raises(IsobusError, match="address 42 on the bus belongs to another"):
        rig.driver.connect()
    assert not rig.driver.link.connected
    rig.close()


def test_another_tractor_is_not_commanded_and_the_own_one_found_at_another_address(
    rig: IsobusRig,
) -> None:
    rig.stranger_claims(LOWER, TRACTOR)
    assert "machine_wrong" in rig.driver.read().faults
    rig.driver.write(rig.command(rig.all(0.3)))
    assert not rig.driver.write(rig.command(rig.all(0.3))).values.any()
    # The tractor lost its address to the stranger, and takes another.
    assert rig.run(rig.all(0.3), 1.0).faults == () and rig.sent.any()
    assert rig.tractor.claim.address == 128
    assert rig.tractor.valves[rig.place("steering_joint")] > 0.1, "that is addressed to it"


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Identifier(65000, TRACTOR), bytes(8)),
        Frame(
            message("GuidanceMachineInfo").identifier(TRACTOR, destination=77),
            message("GuidanceMachineInfo").encode(SteeringReadiness=0.0),
        ),
        Frame(
            message("EmulatedJoint0").identifier(77),
            message("EmulatedJoint0").encode(JointPosition=3.0, JointValid=0.0),
        ),
    ],
    ids=["no group of ours", "to another node", "from another node"],
)
def test_what_others_say_to_each_other_is_passed_over(rig: IsobusRig, frame: Frame) -> None:
    for _ in range(30):
        rig.put(frame)
        state = rig.tick(rig.all(0.3))
    assert state.faults == () and rig.sent.all()


def test_a_hitch_that_its_operator_took_over_is_told(rig: IsobusRig) -> None:
    rig.tractor.muted.add(message("RearHitchStatus").pgn)
    for _ in range(30):
        rig.stranger_sends("RearHitchStatus", TRACTOR, HitchPosition=50, HitchPositionLimit=1)
        state = rig.tick(rig.all(0.3))
    assert state.faults == ("machine_not_external",)


def test_engine_power_take_off_and_pump_are_shown_while_the_tractor_tells_them(
    rig: IsobusRig,
) -> None:
    """An engine that stalled must not be shown as it turned last."""
    told = {
        "EngineSpeed": {"EngineSpeed": 1500.0},
        "RearPtoStatus": {"PtoSpeed": 540.0},
        "EmulatedPump": {"PumpPressure": 18e3, "PumpFlow": 60.0, "PumpPower": 20e3},
    }
    rig.tractor.muted |= {message(name).pgn for name in told}
    for name, values in told.items():
        rig.stranger_sends(name, TRACTOR, **values)
    for tells in (True, False):
        state = rig.tick(rig.all(0.3))
        shown = [state.engine_speed * 30.0 / np.pi, rig.driver.pto_speed,
                 state.pump_pressure, 6e4 * state.pump_flow, state.pump_power]  # fmt: skip
        if tells:
            assert shown == pytest.approx([1500.0, 540.0, 18e6, 60.0, 20e3], rel=1e-2)
        else:
            assert np.isnan(shown).all()
        rig.run(rig.all(0.3), OLD)


def test_a_curvature_that_the_tractor_does_not_know_is_told_and_is_no_angle() -> None:
    rig = IsobusRig(mapping=mapping(**by_status("steering_joint")))
    rig.driver.connect()
    assert rig.run(rig.all(0.1), 0.3).faults == ()
    rig.stranger_sends("GuidanceMachineInfo", TRACTOR, SteeringReadiness=1,
                       MechanicalSystemLockout=0, RequestReset=0)  # fmt: skip
    state = rig.tick(rig.all(0.1))
    assert state.faults == ("frame_corrupt",) and np.isfinite(state.q).all()
    rig.close()


@pytest.mark.parametrize("speed", [-1.0, 8001.0, float("nan")])
def test_a_power_take_off_turns_only_as_it_can(speed: float) -> None:
    rig = working("tractor_plough")
    with pytest.raises(CommandError, match="expected 0 to 8000"):
        rig.driver.pto(speed)
    # One that its driver switched on by hand goes on: nobody has asked us for anything.
    rig.tractor.pto = 540.0
    rig.run(rig.all(0.1), 0.3)
    assert rig.tractor.pto == 540.0
    rig.close()


def test_without_a_hitch_there_is_no_power_take_off() -> None:
    functions = yaml_of("tractor_sprayer")["functions"]
    rig = IsobusRig(mapping=mapping(lift_joint=functions["roll_joint"] | {"valve": 2}))
    with pytest.raises(CommandError, match=r"and a hitch in isobus\.yaml"):
        rig.driver.pto(540.0)
    rig.close()


def test_a_robot_that_was_closed_takes_no_command_and_has_no_state(rig: IsobusRig) -> None:
    """Its caller would go on with commands that reach nobody."""
    command = rig.command(rig.all(0.3))
    rig.driver.close()
    for use in (rig.driver.read, rig.driver.neutral, lambda: rig.driver.write(command)):
        with pytest.raises(CommandError, match=r"not connected; call connect\(\)"):
            use()
