"""The desk between pages, joystick and node; the scene behind its seal. Nothing is started."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import psutil
import pytest
from kuwa_msgs.msg import Recording
from websockets.sync.client import connect

from kuwa_bringup.stack import stack
from kuwa_hardware.operator.core import Phase, Sticks
from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.contracts import HeightMap, Task
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.looks import rams, solids
from kuwa_machines.operator import as_levers, load_operator
from kuwa_teleop.access import MOST_WRONG, WINDOW, Access, AccessError, Bucket
from kuwa_teleop.desk import JOYSTICK, Desk
from kuwa_teleop.news import News
from kuwa_teleop.scene import Scene
from kuwa_teleop.sealed import CLIENT
from kuwa_teleop.server import Server

pytestmark = pytest.mark.ros
SPEC = load_machine("zx200")
STALE = 0.12
"""Sticks that are silent for this long are lost [s]."""


def desk(**facts: Any) -> Desk:
    made = Desk(SPEC, load_operator(SPEC), "iso", Shaping(), STALE, person="Ada")
    made.facts = {"planner": False, **facts}
    return made


def says(d: Desk, who: str, **more: Any) -> str:
    """Say something as a page; return the refusal."""
    answer = d.said(who, {"t": "do", **more})
    return "" if answer is None else str(answer["text"])


def sticks(d: Desk, who: str, y: float = 0.0, held: bool = False, age: float = 0.0) -> None:
    d.said(who, {"t": "in", "l": [0, 0, 0, y, 0, 0], "d": held, "a": age,
                 "e": d.number(time.monotonic()), "src": "pad"})  # fmt: skip


def driving(d: Desk, who: str) -> None:
    sticks(d, who)
    assert says(d, who, do="arm") == ""
    d.step(time.monotonic(), "armed")
    sticks(d, who)
    sticks(d, who, held=True)
    assert d.step(time.monotonic(), "armed")[1] == "teleop"
    d.step(time.monotonic(), "teleop")
    sticks(d, who, 1.0, True)


def test_only_the_driver_drives_arms_and_releases_and_anybody_stops() -> None:
    d = desk()
    a, b = d.join("Ada"), d.join("Bo")
    driving(d, a)
    sticks(d, b, -1.0, True)
    assert d.step(time.monotonic(), "teleop")[0].values[1] == pytest.approx(1.0)
    for what in ("arm", "disarm", "release", "reset", "scale", "pattern", "episode", "lost"):
        assert "Ada has the controls" in says(d, b, do=what), what
    assert d.step(time.monotonic(), "teleop")[0].held
    assert says(d, b, do="stop") == ""
    assert d.asked[0].what == "stop", "before all else"
    assert not d.step(time.monotonic(), "teleop")[0].held


def test_old_news_and_old_pictures_do_not_drive() -> None:
    d = desk()
    a = d.join("Ada")
    driving(d, a)
    old = d.number(time.monotonic() - 1.0)
    d.said(a, {"t": "in", "l": [0, 0, 0, 1, 0, 0], "d": True, "a": 0, "e": old})
    wish, _ = d.step(time.monotonic(), "teleop")
    assert wish.phase is Phase.LOST and "news" in wish.why and not wish.values.any()
    d.step(time.monotonic(), "armed")
    driving(d, a)
    sticks(d, a, 1.0, True, age=2.0)
    wish, _ = d.step(time.monotonic(), "teleop")
    assert wish.phase is Phase.LOST and "drawn nothing for 2.0 s" in wish.why


@pytest.mark.parametrize("bad", [
    {"l": [0, 0, 0, 2, 0, 0], "d": True}, {"l": [0], "d": True}, {"l": None, "d": True},
    {"l": [0, 0, 0, float("nan"), 0, 0], "d": True}, {"l": [0] * 6}, {"l": ["x"] * 6, "d": True},
    {"l": [0] * 6, "d": True, "e": "x"}, {"l": [0] * 6, "d": True, "a": "x"},
])  # fmt: skip
def test_nonsense_of_a_page_moves_nothing(bad: dict[str, Any]) -> None:
    d = desk()
    a = d.join("Ada")
    driving(d, a)
    assert d.step(time.monotonic(), "teleop")[0].held
    answer = d.said(a, {"t": "in", "e": d.number(time.monotonic()), "a": 0, **bad})
    assert answer is not None and "not understood" in answer["text"]
    # It was no word of the sticks: what they held ends as after any silence, and stays ended.
    wish, _ = d.step(time.monotonic() + STALE, "teleop")
    assert wish.phase is Phase.LOST and not wish.held and not wish.values.any()
    sticks(d, a, 1.0, True)
    wish, wanted = d.step(time.monotonic(), "armed")
    assert not wish.held and not wish.values.any() and wanted == ""


def test_what_the_gate_took_back_is_not_asked_for_again_under_a_held_stick() -> None:
    d = desk()
    a = d.join("Ada")
    driving(d, a)
    assert d.step(time.monotonic(), "teleop")[0].held
    for _ in range(5):
        sticks(d, a, 1.0, True)
        wish, wanted = d.step(time.monotonic(), "armed")
        assert not wish.held and not wish.values.any() and wanted == ""
    sticks(d, a, 1.0, False)
    sticks(d, a, 1.0, True)
    assert d.step(time.monotonic(), "armed")[1] == "", "the stick was not centred"
    sticks(d, a)
    sticks(d, a, 0.0, True)
    assert d.step(time.monotonic(), "armed")[1] == "teleop"


def test_an_inactive_desk_keeps_nothing_for_later_and_a_full_one_no_stop_out() -> None:
    d = desk()
    a = d.join("Ada")
    d.active = False
    sticks(d, a)
    for what in ("arm", "release", "reset", "episode"):
        assert "not active" in says(d, a, do=what, value="start")
    assert "machine's own stop" in says(d, a, do="stop") and not d.asked
    d.active = True
    for _ in range(200):
        says(d, a, do="episode", value="start")
    says(d, a, do="stop")
    for _ in range(200):
        says(d, a, do="episode", value="start")
    assert [asked.what for asked in d.asked].count("stop") == 1


def test_a_page_gets_the_controls_back_from_a_joystick_that_is_not_held() -> None:
    d = desk()
    a = d.join("Ada")
    d.joystick(time.monotonic(), Sticks(as_levers({}), True))
    assert d.seats.driver == JOYSTICK
    d.joystick(time.monotonic(), Sticks(as_levers({}), False))
    assert says(d, a, do="take") == "" and d.seats.driver == a


def test_the_record_button_begins_an_episode_and_ends_it() -> None:
    d = desk()
    for recording, command in ((False, "start"), (True, "success")):
        d.recording = recording
        for actions in (frozenset(), frozenset({"record"})):
            d.joystick(time.monotonic(), Sticks(as_levers({}), False, actions))
        assert d.asked.pop().value == command


def test_an_episode_that_waits_for_its_label_is_open() -> None:
    """Else the button that ends one as a success would ask for a new one, and be refused."""
    news = News.__new__(News)
    for state in ("idle", "countdown", "recording", "review", "saving", "full"):
        said = Recording(state=state)
        said.stamp.sec = int(time.time())
        news._newest = {"recording": said}
        assert news.recording == (state in ("countdown", "recording", "review")), state


@pytest.mark.parametrize("is_open", [False, True])
def test_the_buttons_of_a_joystick_command_episodes(is_open: bool) -> None:
    d = desk()
    d.recording = is_open
    pressed = []
    for action in ("failure", "end", "again", "discard"):
        for actions in (frozenset(), frozenset({action}), frozenset({action})):
            d.joystick(time.monotonic(), Sticks(as_levers({}), False, actions))
        pressed += [asked.value for asked in d.asked]
        d.asked.clear()
    assert pressed == ["failure", "stop", "redo" if is_open else "undo", "discard"]


def test_a_click_of_a_stick_under_the_deadman_commands_nothing_then_or_later() -> None:
    d = desk()
    for deadman, actions in ((True, ()), (True, ("end", "again")), (False, ("end", "again"))):
        d.joystick(time.monotonic(), Sticks(as_levers({}), deadman, frozenset(actions)))
    assert not d.asked
    d.joystick(time.monotonic(), Sticks(as_levers({}), True, frozenset({"record"})))
    assert [asked.value for asked in d.asked] == ["start"], "a button counts while driving"


def test_a_token_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(AccessError, match="at least 16"):
        Access("open sesame")
    assert Access("x" * 16).token == "x" * 16


def test_a_name_is_never_that_of_a_program() -> None:
    d = desk()
    a = d.join("")
    assert d.seats.name(a) == "Ada"
    for name in ("supervisor", "control", "preflight"):
        says(d, a, do="name", name=name)
        assert d.seats.name(a) == f"{name} (person)"
    says(d, a, do="name", name="<script>alert(1)</script>" + "x" * 100)
    assert "<" not in d.seats.name(a) and len(d.seats.name(a)) <= 24


def test_a_joystick_takes_the_controls_only_from_who_does_not_drive() -> None:
    d = desk()
    a = d.join("Ada")
    driving(d, a)
    held = Sticks(as_levers({"right_y": -1.0}), True)
    d.joystick(time.monotonic(), held)
    assert d.seats.driver == a and d.step(time.monotonic(), "teleop")[0].held
    sticks(d, a)
    d.joystick(time.monotonic(), held)
    assert d.seats.driver == JOYSTICK
    wish, _ = d.step(time.monotonic(), "armed")
    assert wish.phase is Phase.LOST, "the controls changed hands: arm again"
    still = Sticks(as_levers({}), False)
    d.joystick(time.monotonic(), still)
    d.joystick(time.monotonic(), Sticks(as_levers({}), False, frozenset({"arm"})))
    d.joystick(time.monotonic(), still)
    d.joystick(time.monotonic(), Sticks(as_levers({}), True))
    assert d.step(time.monotonic(), "armed")[0].held


def test_a_stop_is_not_released_by_arming_and_a_planner_must_be_there() -> None:
    d = desk()
    a = d.join("Ada")
    d.step(time.monotonic(), "stopped")
    sticks(d, a)
    assert "release the stop" in says(d, a, do="arm")
    assert "no planner" in says(d, a, do="auto")
    d.facts["planner"] = True
    assert says(d, a, do="auto") == "" and d.asked[-1].value == "auto"


def test_wrong_tokens_lock_the_door_for_a_while() -> None:
    access = Access("a secret of sixteen", port=1)
    for k in range(MOST_WRONG):
        assert access.open(float(k), "guess") == "wrong token"
    assert "too many" in str(access.open(MOST_WRONG, "a secret of sixteen"))
    session = access.open(MOST_WRONG + WINDOW, "a secret of sixteen")
    assert not isinstance(session, str)
    assert access.may_look(session.view) and not access.may_look(session.drive)
    assert access.may_drive(f"kuwa, key.{session.drive}")
    assert not access.may_drive(f"kuwa, key.{session.view}")
    assert not access.may_drive(f"kuwa, key.{session.drive}, key.x")


def test_a_bucket_lets_bursts_pass_and_no_more_than_its_rate() -> None:
    bucket = Bucket(10.0, 5.0)
    passed = sum(bucket.take(100.0 + 0.001 * k) for k in range(1000))
    assert 14 <= passed <= 16


def test_no_other_host_without_a_certificate() -> None:
    with pytest.raises(AccessError, match="certificate"):
        Server(desk(), host="0.0.0.0")


def test_the_scene_listens_nowhere_and_hears_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def listening() -> set[int]:
        return {c.laddr.port for c in psutil.Process(os.getpid()).net_connections("tcp")
                if c.status == psutil.CONN_LISTEN}  # fmt: skip

    before = listening()
    scene = Scene(SPEC)
    try:
        assert listening() == before, "viser has no port"
        assert os.stat(scene.viser.socket.parent).st_mode & 0o077 == 0
        ground = HeightMap(np.zeros((60, 50)), -3.0, -2.5, 0.1)
        scene.ground(ground)
        scene.task(Task("dig_trench", 2.0, 0.0, length=2.0, width=1.0))
        scene.pose(SPEC.home, np.zeros(3), np.array([1.0, 0, 0, 0]))
        server = Server(desk())
        server.show(scene.viser.socket, CLIENT)
        assert listening() - before == {server.access.port}
        session = server.access.open(0.0, server.access.token)
        assert not isinstance(session, str)
        heard: list[Any] = []
        kind = scene.viser.server._websock_server._message_class
        monkeypatch.setattr(kind, "deserialize", heard.append)
        url = f"ws://127.0.0.1:{server.access.port}/scene/{session.view}"
        origin: Any = f"http://127.0.0.1:{server.access.port}"
        version: Any = ["viser-v1.1.1"]
        with connect(url, origin=origin, subprotocols=version) as page:
            page.send(b"\x81\xa4type\xafShareUrlRequest")
            assert len(page.recv(5)) > 100, "the scene arrives"
            page.send(b"more")
            time.sleep(0.2)
        assert not heard, "what a browser says does not reach viser"
        server.close()
    finally:
        scene.close()
    assert listening() == before


@pytest.mark.parametrize("machine", sorted(machine_folders()))
def test_every_machine_can_be_drawn(machine: str) -> None:
    spec = load_machine(machine)
    drawn = solids(spec)
    assert spec.undercarriage.link in drawn and spec.tool.link in drawn
    for solid in drawn.values():
        assert np.isfinite(solid.vertices).all() and solid.faces.max() < len(solid.vertices)
        assert np.abs(solid.vertices).max() < 20.0 and (solid.colours <= 1.0).all()
    cylinders = [j for j in spec.joints.values() if j.drive.type == "cylinder"]
    assert len(rams(spec)) == len(cylinders)


def test_the_stack_has_one_operator_who_comes_first_and_arms_himself() -> None:
    specs = stack("zx200", console={"pattern": "sae"}, planner="", auto_arm=False,
                  partners={"truck": "ic120"})  # fmt: skip
    teleop = [s for s in specs if s.executable == "teleop"]
    assert [s.namespace for s in teleop] == ["/zx200"]
    assert teleop[0].parameters["pattern"] == "sae" and not teleop[0].parameters["planner"]
    supervisor = next(s for s in specs if s.name == "supervisor" and s.namespace == "/zx200")
    nodes = supervisor.parameters["nodes"]
    assert isinstance(nodes, tuple) and nodes[0] == "teleop"
    assert supervisor.parameters["auto_arm"] is False
    assert all(s.executable != "teleop" for s in stack("zx200"))
