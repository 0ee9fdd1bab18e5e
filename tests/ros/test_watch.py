"""The supervisor's knowledge of its nodes, without ROS."""

from __future__ import annotations

import pytest

from kuwa_bringup.watch import Watch

pytestmark = pytest.mark.ros


def up(names: tuple[str, ...] = ("a", "b")) -> Watch:
    watch = Watch(names)
    for name in names:
        watch.heard(10.0, name, "active", "")
    return watch


def test_nodes_are_brought_up_one_after_the_other() -> None:
    watch, order, now = Watch(("a", "b")), [], 0.0
    states = {"a": "unconfigured", "b": "unconfigured"}
    reached = {"configure": "inactive", "activate": "active"}
    for _ in range(20):
        now += 0.5
        for name, state in states.items():
            watch.heard(now, name, state, "")
        due = watch.transition(now)
        if due:
            order.append(due)
            watch.asked(now, due[0])
            assert watch.transition(now) is None
            states[due[0]] = reached[due[1]]
            watch.answered(now + 0.1, due[0], states[due[0]])
    assert order == [(n, t) for n in "ab" for t in ("configure", "activate")]
    assert watch.waiting_for(now) == ""
    assert watch.faults(now) == {}


def test_a_node_that_was_never_heard_is_waited_for() -> None:
    watch = Watch(("a",))
    assert watch.transition(5.0) is None
    assert watch.waiting_for(5.0) == "a"
    assert watch.faults(5.0) == {}


def test_a_request_that_was_lost_is_repeated_but_not_one_in_progress() -> None:
    watch = Watch(("a",))
    watch.heard(0.0, "a", "unconfigured", "")
    watch.asked(0.0, "a")
    watch.heard(0.5, "a", "unconfigured", "")
    assert watch.transition(0.5) is None
    watch.heard(1.5, "a", "unconfigured", "")
    assert watch.transition(1.5) == ("a", "configure")


def test_a_heartbeat_that_was_overtaken_by_the_answer_changes_nothing() -> None:
    watch = Watch(("a",))
    watch.heard(0.0, "a", "unconfigured", "")
    watch.answered(0.1, "a", "inactive")
    watch.heard(0.15, "a", "unconfigured", "")
    assert watch.transition(0.2) == ("a", "activate")


@pytest.mark.parametrize(
    ("state", "problem", "at", "why"),
    [
        ("active", "", 12.0, "silent for 2.0 s"),
        ("active", "the loop does not step", 10.5, "the loop does not step"),
        ("inactive", "", 10.5, "inactive"),
    ],
)
def test_faults_of_a_node_that_was_active(state: str, problem: str, at: float, why: str) -> None:
    watch = up()
    watch.heard(at, "b", "active", "")
    watch.heard(at if problem or state == "inactive" else 10.0, "a", state, problem)
    assert watch.faults(at) == {"a": why}


def test_a_restarted_node_is_brought_up_again() -> None:
    watch = up()
    watch.heard(20.0, "a", "unconfigured", "")
    assert "a" in watch.faults(20.0)
    assert watch.transition(20.0) == ("a", "configure")


def test_nothing_is_brought_up_while_the_machine_is_armed() -> None:
    watch = up()
    watch.heard(20.0, "a", "unconfigured", "")
    assert watch.transition(20.0, resting=False) is None
    assert watch.transition(20.0, resting=True) == ("a", "configure")


def test_a_node_that_works_on_a_transition_is_waited_for() -> None:
    watch = Watch(("a",))
    watch.heard(0.0, "a", "unconfigured", "")
    watch.asked(0.0, "a")
    for step in range(100):
        watch.heard(0.1 * step, "a", "configuring", "")
        assert watch.transition(0.1 * step) is None


def test_rows_of_the_failure_table_that_hold() -> None:
    watch = up(("control", "planning", "robot", "safety"))
    assert watch.codes(10.1) == {}
    watch.lost("control")
    watch.heard(10.2, "planning", "active", "its core raised")
    watch.heard(10.2, "robot", "inactive", "")
    watch.late("safety", 3)
    codes = watch.codes(10.2)
    assert list(codes) == ["control_killed", "node_problem", "node_leaves_active"]
    assert "its core raised" in codes["node_problem"] and "robot" in codes["node_leaves_active"]
    assert watch.late_beats() == {"control": 0, "planning": 0, "robot": 0, "safety": 3}
    assert "control" not in watch.faults(10.2), "it is given time before the stop"
    watch.heard(10.3, "control", "active", "")
    assert "control_killed" not in watch.codes(10.3)


def test_a_stranger_is_ignored() -> None:
    watch = up()
    watch.heard(10.0, "stranger", "inactive", "lost")
    assert watch.faults(10.0) == {}
