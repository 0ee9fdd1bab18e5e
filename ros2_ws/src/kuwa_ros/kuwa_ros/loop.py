"""Loop threads: on absolute deadlines, or woken by each message of one topic.

Both run their step outside the executor, so a service call or a timer never delays a command.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node

from kuwa_ros.topics import Topic


@dataclass(slots=True)
class LoopStats:
    """What a loop counted since its start.

    Args:
        ticks: steps run.
        missed: whole periods skipped (deadlines), or time-outs without a message.
        worst: longest step [s].
        last: steady time of the last step [s].
    """

    ticks: int = 0
    missed: int = 0
    worst: float = 0.0
    last: float = 0.0


def _nothing() -> None:
    """Prepare nothing."""


class Loop:
    """Base of both loops: a thread, its statistics, and what became of it.

    Args:
        name: of the thread.
        timeout: the loop steps at least this often [s].
        failed: told the exception that ended the loop.
    """

    patience = 1.0
    """A loop that did not step for this long has stalled [s]."""

    def __init__(self, name: str, timeout: float, failed: Callable[[Exception], None]) -> None:
        self.stats = LoopStats()
        self.timeout = timeout
        self._failed = failed
        self.prepare: Callable[[], None] = _nothing
        """Called first in the thread."""
        self._running = False
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.stats.last = time.monotonic()
        self._running = True
        self._thread.start()

    def stop(self) -> None:
        """Let the running step finish and join the thread."""
        self._running = False
        self.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    def wake(self) -> None:
        """Step now instead of at the time-out."""

    def stalled(self, now: float) -> bool:
        """Say whether the loop ended by itself or has lost patience."""
        silent = now - self.stats.last > self.patience
        # One that is only just being started is not alive yet, and has no number.
        ended = self._thread.ident is not None and not self._thread.is_alive()
        return self._running and (silent or ended)

    def _main(self) -> None:
        try:
            self.prepare()
            self._run()
        except Exception as error:  # the node reports it and the supervisor stops the stack
            if self._running:
                self._failed(error)

    def _run(self) -> None:
        raise NotImplementedError

    def _count(self, start: float) -> None:
        stats = self.stats
        stats.ticks += 1
        stats.last = time.monotonic()
        stats.worst = max(stats.worst, stats.last - start)


class DeadlineLoop(Loop):
    """Calls ``step(now)`` every ``period`` seconds on absolute deadlines of the steady clock.

    A step that ends after the next deadline makes that one start late; whole periods that have
    passed by then are skipped and counted.
    """

    def __init__(
        self,
        name: str,
        period: float,
        step: Callable[[float], None],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(name, period, failed)
        self.period = period
        self._step = step

    def _run(self) -> None:
        deadline = time.monotonic()
        while self._running:
            now = time.monotonic()
            if now < deadline:
                time.sleep(deadline - now)
                now = time.monotonic()
            self._step(now)
            self._count(now)
            deadline += self.period
            behind = int((time.monotonic() - deadline) / self.period)
            if behind > 0:
                self.stats.missed += behind
                deadline += behind * self.period


class Reader:
    """A subscription that is asked for its newest message instead of calling back.

    Taking costs a few microseconds and no wake-up of the executor, so a topic at 100 Hz that is
    looked at five times a second costs next to nothing.

    Args:
        node: that reads.
        topic: what it reads.
        depth: messages that wait to be taken; more than one where none may be missed.
        namespace: of the topic; the node's own if empty.
    """

    def __init__(self, node: Node, topic: Topic, depth: int = 1, namespace: str = "") -> None:
        self.topic = topic
        name, qos = topic.within(namespace), topic.qos(depth)
        self.subscription = node.create_subscription(
            topic.type, name, _unused, qos, callback_group=_NeverGroup()
        )

    def take(self) -> Any | None:
        """Return the newest message that was not taken yet, or None."""
        taken = self.subscription.handle.take_message(self.topic.type, False)
        return None if taken is None else taken[0]

    def take_aged(self) -> tuple[Any, float] | None:
        """Return the newest message that was not taken yet and its age since receipt [s]."""
        taken = self.subscription.handle.take_message(self.topic.type, False)
        if taken is None:
            return None
        message, info = taken
        return message, time.time() - 1e-9 * info["received_timestamp"]

    def take_raw(self) -> tuple[bytes, float] | None:
        """Return the oldest message as bytes and the system time of its receipt [s]."""
        taken = self.subscription.handle.take_message(self.topic.type, True)
        return None if taken is None else (taken[0], 1e-9 * taken[1]["received_timestamp"])

    def drain(self) -> Iterator[Any]:
        """Return all messages that were not taken yet, the oldest first."""
        while (message := self.take()) is not None:
            yield message


class MessageLoop(Loop):
    """Calls ``step(now, message)`` for each message of a reader, with None at the time-out.

    It waits in a wait set of its own (as ``rclpy.wait_for_message`` does): the executor builds
    its wait set anew for every message, with all services and timers of the node.

    Args:
        name: of the thread. node: whose context it lives in.
        reader: of the messages.
        timeout: without a message it steps this long after the last step [s].
        step: what it calls. failed: told the exception that ended it.
        urgent: readers whose messages make it step at once as well; the step takes them itself.
    """

    def __init__(
        self,
        name: str,
        node: Node,
        reader: Reader,
        timeout: float,
        step: Callable[[float, Any | None], None],
        failed: Callable[[Exception], None],
        urgent: Sequence[Reader] = (),
    ) -> None:
        super().__init__(name, timeout, failed)
        self._reader = reader
        self._urgent = tuple(urgent)
        self._step = step
        self._context = node.context
        self._woken = False
        context: Any = self._context.handle
        with context:
            self._guard = _rclpy.GuardCondition(context)

    def wake(self) -> None:
        """Step now, with a message if there is one."""
        self._woken = True
        if self._context.ok():
            self._guard.trigger_guard_condition()

    def _run(self) -> None:
        handles = [r.subscription.handle for r in (self._reader, *self._urgent)]
        timeout_ns, urgent = int(self.timeout * 1e9), range(1, len(handles))
        context: Any = self._context.handle  # there as long as the node is
        with ExitStack() as stack:
            for used in (*handles, self._guard, context):
                stack.enter_context(used)
            wait_set = _rclpy.WaitSet(len(handles), 1, 0, 0, 0, 0, context)
            while self._running and self._context.ok():
                wait_set.clear_entities()
                for handle in handles:
                    wait_set.add_subscription(handle)
                wait_set.add_guard_condition(self._guard)
                wait_set.wait(timeout_ns)
                if not self._running:
                    return
                now = time.monotonic()
                message = self._reader.take()
                woken = self._woken or any(wait_set.is_ready("subscription", k) for k in urgent)
                if message is None and not woken:
                    self.stats.missed += 1
                self._woken = False
                self._step(now, message)
                self._count(now)


class _NeverGroup(MutuallyExclusiveCallbackGroup):
    """Keeps the executor away from a subscription that somebody else waits for or polls."""

    def can_execute(self, entity: Any) -> bool:
        return False


def _unused(message: Any) -> None:
    raise AssertionError("the executor must not take from a reader")
