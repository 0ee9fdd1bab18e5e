"""``kuwa teleop``: what it hands to the browser that it opens, and to the recorder beside it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from console_rig import session
from kuwa_bringup import launching
from kuwa_bringup.stack import NodeSpec
from kuwa_cli import teleop
from kuwa_cli.main import build
from kuwa_teleop.access import Session
from kuwa_teleop.server import Server
from stack_rig import wait_for

pytestmark = pytest.mark.ros
KUWA = [sys.executable, "-m", "kuwa_cli.main"]


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A browser that only writes down what every user of the computer can read of it."""
    program = tmp_path / "browser"
    program.write_text(
        f"#!/bin/sh\ntr '\\0' '\\n' </proc/$$/cmdline >{program}.tmp\n"
        f"mv {program}.tmp {program}.seen\n"
    )
    program.chmod(0o700)
    return program


@pytest.fixture
def command(ros_domain: int, tmp_path: Path, browser: Path) -> Iterator[subprocess.Popen[str]]:
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            [*KUWA, "teleop", "--robot", "mock", "--port", "0", "--no-scene", "--state",
             str(tmp_path / "state")],
            stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True,
            env=os.environ | {"BROWSER": str(browser), "DISPLAY": ":99"},
        )  # fmt: skip
    yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def test_the_browser_gets_no_token_and_the_terminal_does(
    command: subprocess.Popen[str], browser: Path
) -> None:
    assert command.stdout is not None
    shown = command.stdout.readline().strip()
    address, _, token = shown.partition("#")
    wait_for("the browser", lambda: browser.with_suffix(".seen").is_file(), 10.0)
    seen = browser.with_suffix(".seen").read_text()
    opened = seen.split()[-1]
    assert len(token) > 20 and token not in seen
    assert opened.startswith(address + "#ticket.")
    run: Any = SimpleNamespace(port=int(address.split(":")[2].strip("/")))
    assert session(run, opened.partition("#")[2])[0] == 200, "it lets a page in"
    assert session(run, opened.partition("#")[2])[0] == 401, "once"
    assert session(run, token)[0] == 200
    said = browser.with_name("said")
    wait_for("all is up", lambda: "mode ready" in said.read_text(), 120.0)
    command.send_signal(signal.SIGINT)
    assert command.wait(60.0) == 0, said.read_text()


def certificate(folder: Path, name: str, *issuer: str) -> tuple[str, str]:
    """Make a certificate that names no address; return its file and its key's."""
    file, key = str(folder / f"{name}.pem"), str(folder / f"{name}.key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}",
               "-out", file, "-keyout", key, *issuer]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return file, key


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl on this computer")
def test_over_https_only_the_page_s_own_certificate_is_shown_the_token(tmp_path: Path) -> None:
    authority, its_key = certificate(tmp_path, "authority")
    issued = ("-CA", authority, "-CAkey", its_key)
    own, key = certificate(tmp_path, "machine", *issued)
    other, _ = certificate(tmp_path, "other", *issued)
    desk: Any = None  # no page gets as far as that
    server = Server(desk, certificate=own, certificate_key=key)
    try:
        opened = teleop.with_ticket(server.url, own)
        assert opened.startswith("https://") and server.access.token not in opened
        ticket = opened.partition("#")[2]
        assert isinstance(server.access.open(time.monotonic(), ticket), Session)
        with pytest.raises(OSError, match="certificate"):
            teleop.with_ticket(server.url, other)
    finally:
        server.close()


def test_no_browser_is_opened_where_no_ticket_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    opened: list[str] = []
    monkeypatch.setattr(teleop.webbrowser, "open", opened.append)
    desk: Any = None
    server = Server(desk)
    try:
        for token in (server.access.token + "x", server.access.token):
            page = teleop._Page(tmp_path / "page.url", True)
            page.file.write_text(server.url.replace(server.access.token, token))
            processes: Any = None
            assert page.look(Console(), processes), "the stack goes on"
    finally:
        server.close()
    assert len(opened) == 1 and server.access.token not in opened[0]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[NodeSpec]:
    """What ``kuwa teleop`` would start."""
    specs: list[NodeSpec] = []
    monkeypatch.setattr(teleop, "_run", lambda _, given, *__: specs.extend(given) or 0)
    return specs


def test_the_recorder_beside_it_is_set_as_that_of_kuwa_record(
    started: list[NodeSpec], tmp_path: Path
) -> None:
    arguments = [
        "teleop", "--robot", "mock", "--state", str(tmp_path), "--record", str(tmp_path / "x"),
        "--fps", "10", "--countdown", "3", "--images", "none",
    ]  # fmt: skip
    done = CliRunner().invoke(build(["teleop"]), arguments)
    assert done.exit_code == 0, done.output
    (recorder,) = (s for s in started if s.name == "record")
    given = recorder.parameters
    assert (given["fps"], given["countdown"], given["images"]) == (10, 3.0, "none")
    refused = CliRunner().invoke(build(["teleop"]), [*arguments[:-1], "jpg"])
    assert refused.exit_code != 0 and "did you mean 'jpeg'" in str(refused.exception)


def test_a_launch_file_sets_the_recorder_too() -> None:
    given = {name: default for name, (default, _) in launching.ARGUMENTS.items()}
    given |= {"robot": "mock", "record": "x", "fps": "10", "countdown": "3", "images": "none"}
    specs = launching.specs_of(given, console=True)
    (recorder,) = (s for s in specs if s.name == "record")
    found = recorder.parameters
    assert (found["fps"], found["countdown"], found["images"]) == (10, 3.0, "none")
    assert {"fps", "countdown", "images"} <= set(launching.ALWAYS)
