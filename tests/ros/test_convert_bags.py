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
from kuwa_record.convert import Converted, convert
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


def picture(t: float, brightness: int) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), brightness, np.uint8)).save(sink, "JPEG")
    msg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=sink.getvalue())
    msg.header.stamp = time_msg(t)
    return bytes(serialize_message(msg))


def bag(folder: Path, shown: tuple[float, ...], late: float) -> Path:
    """Write five seconds of a recorder whose pictures lie in its bag ``late`` seconds late."""
    written: list[tuple[float, Channel, float, bytes]] = []
    for k in range(500):
        t = 0.01 * k
        written.append((t, STATES, t, state(t)))
        if k % 20 == 0:
            written.append((t, SAYS, t, says(t)))
    written += [(t + late, PICTURES, t, picture(t, int(50 * t))) for t in shown]
    whole = Bag(folder)
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
