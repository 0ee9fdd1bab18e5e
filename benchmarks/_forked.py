"""A stack whose nodes are forked from a process that has imported them.

So a hundred kills take minutes, not hours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _listener import MACHINE, Listener, ReactionError

from kuwa_bringup.processes import Processes, command_line
from kuwa_bringup.stack import NodeSpec, stack
from kuwa_cli.ros_run import free_domain

OF_THEIR_OWN = frozenset({"supervisor", "emulated_machine"})
"""Programs whose module has their name; those of the others are called ``node``."""


class Forked(Processes):
    """A stack whose nodes are forked; what has died is started again when told."""

    def __init__(
        self, specs: tuple[NodeSpec, ...], logs: Path, environment: dict[str, str]
    ) -> None:
        super().__init__(specs, logs, environment=environment)
        self._modules = {spec.name: f"{spec.package}.{_module(spec)}" for spec in specs}
        modules = dict.fromkeys(self._modules.values())
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("_forking.py")), *modules],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        self._pids: dict[str, int] = {}
        self._answer()

    def _answer(self) -> str:
        assert self._server.stdout is not None
        answer = self._server.stdout.readline().strip()
        if not answer:
            raise ReactionError("the process that forks nodes has ended")
        return answer

    def start(self) -> None:
        """Start every node that does not run."""
        for name in self.specs:
            if not self.runs(name):
                self.start_one(name)

    def start_one(self, name: str) -> None:
        """Fork one node."""
        self.logs.mkdir(parents=True, exist_ok=True)
        spec = self.specs[name]
        order = {
            "name": name, "module": self._modules[spec.name],
            "arguments": command_line(spec)[1:], "log": str(self.logs / f"{name}.log"),
        }  # fmt: skip
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        self._pids[name] = int(self._answer())

    def pid(self, name: str) -> int:
        """Return a node's process id."""
        return self._pids[name]

    def runs(self, name: str) -> bool:
        """Whether a node's process is there."""
        try:
            os.kill(self._pids[name], 0)
        except (KeyError, ProcessLookupError):
            return False
        return True

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node."""
        if self.runs(name):
            os.killpg(self._pids[name], number)

    def stop(self) -> dict[str, int]:
        """End everything."""
        for number in (signal.SIGCONT, signal.SIGINT, signal.SIGKILL):
            for name in reversed(list(self._pids)):
                self.send(name, number)
            deadline = time.monotonic() + (5.0 if number != signal.SIGCONT else 0.0)
            while time.monotonic() < deadline and any(map(self.runs, self._pids)):
                time.sleep(0.02)
        if self._server.stdin is not None:
            self._server.stdin.close()
        self._server.wait()
        return {}


def _module(spec: NodeSpec) -> str:
    return spec.executable if spec.executable in OF_THEIR_OWN else "node"


@contextmanager
def running(
    folder: Path, robot: str = "mock", domain: int = 0, **options: Any
) -> Iterator[tuple[Listener, Forked]]:
    """Run a stack that does not arm itself, and listen to it.

    Args:
        folder: of logs. robot: kind. domain: ROS domain; a free one if 0. options: of the stack.
    """
    domain = domain or free_domain()
    specs = stack(MACHINE, robot, **({"auto_arm": False} | options))
    processes = Forked(specs, folder, {"ROS_DOMAIN_ID": str(domain)})
    listener = None
    try:
        processes.start()
        listener = Listener(domain)
        listener.wait("mode ready", lambda: listener.mode == "ready")
        yield listener, processes
    except ReactionError as error:
        dead = [name for name in processes.specs if not processes.runs(name)]
        logs = "\n".join(f"--- {n}\n{processes.tail(n, 8)}" for n in processes.specs)
        raise ReactionError(f"{error}; dead: {dead}\n{logs}") from None
    finally:
        if listener is not None:
            listener.close()
        processes.stop()
