"""The safety node between a forged control and the robot: bad requests move nothing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kuwa_msgs.msg import JointCommand

from kuwa_ros.conversions import time_msg
from stack_rig import NAMES, Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros

SMALL = [0.05, 0.0, 0.0, 0.0]
LARGE = [-1.0, 1.0, 1.0, 1.0]


@pytest.fixture(scope="module")
def rig(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    specs = mock_stack("robot", "safety")
    with running(specs, tmp_path_factory.mktemp("logs")) as rig:
        yield rig


class Control:
    """Plays the control node: good requests with a count."""

    def __init__(self, rig: Rig) -> None:
        self.probe = rig.probe
        self.sequence = 1000

    def good(self) -> JointCommand:
        self.sequence += 1
        return self.probe.command(SMALL, sequence=self.sequence, source="control")

    def send(self) -> None:
        self.probe.request(self.good())


def refused(rig: Rig) -> int:
    return 0 if rig.probe.safety is None else int(rig.probe.safety.refused)


BAD: dict[str, dict[str, Any]] = {
    "nan": {"value": array("d", [math.nan] * 4)},
    "infinite": {"value": array("d", [math.inf] * 4)},
    "replayed": {"sequence": 1},
    "stranger": {"source": "stranger"},
    "wrong kind": {"kind": JointCommand.VELOCITY_FRACTION},
    "unknown kind": {"kind": 77},
    "missing joint": {"joint_name": list(NAMES[:3]), "value": array("d", LARGE[:3])},
    "too few values": {"value": array("d", LARGE[:3])},
    "old state": {"header.stamp": -5.0},
    "future state": {"header.stamp": 5.0},
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_a_bad_request_moves_nothing(rig: Rig, bad: dict[str, Any]) -> None:
    probe, control = rig.probe, Control(rig)
    probe.engage("auto")
    control.sequence = 1000 + 1000 * len(probe.applied)
    with probe.repeating(control.send, 0.01):
        wait_for("the good one is applied", lambda: abs(probe.out() - 0.05) < 1e-9)
        before, errors = refused(rig), int(probe.says("safety", "errors") or 0)
        seen = len(probe.applied)
        for _ in range(20):
            changes = dict(bad)
            shift = changes.pop("header.stamp", 0.0)
            forged = probe.command(LARGE, sequence=2**62, source="control")
            forged.header.stamp = time_msg(max(probe.now() + shift, 0.0))
            if shift < 0.0 and probe.now() < 5.0:
                wait_for("five seconds", lambda: probe.now() > 5.1)
                forged.header.stamp = time_msg(probe.now() - 5.0)
            for name, value in changes.items():
                setattr(forged, name, value)
            count = len(probe.applied)
            probe.request(forged)
            wait_for("the next applied", lambda n=count: len(probe.applied) > n)
        wait_for(
            "it is counted",
            lambda: refused(rig) > before or int(probe.says("safety", "errors")) > errors,
        )
        # On a busy computer a good one may come late and the gate goes to neutral in between.
        assert max(max(map(abs, m.value)) for m in probe.applied[seen:]) <= 0.05 + 1e-9
    wait_for("neutral without requests", lambda: probe.out() == 0.0, 2.0)
    assert probe.set_mode("ready")[0]


def test_silence_ends_in_neutral_and_a_restarted_count_needs_arming(rig: Rig) -> None:
    probe, control = rig.probe, Control(rig)
    control.sequence = 2**60
    probe.engage("auto")
    with probe.repeating(control.send, 0.01):
        wait_for("applied", lambda: abs(probe.out() - 0.05) < 1e-9)
    wait_for("neutral", lambda: probe.out() == 0.0, 1.0)
    wait_for("the reason", lambda: "no good request" in " ".join(probe.safety.reasons), 1.0)
    control.sequence = 0
    with probe.repeating(control.send, 0.01):
        before = refused(rig)
        wait_for("refused", lambda: refused(rig) > before + 5)
        assert probe.out() == 0.0
        probe.engage("auto")
        wait_for("applied again", lambda: abs(probe.out() - 0.05) < 1e-9)
    assert probe.set_mode("ready")[0]


def test_zones_on_the_map_are_kept_out_only_where_the_gate_hears_the_place(
    ros_domain: int, tmp_path: Path
) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("zones: {street: {frame: map, polygon_m: [[90, 0], [91, 0], [91, 1]]}}")
    with running(mock_stack("robot", "safety", zones=str(site)), tmp_path / "logs") as rig:
        rig.probe.engage("auto")
        # A gate that did not hear it would not have armed: its state alone has no place.
        assert "place_unknown" not in rig.probe.safety.alarms
        assert rig.probe.set_mode("ready")[0]
