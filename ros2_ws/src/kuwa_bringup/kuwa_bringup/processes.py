"""Starts a stack as child processes and ends it cleanly, where there is no ``launch`` package.

A node that died may be started again at once, whatever the machine does: a fresh process does
nothing until the supervisor configures it, which it does only when the machine is not armed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from kuwa_bringup.stack import NodeSpec
from kuwa_machines.errors import KuwaError
from kuwa_ros.main import PARENT_VARIABLE

ASK_S: Final = 5.0
"""Time to end after SIGINT, then as long after SIGTERM, then SIGKILL [s]."""
RESPAWN_S: Final = 0.5
"""A node that died is started again this long after, then after twice as long each time [s]."""
RESPAWN_MAX_S: Final = 30.0
LOOK_S: Final = 0.1
"""Between two looks for nodes that died [s]."""


def command_line(spec: NodeSpec, log_level: str = "info") -> list[str]:
    """Return the command that starts a node."""
    try:
        prefix = get_package_prefix(spec.package)
    except PackageNotFoundError:
        raise KuwaError(
            f"package {spec.package} is not built or not sourced; run ./kuwa, which does both"
        ) from None
    executable = Path(prefix, "lib", spec.package, spec.executable)
    if not executable.is_file():
        raise KuwaError(f"package {spec.package} has no executable {executable}; build it again")
    args = [str(executable), "--ros-args", "-r", f"__node:={spec.name}"]
    args += ["-r", f"__ns:={spec.namespace}", "--log-level", log_level]
    for old, new in spec.remappings:
        args += ["-r", f"{old}:={new}"]
    for name, value in spec.parameters.items():
        # JSON is YAML, and quotes what a bare 1 or true would turn into another type.
        args += ["-p", f"{name}:={json.dumps(list(value) if isinstance(value, tuple) else value)}"]
    return args


class Processes:
    """The nodes of a stack as child processes, each the leader of its own group.

    A group of its own keeps the terminal's Ctrl-C from the nodes: who holds this object hears
    it and stops them in order. Nodes whose starter is gone end by themselves.

    Args:
        specs: the stack.
        logs: folder for one log file a node.
        log_level: of the nodes.
        environment: added to this process's own.
        respawn: start nodes again that a signal has ended or that ended with an error; not a
            supervisor that gave up.
    """

    def __init__(
        self,
        specs: Iterable[NodeSpec],
        logs: Path,
        log_level: str = "info",
        environment: Mapping[str, str] | None = None,
        respawn: bool = False,
    ) -> None:
        self.specs = {spec.title: spec for spec in specs}
        self.logs = logs
        self._level = log_level
        self._environment = {**os.environ, **(environment or {}), PARENT_VARIABLE: str(os.getpid())}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.respawns: dict[str, int] = {}
        """How often each node was started again."""
        self._respawn = respawn
        self._ending = threading.Event()
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> Processes:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start every node that does not run."""
        for name in self.specs:
            if name not in self._running or self._running[name].poll() is not None:
                self.start_one(name)
        if self._respawn and self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name="respawn", daemon=True)
            self._keeper.start()

    def start_one(self, name: str) -> None:
        """Start one node; also again after it ended."""
        self.logs.mkdir(parents=True, exist_ok=True)
        with open(self.logs / f"{name}.log", "ab") as log:
            self._running[name] = subprocess.Popen(
                command_line(self.specs[name], self._level),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )

    def _keep(self) -> None:
        due: dict[str, float] = {}
        while not self._ending.wait(LOOK_S):
            now = time.monotonic()
            for name, code in self.ended().items():
                gave_up = code >= 0 and not self.specs[name].lifecycle
                if code == 0 or gave_up:
                    continue
                count = self.respawns.get(name, 0)
                pause = min(RESPAWN_S * 2.0**count, RESPAWN_MAX_S)
                if now >= due.setdefault(name, now + pause):
                    del due[name]
                    self.respawns[name] = count + 1
                    self.start_one(name)

    def pid(self, name: str) -> int:
        """Return a node's process id."""
        return self._running[name].pid

    def ended(self) -> dict[str, int]:
        """Return the exit codes of the nodes that have ended; -9 is SIGKILL."""
        codes = {name: process.poll() for name, process in self._running.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def tail(self, name: str, lines: int = 10) -> str:
        """Return the last lines of a node's log."""
        path = self.logs / f"{name}.log"
        text = path.read_text(errors="replace") if path.is_file() else ""
        return "\n".join(text.splitlines()[-lines:])

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node and whatever it started."""
        if self._running[name].poll() is None:
            os.killpg(self.pid(name), number)

    def stop(self) -> dict[str, int]:
        """End everything; return the exit code of each node. Safe to call twice."""
        self._ending.set()
        if self._keeper is not None:
            self._keeper.join()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            # The supervisor first: it must not take the others' end for their death.
            for name in reversed(list(self._running)):
                self.send(name, number)
            deadline = time.monotonic() + ASK_S
            while time.monotonic() < deadline and len(self.ended()) < len(self._running):
                time.sleep(0.02)
            if len(self.ended()) == len(self._running):
                break
        return {name: process.wait() for name, process in self._running.items()}
