"""An hour of episodes beside an operator's page: what is lost, and whose memory grows."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
from rclpy.serialization import deserialize_message
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import recorder
from kuwa_cli.episodes import Episodes
from kuwa_cli.figure import Figure
from kuwa_cli.ros_run import free_domain
from kuwa_policies.datasets import Dataset
from kuwa_record.convert import files_of
from kuwa_record.recover import Salvage, salvaged
from kuwa_ros import topics

EPISODE, PAUSE = 50.0, 5.0
"""Length of an episode and of the rest after it [s]."""
FIRST = 1 / 12
"""Of the time: from then on memory is held against what it is at the end."""
COUNTED = (topics.APPLIED, topics.VELOCITY_REFERENCE)
"""Topics whose messages are numbered by who writes them, without a gap."""


def soak(folder: Path, seconds: float) -> Iterator[Figure]:
    """Record one episode after the other for so long, with a page that looks on."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "ros"))
    import console_rig
    from stack_rig import MACHINE

    os.environ["ROS_DOMAIN_ID"] = domain = str(free_domain())
    out = folder / "out"
    spec = recorder(MACHINE, str(out), f"/{MACHINE}", task="soak")
    with console_rig.console(folder) as run:
        page = console_rig.connected(run)
        threading.Thread(target=_look_on, args=(page,), daemon=True).start()
        processes = Processes((spec,), folder / "logs")
        processes.start()
        episodes = Episodes(MACHINE, int(domain))
        watched = {name: run.rig.processes.pid(name) for name in run.rig.processes.specs}
        watched[spec.name] = processes.pid(spec.name)
        began, saved, first = time.monotonic(), 0, dict[str, int]()
        while (now := time.monotonic() - began) < seconds:
            if not first and now >= FIRST * seconds:
                first = _memory(watched)
            if episodes.ask("start")[0]:
                time.sleep(min(EPISODE, max(seconds - now, 1.0)))
                saved += episodes.ask("success")[0]
                episodes.wait("idle", 60.0)
                print(f"  {now / 60:.0f} min, {saved} episodes", file=sys.stderr)
            time.sleep(PAUSE)
        last = _memory(watched)
        episodes.look()
        dropped = int(episodes.newest.dropped)
        processes.stop()
        episodes.close()
        page.close()
    growth = {name: 100.0 * (last[name] / first[name] - 1.0) for name in first}
    for name, share in growth.items():
        print(f"  {name}: {first[name] / 2**20:.0f} MiB {share:+.1f} %", file=sys.stderr)
    counted, lost = _lost(out)
    dataset = Dataset(out / "dataset")
    yield Figure("record.soak.time", seconds, "s", ">= 3600")
    yield Figure("record.soak.memory_growth", max(growth.values()), "%", "<= 10")
    yield Figure("record.soak.messages", counted, "1")
    yield Figure("record.soak.messages_lost", lost + dropped, "1", "== 0")
    yield Figure("record.soak.episodes_lost", saved - len(dataset.episodes), "1", "== 0")
    yield Figure("record.soak.episodes", saved, "1")


def _look_on(page: ClientConnection) -> None:
    with suppress(ConnectionClosed, OSError):
        for _ in page:
            pass


def _memory(watched: dict[str, int]) -> dict[str, int]:
    """Return the memory that each process holds by itself [B]."""
    return {name: psutil.Process(pid).memory_full_info().uss for name, pid in watched.items()}


def _lost(out: Path) -> tuple[int, int]:
    """Return how many numbered messages the bag has, and how many are missing between them."""
    numbers: dict[str, set[int]] = defaultdict(set)
    (bag,) = (out / "bags").iterdir()
    for file in files_of(bag):
        for channel, message in salvaged(file, Salvage()):
            for topic in COUNTED:
                if channel.topic.endswith(f"/{topic.name}"):
                    told = deserialize_message(message.data, topic.type)
                    numbers[topic.name].add(int(told.sequence))
    assert len(numbers) == len(COUNTED), "nothing numbered in the bag"
    missing = (max(seen) - min(seen) + 1 - len(seen) for seen in numbers.values())
    return sum(map(len, numbers.values())), sum(missing)
