"""An episode's actions on a running stack: through its controller and its gate, in mode teleop.

A person stands by: asks are answered at the terminal, and the machine moves only while the space
bar is held. Released, the deadman is released, and the replay is over.
"""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.prompt import Confirm
from std_msgs.msg import Bool

from kuwa_cli.asking import Asking
from kuwa_cli.data.held_key import HeldKey
from kuwa_cli.data.opening import DataError
from kuwa_cli.ros_run import unbroken
from kuwa_hardware.envelope import Envelope
from kuwa_hardware.modes import PROGRAMS
from kuwa_machines.contracts import Array, CommandKind, JointCommand, MachineState
from kuwa_machines.errors import KuwaError
from kuwa_policies.datasets import Dataset
from kuwa_policies.datasets.features import ACTION, STAMP, STATE
from kuwa_ros import topics
from kuwa_ros.conversions import JointStateReader, command_msg
from kuwa_ros.loop import Reader
from kuwa_ros.sealing import SealedWriter, envelope_of

PERIOD = 0.02
"""Between two references [s]; the deadman is told as often."""
NEAR = 0.05
"""The machine must stand this near to where the episode began [rad]."""
HEARD = 10.0
DISCOVERY = 2.0
"""Nodes of a graph know one another after this [s]."""
HEARD_DEADMAN = 0.1
"""The gate has heard the deadman after this [s]."""
REST = 0.6
"""Zeros are sent for so long at the end, so that the joints come to rest [s]."""


def timeline(dataset: Dataset, index: int) -> tuple[Array, Array, Array, Array]:
    """Return times (m,) [s] of positions (m, n) [rad], and times (k,) of actions (k, n).

    All times are from the first frame on. Actions at control rate may begin long before it: until
    every camera has given its first picture there is no frame.
    """
    columns = dataset.episode(index)
    states = np.asarray(columns[STATE], np.float64)[:, : len(dataset.joints)]
    times = np.arange(len(states)) / dataset.fps
    recorded = dataset.actions(index)
    if recorded is None:
        return times, states, times, np.asarray(columns[ACTION], np.float64)
    stamps = np.asarray(recorded["stamp"], np.float64)
    first = float(columns[STAMP][0]) if STAMP in columns else float(stamps[0])
    return times, states, stamps - first, np.asarray(recorded["action"], np.float64)


class Player:
    """Plays an episode to a stack.

    Args:
        dataset, index: the episode. namespace: of the stack. domain: ROS domain id.
        speed: share of the recorded velocities, 0.05 to 1; the way stays the same.
        envelope: of the stack's key, if it has one.
    """

    def __init__(
        self, dataset: Dataset, index: int, namespace: str, domain: int, speed: float,
        envelope: Envelope | None = None,
    ) -> None:  # fmt: skip
        if not 0.05 <= speed <= 1.0:
            raise DataError(f"--speed {speed}: give 0.05 to 1")
        if not 0 <= index < len(dataset.episodes):
            raise DataError(f"-e {index}: the set has episodes 0 to {len(dataset.episodes) - 1}")
        self._joints, self._speed = dataset.joints, speed
        self._times, self._states, self._stamps, self._actions = timeline(dataset, index)
        self.asking = Asking(namespace, domain)
        node = self.asking.node
        self._reader = Reader(node, topics.JOINT_STATES)
        self._to_state = JointStateReader(dataset.joints)
        self._velocity = SealedWriter(node, topics.VELOCITY_REFERENCE, envelope)
        self._deadman = SealedWriter(node, topics.DEADMAN, envelope)
        self._sequence = 0
        self.state: MachineState | None = None
        self.error: list[Array] = []
        """Measured less recorded positions, one row for each reference [rad]."""

    @property
    def seconds(self) -> float:
        """How long it takes [s]."""
        return float(self._stamps[-1]) / self._speed

    def close(self) -> None:
        """Release everything and leave the graph."""
        self.let_go()
        self.asking.close()

    def let_go(self) -> None:
        """Ask for no motion, and release the deadman."""
        self._tell(np.zeros(len(self._joints)), False)

    def ready(self) -> None:
        """Wait for the stack; check that nobody else drives and that the machine stands right.

        Raises:
            DataError: naming what is wrong and what would be right.
        """
        self.asking.wait(HEARD)
        until = time.monotonic() + HEARD
        while self.state is None:
            self._look()
            if time.monotonic() > until:
                raise DataError(f"no joint states of {list(self._joints)} within {HEARD:g} s")
            time.sleep(0.02)
        # Who else is there is heard of only after a while.
        until = time.monotonic() + DISCOVERY
        while time.monotonic() < until:
            self._look()
            time.sleep(0.02)
        self._alone()
        off = [
            f"{joint} is at {q:.3f}, the episode begins at {wanted:.3f} rad"
            for joint, q, wanted in zip(self._joints, self.state.q, self._states[0], strict=True)
            # An endless joint has no place to begin at.
            if abs(wanted) < 2 * np.pi and abs(q - wanted) > NEAR
        ]
        if off:
            raise DataError("; ".join(off) + f"; move it to within {NEAR:g} rad first")

    def play(
        self, held: Callable[[], bool], engage: Callable[[], None], tell: Callable[[float], None]
    ) -> bool:
        """Play while ``held()``; return whether it went to the end.

        Args:
            engage: asks the armed gate for mode teleop, which it grants to a held deadman only.
            tell: is given the time that was played [s].
        """
        began: float | None = None
        end = float(self._stamps[-1])
        due = time.monotonic()
        zero = np.zeros(len(self._joints))
        whole = False
        while True:
            now = time.monotonic()
            is_held = held()
            if began is None:
                # Until it is held the stack is told that it is not.
                if is_held:
                    self._engage(zero, engage)
                    began = due = time.monotonic()
                    continue
            elif not is_held:
                break
            self._look()
            if began is not None:
                at = (now - began) * self._speed
                if at > end:
                    whole = True
                    break
                k = max(int(np.searchsorted(self._stamps, at, side="right")) - 1, 0)
                self._tell(self._actions[k] * self._speed, True)
                self._compare(at)
                tell(at / self._speed)
                if self.asking.mode not in ("teleop", ""):
                    break
            else:
                self._tell(zero, False)
            due += PERIOD
            time.sleep(max(due - time.monotonic(), 0.0))
        rest = time.monotonic() + REST
        while time.monotonic() < rest:
            self._tell(zero, whole)
            time.sleep(PERIOD)
        self._tell(zero, False)
        return whole

    def _alone(self) -> None:
        """Refuse to drive beside somebody else."""
        for topic in (topics.VELOCITY_REFERENCE, topics.DEADMAN):
            count = self.asking.node.count_publishers
            others = count(topic.name) + count(topics.SEALED[topic].name) - 1
            if others > 0:
                raise DataError(
                    f"somebody else drives: {topic.name} has {others} other publisher; end kuwa "
                    "teleop first"
                )

    def _engage(self, zero: Array, engage: Callable[[], None]) -> None:
        """Let the gate hear the deadman, ask for the mode, and wait until it is heard."""
        until = time.monotonic() + HEARD_DEADMAN
        while time.monotonic() < until:
            self._tell(zero, True)
            time.sleep(PERIOD)
        self._alone()
        engage()
        until = time.monotonic() + 1.0
        while self.asking.mode != "teleop" and time.monotonic() < until:
            self._look()
            self._tell(zero, True)
            time.sleep(PERIOD)

    def _look(self) -> None:
        self.asking.look()
        message = self._reader.take()
        if message is not None:
            self.state = self._to_state(message)

    def _compare(self, at: float) -> None:
        assert self.state is not None
        wanted = [np.interp(at, self._times, q) for q in self._states.T]
        self.error.append(self.state.q - np.array(wanted))

    def _tell(self, values: Array, held: bool) -> None:
        self._sequence += 1
        stamp = 0.0 if self.state is None else self.state.stamp
        command = JointCommand(
            stamp, self._sequence, "teleop", CommandKind.VELOCITY_FRACTION, self._joints,
            np.clip(values, -1.0, 1.0),
        )  # fmt: skip
        self._deadman(Bool(data=held))
        self._velocity(command_msg(command))


def on_robot(
    dataset: Dataset, index: int, namespace: str, who: str, key: Path | None, speed: float,
    console: Console,
) -> dict[str, Any]:  # fmt: skip
    """Replay an episode on a running stack; a person answers, arms and holds the space bar.

    Raises:
        KuwaError: nobody is at a terminal, the stack or the machine is not ready, or a person or
            the gate says no.
    """
    person = who or getpass.getuser()
    if person in PROGRAMS:
        raise DataError(f"--who: {person!r} is a program of the stack; give a person's name")
    key_held = HeldKey()
    envelope = envelope_of("" if key is None else str(key.absolute()), namespace)
    domain = int(os.environ.get("ROS_DOMAIN_ID") or 0)
    player = Player(dataset, index, namespace, domain, speed, envelope)
    whole = asked = False

    def ask(mode: str) -> None:
        granted, why = player.asking.ask(mode, person, envelope)
        if not granted:
            raise DataError(f"the gate refuses mode {mode}: {why}")

    try:
        player.ready()
        task = "; ".join(dataset.episodes[index].tasks)
        console.print(f"  episode {index}, {task}: {player.seconds:.0f} s on /{namespace}")
        if not Confirm.ask(
            "The machine will move as it did then, whatever is there now. Is everybody clear?",
            console=console, default=False,
        ):  # fmt: skip
            raise DataError("not confirmed; nothing moved")
        player.asking.look()
        if player.asking.mode == "stopped":
            raise DataError("the gate is stopped; a person releases that, not a replay")
        asked = True
        for mode in ("ready", "armed"):
            if player.asking.mode != mode:
                ask(mode)
        console.print("  hold the space bar: the machine moves; let go: it stops", style="bold")
        with key_held as held:
            whole = player.play(
                held, lambda: ask("teleop"), lambda t: console.print(f"  {t:6.1f} s", end="\r")
            )
    except KeyboardInterrupt:
        console.print("interrupted: neutral", style="bold yellow")
    finally:
        # Another Ctrl-C must not leave the machine armed.
        with suppress(KeyboardInterrupt), unbroken():
            try:
                if asked:
                    _disarm(player, person, envelope, console)
            finally:
                player.close()
    error = np.array(player.error).reshape(-1, len(dataset.joints))
    rms = np.sqrt((error**2).mean(0)) if len(error) else np.zeros(len(dataset.joints))
    told = {joint: float(value) for joint, value in zip(dataset.joints, rms, strict=True)}
    kind, word = ("green", "played to the end") if whole else ("yellow", "stopped before the end")
    off = ", ".join(f"{joint} {value:.3f}" for joint, value in told.items())
    console.print(f"[bold {kind}]{word}[/]; off the recorded positions, rms in rad: {off}")
    return {"episode": index, "whole": whole, "rms": told}


def _disarm(player: Player, person: str, envelope: Envelope | None, console: Console) -> None:
    """Let go, and ask for mode ready; what was measured is not lost where that is refused."""
    player.let_go()
    player.asking.look()
    # Asked for while it is stopped, ready would release the stop.
    if player.asking.mode not in ("armed", "teleop"):
        return
    try:
        granted, why = player.asking.ask("ready", person, envelope)
    except KuwaError as error:
        granted, why = False, str(error)
    if not granted:
        console.print(
            f"the gate stays in mode {player.asking.mode}: {why}; ask it for ready yourself",
            style="bold red",
        )
