"""A bus that is lost and found again, and what is said of it: no machine, no real bus."""

from __future__ import annotations

from collections.abc import Iterator

import can
import pytest

from kuwa_hardware.canbus import RECOVERED, BusError
from kuwa_hardware.com3.link import OPEN_AGAIN, Link
from kuwa_hardware.com3.supervision import LINGER, MISSED, BusWatch
from kuwa_hardware.failures import failure

NOTHING, SILENT, STILL = (
    failure(code).timeout
    for code in ("driver_disconnected", "machine_silent", "alive_counter_lost")
)
FAST, SLOW = "Front_Angle", "Vehicle_Azimuth"
CYCLES = {FAST: 0.01, SLOW: 0.1}
OFF, RESTARTED, CONTROLLER = 0x040, 0x100, 0x004


@pytest.fixture
def watch() -> BusWatch:
    """A bus that was opened at 100 s."""
    made = BusWatch(CYCLES)
    made.opened(100.0)
    return made


def hear(watch: BusWatch, first: float, last: float, *names: str) -> None:
    """Let messages come at 100 Hz, and the machine count."""
    for k in range(round(100 * (last - first)) + 1):
        for name in names:
            watch.heard(first + 0.01 * k, name)
        watch.alive(first + 0.01 * k, float(k % 256))


def error(kind: int, detail: int = 0) -> can.Message:
    return can.Message(arbitration_id=kind, is_error_frame=True, data=[0, detail, 0, 0, 0, 0, 0, 0])


def test_silence_is_told_in_its_time_and_what_comes_ends_it(watch: BusWatch) -> None:
    assert watch.report(100.0 + NOTHING) == {}
    lost = watch.report(100.01 + NOTHING)
    assert list(lost) == ["driver_disconnected"] and "nothing received for 0.11 s" in str(lost)
    hear(watch, 101.0, 101.5, FAST, SLOW)
    assert watch.report(101.5) == {}


def test_a_message_that_stays_away_is_named_a_slow_one_three_cycles_later(watch: BusWatch) -> None:
    hear(watch, 100.0, 100.0 + MISSED * CYCLES[SLOW], FAST)
    assert watch.report(100.0 + MISSED * CYCLES[SLOW]) == {}
    hear(watch, 100.3, 100.4, FAST)
    assert watch.report(100.4) == {"machine_silent": f"no {SLOW} for 0.40 s"}
    # The one that is missing for longest is named, a strange one is none of them.
    hear(watch, 100.4, 100.4 + SILENT + 0.05, "Machine_State")
    assert watch.report(100.4 + SILENT + 0.05) == {"machine_silent": f"no {SLOW} for 0.55 s"}
    hear(watch, 100.6, 100.6, SLOW)
    assert watch.report(100.6) == {"machine_silent": f"no {FAST} for 0.20 s"}


def test_a_counter_that_stands_is_told(watch: BusWatch) -> None:
    hear(watch, 100.0, 100.2, FAST, SLOW)
    for k in range(30):
        watch.heard(100.2 + 0.01 * k, FAST)
        watch.heard(100.2 + 0.01 * k, SLOW)
        watch.alive(100.2 + 0.01 * k, 20.0)
    assert watch.report(100.19 + STILL) == {}
    said = watch.report(100.21 + STILL)
    assert said == {"alive_counter_lost": "the alive counter stands at 20 for 0.16 s"}
    watch.alive(100.5, 21.0)
    assert watch.report(100.5) == {}


def test_a_bus_that_is_off_is_so_until_it_is_restarted_or_heard(watch: BusWatch) -> None:
    watch.error_frame(error(OFF))
    assert list(watch.report(100.0)) == ["bus_off"]
    watch.error_frame(error(RESTARTED))
    assert watch.report(100.0) == {}
    for end in (lambda: watch.heard(100.0, FAST), lambda: watch.opened(100.0)):
        watch.error_frame(error(OFF))
        assert list(watch.report(100.0)) == ["bus_off"]
        end()
        assert watch.report(100.0) == {}


@pytest.mark.parametrize("detail", [0x10, 0x20])
def test_a_passive_bus_is_so_until_it_says_otherwise_or_enough_was_heard(
    watch: BusWatch, detail: int
) -> None:
    watch.error_frame(error(CONTROLLER, 0x04))
    assert watch.report(100.0) == {}, "a warning level"
    watch.error_frame(error(CONTROLLER, detail))
    assert list(watch.report(100.0)) == ["bus_passive"]
    watch.error_frame(error(CONTROLLER, detail | 0x40))
    assert watch.report(100.0) == {}
    watch.error_frame(error(CONTROLLER, detail))
    watch.error_frame(error(RESTARTED))
    assert watch.report(100.0) == {}
    watch.error_frame(error(CONTROLLER, detail))
    for _ in range(RECOVERED - 1):
        watch.heard(100.0, FAST)
    assert list(watch.report(100.0)) == ["bus_passive"]
    # Another error begins the count anew.
    watch.error_frame(error(CONTROLLER, detail))
    for _ in range(RECOVERED - 1):
        watch.heard(100.0, FAST)
    assert list(watch.report(100.0)) == ["bus_passive"]
    watch.heard(100.0, FAST)
    assert watch.report(100.0) == {}


def test_an_error_frame_without_details_says_nothing_of_the_controller(watch: BusWatch) -> None:
    watch.error_frame(can.Message(arbitration_id=CONTROLLER, is_error_frame=True, data=[0]))
    assert watch.report(100.0) == {}


def test_an_adapter_that_knows_says_how_its_controller_is(watch: BusWatch) -> None:
    for state, code in (
        (can.BusState.ERROR, "bus_off"),
        (can.BusState.PASSIVE, "bus_passive"),
    ):
        watch.controller(state)
        assert list(watch.report(100.0)) == [code]
        watch.controller(can.BusState.ACTIVE)
        assert watch.report(100.0) == {}
    # One that cannot tell says "active" as always, and takes nothing back.
    watch.error_frame(error(CONTROLLER, 0x10))
    watch.controller(can.BusState.ACTIVE)
    assert list(watch.report(100.0)) == ["bus_passive"]
    # Passive counts from the word, not from what was heard before it.
    for _ in range(RECOVERED - 1):
        watch.heard(100.0, FAST)
    watch.controller(can.BusState.PASSIVE)
    watch.heard(100.0, FAST)
    assert list(watch.report(100.0)) == ["bus_passive"]


def test_events_linger_and_conditions_last(watch: BusWatch) -> None:
    hear(watch, 100.0, 101.0, FAST, SLOW)
    watch.event(101.0, "frame_corrupt", "8 bytes of it")
    watch.condition("engine_slow", "600 1/min")
    assert watch.report(101.0) == {"frame_corrupt": "8 bytes of it", "engine_slow": "600 1/min"}
    hear(watch, 101.0, 101.0 + LINGER + 0.1, FAST, SLOW)
    assert watch.report(101.0 + LINGER + 0.1) == {"engine_slow": "600 1/min"}
    watch.condition("engine_slow", "")
    watch.condition("engine_slow", "")
    assert watch.report(101.0 + LINGER + 0.1) == {}


class Bus:
    """A bus whose adapter may be pulled out."""

    state = can.BusState.ACTIVE

    def __init__(self) -> None:
        self.there, self.sent, self.closed, self.opened = True, 0, 0, 0

    def open(self) -> Bus:
        self.opened += 1
        if not self.there:
            raise BusError("unplugged; plug it in")
        return self

    def send(self, frame: can.Message) -> None:
        self.recv(0.0)
        self.sent += 1

    def recv(self, wait: float) -> None:
        if not self.there:
            raise OSError("no such device")

    def shutdown(self) -> None:
        self.closed += 1
        if not self.there:
            raise OSError("no such device")


@pytest.fixture
def bus() -> Iterator[Bus]:
    return Bus()  # type: ignore[return-value]


@pytest.mark.parametrize("way", ["send", "receive"])
def test_a_lost_bus_raises_nothing_and_is_opened_again_in_its_time(
    watch: BusWatch, bus: Bus, way: str
) -> None:
    link = Link(bus.open, watch)  # type: ignore[arg-type]
    assert not link.is_open and link.receive(100.0) is None
    link.send(100.0, 1, b"")
    link.maintain(200.0)
    assert bus.opened == 0, "nobody has opened it yet"
    link.open(100.0)
    link.send(100.0, 1, b"")
    assert link.is_open and bus.sent == 1
    bus.there = False
    for _ in range(3):
        if way == "send":
            link.send(100.0, 1, b"")
        else:
            assert link.receive(100.0) is None
    assert not link.is_open and bus.closed == 1
    assert f"cannot {way}: no such device" in watch.report(100.0)["driver_disconnected"]
    link.maintain(100.0 + 0.9 * OPEN_AGAIN)
    assert bus.opened == 1
    for k in range(1, 12):
        link.maintain(100.0 + 0.11 * OPEN_AGAIN * (9 + k))
    assert bus.opened == 3, "at once, and once more a while later"
    assert "plug it in" in watch.report(100.0)["driver_disconnected"]
    bus.there = True
    link.maintain(110.0)
    assert link.is_open and watch.report(110.0) == {}


def test_a_bus_that_was_left_stays_left(watch: BusWatch, bus: Bus) -> None:
    link = Link(bus.open, watch)  # type: ignore[arg-type]
    link.open(100.0)
    for _ in range(2):
        link.close()
    assert bus.closed == 1 and not link.is_open
    link.maintain(1e9)
    assert bus.opened == 1 and not link.is_open


def test_the_adapters_own_word_is_asked_for_where_it_has_one(watch: BusWatch, bus: Bus) -> None:
    link = Link(bus.open, watch)  # type: ignore[arg-type]
    link.open(100.0)
    bus.state = can.BusState.ERROR
    link.maintain(100.0)
    assert list(watch.report(100.0)) == ["bus_off"]
    silent = Bus()
    del Bus.state
    try:
        other = Link(silent.open, watch)  # type: ignore[arg-type]
        other.open(100.0)
        other.maintain(100.0)
    finally:
        Bus.state = can.BusState.ACTIVE
    assert watch.report(100.0) == {}
