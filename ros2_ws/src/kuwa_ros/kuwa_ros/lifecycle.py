"""Base of our lifecycle nodes: nothing vanishes, everything that starts is stopped, a heartbeat.

A node writes four hooks, ``configure``, ``activate``, ``deactivate`` and ``cleanup``, and makes
its readers, subscriptions, publishers, services and its loop through the base, which undoes them
in the reverse transition. Inactive means: nothing is published but heartbeats and diagnostics.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Generic

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from kuwa_hardware.envelope import Envelope
from kuwa_machines.errors import KuwaError
from kuwa_ros.heartbeat import Heart
from kuwa_ros.loop import Loop, Reader
from kuwa_ros.parameters import P, declare, read
from kuwa_ros.realtime import RealtimeParameters, apply
from kuwa_ros.sealing import Judge, SealedReader, SealedWriter
from kuwa_ros.topics import DIAGNOSTICS, SEALED, Topic

DIAGNOSTICS_S: Final = 0.5
"""Between two words of a node on ``/diagnostics`` [s]."""

MAX_WORDS: Final = 2000
"""A complaint is cut to this many characters."""

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class KuwaNode(LifecycleNode, Generic[P]):
    """A lifecycle node with a parameter table.

    Args:
        name: of the node.
        table: dataclass of :func:`kuwa_ros.parameters.parameter` fields.
    """

    p: P

    def __init__(self, name: str, table: type[P]) -> None:
        super().__init__(name)
        self._table = table
        declare(self, table)
        declare(self, RealtimeParameters)
        self.add_on_set_parameters_callback(self._refuse_late_change)
        self.loop: Loop | None = None
        self.errors = 0
        self._problem = ""
        self._owned: list[Callable[[], object]] = []
        self._diagnostics = self.create_publisher(
            DIAGNOSTICS.type, DIAGNOSTICS.name, DIAGNOSTICS.qos()
        )
        self._guard_transitions()
        self.create_timer(
            DIAGNOSTICS_S, self._diagnose, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._heart = Heart(self, self._pulse)

    # Hooks -----------------------------------------------------------------------------------

    def configure(self) -> None:
        """Make the core, publishers and readers; ``self.p`` holds the parameters."""

    def activate(self) -> Loop | None:
        """Return the loop to start."""
        return None

    def deactivate(self) -> None:
        """The loop has stopped."""

    def cleanup(self) -> None:
        """Release what the core holds; must do even after half a ``configure``."""

    def report(self) -> dict[str, object]:
        """Return what ``/diagnostics`` should say beyond the loop's statistics."""
        return {}

    # What a node makes -----------------------------------------------------------------------

    def writer(self, topic: Topic, namespace: str = "") -> Callable[[Any], None]:
        """Make a publisher, in the node's namespace or in another one; return its ``publish``."""
        publisher = self.create_publisher(topic.type, topic.within(namespace), topic.qos())
        self._owned.append(lambda: self.destroy_publisher(publisher))
        return publisher.publish

    def reader(self, topic: Topic, depth: int = 1, namespace: str = "") -> Reader:
        """Make a reader that the node polls or that its loop waits for."""
        reader = Reader(self, topic, depth, namespace)
        self._owned.append(lambda: self.destroy_subscription(reader.subscription))
        return reader

    def sealed_writer(self, topic: Topic, envelope: Envelope | None) -> Callable[[Any], None]:
        """Make a publisher that seals what it sends if there is an envelope."""
        writer = SealedWriter(self, topic, envelope)
        self._owned.append(lambda: self.destroy_publisher(writer.publisher))
        return writer

    def sealed_reader(self, topic: Topic, envelope: Envelope | None) -> SealedReader:
        """Make a reader that takes only what is sealed if there is an envelope."""
        reader = SealedReader(self, topic, envelope, self.complain)
        for subscription in reader.subscriptions:
            self._owned.append(partial(self.destroy_subscription, subscription))
        return reader

    def listen(self, topic: Topic, callback: Callable[[Any], None], namespace: str = "") -> None:
        """Call back on each message; a message that raises is reported and dropped."""
        self._call_back(topic, lambda message, _: callback(message), namespace)

    def sealed_listen(
        self, topic: Topic, envelope: Envelope | None, callback: Callable[[Any], None]
    ) -> Judge:
        """Call back on each message, on those that are sealed only if there is an envelope."""
        sealed = SEALED[topic]
        judge = Judge(topic, self.resolve_topic_name(sealed.name), envelope, self.complain)

        def told(found: Any | None) -> None:
            if found is not None:
                callback(found)

        self._call_back(topic, lambda message, _: told(judge.plain(message)))
        self._call_back(sealed, lambda message, at: told(judge.sealed(message, at)))
        return judge

    def _call_back(
        self, topic: Topic, callback: Callable[[Any, float], None], namespace: str = ""
    ) -> None:
        """Call back with each message and the system time of its receipt [s]."""

        def guarded(message: Any, info: Any) -> None:
            try:
                callback(message, 1e-9 * info["received_timestamp"])
            except Exception as error:
                self.complain(topic.name, error)

        # What rclpy's types leave out: a callback with two arguments is told of the receipt, too.
        both: Any = guarded
        name = topic.within(namespace)
        subscription = self.create_subscription(topic.type, name, both, topic.qos())
        self._owned.append(lambda: self.destroy_subscription(subscription))

    def serve(self, contract: tuple[str, Any], callback: Callable[[Any, Any], Any]) -> None:
        """Offer a service."""
        service = self.create_service(contract[1], contract[0], callback)
        self._owned.append(lambda: self.destroy_service(service))

    def complain(self, what: str, error: Exception) -> None:
        """Count and log an error in what came from outside; at most one line a second."""
        self.errors += 1
        text = f"{what}: {error}" if isinstance(error, KuwaError) else traceback.format_exc()
        # What a stranger sends must not fill the disk through our own words about it.
        self.get_logger().warning(text[:MAX_WORDS], throttle_duration_sec=1.0)

    def fail(self, error: Exception) -> None:
        """The loop ended by an exception: say so in the heartbeat, and the stack is stopped."""
        if self.context.ok():
            self._problem = f"{type(error).__name__}: {error}"
            self.get_logger().error("".join(traceback.format_exception(error)))

    # Transitions -----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        def work() -> None:
            self._problem = ""
            self.p = read(self, self._table)
            self.configure()

        result = self._guarded("configure", work)
        if result != SUCCESS:
            self._guarded("cleanup", self._release)
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        def work() -> None:
            self._problem = ""
            self.loop = self.activate()
            # What is there now stays: the collector need not look at it again in every pass.
            gc.collect()
            gc.freeze()
            if self.loop is not None:
                self.loop.prepare = self._go_first
                self.loop.start()

        return self._guarded("activate", work)

    def _go_first(self) -> None:
        """Give process and loop the priority and processors that the parameters ask for."""
        asked = read(self, RealtimeParameters)
        for why in apply(asked.rt_priority, asked.cpus):
            self.get_logger().warning(why)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("deactivate", self._halt)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("cleanup", self._release)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        return self._guarded("shutdown", self.finish)

    def _guard_transitions(self) -> None:
        """Answer an impossible transition with failure; rclpy 7.1 would end the process."""
        service = self._service_change_state
        change = service.callback

        def guarded(request: Any, response: Any) -> Any:
            possible = {t[0]: t[1] for t in self._state_machine.available_transitions}
            asked = request.transition
            if asked.label not in possible.values() if asked.label else asked.id not in possible:
                self.get_logger().warning(
                    f"transition {asked.label or asked.id} is not possible in state "
                    f"{self.state_label}; possible: {', '.join(possible.values())}"
                )
                response.success = False
                return response
            return change(request, response)

        service.callback = guarded

    def finish(self) -> None:
        """Stop and release everything, from any state; safe to call twice."""
        self._halt()
        self._release()

    def destroy_node(self) -> None:
        """End the heartbeat, then the node."""
        self._heart.stop()
        super().destroy_node()

    def _halt(self) -> None:
        if self.loop is not None:
            self.loop.stop()
            self.loop = None
            self.deactivate()

    def _release(self) -> None:
        self.cleanup()
        while self._owned:
            self._owned.pop()()

    def _guarded(self, what: str, work: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            work()
        except Exception as error:
            self._problem = f"{what}: {error}"
            known = isinstance(error, KuwaError)
            text = str(error) if known else traceback.format_exc()
            self.get_logger().error(f"cannot {what}: {text}")
            return FAILURE
        return SUCCESS

    # Heartbeat -------------------------------------------------------------------------------

    @property
    def state_label(self) -> str:
        """``unconfigured``, ``inactive``, ``active`` or ``finalized``."""
        return str(self._state_machine.current_state[1])

    def _refuse_late_change(self, changes: list[Any]) -> SetParametersResult:
        table = set(self._table.__dataclass_fields__)  # type: ignore[attr-defined]
        late = [change.name for change in changes if change.name in table]
        if late and self.state_label != "unconfigured":
            reason = f"{', '.join(late)}: read when the node is configured; clean it up first"
            return SetParametersResult(successful=False, reason=reason)
        if late and "key_file" in table and self.get_parameter("key_file").value:
            # Services carry no code: a stranger could take the node down, and its key away.
            reason = f"{', '.join(late)}: a node with a key has the parameters of its start"
            return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    def _pulse(self) -> tuple[str, str]:
        """Return the lifecycle state, and what is wrong or ``""``."""
        loop, problem = self.loop, self._problem
        if loop is not None and not problem and loop.stalled(time.monotonic()):
            problem = "the loop does not step any more"
        return self.state_label, problem

    def _diagnose(self) -> None:
        loop, (state, problem) = self.loop, self._pulse()
        values: dict[str, object] = {"state": state, "errors": self.errors}
        if loop is not None:
            stats = loop.stats
            values |= {
                "ticks": stats.ticks,
                "missed": stats.missed,
                "worst_ms": f"{1e3 * stats.worst:.2f}",
            }
            stats.worst = 0.0
        values |= self.report()
        status = DiagnosticStatus(
            name=self.get_fully_qualified_name(),
            level=DiagnosticStatus.ERROR if problem else DiagnosticStatus.OK,
            message=problem or state,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
        message = DiagnosticArray(status=[status])
        message.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(message)
