"""An episode on a running stack: it moves while the key is held, and stops when it is let go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from kuwa_cli.data import replay_robot
from kuwa_cli.data.opening import DataError
from kuwa_cli.data.replay_robot import Player, on_robot, timeline
from kuwa_machines import load_machine
from kuwa_policies.datasets import Dataset, DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f
from kuwa_ros import topics
from kuwa_ros.sealing import envelope_of
from stack_rig import MACHINE, Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros

SPEC = load_machine(MACHINE)
SPEED = 0.15
"""Of the swing, a fraction of its maximum."""


@pytest.fixture(scope="module")
def rig(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with running(mock_stack("robot", "control", "safety"), tmp_path_factory.mktemp("logs")) as rig:
        # The probe drives nothing, as every replay would be told of.
        rig.probe.node.destroy_publisher(rig.probe._out.pop(topics.VELOCITY_REFERENCE))
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


def test_actions_and_positions_are_on_one_time_base(tmp_path: Path) -> None:
    n = len(SPEC.joint_names)
    with DatasetWriter(tmp_path / "set", DatasetInfo.of_machine(MACHINE, SPEC.joint_names)) as made:
        made.begin("swing")
        for tick in range(200):
            # The first frame comes half a second after the first action.
            t = 100.0 + tick / 100
            made.control(t, np.full(n, tick / 1000), 2)
            if tick >= 50 and tick % 5 == 0:
                made.add({
                    f.STATE: np.full(2 * n, tick / 1000), f.ACTION: np.full(n, tick / 1000),
                    f.REQUESTED: np.zeros(n), f.APPLIED: np.zeros(n), f.RECEIPT: t, f.STAMP: t,
                    f.INTERVENTION: 0, f.MODE: 3, f.SOURCE: 2,
                })  # fmt: skip
        made.save(None)
    times, states, stamps, actions = timeline(Dataset(tmp_path / "set"), 0)
    assert times[0] == 0.0 and stamps[0] == pytest.approx(-0.5)
    # What was measured and what was followed at the same time stand at the same time.
    for k, at in enumerate(times):
        newest = np.searchsorted(stamps, at + 1e-6, side="right") - 1
        np.testing.assert_allclose(actions[newest], states[k, :n], atol=1e-6)


class Hand:
    """Stands for a person's hand on the space bar, which does something after a while."""

    def __init__(self, then: Callable[[], bool]) -> None:
        self._then, self._began = then, 0.0

    def __enter__(self) -> Hand:
        self._began = time.monotonic() + 0.3
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to put back."""

    def __call__(self) -> bool:
        now = time.monotonic()
        return self._began < now and (now < self._began + 1.0 or self._then())


def interrupts() -> bool:
    raise KeyboardInterrupt


def breaks() -> bool:
    raise DataError("the terminal is gone")


@pytest.mark.parametrize("how", [interrupts, breaks])
def test_however_it_ends_nothing_stays_armed(
    rig: Rig,
    ros_domain_module: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: Callable[[], bool],
) -> None:
    probe = rig.probe
    wait_for("rest", lambda: probe.speed() < 1e-3, 10.0)
    dataset = an_episode(tmp_path / "set", np.array(probe.states[-1].position), 20.0)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain_module))
    monkeypatch.setattr(replay_robot, "HeldKey", lambda: Hand(how))
    monkeypatch.setattr(replay_robot.Confirm, "ask", lambda *_, **__: True)
    moved: list[bool] = []
    result = None
    with probe.repeating(lambda: moved.append(probe.mode == "teleop")):
        try:
            result = on_robot(dataset, 0, MACHINE, "Ada", None, 1.0, Console())
        except DataError as error:
            assert how is breaks and "terminal is gone" in str(error)
    assert any(moved)
    wait_for("mode ready", lambda: probe.mode == "ready", 5.0)
    if how is interrupts:
        assert result is not None and not result["whole"]
        assert 0.0 < max(result["rms"].values()) < 0.5


def test_a_stop_is_not_released_by_a_replay(
    rig: Rig, ros_domain_module: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = rig.probe
    wait_for("rest", lambda: probe.speed() < 1e-3, 10.0)
    dataset = an_episode(tmp_path / "set", np.array(probe.states[-1].position), 5.0)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(ros_domain_module))
    monkeypatch.setattr(replay_robot.Confirm, "ask", lambda *_, **__: True)

    def stops() -> bool:
        # Whoever pressed the button lets it go again: the stop is latched until a person says so.
        probe.stop(True)
        wait_for("the stop", lambda: probe.mode == "stopped", 5.0)
        probe.stop(False)
        return True

    monkeypatch.setattr(replay_robot, "HeldKey", lambda: Hand(stops))
    result = on_robot(dataset, 0, MACHINE, "Ada", None, 1.0, Console())
    assert not result["whole"] and probe.mode == "stopped"
    wait_for("rest", lambda: probe.speed() < 1e-3, 10.0)
    here = an_episode(tmp_path / "here", np.array(probe.states[-1].position), 5.0)
    with pytest.raises(DataError, match="the gate is stopped"):
        on_robot(here, 0, MACHINE, "Ada", None, 1.0, Console())
    time.sleep(0.3)
    assert probe.mode == "stopped"
    wait_for("release", lambda: probe.set_mode("ready")[0], 5.0)


def test_it_moves_while_the_key_is_held_and_no_longer(
    rig: Rig, ros_domain_module: int, tmp_path: Path
) -> None:
    probe = rig.probe
    velocity = topics.VELOCITY_REFERENCE
    rival = probe.node.create_publisher(velocity.type, velocity.name, velocity.qos())
    start = np.array(probe.states[-1].position)
    dataset = an_episode(tmp_path / "set", start, 20.0)
    player = Player(dataset, 0, MACHINE, ros_domain_module, 1.0)
    try:
        with pytest.raises(DataError, match="somebody else drives"):
            player.ready()
        probe.node.destroy_publisher(rival)
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


@pytest.mark.parametrize(
    "given", [True, pytest.param(False, marks=pytest.mark.full)], ids=["with the key", "without"]
)
def test_a_stack_with_a_key_is_moved_by_who_has_it(
    ros_domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("5a" * 32)
    specs = mock_stack("robot", "control", "safety", key_file=str(key))
    with running(specs, tmp_path / "logs") as rig:
        probe = rig.probe
        probe.node.destroy_publisher(probe._out.pop(topics.VELOCITY_REFERENCE))
        dataset = an_episode(tmp_path / "set", np.array(probe.states[-1].position), 20.0)
        envelope = envelope_of(str(key), MACHINE)
        player = Player(dataset, 0, MACHINE, ros_domain, 1.0, envelope if given else None)
        try:
            player.ready()
            for mode in ("ready", "armed"):
                wait_for(mode, lambda m=mode: player.asking.ask(m, "Ada", envelope)[0], 5.0)
            before, let_go = probe.position("swing_joint"), time.monotonic() + 3.0
            why: list[str] = []
            player.play(
                lambda: time.monotonic() < let_go,
                lambda: why.append(player.asking.ask("teleop", "Ada", envelope)[1]),
                lambda t: None,
            )
            moved = probe.position("swing_joint") - before
            assert moved > 0.1 if given else abs(moved) < 1e-3
            if not given:
                assert "deadman was never held" in why[0]
                assert "no code" in rig.processes.tail("safety", 20)
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
