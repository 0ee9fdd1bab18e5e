"""Every node is killed in full motion; the machine comes to rest, and the stack comes back."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from stack_rig import Rig, mock_stack, running, wait_for

pytestmark = pytest.mark.ros

# What brings the valves to neutral, its time-out [s], and the time to ramp and to be seen.
NEUTRAL_WITHIN = {"safety": 0.2, "control": 0.1, "planning": 1.5, "supervisor": 1.5}
SLACK_S = 1.5


def moving(rig: Rig) -> None:
    rig.probe.engage("teleop")
    wait_for("motion", lambda: rig.probe.speed() > 0.1)


@pytest.mark.full
def test_a_killed_node_leaves_the_valves_neutral_and_can_be_restarted(
    ros_domain: int, tmp_path: Path
) -> None:
    with running(mock_stack(), tmp_path) as rig:
        probe, processes = rig.probe, rig.processes
        with probe.repeating(lambda: probe.velocity([0.3, 0.0, 0.0, 0.0])):
            for name, within in NEUTRAL_WITHIN.items():
                moving(rig)
                processes.send(name, signal.SIGKILL)
                wait_for(f"{name} dead", lambda: name in processes.ended(), 2.0)  # noqa: B023
                wait_for(f"rest without {name}", lambda: probe.speed() < 1e-3, within + SLACK_S)
                assert processes.ended() == {name: -signal.SIGKILL}
                if name != "supervisor":
                    wait_for(f"a fault of {name}", lambda: name in probe.supervisor(), 4.0)  # noqa: B023
                if name != "safety":
                    wait_for("the stop is latched", lambda: probe.mode == "stopped", 4.0)
                probe.health.pop("supervisor")
                processes.start()
                rig.wait_until_up()
                wait_for("stopped", lambda: probe.mode == "stopped")
                assert probe.speed() < 1e-3
                # It takes a person: until the demand is withdrawn, even a person is refused.
                wait_for("the release", lambda: probe.set_mode("ready")[0])
            moving(rig)


@pytest.mark.full
def test_a_killed_robot_node_stops_the_stack_and_can_be_restarted(
    ros_domain: int, tmp_path: Path
) -> None:
    with running(mock_stack(), tmp_path) as rig:
        probe, processes = rig.probe, rig.processes
        with probe.repeating(lambda: probe.velocity([0.3, 0.0, 0.0, 0.0])):
            moving(rig)
            processes.send("robot", signal.SIGKILL)
            wait_for("neutral commands", lambda: probe.out() == 0.0, 1.0)
            wait_for("the stop is latched", lambda: probe.mode == "stopped", 4.0)
            probe.health.pop("supervisor")
            seen = len(probe.states)
            processes.start()
            rig.wait_until_up()
            wait_for("states of the new robot", lambda: len(probe.states) > seen)
            assert probe.speed() < 1e-3
            wait_for("the release", lambda: probe.set_mode("ready")[0])
            moving(rig)


@pytest.mark.full
def test_a_frozen_node_counts_as_dead(ros_domain: int, tmp_path: Path) -> None:
    with running(mock_stack(), tmp_path) as rig:
        probe, processes = rig.probe, rig.processes
        with probe.repeating(lambda: probe.velocity([0.3, 0.0, 0.0, 0.0])):
            moving(rig)
            processes.send("control", signal.SIGSTOP)
            wait_for("rest", lambda: probe.speed() < 1e-3, 2.0)
            wait_for("the stop is latched", lambda: probe.mode == "stopped", 4.0)
            # All demands share one topic: who withdraws one withdraws the supervisor's as well.
            released = 0
            for _ in range(3):
                probe.stop(False)
                released += probe.set_mode("ready")[0]
                time.sleep(0.5)
                assert probe.mode == "stopped", "control is still frozen"
            assert released, "or nothing was tried"
            processes.send("control", signal.SIGCONT)
            wait_for("control is back", lambda: "control" not in probe.supervisor(), 4.0)
            assert probe.mode == "stopped"
            wait_for("the release", lambda: probe.set_mode("ready")[0])
