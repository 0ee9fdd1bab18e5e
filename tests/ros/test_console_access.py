"""Who gets in at the operator's page, and what becomes of who talks nonsense there."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from console_rig import (
    Console,
    Hand,
    chromium,
    connected,
    console,
    keys_of,
    needs_browser,
    session,
    strangers,
    upgrade,
    wait_pumping,
)
from kuwa_teleop.access import MOST_TICKETS, MOST_WRONG, Session
from kuwa_teleop.news import OPEN
from kuwa_teleop.server import Server

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def run(ros_domain_module: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with console(tmp_path_factory.mktemp("console")) as run:
        yield run


def test_no_foreign_origin_host_key_or_token_is_let_in(run: Console) -> None:
    keys = keys_of(run)
    own, host = f"http://127.0.0.1:{run.port}", f"127.0.0.1:{run.port}"
    right = ["kuwa", f"key.{keys['drive']}"]
    tried = list(strangers(run))
    assert len(tried) > 300 and not [what for what, let_in in tried if let_in]
    assert upgrade(run, "/ws", own, right, host), "the page itself is let in, even after all that"
    assert not upgrade(run, f"/scene/{keys['view']}", own, ["viser-v1.1.1"], host), "no scene here"


def test_a_wrong_token_a_foreign_page_and_another_method_are_refused(run: Console) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": f"evil.example:{run.port}"},
    ):
        assert session(run, run.token, headers)[0] == 403, headers
    for wrong in ("", run.token + "x"):
        assert session(run, wrong)[0] == 401
    for method in ("POST", "OPTIONS", "PUT"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request(method, "/session", headers={"Authorization": f"Bearer {run.token}"})
        with pytest.raises(ConnectionError):  # hung up on, unanswered
            link.getresponse()


@pytest.fixture
def alone() -> Iterator[Any]:
    """A server of its own, without a stack: wrong tokens here lock no door of other tests."""
    desk: Any = None  # no page gets as far as that
    server = Server(desk)
    yield SimpleNamespace(server=server, token=server.access.token, port=server.access.port)
    server.close()


def ticket(run: Any, token: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """Ask for a ticket; return the status and the answer."""
    link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
    link.request("GET", "/ticket", headers={"Authorization": f"Bearer {token}", **(headers or {})})
    answer = link.getresponse()
    return answer.status, answer.read().decode()


def test_a_ticket_lets_one_page_in_once_and_gives_no_further_ticket(alone: Any) -> None:
    status, given = ticket(alone, alone.token)
    assert status == 200 and alone.token not in given
    assert ticket(alone, given)[0] == 401
    status, body = session(alone, given)
    assert status == 200 and alone.server.access.may_drive(f"kuwa, key.{json.loads(body)['drive']}")
    status, body = session(alone, given)
    assert status == 401 and b"used already; open the one that the terminal shows" in body
    assert b"not known here" in session(alone, "ticket.x")[1]
    assert session(alone, ticket(alone, alone.token)[1])[0] == 200, "another one"


def test_a_ticket_is_good_for_a_minute(alone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    access = alone.server.access
    first, second = (access.ticket(100.0, alone.token)[0] for _ in range(2))
    assert isinstance(access.open(160.0, first), Session)
    assert "too old" in str(access.open(160.1, second))
    assert "too old" in str(access.open(100.0 + 3600.0, second))
    monkeypatch.setattr("kuwa_teleop.access.TICKET_LIFE", -1e-3)
    status, body = session(alone, ticket(alone, alone.token)[1])
    assert status == 401 and b"too old; open the one that the terminal shows" in body


FOREIGN = (
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Host": "evil.example"},
)  # fmt: skip


def test_no_foreign_page_gets_a_ticket_or_uses_one(alone: Any) -> None:
    _, given = ticket(alone, alone.token)
    for headers in FOREIGN:
        assert ticket(alone, alone.token, headers)[0] == 403, headers
        assert session(alone, given, headers)[0] == 403, headers
    assert session(alone, given)[0] == 200, "it is not used up by them"


def test_guessing_tickets_locks_the_door_as_guessing_tokens_does(alone: Any) -> None:
    _, given = ticket(alone, alone.token)
    for _ in range(MOST_WRONG // 2):
        assert ticket(alone, "x")[0] == 401
        assert session(alone, "ticket.x")[0] == 401
    assert ticket(alone, alone.token)[0] == 429
    assert session(alone, given)[0] == 429


def test_tickets_do_not_pile_up(alone: Any) -> None:
    access = alone.server.access
    given = [access.ticket(0.0, alone.token)[0] for _ in range(MOST_TICKETS + 1)]
    assert "not known" in str(access.open(0.0, given[0]))
    assert isinstance(access.open(0.0, given[1]), Session)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@needs_browser
def test_a_page_says_that_its_address_was_used_already(run: Console, browser: Any) -> None:
    _, given = ticket(run, run.token)
    url = run.url.replace(run.token, given)
    first, second = (browser.new_context().new_page() for _ in range(2))
    first.goto(url)
    wait_pumping(first, "news", lambda: first.evaluate("last !== null"), 15.0)
    assert "#" not in first.url
    second.goto(url)
    said = "address was used already; open the one that the terminal shows"
    wait_pumping(second, said, lambda: said in second.inner_text("#banner"))
    for page in (first, second):
        page.context.close()


@needs_browser
def test_a_pad_commands_episodes_and_a_click_under_the_deadman_none(
    run: Console, browser: Any
) -> None:
    hand = Hand(browser.new_context().new_page(), run)
    hand.page.evaluate(
        "window.asked = [];"
        "act = (what, more) => asked.push(more ? `${what} ${more.value}` : what);"
        "null"
    )

    def pressed(button: int, deadman: bool = False) -> list[str]:
        """Press a button for a moment; return what is asked for."""
        for buttons in ((), (button,), ()):
            hand.pad(0.0, deadman, *buttons)
            hand.page.wait_for_timeout(60)
        return list(hand.page.evaluate("asked.splice(0)"))

    for state in ("idle", "countdown", "recording", "review", "saving"):
        said = json.dumps({"here": True, "state": state})
        found = hand.page.evaluate(f"last.m.recording = {said}, recording()")
        assert found == (state in OPEN), "what was ended and waits for a label is still open"
    for is_open in (False, True):
        hand.page.evaluate(f"recording = () => {json.dumps(is_open)}")
        wanted = {0: ("start", "success"), 2: ("discard",) * 2, 8: ("failure",) * 2,
                  10: ("stop",) * 2, 11: ("undo", "redo")}  # fmt: skip
        for button, commands in wanted.items():
            assert pressed(button) == [f"episode {commands[is_open]}"], button
    for button, mode in {9: "arm", 1: "stop", 3: "auto"}.items():
        assert pressed(button) == [mode]
    assert pressed(0, True) == ["episode success"], "A counts while driving"
    assert pressed(10, True) == pressed(11, True) == []
    assert not [k for k in (6, 7, 12, 16) if pressed(k)], "nothing else does anything"
    hand.page.context.close()
    assert not hand.errors


def test_pages_say_who_may_frame_them_and_what_they_may_load(run: Console) -> None:
    for path in ("/", "/console.js"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request("GET", path)
        answer = link.getresponse()
        policy = answer.headers["Content-Security-Policy"]
        assert answer.status == 200 and "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy and "unsafe" not in policy
    for path in ("/console.html", "/../node.py", "/%2e%2e/node.py", "/page.url", "/session/"):
        link = http.client.HTTPConnection("127.0.0.1", run.port, timeout=5)
        link.request("GET", path)
        assert link.getresponse().status == 404, path


@pytest.mark.parametrize("words", ["{", "[1]", "3", '{"t":"in"}' * 500, "x" * 100_000])
def test_nonsense_puts_its_page_out_and_no_other(run: Console, words: str) -> None:
    with connected(run) as other, connected(run) as page:
        page.recv(5)
        with pytest.raises(ConnectionClosed):
            page.send(words)
            until = time.monotonic() + 5.0
            while time.monotonic() < until:
                page.recv(5)
        _is_told_the_state(other)


def test_a_flood_is_put_out_and_others_are_heard(run: Console) -> None:
    with connected(run) as other, connected(run) as page:
        with pytest.raises(ConnectionClosed, match="too many messages"):
            for _ in range(3000):
                page.send('{"t":"in","l":[0,0,0,0,0,0],"d":false,"e":1}')
            until = time.monotonic() + 30.0
            while time.monotonic() < until:
                page.recv(5)
        _is_told_the_state(other)


def _is_told_the_state(page: ClientConnection) -> None:
    """Read what had arrived before, then something that came after it; it must answer, too."""
    page.send('{"t":"do","do":"no such"}')
    while json.loads(page.recv(5)).get("text") != "no such button: 'no such'":
        pass
    while json.loads(page.recv(5))["t"] != "s":
        pass
