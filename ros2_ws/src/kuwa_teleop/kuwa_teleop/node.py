"""The teleop node: sticks of pages and joystick into velocity references, and the page itself."""

from __future__ import annotations

import getpass
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Bool

from kuwa_hardware.operator.layouts import Layout, layout
from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.operator import load_operator, pattern_of
from kuwa_machines.overlay import load_machine_as
from kuwa_machines.secretfile import new_secret
from kuwa_ros import topics
from kuwa_ros.conversions import command_msg
from kuwa_ros.lifecycle import KuwaNode
from kuwa_ros.loop import Loop
from kuwa_ros.main import run
from kuwa_ros.sealing import Judge, envelope_of, mode_request
from kuwa_teleop.desk import Asked, Desk
from kuwa_teleop.news import News
from kuwa_teleop.painter import Painter
from kuwa_teleop.parameters import TeleopParameters
from kuwa_teleop.resetting import ROBOT, reset
from kuwa_teleop.server import Server

PERIOD = 0.02
"""Without news of the sticks the references go out this often [s]; with news at once."""
FASTEST = 0.008
"""But not more often than this [s]."""
DEADMAN_PERIOD = 0.05
ASK_AGAIN = 0.3
"""A mode that was not granted is asked for again after this [s]."""
TELL_AGAIN = 10.0
"""A joystick that is refused is told of again after this [s]."""
RIPE = 0.03
"""A deadman that was pressed this long ago has reached the gate [s]."""
WITHDRAW = 0.5
"""A demand of stop stands at least this long before a release withdraws it [s]."""
WHO = "teleop"


class InputLoop(Loop):
    """Steps when it is woken, and every period without."""

    def __init__(
        self, period: float, step: Callable[[float], None], failed: Callable[[Exception], None]
    ) -> None:
        super().__init__("teleop", period, failed)
        self._event, self._step = threading.Event(), step

    def wake(self) -> None:
        self._event.set()

    def _run(self) -> None:
        next_at = time.monotonic()
        while self._running:
            self._event.wait(max(next_at - time.monotonic(), 0.0))
            self._event.clear()
            if not self._running:
                return
            now = time.monotonic()
            self._step(now)
            self._count(now)
            next_at = max(next_at, now - self.timeout) + self.timeout
            next_at = min(next_at, now + self.timeout)
            time.sleep(max(FASTEST - (time.monotonic() - now), 0.0))


class TeleopNode(KuwaNode[TeleopParameters]):
    """Adapter between the desk, the page and ROS."""

    server: Server | None = None
    desk: Desk | None = None
    _painter: Painter | None = None
    _joy: Judge | None = None
    _held = False

    def __init__(self) -> None:
        super().__init__("teleop", TeleopParameters)

    def configure(self) -> None:
        p = self.p
        spec = load_machine_as(p.machine, p.parameters)
        self._spec, self._names = spec, tuple(spec.joint_names)
        name, _ = pattern_of(spec, p.pattern)
        self.desk = Desk(
            spec, load_operator(spec), name, Shaping(p.dead_zone, p.expo, p.scale), p.stale,
            p.picture_timeout, p.person or getpass.getuser(),
        )  # fmt: skip
        self.desk.facts = {"planner": p.planner, "robot": p.robot, "scene": p.page and p.scene,
                           "can_reset": p.can_reset}  # fmt: skip
        self.desk.active = False
        self._envelope = envelope_of(p.key_file, self.get_namespace())
        self._news = News(self, spec)
        self._layout: Layout | None = None if p.joystick == "none" else layout(p.joystick)
        self._joy = None
        if self._layout is not None:
            asked = None if p.open_joystick else self._envelope
            self._joy = self.sealed_listen(topics.JOY, asked, self._joystick)
        self._velocity = self.sealed_writer(topics.VELOCITY_REFERENCE, self._envelope)
        self._deadman = self.sealed_writer(topics.DEADMAN, self._envelope)
        self._stop = self.writer(topics.EMERGENCY_STOP)
        self._mode_client = self._client(topics.SET_MODE)
        self._robot_client = self._client(ROBOT) if p.can_reset else None
        self._episode_client = self._client(topics.EPISODE)
        self._sequence = time.monotonic_ns() // 1_000_000
        self._held, self._held_at, self._held_since = False, -np.inf, -np.inf
        self._refusals = 0
        self._asked_at = -np.inf
        self._refusal_told_at = -np.inf
        self._stopped_at = -np.inf
        self._demanding = False
        if p.page:
            self._open_page()

    def _open_page(self) -> None:
        p, desk = self.p, self.desk
        assert desk is not None
        self.server = Server(
            desk, p.host, p.port, p.token, certificate=p.certificate,
            certificate_key=p.certificate_key, names=p.names,
        )  # fmt: skip
        file = Path(p.url_file) if p.url_file else _state_file(p.machine)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        file.unlink(missing_ok=True)
        new_secret(file, self.server.url)
        # Not the address itself: logs are read by more people than those who may drive.
        self.get_logger().info(f"the page's address, with its token, is in {file}")
        self._painter = Painter(
            desk, self._news, self.server, self._spec, self._note,
            lambda error: self.complain("page", error),
        )  # fmt: skip

    def _client(self, contract: tuple[str, Any]) -> Any:
        client = self.create_client(contract[1], contract[0])
        self._owned.append(lambda: self.destroy_client(client))
        return client

    def activate(self) -> Loop:
        assert self.desk is not None
        loop = InputLoop(PERIOD, self._step, self.fail)
        self.desk.wake = loop.wake
        # What was asked for while nobody took it is not done now.
        self.desk.asked.clear()
        self.desk.core.lose("the console was not active")
        self.desk.active = True
        if self._painter is not None:
            self._painter.start(self.p.scene)
        return loop

    def deactivate(self) -> None:
        if self.desk is not None:
            self.desk.active = False
        if self._painter is not None:
            self._painter.stop()
        if self.context.ok():
            # The last word is neutral; who reads it late finds it too old anyway.
            self._publish(np.zeros(len(self._names)))
            self._deadman(Bool(data=False))

    def cleanup(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None
        if self._painter is not None:
            self._painter.close()
            self._painter = None

    def report(self) -> dict[str, object]:
        if self.desk is None:
            return {}
        pages = 0 if self.server is None else self.server.pages
        driver = self.desk.seats.name(self.desk.seats.driver)
        forged = "" if self._joy is None else self._joy.lately()
        return {"driver": driver, "pages": pages, "held": self._held, "forged": forged}

    # The loop --------------------------------------------------------------------------------

    def _step(self, now: float) -> None:
        desk = self.desk
        assert desk is not None
        mode = self._news.look(now)
        desk.recording = self._news.recording
        wish, wanted = desk.step(now, mode)
        if self._painter is not None:
            self._painter.wish = wish
        self._publish(wish.values)
        if wish.held and not self._held:
            self._held_since = now
        if wish.held != self._held or now - self._held_at >= DEADMAN_PERIOD:
            self._held, self._held_at = wish.held, now
            self._deadman(Bool(data=wish.held))
        # The gate must have heard of the deadman before it is asked.
        ripe = wish.held and now - self._held_since >= RIPE
        if wanted and ripe and now - self._asked_at > ASK_AGAIN:
            self._asked_at = now
            self._ask_mode(wanted, WHO, quiet=True)
        self._tell_refusal(now)
        while desk.asked:
            self._answer(now, desk.asked.popleft())

    def _publish(self, values: Any) -> None:
        self._sequence += 1
        kind, stamp = CommandKind.VELOCITY_FRACTION, self._news.stamp
        command = JointCommand(stamp, self._sequence, WHO, kind, self._names, values)
        self._velocity(command_msg(command))

    def _joystick(self, message: Any) -> None:
        assert self._layout is not None and self.desk is not None
        sticks = self._layout.sticks(message.axes, message.buttons)
        self.desk.joystick(time.monotonic(), sticks)
        self.desk.wake()

    def _tell_refusal(self, now: float) -> None:
        """Say on the page why a joystick is not listened to."""
        forged = "" if self._joy is None else self._joy.lately()
        if forged and now - self._refusal_told_at > TELL_AGAIN:
            self._refusal_told_at = now
            self._note(f"joystick: {forged}", False)

    # What people ask for ---------------------------------------------------------------------

    def _answer(self, now: float, asked: Asked) -> None:
        if asked.what == "stop":
            self._stop(Bool(data=True))
            self._stopped_at, self._demanding = now, True
            self.get_logger().warning(f"{asked.who} presses stop")
        elif asked.what == "mode":
            self._ask_mode(asked.value, asked.who)
        elif asked.what == "release":
            if self._demanding and now - self._stopped_at >= WITHDRAW:
                self._stop(Bool(data=False))
                self._demanding = False
            self._later(0.1, lambda: self._ask_mode("ready", asked.who))
        elif asked.what == "episode":
            self._ask_episode(asked)
        elif asked.what == "reset":
            self._reset(asked.who)

    def _ask_mode(self, mode: str, who: str, quiet: bool = False) -> None:
        if not self._mode_client.service_is_ready():
            self._note("the gate does not answer: is the stack up?", False)
            return

        def told(answer: Any) -> None:
            self._refusals = 0 if answer.granted else self._refusals + 1
            if not answer.granted and (not quiet or self._refusals > 1):
                self._note(f"{mode}: {answer.why}", False)
            elif answer.granted and not quiet:
                self._note(answer.why, True)

        self._call(self._mode_client, mode_request(mode, who, self._envelope), told)

    def _ask_episode(self, asked: Asked) -> None:
        if not self._episode_client.service_is_ready():
            self._note("no recorder runs in this stack", False)
            return
        request = topics.EPISODE[1].Request(command=asked.value, text=asked.text)
        self._call(self._episode_client, request, lambda a: self._note(a.why, bool(a.done)))

    def _call(self, client: Any, request: Any, told: Callable[[Any], None]) -> None:
        def done(future: Any) -> None:
            if future.exception() is None:
                told(future.result())
            else:
                self._note(f"no answer: {future.exception()}", False)

        client.call_async(request).add_done_callback(done)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        threading.Timer(seconds, lambda: work() if self.context.ok() else None).start()

    def _reset(self, who: str) -> None:
        if self._robot_client is None:
            self._note("only a simulated machine can be set back", False)
        elif not self._robot_client.service_is_ready():
            self._note("the robot node does not answer", False)
        else:
            self._note("setting the simulation back; release the stop when it is there again", True)
            self._ask_mode("ready", who, quiet=True)
            reset(self._robot_client, self._note)

    def _note(self, text: str, good: bool) -> None:
        if self.server is not None and text:
            self.server.tell(json.dumps({"t": "note", "text": text[:300], "good": good}))
        log = self.get_logger()
        log.info(text) if good else log.warning(text)


def _state_file(machine: str) -> Path:
    """Return where the address is kept if nobody says, below the user's folder for state."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "kuwa" / machine / "page.url"


def main() -> None:
    """Run the node."""
    # A thread that draws must not keep the one of the sticks waiting for the usual 5 ms.
    sys.setswitchinterval(5e-4)
    run(TeleopNode)
