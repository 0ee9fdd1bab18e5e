"""The record node: every topic of a machine into a bag, and episodes into a training set.

It is a process of its own that only listens, below everything else in priority, and nobody waits
for it: what it cannot keep up with it drops and counts. It is no lifecycle node, since a stack must
run without it and it must record what a stack does before it runs.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kuwa_msgs.msg import Recording
from rclpy.node import Node
from rclpy.serialization import deserialize_message

from kuwa_machines.atomic import make_folder
from kuwa_machines.overlay import load_machine_as
from kuwa_policies.datasets import DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_record.bagfile import Bag
from kuwa_record.bagging import Bagging
from kuwa_record.disk import Disk
from kuwa_record.feed import Feed, camera_of, even
from kuwa_record.pictures import Pictures
from kuwa_record.session import ALWAYS, Session
from kuwa_record.taps import Taken, Taps
from kuwa_ros import topics
from kuwa_ros.conversions import time_msg
from kuwa_ros.main import run
from kuwa_ros.parameters import ParameterError, declare, parameter, read
from kuwa_ros.world import image_from

LOOK: Final = 0.02
"""Between two looks at what has arrived [s]."""
SAY: Final = 0.2
"""Between two words on the topic ``recording`` [s]."""
DISCOVER: Final = 1.0
"""Between two looks for new topics, and at the disk [s]."""
LISTEN: Final = 2.5
"""After its start it finds out what there is, before a data set may be made of it [s]."""
YOUNG: Final = 2.0
"""A camera whose last picture is older does not record [s]."""
DATASET, BAGS = "dataset", "bags"


@dataclass(frozen=True)
class RecordParameters:
    """Parameters of the record node."""

    machine: str = parameter("zx200", "machine, by the name of its folder")
    parameters: str = parameter("", "file with numbers in place of the machine's own")
    folder: str = parameter("", "where bags and data set lie; made if it is not there")
    task: str = parameter("", "what the operator is asked to do, in words")
    fps: int = parameter(20, "frames of the data set", unit="1/s", low=1, high=100)
    countdown: float = parameter(
        0.0, "between the start of an episode and its first frame", unit="s", low=0.0, high=60.0
    )
    bag: bool = parameter(True, "record every topic into a bag")
    images: str = parameter(
        "jpeg", "pictures in the bag: compressed, as they come, or none",
        valid=("jpeg", "raw", "none"),
    )  # fmt: skip
    reserve: float = parameter(
        500.0, "of the disk that stays free, to finish what is open", unit="MB", low=1.0, high=1e6
    )
    nice: int = parameter(10, "how far below others the process runs", low=0, high=19)
    scenario: str = parameter("", "kept in the notes of each episode")
    seed: int = parameter(0, "kept in the notes of each episode", low=0, high=2**31 - 1)


class RecordNode(Node):
    """Records until it is ended."""

    def __init__(self) -> None:
        super().__init__("record")
        declare(self, RecordParameters)
        p = self.p = read(self, RecordParameters)
        if not p.folder:
            raise ParameterError("parameter folder is empty; say where to record")
        _step_back(p.nice)
        self.folder = Path(p.folder)
        make_folder(self.folder)
        self._spec = load_machine_as(p.machine, p.parameters)
        self.disk = Disk(self.folder, int(p.reserve * 1e6))
        self.taps = Taps(self)
        self._dropped = 0
        self._born = time.monotonic()
        self._bagging, self._pictures = self._begin_bag()
        self.session = Session(
            self._make_writer, Feed(tuple(self._spec.joint_names)), self._decode, self._newest,
            self.disk, p.countdown, p.task, self._notes,
        )  # fmt: skip
        recording = topics.RECORDING
        self._recording = self.create_publisher(Recording, recording.name, recording.qos())
        self.create_service(topics.EPISODE[1], topics.EPISODE[0], self._asked)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="record", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Save what is open, finish the bag; safe to call twice."""
        self._end.set()
        self._thread.join()
        self.session.close()
        self._stop_bag()

    # The loop --------------------------------------------------------------------------------

    def _run(self) -> None:
        due_say = due_discover = 0.0
        said: tuple[object, ...] = ()
        while not self._end.wait(LOOK) and self.context.ok():
            now = time.monotonic()
            try:
                if now >= due_discover:
                    due_discover = now + DISCOVER
                    self.taps.discover()
                    self._look_at_disk(now)
                self._take()
                self.session.tick(now)
                state = self.session.snapshot()
                change = (state.state, state.saved, state.task, state.message)
                if now >= due_say or change != said:
                    due_say, said = now + SAY, change
                    self._say(state)
            except Exception as error:
                if not self.context.ok():
                    return
                self.get_logger().error(f"{type(error).__name__}: {error}",
                                        throttle_duration_sec=1.0)  # fmt: skip

    def _take(self) -> None:
        taking = self.session.taking
        before = self.taps.lost
        for each in self.taps.take():
            self._put_in_bag(each)
            wanted = taking and (each.tap.local in WANTED or each.tap.is_image)
            if wanted or each.tap.local in ALWAYS:
                self.session.put(each.tap.local, 1e-9 * each.log, each.data, each.tap.is_image)
        if lost := self.taps.lost - before:
            self.session.miss(lost)
            self.get_logger().warning(f"{lost} messages were lost: they were not taken in time",
                                      throttle_duration_sec=1.0)  # fmt: skip

    def _put_in_bag(self, each: Taken) -> None:
        if self._bagging is None:
            return
        if not each.tap.is_image or self.p.images == "raw" or not camera_of(each.tap.local):
            self._bagging.put(each.tap.channel, each.log, each.publish, each.data)
        elif self._pictures is not None:
            self._pictures.add(each)

    def _look_at_disk(self, now: float) -> None:
        bag = self._bagging
        self.disk.look(now, 0 if bag is None else bag.bag.size)
        if self.disk.full and bag is not None and not bag.problem:
            self.get_logger().error(f"the disk is full: {self.disk.words()}")
            self.session.tick(now)
            self._stop_bag()

    def _say(self, state: Any) -> None:
        bag = self._bagging
        lost = 0 if bag is None else bag.dropped
        msg = Recording(
            state=state.state, task=state.task, episode=state.episode, saved=state.saved,
            elapsed=state.elapsed, countdown=state.countdown, success=state.success,
            dropped=state.dropped + lost + self._dropped, free=float(self.disk.free),
            remaining=self.disk.remaining, folder=str(self.folder / DATASET),
            message=state.message,
        )  # fmt: skip
        msg.stamp = time_msg(time.time())
        self._recording.publish(msg)

    def _asked(self, request: Any, response: Any) -> Any:
        response.done, response.why = self.session.command(request.command, request.text)
        return response

    # Bag -------------------------------------------------------------------------------------

    def _begin_bag(self) -> tuple[Bagging | None, Pictures | None]:
        if not self.p.bag or self.disk.full:
            return None, None
        name = time.strftime("%Y-%m-%dT%H-%M-%S")
        path, number = self.folder / BAGS / name, 1
        while path.exists():
            number += 1
            path = self.folder / BAGS / f"{name}_{number}"
        notes = {
            "machine": self.p.machine, "namespace": self.get_namespace(),
            "joints": " ".join(self._spec.joint_names), "fps": str(self.p.fps),
        }  # fmt: skip
        bagging = Bagging(Bag(path, notes), self._bag_failed)
        if self.p.images != "jpeg":
            return bagging, None
        return bagging, Pictures(bagging.put, self._count_drop)

    def _stop_bag(self) -> None:
        if self._pictures is not None:
            self._pictures.stop()
            self._pictures = None
        if self._bagging is not None:
            bagging, self._bagging = self._bagging, None
            self._dropped += bagging.dropped
            bagging.stop()

    def _bag_failed(self, why: str) -> None:
        self.get_logger().error(why)
        self.session.fill(why)

    def _count_drop(self) -> None:
        self._dropped += 1

    # Data set --------------------------------------------------------------------------------

    def _decode(self, topic: str, data: bytes) -> Any:
        tap = self.taps.by_local(topic)
        assert tap is not None
        return deserialize_message(data, tap.message)

    def _newest(self) -> list[tuple[str, float, bytes]]:
        """Return what is known of everything that frames hold, in the order of receipt."""
        taps = list(self.taps.taps.values())
        found = [tap.newest for tap in taps if tap.newest is not None]
        wanted = [e for e in found if e.tap.local in WANTED or e.tap.is_image]
        wanted.sort(key=lambda each: each.log)
        return [(each.tap.local, 1e-9 * each.log, each.data) for each in wanted]

    def _make_writer(self) -> DatasetWriter:
        """Open the data set with what the machine has; in the session's thread."""
        p, now = self.p, time.time()
        if time.monotonic() - self._born < LISTEN:
            raise ParameterError("still finding out what the machine has; ask again in a moment")
        cameras: dict[str, tuple[int, int]] = {}
        # Topics are found meanwhile, in another thread.
        for tap in list(self.taps.taps.values()):
            camera = camera_of(tap.local)
            if camera and tap.newest is None:
                raise ParameterError(f"camera {camera} is there, but no picture of it has come")
            if camera and tap.newest is not None and now - 1e-9 * tap.newest.log < YOUNG:
                image = even(image_from(deserialize_message(tap.newest.data, tap.message)))
                cameras[camera] = (image.shape[0], image.shape[1])
        if not self._heard(topics.JOINT_STATES):
            raise ParameterError(f"no joint states heard in {self.get_namespace()}")
        spec = self._spec
        info = DatasetInfo.of_machine(
            p.machine, tuple(spec.joint_names), p.fps, cameras=cameras,
            pressure=self._heard(topics.PRESSURES), imu=self._heard(topics.IMU),
            kuwa={
                "qd_max": [float(v) for v in spec.qd_max],
                "units": {"pos": "rad", "vel": "rad/s", "action": "fraction of qd_max",
                          "valve": "1", "pressure": "Pa", "stamps": "s"},
                "modes": list(f.MODES), "sources": list(f.SOURCES), "recorder": "kuwa record",
            },
        )  # fmt: skip
        folder, began = self.folder / DATASET, time.monotonic()
        self.get_logger().info(f"opening {folder}", throttle_duration_sec=1.0)
        writer = DatasetWriter(folder, info)
        took = time.monotonic() - began
        self.get_logger().info(f"{folder} has {writer.episodes} episodes; opened in {took:.1f} s")
        return writer

    def _heard(self, topic: topics.Topic) -> bool:
        tap = self.taps.by_local(topic.name)
        return tap is not None and tap.newest is not None

    def _notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = {"seed": self.p.seed}
        if self.p.scenario:
            notes["scenario"] = self.p.scenario
        if self._bagging is not None:
            notes["bag"] = f"../{BAGS}/{self._bagging.bag.folder.name}"
        return notes


def _step_back(nice: int) -> None:
    """Let others go first: every thread there is, the middleware's too, and all that they make.

    Linux may share processors out between sessions before it looks at how nice their processes
    are; one that is alone in its session lowers that as well.
    """
    for thread in map(int, os.listdir("/proc/self/task")):
        with suppress(ProcessLookupError):
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, max(now, nice))
            os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel without autogroups has no such file
            Path("/proc/self/autogroup").write_text(str(nice))


WANTED: Final = frozenset(
    topic.name
    for topic in (
        topics.JOINT_STATES, topics.REFERENCE, topics.REQUEST, topics.APPLIED, topics.SAFETY,
        topics.PRESSURES, topics.IMU,
    )
)  # fmt: skip
"""Topics of which frames hold something, beside pictures."""


def main() -> None:
    """Run the node."""
    run(RecordNode)
