"""Episodes as asked for by people: what is possible when, and what frames are made of messages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kuwa_msgs.msg import JointCommand, SafetyState
from sensor_msgs.msg import Image, JointState

from kuwa_hardware.operator.core import Handing, Phase, Wish
from kuwa_policies.datasets import Dataset, DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_policies.datasets.grid import Grid
from kuwa_record import session as session_module
from kuwa_record.disk import Disk
from kuwa_record.feed import Feed, camera_of, even
from kuwa_record.session import COMMANDS, Session, label_of, saved_words
from kuwa_ros.conversions import time_msg

pytestmark = pytest.mark.ros
JOINTS = ("a", "b")
CAMERA = {"cab": (4, 6)}


class Sink(list[Any]):
    """Takes frames, and actions at control rate."""

    def __init__(self) -> None:
        super().__init__()
        self.controls: list[tuple[float, Any, int]] = []

    def add(self, frame: Any) -> None:
        self.append(frame)

    def control(self, stamp: float, action: Any, source: int = 0) -> None:
        self.controls.append((stamp, action, source))


def grid(fps: int = 20, **more: Any) -> tuple[Grid, Sink]:
    sink = Sink()
    made = Grid(DatasetInfo.of_machine("m", JOINTS, fps, **more), sink)
    made.begin()
    return made, sink


def drive(made: Grid, stamps: Any, source: str = "teleop") -> None:
    """Give states and the actions that answer them; a state says its stamp, so does its action."""
    for t in stamps:
        made.state(1000.0 + t, t, np.full(2, t), np.zeros(2))
        made.action(1000.0 + t + 0.004, t, np.full(2, t), source)


def test_a_frame_holds_a_state_and_the_action_that_answers_it() -> None:
    made, sink = grid()
    drive(made, np.arange(0, 101) * 0.01)
    notes = made.end()
    stamps = np.array([frame[f.STAMP] for frame in sink])
    np.testing.assert_allclose(stamps, np.arange(21) * 0.05, atol=1e-9)
    for frame in sink:
        assert frame[f.STATE][0] == frame[f.STAMP] == frame[f.ACTION][0]
        assert frame[f.RECEIPT] == 1000.0 + frame[f.STAMP] and frame[f.SOURCE] == 2
    assert len(sink.controls) == 101 and notes["repeated_frames"] == 0


def test_late_states_do_not_shift_the_grid_and_gaps_are_told() -> None:
    rng = np.random.default_rng(0)
    made, sink = grid()
    stamps = np.arange(500) * 0.01 + rng.uniform(-0.003, 0.003, 500)
    stamps[0] = 0.0
    drive(made, np.delete(stamps, np.arange(200, 225)))
    notes = made.end()
    got = np.array([frame[f.STAMP] for frame in sink])
    due = np.arange(len(got)) * 0.05
    assert len(got) == 100 and notes["repeated_frames"] == 4 and notes["gaps"] == 0
    assert ((due - got > -0.0011) & (due - got < 0.26)).all()
    assert np.median(np.abs(due - got)) < 0.01
    made, sink = grid()
    drive(made, [0.0, 0.05, 0.1, 5.0, 5.05, 1.0, 1.05])
    assert made.end()["gaps"] == 2
    assert [round(frame[f.STAMP], 2) for frame in sink] == [0.0, 0.05, 0.1, 5.0, 5.05, 1.0, 1.05]


def test_an_action_that_is_over_is_a_hold_and_the_operators_is_an_intervention() -> None:
    made, sink = grid(10)
    made.mode("auto")
    drive(made, np.arange(0, 11) * 0.1, "planning")
    made.mode("teleop", intervening=True)
    drive(made, np.arange(11, 21) * 0.1, "teleop")
    for t in np.arange(21, 31) * 0.1:
        made.state(1000.0 + t, t, np.zeros(2), np.zeros(2))
    made.end()
    source = [int(frame[f.SOURCE]) for frame in sink]
    assert source == [1] * 11 + [2] * 10 + [2, 2] + [0] * 8
    assert [int(frame[f.INTERVENTION]) for frame in sink] == [0] * 11 + [1] * 12 + [0] * 8
    assert all((frame[f.ACTION] == 0).all() for frame in sink[-8:])
    made, sink = grid(10)
    drive(made, np.arange(0, 11) * 0.1, "teleop")
    assert {int(frame[f.INTERVENTION]) for frame in sink} == {0}


def drive_in(made: Grid, feed: Feed, t: float, mode: str) -> None:
    """Go to a mode of the gate, and drive a second in it as its source."""
    feed.give("safety", 1000.0 + t, SafetyState(mode=mode))
    source = {"auto": "planning", "teleop": "teleop"}.get(mode, "hold")
    drive(made, t + np.arange(10) * 0.1, source)


@pytest.mark.parametrize(
    ("modes", "intervened"),
    [
        (["auto", "teleop", "auto", "teleop"], [0, 1, 0, 1]),
        # Paused, the planner has let go of the machine; who then drives by hand takes nothing over.
        (["auto", "armed", "teleop"], [0, 0, 0]),
        (["auto", "teleop", "armed", "teleop"], [0, 1, 0, 1]),
        (["auto", "teleop", "ready", "armed", "teleop"], [0, 1, 0, 0, 0]),
        (["auto", "teleop", "stopped", "teleop"], [0, 1, 0, 0]),
        (["armed", "teleop"], [0, 0]),
    ],
)
def test_an_intervention_is_a_takeover_from_the_planner_and_ends_with_it(
    modes: list[str], intervened: list[int]
) -> None:
    made, sink = grid(10)
    feed, handing = Feed(JOINTS), Handing()
    feed.grid = made
    wish = Wish(np.zeros(2), False, False, Phase.READY, "")
    for k, (mode, wanted) in enumerate(zip(modes, intervened, strict=True)):
        drive_in(made, feed, float(k), mode)
        handing.step(mode, wish)
        if mode == "teleop":
            assert handing.intervening == wanted, "the page says the same"
    made.end()
    frames = [int(frame[f.INTERVENTION]) for frame in sink]
    # The last frame of a mode is made when the next one's first state is there.
    got = [round(float(np.mean(frames[10 * k + 1 : 10 * k + 9]))) for k in range(len(modes))]
    assert got == intervened
    assert sum(frames) >= 8 * sum(intervened)


def test_who_took_over_before_an_episode_intervenes_in_it(bench: Bench) -> None:
    def mode(name: str) -> None:
        bench.messages[name.encode()] = SafetyState(mode=name)
        bench.session.put("safety", 1000.0 + bench.t, name.encode(), False)

    mode("auto")
    mode("teleop")
    bench.newest = [("safety", 1000.0, b"teleop")]
    bench.ask("start")
    bench.put()
    bench.ask("success")
    bench.wait()
    (episode,) = Dataset(bench.folder / "set").episodes
    assert episode.notes["interventions"] == {"count": 1, "frames": 4, "intervals": [[0, 4]]}


def test_what_is_not_finite_makes_no_frame() -> None:
    made, sink = grid(10, pressure=True)
    made.vector(f.PRESSURE, np.array([1.0, np.nan, np.inf, 4.0]))
    drive(made, [0.0, 0.1, 0.2])
    made.state(1000.3, 0.3, np.array([np.nan, 0.0]), np.zeros(2))
    drive(made, [0.4])
    assert made.end()["invalid_states"] == 1
    assert sink[0][f.PRESSURE].tolist() == [1.0, 0.0, 0.0, 4.0]
    assert all(np.isfinite(frame[f.STATE]).all() for frame in sink)


def test_pictures_for_a_video_have_even_sides() -> None:
    assert even(np.zeros((3, 5, 3), np.uint8)).shape == (2, 4, 3)
    assert even(np.zeros((4, 6, 3), np.uint8)).shape == (4, 6, 3)


def test_cameras_are_known_by_their_topics() -> None:
    assert camera_of("camera/cab/image_raw") == "cab"
    for name in ("camera/cab/info", "camera/a/b/image_raw", "joint_states", "camera//image_raw"):
        assert camera_of(name) == ""


# Sessions ------------------------------------------------------------------------------------


class Bench:
    """A session whose messages come from a test."""

    def __init__(self, folder: Path, make_writer: Any = DatasetWriter, **more: Any) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.disk = Disk(folder, 1000)
        self.info = DatasetInfo.of_machine("m", JOINTS, 20)
        self.messages: dict[bytes, Any] = {}
        self.newest: list[tuple[str, float, bytes]] = []
        self.session = Session(
            lambda: make_writer(folder / "set", self.info), Feed(JOINTS),
            lambda _, data: self.messages[data], lambda: self.newest, self.disk,
            **{"task": "dig"} | more,
        )  # fmt: skip
        self.t = 0.0

    def put(self, count: int = 20) -> None:
        """Give so many states and actions."""
        for _ in range(count):
            self.t += 0.01
            stamp = time_msg(self.t)
            state = JointState(name=list(JOINTS), position=[1.0, 2.0], velocity=[0.0, 0.0])
            action = JointCommand(joint_name=list(JOINTS), value=[0.5, 0.5], source="teleop",
                                  kind=JointCommand.VELOCITY_FRACTION)  # fmt: skip
            for topic, msg in (("joint_states", state), ("reference", action)):
                msg.header.stamp = stamp
                key = f"{topic} {self.t}".encode()
                self.messages[key] = msg
                self.session.put(topic, 1000.0 + self.t, key, False)

    def ask(self, command: str, text: str = "") -> str:
        done, why = self.session.command(command, text)
        assert done, why
        return why

    def wait(self, state: str = "idle") -> None:
        deadline = time.monotonic() + 10.0
        while self.session.state != state:
            assert time.monotonic() < deadline, (self.session.state, self.session.message)
            time.sleep(0.002)

    def saved(self) -> list[bool | None]:
        return [e.success for e in Dataset(self.folder / "set").episodes]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "out")
    yield made
    made.session.close()


def test_episodes_are_begun_ended_labelled_and_taken_back(bench: Bench) -> None:
    for label in ("success", "failure"):
        bench.ask("start")
        assert bench.session.state == "recording"
        bench.put()
        bench.ask(label)
        bench.wait()
    bench.ask("start")
    bench.put()
    bench.ask("stop")
    assert bench.session.state == "review"
    bench.put(5)  # nobody records these
    bench.ask("stop", "a note")
    bench.wait()
    assert bench.saved() == [True, False, None]
    assert bench.session.message == "episode 2 is saved, without a label"
    dataset = Dataset(bench.folder / "set")
    assert {e.length for e in dataset.episodes} == {4}
    assert dataset.episodes[2].notes["note"] == "a note"
    assert dataset.episodes[2].notes["control_ticks"] == 20
    bench.ask("undo")
    bench.wait()
    assert bench.saved() == [True, False]


@pytest.mark.parametrize("command", ["start", "undo"])
def test_a_data_set_that_opens_slowly_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    before = Bench(tmp_path / "out")
    before.ask("start")
    before.put()
    before.session.close()
    monkeypatch.setattr(session_module, "PATIENCE", 0.05)
    opening, go_on, opened = threading.Event(), threading.Event(), []

    def slowly(folder: Path, info: DatasetInfo) -> DatasetWriter:
        opened.append(folder)
        opening.set()
        assert go_on.wait(20.0)
        return DatasetWriter(folder, info)

    made = Bench(tmp_path / "out", make_writer=slowly)
    for _ in range(2):
        done, why = made.session.command(command)
        assert not done and "ask again" in why
    assert opening.wait(20.0)
    asks = threading.Thread(target=lambda: made.session.command(command), daemon=True)
    monkeypatch.setattr(session_module, "PATIENCE", 20.0)
    asks.start()
    # Who takes messages goes on while somebody waits for the data set.
    goes_on = threading.Thread(target=lambda: [look(made.session) for _ in range(50)], daemon=True)
    goes_on.start()
    goes_on.join(10.0)
    assert not goes_on.is_alive(), "it waits for the data set"
    go_on.set()
    asks.join(20.0)
    assert len(opened) == 1, "once is enough"
    if command == "start":
        assert made.session.state == "recording"
    else:
        made.wait()
        assert made.saved() == []
    made.session.close()


def look(session: Session) -> None:
    session.tick(time.monotonic())
    session.snapshot()


def test_what_was_lost_on_the_way_is_counted_for_its_episode(bench: Bench) -> None:
    bench.session.miss(2)
    bench.ask("start")
    bench.put()
    bench.session.miss(3)
    bench.ask("success")
    bench.wait()
    assert bench.session.snapshot().dropped == 5
    assert Dataset(bench.folder / "set").episodes[0].notes["dropped"] == 3


def test_redo_and_discard_leave_nothing(bench: Bench) -> None:
    bench.ask("start")
    bench.put()
    bench.ask("redo")
    assert bench.session.state == "recording"
    bench.put(40)
    bench.ask("stop")
    bench.ask("discard")
    bench.ask("start")
    bench.put(60)
    bench.ask("success")
    bench.wait()
    dataset = Dataset(bench.folder / "set")
    assert [e.length for e in dataset.episodes] == [12]


@pytest.mark.parametrize(
    ("before", "command", "words"),
    [
        ([], "stop", "no episode"), ([], "success", "no episode to label"),
        ([], "discard", "undo takes back"), ([], "redo", "no episode to redo"),
        ([], "undo", "no episode is saved"), ([], "sucess", "did you mean 'success'"),
        (["start"], "start", "is recording"), (["start"], "undo", "discard it first"),
        (["start"], "task", "before it begins"), (["start", "stop"], "start", "waits"),
        ([], "task", "1 to 1000"),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused_in_words(
    bench: Bench, before: list[str], command: str, words: str
) -> None:
    for each in before:
        bench.ask(each)
    state = bench.session.state
    done, why = bench.session.command(command)
    assert not done and words in why
    assert bench.session.state == state


def test_any_order_of_requests_leaves_a_set_that_loads(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    made = Bench(tmp_path / "out")
    for _ in range(150):
        made.session.command(str(rng.choice(COMMANDS)), "dig on")
        made.session.tick(time.monotonic())
        made.put(int(rng.integers(0, 12)))
        if rng.random() < 0.3:
            time.sleep(0.01)
    made.session.close()
    dataset = Dataset(tmp_path / "out" / "set")
    for episode in dataset.episodes:
        assert len(dataset.episode(episode.index)["action"]) == episode.length > 0


def test_messages_that_are_none_cost_only_themselves(bench: Bench) -> None:
    def bad(key: str, topic: str, msg: Any) -> None:
        bench.messages[key.encode()] = msg
        bench.session.put(topic, 1000.0 + bench.t, key.encode(), False)

    bench.ask("start")
    bench.put()
    bad("1", "joint_states", JointState(name=["a"], position=[1.0], velocity=[0.0]))
    bad("2", "joint_states", JointState(name=["a", "b"], position=[1.0]))
    bad("3", "reference", JointCommand(joint_name=["a", "b"], value=[0.5], kind=9))
    bad("4", "reference", JointCommand(joint_name=["a", "b"], value=[0.5], kind=1))
    bad("5", "camera/cab/image_raw", Image(height=1, width=1, encoding="none"))
    bench.session.put("joint_states", 1000.0, b"of which nobody knows anything", False)
    bench.put()
    bench.ask("success")
    bench.wait()
    (episode,) = Dataset(bench.folder / "set").episodes
    assert episode.length == 8 and episode.success is True
    assert set(episode.notes["bad_messages"]) == {
        "joint_states", "reference", "camera/cab/image_raw",
    }  # fmt: skip


def test_a_data_set_that_breaks_loses_only_the_open_episode(bench: Bench, monkeypatch: Any) -> None:
    for count in range(2):
        bench.ask("start")
        bench.put()
        if count:
            monkeypatch.setattr(DatasetWriter, "add", _full)
            bench.put()
            bench.wait("idle")
            assert "episode 1 is lost" in bench.session.message
            monkeypatch.undo()
        else:
            bench.ask("success")
            bench.wait()
    bench.ask("start")
    bench.put()
    bench.ask("failure")
    bench.wait()
    assert bench.saved() == [True, False]


def _full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_countdown_comes_first_and_can_be_broken_off(tmp_path: Path) -> None:
    made = Bench(tmp_path / "out", countdown=5.0)
    made.ask("start")
    assert made.session.state == "countdown"
    assert 4.0 < made.session.snapshot().countdown <= 5.0
    made.ask("stop")
    assert made.session.state == "idle"
    made.ask("start")
    made.session.tick(time.monotonic() + 6.0)
    assert made.session.state == "recording"
    made.session.close()
    assert made.saved() == []


def test_an_episode_needs_a_task_and_a_disk(bench: Bench) -> None:
    bench.session.task = ""
    assert "what is to be done" in bench.session.command("start")[1]
    bench.ask("task", "  grade   the pad ")
    assert bench.session.task == "grade the pad"
    bench.disk.reserve = bench.disk.free + 1
    done, why = bench.session.command("start")
    assert not done and "too full" in why
    assert not (bench.folder / "set").exists()


def test_when_the_disk_fills_the_open_episode_is_saved_and_none_begun(bench: Bench) -> None:
    bench.ask("start")
    bench.put()
    bench.disk.reserve = bench.disk.free + 1
    bench.session.tick(time.monotonic())
    bench.wait("full")
    assert bench.saved() == [None]
    assert "full" in Dataset(bench.folder / "set").episodes[0].notes["ended_by"]
    assert not bench.session.command("start")[0]


def test_what_is_open_at_the_end_is_saved_and_the_next_goes_on(tmp_path: Path) -> None:
    for count in range(2):
        made = Bench(tmp_path / "out")
        made.ask("start")
        made.put()
        made.session.close()
        assert made.saved() == [None] * (count + 1)


def test_another_kind_of_data_set_is_refused_at_the_start(bench: Bench) -> None:
    bench.ask("start")
    bench.put()
    bench.ask("success")
    bench.wait()
    bench.session.close()
    other = Bench(bench.folder)
    other.info = DatasetInfo.of_machine("m", JOINTS, 30)
    done, why = other.session.command("start")
    assert not done and "fps is 20" in why
    other.session.close()


def test_the_forecast_follows_the_disk(tmp_path: Path) -> None:
    disk = Disk(tmp_path, 0)
    assert np.isnan(disk.rate) and np.isnan(disk.remaining)
    disk.look(0.0, 0)
    disk.look(10.0, 50_000_000_000)
    assert disk.rate >= 5e9 and disk.remaining <= disk.free / 5e9
    assert "room for" in disk.words() and not disk.full


def test_labels_are_read_from_the_words_that_are_said() -> None:
    for label in (True, False, None):
        assert label_of(saved_words(3, label)) is label
    assert label_of("nothing of the kind") is None
