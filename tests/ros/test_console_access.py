"""Who gets in at the operator's page, and what becomes of who talks nonsense there."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from console_rig import Console, connected, console, keys_of, session, strangers, upgrade

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
