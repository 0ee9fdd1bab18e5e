"""Data sets made of bags whose pictures come late, too late, or never."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kuwa_msgs.msg import Recording
from PIL import Image
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState

from kuwa_machines.loader import load_machine
from kuwa_policies.datasets import Dataset
from kuwa_record import convert as module
from kuwa_record.bagfile import Bag, Channel
from kuwa_record.convert import Converted, ConvertError, convert, files_of
from kuwa_record.recover import notes_of, recover
from kuwa_record.schemas import definition
from kuwa_record.session import saved_words
from kuwa_ros.conversions import time_msg

pytestmark = pytest.mark.ros
NAMES = tuple(load_machine("zx200").joint_names)
STATES, SAYS, PICTURES = (
    Channel(f"/zx200/{topic}", kind, definition(kind))
    for topic, kind in (
        ("joint_states", "sensor_msgs/msg/JointState"),
        ("recording", "kuwa_msgs/msg/Recording"),
        ("camera/cab/image_raw/compressed", "sensor_msgs/msg/CompressedImage"),
    )
)
BEGIN, END = 1.0, 3.0
"""Of the episode in the bag [s]."""


def state(t: float) -> bytes:
    zeros = [0.0] * len(NAMES)
    msg = JointState(name=list(NAMES), position=zeros, velocity=zeros, effort=zeros)
    msg.header.stamp = time_msg(t)
    return bytes(serialize_message(msg))


def says(t: float) -> bytes:
    if BEGIN <= t < END:
        return bytes(serialize_message(Recording(state="recording", task="dig")))
    words = saved_words(0, True) if t >= END else ""
    return bytes(
        serialize_message(Recording(state="idle", task="dig", saved=int(t >= END), message=words))
    )


def picture(t: float, brightness: int, height: int = 48, cut: int | None = None) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.full((height, 64, 3), brightness, np.uint8)).save(sink, "JPEG")
    msg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=sink.getvalue()[:cut])
    msg.header.stamp = time_msg(t)
    return bytes(serialize_message(msg))


Written = list[tuple[float, Channel, float, bytes]]
"""When it lies in a bag, its topic, when it was received [s], and what it is."""


def bag(
    folder: Path, shown: tuple[float, ...], late: float, more: Written | None = None, **notes: str
) -> Path:
    """Write five seconds of a recorder whose pictures lie in its bag ``late`` seconds late."""
    written: Written = []
    for k in range(500):
        t = 0.01 * k
        written.append((t, STATES, t, state(t)))
        if k % 20 == 0:
            written.append((t, SAYS, t, says(t)))
    written += [(t + late, PICTURES, t, picture(t, int(50 * t))) for t in shown]
    return put(folder, written + (more or []), **notes)


def put(folder: Path, written: Written, **notes: str) -> Path:
    whole = Bag(folder, notes)
    for _, channel, t, data in sorted(written, key=lambda each: each[0]):
        whole.write(channel, round(1e9 * (1000 + t)), round(1e9 * (1000 + t)), data)
    whole.close()
    return folder


def brightness(dataset: Dataset) -> list[float]:
    return [float(frame.mean()) for frame in dataset.frames(0, "cab")]


def test_late_pictures_of_a_bag_take_their_place(tmp_path: Path) -> None:
    shown = (0.9, 1.5, 2.5)
    sets = []
    for late in (0.0, 0.2, 3.0):
        path = bag(tmp_path / f"bag{late}", shown, late)
        done = convert([path], tmp_path / f"set{late}", "zx200")
        assert (done.episodes, done.open_ends, done.skipped, done.torn) == (1, 0, 0, ())
        sets.append(Dataset(tmp_path / f"set{late}"))
    on_time = brightness(sets[0])
    assert len(on_time) == pytest.approx(40, abs=1) and max(on_time) - min(on_time) > 50
    for each in sets[1:]:
        assert brightness(each) == on_time


def test_an_episode_whose_first_pictures_are_lost_begins_with_the_next(tmp_path: Path) -> None:
    done = convert([bag(tmp_path / "bag", (2.0, 2.5), 0.0)], tmp_path / "set", "zx200")
    assert (done.episodes, done.skipped) == (1, 0)
    assert done.frames == pytest.approx(20, abs=1)
    assert Dataset(tmp_path / "set").episodes[0].success is True


def test_an_episode_without_its_pictures_is_left_out_and_told(tmp_path: Path) -> None:
    done = convert([bag(tmp_path / "bag", (3.5,), 0.0)], tmp_path / "set", "zx200")
    assert done == Converted(0, 0, 0, 1, (), ())


def test_a_bag_of_another_machine_says_what_does_not_match(tmp_path: Path) -> None:
    done = convert([bag(tmp_path / "bag", (0.5,), 0.0)], tmp_path / "set", "d37")
    assert done.episodes == 0
    (why,) = done.bad
    assert why.startswith("bag: joint_states: ") and "boom_joint" in why


def test_few_bytes_wait_for_what_is_late(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 0)
    done = convert([bag(tmp_path / "bag", (0.9, 1.5), 0.2)], tmp_path / "set", "zx200")
    # Without waiting, the first picture comes after the episode's beginning.
    assert done.episodes == 1 and done.frames < 39


def machine_of(folder: Path) -> tuple[str, int, list[float]]:
    found = Dataset(folder)
    return found.robot_type, found.fps, found.kuwa["qd_max"]


def test_a_bag_says_whose_it_is_and_how_many_frames_a_second(tmp_path: Path) -> None:
    # Its joints have the names of a zx200's; only the note tells.
    noted = bag(tmp_path / "bag", (0.5,), 0.0, machine="zx120", fps="10")
    speeds = [float(v) for v in load_machine("zx120").qd_max]
    assert speeds != [float(v) for v in load_machine("zx200").qd_max]
    assert convert([noted], tmp_path / "set").episodes == 1
    assert machine_of(tmp_path / "set") == ("zx120", 10, speeds)
    assert convert([noted], tmp_path / "faster", "zx120", fps=20).episodes == 1
    assert machine_of(tmp_path / "faster") == ("zx120", 20, speeds)
    with pytest.raises(ConvertError, match="recorded of a zx120, not of a zx200"):
        convert([noted], tmp_path / "wrong", "zx200")
    assert not (tmp_path / "wrong").exists()


def test_a_salvaged_bag_still_says_whose_it_is(tmp_path: Path) -> None:
    noted = bag(tmp_path / "bag", (0.5,), 0.0, machine="zx120", fps="10")
    (path,) = files_of(noted)
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(path.read_bytes()[:-2000])
    recover([torn], tmp_path / "whole")
    notes = notes_of(files_of(tmp_path / "whole")[0])
    assert (notes["machine"], notes["fps"], notes["recovered_from"]) == ("zx120", "10", torn.name)
    assert convert([tmp_path / "whole"], tmp_path / "set").episodes == 1
    assert machine_of(tmp_path / "set")[:2] == ("zx120", 10)


def test_a_bag_of_others_needs_to_be_told_whose_it_is(tmp_path: Path) -> None:
    foreign = bag(tmp_path / "bag", (0.5,), 0.0)
    with pytest.raises(ConvertError, match="give --machine"):
        convert([foreign], tmp_path / "set")
    assert convert([foreign], tmp_path / "set", "zx200").episodes == 1
    assert machine_of(tmp_path / "set")[:2] == ("zx200", 20)
    strange = bag(tmp_path / "strange", (0.5,), 0.0, machine="zx200", fps="often")
    with pytest.raises(ConvertError, match="fps 'often'"):
        convert([strange], tmp_path / "other")


def test_pictures_that_are_none_are_left_out_and_told(tmp_path: Path) -> None:
    bad: Written = [
        (0.1, PICTURES, 0.1, picture(0.1, 0, cut=60)),  # also where a conversion looks first
        (1.7, PICTURES, 1.7, picture(1.7, 99, height=32)),
        (2.1, PICTURES, 2.1, picture(2.1, 99, cut=300)),
    ]
    good = bag(tmp_path / "good", (0.9, 1.5, 2.5), 0.0)
    spoilt = bag(tmp_path / "spoilt", (0.9, 1.5, 2.5), 0.0, bad)
    assert convert([good], tmp_path / "one", "zx200").bad == ()
    done = convert([spoilt], tmp_path / "two", "zx200")
    assert done.episodes == 1
    assert brightness(Dataset(tmp_path / "two")) == brightness(Dataset(tmp_path / "one"))
    (why,) = done.bad
    assert why.startswith("spoilt: camera/cab/image_raw/compressed: 3 pictures, the last one: ")


def told(steps: str, first: int = 0, blind: str = "") -> Written:
    """Return a recorder's words: ``s`` saves an episode of a second, ``u`` takes the last one back.

    Args:
        first: episodes that were there. blind: episodes of which the bag holds no states.
    """
    written: Written = []
    t, saved = 0.1, first

    def say(state: str, message: str = "") -> None:
        words = Recording(state=state, task=f"task {saved}", saved=saved, message=message)
        written.append((t, SAYS, t, bytes(serialize_message(words))))

    say("idle")
    for step in steps:
        if step == "s":
            say("recording")
            if str(saved) not in blind:
                times = [t + 0.01 * k for k in range(1, 100)]
                written += [(at, STATES, at, state(at)) for at in times]
            t += 1.0
            say("saving")
            saved += 1
            t += 0.1
            say("idle", saved_words(saved - 1, True))
        else:
            saved -= 1
            t += 0.1
            say("idle", f"episode {saved} is taken back")
        t += 0.5
    written.append((t, STATES, t, state(t)))
    return written


def tasks(folder: Path) -> list[str]:
    return [episode.tasks[0] for episode in Dataset(folder).episodes]


def test_only_what_was_taken_back_is_taken_back(tmp_path: Path) -> None:
    def done(name: str, *bags: Path) -> list[str]:
        convert(bags, tmp_path / name)
        return tasks(tmp_path / name)

    zx200 = {"machine": "zx200"}
    plain = put(tmp_path / "plain", told("ssus"), **zx200)
    assert done("one", plain) == ["task 0", "task 1"]
    # The one that was taken back had no frame and is not in the set: the one before it stays.
    blind = put(tmp_path / "blind", told("ssu", blind="1"), **zx200)
    assert done("two", blind) == ["task 0"]
    # It lies in a bag that was not given, or in one that was.
    before = put(tmp_path / "before", told("ss"), **zx200)
    after = put(tmp_path / "after", told("uss", first=2), **zx200)
    assert done("three", after) == ["task 1", "task 2"]
    assert done("four", before, after) == ["task 0", "task 1", "task 2"]
    # Of a recorder that began anew, the same number is another episode.
    assert done("five", before, blind) == ["task 0", "task 1", "task 0"]
