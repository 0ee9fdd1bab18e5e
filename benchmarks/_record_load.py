"""A stack under load while it is recorded: what a killed recorder loses, what control is late.

The robot is the mock, so that nothing but the stack and the recorder works; the pictures come from
a process of its own, as a camera's driver would send them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.context import Context
from rclpy.node import Node

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import recorder, stack
from kuwa_cli.asking import Asking
from kuwa_cli.episodes import Episodes
from kuwa_policies.datasets import Dataset
from kuwa_record.convert import files_of
from kuwa_record.recover import Salvage, salvaged
from kuwa_ros import topics
from kuwa_ros.loop import Reader

MACHINE = "zx200"
CAMERAS, WIDTH, HEIGHT, RATE = 3, 1280, 720, 10.0
SETTLE = 5.0
TURNS = 4


class Watch:
    """Measures how late control answers: the stamp of a state to the receipt of its request.

    It reads with middleware time stamps, as bytes, so that it takes no part in what it measures.
    """

    def __init__(self) -> None:
        self._context = Context()
        self._context.init(args=[], domain_id=int(os.environ.get("ROS_DOMAIN_ID") or 0))
        self._node = Node("watch", namespace=f"/{MACHINE}", context=self._context,
                          use_global_arguments=False, start_parameter_services=False)  # fmt: skip
        self._states = Reader(self._node, topics.JOINT_STATES, 1000)
        self._requests = Reader(self._node, topics.REQUEST, 1000)

    def close(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()
        self._context.try_shutdown()

    def intervals(self, seconds: float) -> np.ndarray:
        """Return the time from each state's arrival to that of the request that answers it [s]."""
        states: dict[bytes, float] = {}
        requests: dict[bytes, float] = {}
        until = time.monotonic() + seconds
        for _ in range(2000):
            self._take(self._states)
            self._take(self._requests)
        while time.monotonic() < until:
            time.sleep(0.1)
            for reader, kept in ((self._states, states), (self._requests, requests)):
                while (taken := self._take(reader)) is not None:
                    kept.setdefault(taken[0], taken[1])
        return np.array([requests[k] - states[k] for k in states if k in requests])

    def _take(self, reader: Reader) -> tuple[bytes, float] | None:
        """Return the header's stamp and the time at which the message was sent [s]."""
        taken = reader.subscription.handle.take_message(reader.topic.type, True)
        if taken is None:
            return None
        return bytes(taken[0][4:12]), 1e-9 * taken[1]["source_timestamp"]


def cameras() -> None:
    """Send pictures of three cameras until the end; a program of its own."""
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("cameras", namespace=f"/{MACHINE}")
    rng = np.random.default_rng(0)
    # A picture of something, and noise on it: neither the easiest nor the hardest to compress.
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = np.stack([127 + 100 * np.sin(x / 97.0), 127 + 100 * np.cos(y / 61.0), (x + y) % 256], 2)
    pictures = []
    for shift in range(4):
        noise = rng.normal(0.0, 3.0, base.shape)
        image = np.clip(np.roll(base, 40 * shift, 1) + noise, 0, 255).astype(np.uint8)
        msg = Image(height=HEIGHT, width=WIDTH, step=3 * WIDTH, encoding="rgb8")
        msg.data.frombytes(image.tobytes())
        pictures.append(msg)
    writers = []
    for k in range(CAMERAS):
        topic = topics.camera(f"c{k}")
        writers.append(node.create_publisher(topic.type, topic.name, topic.qos()))
    count, due = 0, time.monotonic()
    with suppress(KeyboardInterrupt, RuntimeError):
        while rclpy.ok():
            for k, writer in enumerate(writers):
                msg = pictures[(count + k) % len(pictures)]
                msg.header.stamp = node.get_clock().now().to_msg()
                writer.publish(msg)
                # One after the other, as cameras that know nothing of each other do.
                time.sleep(1.0 / RATE / CAMERAS)
            count += 1
            due += 1.0 / RATE
            if due > time.monotonic():
                time.sleep(due - time.monotonic())


class Lateness:
    """How late this computer wakes a thread that wants to go before all others; a context manager.

    On a computer that shares its processors with other guests nothing can be measured finer.
    """

    def __init__(self) -> None:
        self._late: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Lateness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    @property
    def p999(self) -> float:
        """At most so late in 99.9 % [ms]."""
        return 1e3 * float(np.quantile(self._late, 0.999))

    def _run(self) -> None:
        with suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(90))
        due = time.monotonic()
        while not self._end.is_set():
            due += 0.01
            time.sleep(max(due - time.monotonic(), 0.0))
            self._late.append(time.monotonic() - due)


@contextmanager
def _driven_stack(folder: Path, realtime: bool = False) -> Iterator[Processes]:
    """A stack in mode TELEOP, with an operator who holds deadman and sticks still."""
    specs = stack(MACHINE, "mock", planner="", auto_arm=False, realtime=realtime)
    processes = Processes(specs, folder / "logs")
    try:
        processes.start()
        with _sticks():
            asking = Asking(MACHINE, int(os.environ.get("ROS_DOMAIN_ID") or 0))
            asking.wait(60.0)
            for mode in ("armed", "teleop"):
                until = time.monotonic() + 30.0
                while not (answer := asking.ask(mode, "bench", None))[0]:
                    if time.monotonic() > until:
                        raise RuntimeError(f"mode {mode!r} was not granted: {answer[1]}")
                    time.sleep(0.2)
            asking.close()
            yield processes
    finally:
        processes.stop()


@contextmanager
def _sticks() -> Iterator[None]:
    program = subprocess.Popen([sys.executable, "-c", "import _record_load as l; l.sticks()"],
                               env=_environment())  # fmt: skip
    try:
        yield
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(10.0)


def sticks() -> None:
    """Hold the deadman and send a velocity of zero until the end; a program of its own."""
    from kuwa_machines.loader import load_machine

    rclpy.init()
    node = rclpy.create_node("sticks", namespace=f"/{MACHINE}")
    topic, names = topics.VELOCITY_REFERENCE, list(load_machine(MACHINE).joint_names)
    writer = node.create_publisher(topic.type, topic.name, topic.qos())
    deadman = topics.DEADMAN
    held = node.create_publisher(deadman.type, deadman.name, deadman.qos())
    msg = topic.type(joint_name=names, value=[0.0] * len(names), source="teleop", kind=1)
    with suppress(KeyboardInterrupt, RuntimeError):
        while rclpy.ok():
            msg.sequence += 1
            msg.header.stamp = node.get_clock().now().to_msg()
            writer.publish(msg)
            held.publish(deadman.type(data=True))
            time.sleep(0.02)


@contextmanager
def _cameras() -> Iterator[None]:
    program = subprocess.Popen([sys.executable, "-c", "import _record_load as l; l.cameras()"],
                               env=_environment())  # fmt: skip
    try:
        yield
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(10.0)


def _environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": path}


def _begin(episodes: Episodes) -> None:
    """Begin an episode as soon as the recorder lets us."""
    until = time.monotonic() + 60.0
    while True:
        done, why = episodes.ask("start")
        if done:
            return
        if time.monotonic() > until:
            raise RuntimeError(f"no episode begins: {why}")
        time.sleep(0.3)


def _wait_for_cameras(episodes: Episodes) -> None:
    until = time.monotonic() + 60.0
    names = [f"/{MACHINE}/{topics.camera(f'c{k}').name}" for k in range(CAMERAS)]
    while not all(episodes.node.count_publishers(name) for name in names):
        if time.monotonic() > until:
            raise RuntimeError(f"no pictures on {', '.join(names)}")
        time.sleep(0.1)


@dataclass
class Ticks:
    """What was seen of control beside three cameras and their recorder, now there and now not.

    Args:
        without, recorded: from each state to the request that answers it [ms].
        late: how late the computer itself was in 99.9 % [ms].
        cameras: of which pictures are in every episode. pictures: in all. dropped: and counted.
    """

    without: np.ndarray
    recorded: np.ndarray
    late: float
    cameras: int
    pictures: int
    dropped: int

    @property
    def delay(self) -> float:
        """By how much 99.9 % of the ticks were later with the recorder [ms]."""
        later = np.quantile(self.recorded, 0.999) - np.quantile(self.without, 0.999)
        return max(float(later), 0.0)


def control_delays(folder: Path, seconds: float) -> Iterator[tuple[str, float, str, str]]:
    """Yield figures of control's ticks beside three cameras, without and with their recorder.

    With real-time priority, which a real machine's stack takes by itself where it is permitted;
    and without.
    """
    first = _ticks(folder / "realtime", seconds, True)
    after, before = first.recorded, first.without
    yield "computer_late_p999", first.late, "ms", ""
    yield "control_tick_p999_without", float(np.quantile(before, 0.999)), "ms", ""
    yield "control_tick_p999_with", float(np.quantile(after, 0.999)), "ms", ""
    yield "control_delay_p999", first.delay, "ms", "<= 1"
    yield "control_delay_median", max(float(np.median(after) - np.median(before)), 0.0), "ms", ""
    yield "cameras_recorded", float(first.cameras), "1", f"== {CAMERAS}"
    yield "pictures_in_episodes", float(first.pictures), "1", ""
    yield "pictures_dropped", float(first.dropped), "1", ""
    second = _ticks(folder / "plain", seconds, False)
    yield "control_delay_no_realtime_p999", second.delay, "ms", ""


def _ticks(folder: Path, seconds: float, realtime: bool) -> Ticks:
    """Watch control; with and without take turns, so that what else happens strikes both."""
    domain = int(os.environ.get("ROS_DOMAIN_ID") or 0)
    without, recorded, dropped = [], [], 0
    pictures, cameras_seen = 0, CAMERAS
    with _driven_stack(folder, realtime), _cameras(), Lateness() as own:
        watch, episodes = Watch(), Episodes(MACHINE, domain)
        _wait_for_cameras(episodes)
        for turn in range(TURNS):
            time.sleep(SETTLE)
            without.append(watch.intervals(seconds / TURNS))
            out = folder / f"out-{turn}"
            spec = recorder(MACHINE, str(out), f"/{MACHINE}", task="bench", fps=int(RATE))
            processes = Processes((spec,), folder / "logs")
            processes.start()
            time.sleep(SETTLE)
            _begin(episodes)
            recorded.append(watch.intervals(seconds / TURNS))
            episodes.look()
            said: Any = episodes.newest
            dropped += int(said.dropped)
            episodes.ask("success")
            episodes.wait("idle", 60.0)
            processes.stop()
            dataset = Dataset(out / "dataset")
            pictures += sum(1 for name in dataset.cameras for _ in dataset.frames(0, name))
            cameras_seen = min(cameras_seen, len(dataset.cameras))
        episodes.close()
        watch.close()
    return Ticks(1e3 * np.concatenate(without), 1e3 * np.concatenate(recorded), own.p999,
                 cameras_seen, pictures, dropped)  # fmt: skip


def killed_bags(folder: Path, count: int) -> list[float]:
    """Kill a recorder so many times at random moments; return what each bag lost [s]."""
    rng = np.random.default_rng(0)
    losses = []
    with _driven_stack(folder):
        for number in range(count):
            out = folder / f"{number}"
            spec = recorder(MACHINE, str(out), f"/{MACHINE}", task="bench")
            processes = Processes((spec,), folder / "logs")
            processes.start()
            episodes = Episodes(MACHINE, int(os.environ.get("ROS_DOMAIN_ID") or 0))
            try:
                episodes.wait("idle", 30.0)
                time.sleep(3.0 + float(rng.uniform(0.0, 1.0)))
                killed = time.time()
                processes.send("record", signal.SIGKILL)
            finally:
                processes.stop()
                episodes.close()
            (bag,) = (out / "bags").iterdir()
            last = 0.0
            for channel, message in salvaged(files_of(bag)[0], Salvage()):
                if channel.topic == f"/{MACHINE}/joint_states":
                    last = 1e-9 * message.log_time
            losses.append(killed - last)
    return losses
