"""The record node beside a running stack: episodes, a bag, a recorder killed, nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kuwa_msgs.msg import Recording
from mcap.reader import make_reader
from sensor_msgs.msg import Image

from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets import features as f
from kuwa_record.convert import convert, files_of
from kuwa_record.recover import Salvage, recover, salvaged
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg
from stack_rig import MACHINE, NAMES, Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros
LOSS = 0.5
"""A crash costs at most this much on a busy computer [s]; ./kuwa bench record demands half."""


class Operator:
    """Records beside a rig, with a camera."""

    def __init__(self, rig: Rig) -> None:
        self.node = rig.probe.node
        self.says: list[Recording] = []
        rig.probe._listen(topics.RECORDING, self.says.append)
        self._client = self.node.create_client(topics.EPISODE[1], topics.EPISODE[0])
        camera = topics.camera("cab")
        self._pictures = self.node.create_publisher(Image, camera.name, camera.qos())
        self.sent: list[float] = []

    def ask(self, command: str, text: str = "") -> tuple[bool, str]:
        wait_for("the episode service", self._client.service_is_ready)
        request = topics.EPISODE[1].Request(command=command, text=text)
        future = self._client.call_async(request)
        wait_for(f"an answer to {command}", future.done)
        return future.result().done, future.result().why

    def forget(self) -> None:
        """Find the recorder anew: a killed one stays known for a while, and does not answer."""
        self.says.clear()
        wait_for("it is back", lambda: self.says)
        self.node.destroy_client(self._client)
        self._client = self.node.create_client(topics.EPISODE[1], topics.EPISODE[0])
        wait_for(
            "one service", lambda: self.node.count_services(f"/{MACHINE}/{topics.EPISODE[0]}") == 1
        )

    def wait(self, state: str, saved: int) -> None:
        def holds() -> bool:
            return bool(self.says) and (self.says[-1].state, self.says[-1].saved) == (state, saved)

        wait_for(f"{state} with {saved} saved", holds)

    def heard(self) -> int:
        """Return how many listen to the camera."""
        return int(self._pictures.get_subscription_count())

    def picture(self) -> None:
        """Send a picture that is all of one colour."""
        colour = len(self.sent) % 200
        msg = Image(height=48, width=64, step=192, encoding="rgb8",
                    data=array("B", bytes([colour]) * (48 * 192)))  # fmt: skip
        self.sent.append(time.time())
        msg.header.stamp = time_msg(self.sent[-1])
        self._pictures.publish(msg)


def test_a_stack_is_recorded_and_a_killed_recorder_costs_a_quarter_second(
    ros_domain: int, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    specs = mock_stack(record=str(out), task="grade the pad", planner="")
    with running(specs, tmp_path / "logs") as rig:
        operator, probe = Operator(rig), rig.probe
        with (
            probe.repeating(lambda: probe.velocity([0.3] * len(NAMES))),
            probe.repeating(operator.picture, 0.05),
        ):
            probe.engage("teleop")
            wait_for("the camera is heard", lambda: operator.heard() > 0)
            wait_for("an episode", lambda: operator.ask("start")[0])
            operator.wait("recording", 0)
            _check_steps_back(rig.processes.pid("record"))
            wait_for("two seconds", lambda: operator.says[-1].elapsed > 2.0)
            assert operator.ask("success", "by the test")[0]
            operator.wait("idle", 1)
            assert operator.ask("start")[0]
            wait_for("another second", lambda: operator.says[-1].elapsed > 1.0)
            killed = time.time()
            rig.processes.send("record", signal.SIGKILL)
            wait_for("its end", lambda: "record" in rig.processes.ended())
            # Nobody else minds.
            count = len(probe.applied)
            wait_for("commands go on", lambda: len(probe.applied) > count + 50)
            assert probe.mode == "teleop" and probe.supervisor() == "running"
            rig.processes.start_one("record")
            operator.forget()
            wait_for("another episode", lambda: operator.ask("start")[0])
            operator.wait("recording", 1)
            wait_for("a second", lambda: operator.says[-1].elapsed > 1.0)
        # Ended while an episode is open: that is saved, without a label.
    dataset = Dataset(out / "dataset")
    assert [e.success for e in dataset.episodes] == [True, None]
    assert dataset.episodes[0].notes["note"] == "by the test"
    _check_frames(dataset)
    # Only now: who works that hard beside the stack does not hold the deadman in time.
    _check_torn(out, killed)
    for bag in sorted((out / "bags").iterdir())[1:]:
        _check_whole(bag)


def _check_steps_back(pid: int) -> None:
    """Every thread of the recorder goes after those that have to be on time."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        assert os.getpriority(os.PRIO_PROCESS, int(thread)) >= 10
        assert os.sched_getscheduler(int(thread)) == os.SCHED_BATCH


def _check_torn(out: Path, killed: float) -> None:
    """The bag of a killed recorder holds all but the last moment, and so its open episode."""
    bag = min((out / "bags").iterdir())
    found = Salvage()
    last = {
        channel.topic: 1e-9 * message.log_time
        for (path,) in [files_of(bag)]
        for channel, message in salvaged(path, found)
    }
    assert found.refused == [] and not found.whole
    for name in ("joint_states", "joint_command/applied", "reference"):
        assert killed - last[f"/{MACHINE}/{name}"] < LOSS
    recover(files_of(bag), out / "recovered")
    done = convert([out / "recovered"], out / "again", MACHINE)
    assert (done.episodes, done.open_ends) == (2, 1), done
    live, again = Dataset(out / "dataset"), Dataset(out / "again")
    exact, same = live.actions(0), again.actions(0)
    assert exact is not None and same is not None
    common = np.isin(exact["stamp"], same["stamp"])
    assert common.mean() > 0.7
    ours = dict(zip(same["stamp"], same["action"].tolist(), strict=True))
    for stamp, action in zip(exact["stamp"][common], exact["action"][common], strict=True):
        assert ours[stamp] == action.tolist()
    assert again.episodes[1].success is None and again.episodes[1].length > 10
    assert again.cameras == ("cab",)
    assert len(list(again.frames(1, "cab"))) == again.episodes[1].length


def _check_frames(dataset: Dataset) -> None:
    for episode in dataset.episodes:
        columns = dataset.episode(episode.index)
        steps = np.diff(columns[f.STAMP])
        assert np.median(steps) == pytest.approx(0.05, abs=0.011)
        # On a busy computer the stack holds now and then.
        driven = columns[f.SOURCE] == f.SOURCES.index("teleop")
        assert driven.sum() > 3
        assert columns["action"][driven][1:] == pytest.approx(0.3)
        assert (columns["action"][columns[f.SOURCE] == 0] == 0.0).all()
        # Once nobody holds the deadman the gate is armed, until the stack has ended.
        by_hand = columns[f.MODE] == f.MODES.index("teleop")
        assert by_hand[:-10].all() and (np.diff(by_hand.astype(int)) <= 0).all()
        assert (columns[f.MODE][~by_hand] == f.MODES.index("armed")).all()
        skew = columns[f.RECEIPT] - columns[f.image_stamp(f"{f.IMAGES}cab")]
        assert np.median(skew) < 0.5 and skew.min() > -0.5
        pictures = list(dataset.frames(episode.index, "cab"))
        assert len(pictures) == episode.length
        assert len({int(picture.mean()) for picture in pictures}) > 5
        exact = dataset.actions(episode.index)
        assert exact is not None and len(exact["action"]) > 3 * episode.length


def _check_whole(bag: Path) -> None:
    (path,) = files_of(bag)
    with path.open("rb") as file:
        summary: Any = make_reader(file, validate_crcs=True).get_summary()
    counts = summary.statistics.channel_message_counts
    by_topic = {summary.channels[k].topic: count for k, count in counts.items()}
    for name in ("joint_states", "safety", "recording", "joint_command/applied", "reference",
                 "camera/cab/image_raw/compressed", "heartbeat/control"):  # fmt: skip
        assert by_topic[f"/{MACHINE}/{name}"] > 0
    assert by_topic["/diagnostics"] > 0
    assert (bag / "metadata.yaml").exists()


@pytest.mark.full
def test_kuwa_record_attaches_to_a_running_stack(ros_domain: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(mock_stack(planner=""), tmp_path / "logs"):
        command = [sys.executable, "-m", "kuwa_cli.main", "record", "--out", str(out), "--task",
                   "dig", "--seconds", "1.5", "--label", "failure", "--fps", "10"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{out / 'dataset'}: 1 episodes"
    (episode,) = Dataset(out / "dataset").episodes
    assert episode.success is False and episode.tasks == ("dig",)
    info = json.loads((out / "dataset" / "meta/info.json").read_text())
    assert info["fps"] == 10 and info["total_frames"] == episode.length
