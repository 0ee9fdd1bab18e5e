"""An episode on a running stack: it moves while the key is held, and stops when it is let go."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from kuwa_cli.data.opening import DataError
from kuwa_cli.data.replay_robot import Player
from kuwa_machines import load_machine
from kuwa_policies.datasets import Dataset, DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_ros import topics
from stack_rig import MACHINE, Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros

SPEC = load_machine(MACHINE)
SPEED = 0.15
"""Of the swing, a fraction of its maximum."""


@pytest.fixture(scope="module")
def rig(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(mock_stack("robot", "control", "safety"), tmp_path_factory.mktemp("logs")) as rig:
        yield rig


def an_episode(folder: Path, start: np.ndarray, seconds: float) -> Dataset:
    """Swing to the left, from where the machine stands."""
    n = len(SPEC.joint_names)
    action = np.zeros(n)
    action[0] = SPEED
    with DatasetWriter(folder, DatasetInfo.of_machine(MACHINE, SPEC.joint_names)) as writer:
        writer.begin("swing")
        for k in range(round(20 * seconds)):
            q = start + action * SPEC.qd_max * k / 20
            writer.add({
                f.STATE: np.concatenate([q, action * SPEC.qd_max]), f.ACTION: action,
                f.REQUESTED: action, f.APPLIED: action, f.RECEIPT: k / 20, f.STAMP: k / 20,
                f.INTERVENTION: 0, f.MODE: 3, f.SOURCE: 2,
            })  # fmt: skip
            for tick in range(5):
                writer.control(k / 20 + tick / 100, action, 2)
        writer.save(None)
    return Dataset(folder)


def test_it_moves_while_the_key_is_held_and_no_longer(
    rig: Rig, ros_domain_module: int, tmp_path: Path
) -> None:
    probe = rig.probe
    start = np.array(probe.states[-1].position)
    dataset = an_episode(tmp_path / "set", start, 20.0)
    player = Player(dataset, 0, MACHINE, ros_domain_module, 1.0)
    try:
        with pytest.raises(DataError, match="somebody else drives"):
            player.ready()
        probe.node.destroy_publisher(probe._out[topics.VELOCITY_REFERENCE])
        wait_for("nobody else", lambda: player.asking.node.count_publishers(
            topics.VELOCITY_REFERENCE.name) == 1)  # fmt: skip
        player.ready()
        for mode in ("ready", "armed"):
            wait_for(mode, lambda m=mode: player.asking.ask(m, "Ada", None)[0], 5.0)
        pressed = time.monotonic() + 0.5
        let_go = pressed + 3.0
        before = probe.position("swing_joint")
        granted, speeds = [], []
        whole = player.play(
            lambda: pressed < time.monotonic() < let_go,
            lambda: granted.append(player.asking.ask("teleop", "Ada", None)),
            lambda t: speeds.append(probe.speed()),
        )
        assert granted == [(True, granted[0][1])]
        assert not whole
        wait_for("rest", lambda: probe.speed() < 1e-3, 10.0)
        moved = probe.position("swing_joint") - before
        # It never comes further than three seconds and a half for stopping, as fast as it was.
        assert 0.1 < moved < 4.0 * max(speeds)
        assert probe.out() == 0.0
        assert len(player.error) > 50
    finally:
        player.close()


def test_a_machine_that_stands_elsewhere_is_refused(
    rig: Rig, ros_domain_module: int, tmp_path: Path
) -> None:
    away = np.array(rig.probe.states[-1].position)
    away[1] += 0.2
    dataset = an_episode(tmp_path / "set", away, 1.0)
    player = Player(dataset, 0, MACHINE, ros_domain_module, 1.0)
    try:
        with pytest.raises(DataError, match=r"boom_joint is at .* begins at"):
            player.ready()
    finally:
        player.close()
    with pytest.raises(DataError, match="--speed"):
        Player(dataset, 0, MACHINE, ros_domain_module, 2.0)
