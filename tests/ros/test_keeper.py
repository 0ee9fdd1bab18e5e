"""What a controller learns is kept while it works, whatever the disk does."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from learner_double import ENTRY, LearnerDouble
from rclpy.parameter import Parameter

from kuwa_control.keeper import Keeper
from kuwa_control.node import ControlNode
from kuwa_control.warm import at_rest
from kuwa_machines import load_machine
from kuwa_policies.control.controllers import CONTROLLERS, DEFAULT
from kuwa_policies.control.options import ControllerOptions
from kuwa_ros.lifecycle import SUCCESS
from stack_rig import wait_for

pytestmark = pytest.mark.ros

SPEC = load_machine("zx200")


def learner() -> LearnerDouble:
    core = LearnerDouble(SPEC, 0.01, ControllerOptions())
    core.reset(at_rest(SPEC.home))
    return core


def kept(path: Path) -> float:
    """What the file says that was learnt; 0 where there is none."""
    if not path.is_file():
        return 0.0
    other = learner()
    other.restore(path)
    return float(other.weights[0, 0])


def tick(core: LearnerDouble) -> None:
    core.step(at_rest(SPEC.home), None, np.zeros(len(SPEC.joint_names)))


def test_who_is_killed_has_kept_what_it_learnt_a_period_ago(tmp_path: Path) -> None:
    core, path, said = learner(), tmp_path / "c.npz", []
    keeper = Keeper(core, path, 0.02, said.append)
    keeper.start()
    try:
        for learnt in (3.0, 7.0):
            core.weights[:] = learnt
            wait_for("a saved file", lambda wanted=learnt: kept(path) == wanted)
    finally:
        keeper.stop()
    assert not said and [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_the_end_is_kept_too_and_a_period_of_0_is_only_that(tmp_path: Path) -> None:
    core, path = learner(), tmp_path / "c.npz"
    keeper = Keeper(core, path, 0.0, pytest.fail)
    keeper.start()
    core.weights[:] = 5.0
    time.sleep(0.05)
    assert not path.exists()
    keeper.stop()
    assert kept(path) == 5.0


def test_a_slow_disk_delays_neither_the_loop_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, said, free = learner(), [], threading.Event()
    began = threading.Event()

    def hangs(file: int) -> None:
        began.set()
        free.wait(30.0)

    monkeypatch.setattr(os, "fsync", hangs)
    keeper = Keeper(core, tmp_path / "c.npz", 0.01, said.append)
    keeper.start()
    try:
        assert began.wait(10.0)
        for _ in range(50):
            tick(core)
        assert not free.is_set(), "fifty ticks went by while the disk hung"
        before = time.monotonic()
        keeper.stop()
        assert time.monotonic() - before < 10.0 and "does not answer" in said[-1]
    finally:
        free.set()


def test_a_folder_that_is_gone_is_told_of_once_until_it_is_back(tmp_path: Path) -> None:
    folder, said = tmp_path / "out", []
    keeper = Keeper(learner(), folder / "c.npz", 0.01, said.append)
    keeper.start()
    try:
        wait_for("a complaint", lambda: bool(said))
        time.sleep(0.1)
        folder.mkdir()
        wait_for("a saved file", lambda: kept(folder / "c.npz") == 0.0 and any(folder.iterdir()))
    finally:
        keeper.stop()
    assert len(said) == 1 and "cannot be written" in said[0]


def test_the_node_keeps_while_it_is_active(
    ros_domain: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(CONTROLLERS, DEFAULT, ENTRY)
    path = tmp_path / "c.npz"
    values = {"controller_state_out": str(path), "controller_state_period": 0.05}
    rclpy.init()
    node = ControlNode()
    try:
        for name, value in values.items():
            assert node.set_parameters([Parameter(name, value=value)])[0].successful
        assert node.trigger_configure() == SUCCESS
        time.sleep(0.2)
        assert not path.exists(), "nothing is learnt before it is active"
        assert node.trigger_activate() == SUCCESS
        wait_for("a saved file", path.is_file)
        node.core.weights[:] = 3.0  # type: ignore[union-attr]
        wait_for("a newer one", lambda: kept(path) == 3.0)
    finally:
        node.finish()
        node.destroy_node()
        rclpy.try_shutdown()
