"""The key that sources, gate and driver share, and what is sealed with it: messages and requests.

Velocity references, chunks and the deadman have types that any ROS program can speak, without a
field for a code. Who has a key sends them sealed, on a topic beside the plain one; who has one
takes nothing else. Without a key both are taken.
"""

from __future__ import annotations

import itertools
import math
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from kuwa_msgs.msg import Sealed
from kuwa_msgs.srv import SetMode
from rclpy.node import Node
from rclpy.serialization import deserialize_message, serialize_message

from kuwa_hardware.envelope import Envelope, SealedMessage, load_key
from kuwa_hardware.seals import Seals
from kuwa_machines.errors import CommandError
from kuwa_ros.conversions import seconds, time_msg
from kuwa_ros.loop import Reader
from kuwa_ros.topics import SEALED, Topic

WAITING: Final = 10
"""Sealed messages that wait to be taken."""
SHOWN: Final = 1.0
"""A refusal is told for this long [s], in two words on ``/diagnostics``."""
NO_CODE: Final = (
    "it carries no code, which this stack's key asks for; give its sender the same key file, or "
    "start the stack without one"
)

# Counts on from above where a process of the same name was before.
_sequences = itertools.count(time.monotonic_ns() // 1_000_000)


def envelope_of(key_file: str, namespace: str) -> Envelope | None:
    """Return the envelope of a key file for the machine in a namespace, or None without a file.

    Raises:
        KeyFileError: it is missing, open to others, or holds no key.
    """
    if not key_file:
        return None
    return Envelope(load_key(Path(key_file)), "/" + namespace.strip("/"))


def mode_request(mode: str, who: str, envelope: Envelope | None = None) -> Any:
    """Return the request to ask for a mode with; send it at once."""
    request = SetMode.Request(mode=mode, who=who, sequence=next(_sequences))
    request.stamp = time_msg(time.time())
    if envelope is not None:
        # The gate's end sees the stamp after its way through seconds and nanoseconds.
        mac = envelope.seal_mode(mode, who, seconds(request.stamp), request.sequence)
        request.mac = array("B", mac)
    return request


def sealed_msg(message: Any, topic: str, source: str, envelope: Envelope) -> Sealed:
    """Return a message with its code; send it at once.

    Args:
        topic: full name of the sealed topic. source: full name of the node.
    """
    out = Sealed(stamp=time_msg(time.time()), sequence=next(_sequences), source=source)
    out.message = array("B", serialize_message(message))
    # The other end sees the stamp after its way through seconds and nanoseconds.
    out.mac = array("B", envelope.seal_message(sealed_from(out, topic)).mac)
    return out


def sealed_from(message: Sealed, topic: str) -> SealedMessage:
    """Return a sealed message as it is looked at; its code is the receiver's to check.

    Args:
        topic: full name of the sealed topic.
    """
    return SealedMessage(
        topic, message.source, seconds(message.stamp), message.sequence,
        bytes(message.message), bytes(message.mac),
    )  # fmt: skip


def opened(message: Sealed, topic: Topic) -> Any:
    """Return what a sealed message holds, proved or not.

    Args:
        topic: the plain one.

    Raises:
        CommandError: it holds nothing of the topic's type.
    """
    try:
        return deserialize_message(bytes(message.message), topic.type)
    except Exception as error:  # of the middleware's binding, whatever it is
        raise CommandError(f"what is sealed is no {topic.type.__name__}: {error}") from None


class SealedWriter:
    """Publishes on a topic; with an envelope on its sealed one.

    Args:
        topic: the plain one.
    """

    def __init__(self, node: Node, topic: Topic, envelope: Envelope | None) -> None:
        self._envelope, self._source = envelope, node.get_fully_qualified_name()
        used = topic if envelope is None else SEALED[topic]
        self.publisher = node.create_publisher(used.type, used.name, used.qos())

    def __call__(self, message: Any) -> None:
        if self._envelope is not None:
            where = self.publisher.topic_name
            message = sealed_msg(message, where, self._source, self._envelope)
        self.publisher.publish(message)


class Judge:
    """What is taken of a topic's messages, plain or sealed; with an envelope only what is proved.

    Args:
        topic: the plain one. name: full name of the sealed one.
        complain: is told of each message that is refused.
    """

    def __init__(
        self,
        topic: Topic,
        name: str,
        envelope: Envelope | None,
        complain: Callable[[str, Exception], None],
    ) -> None:
        self._topic, self._name, self._complain = topic, name, complain
        self._seals = None if envelope is None else Seals(envelope)
        self.refused = ""
        """Why the last message that was refused was."""
        self.refused_at = -math.inf
        """When that was, on the steady clock [s]."""

    def plain(self, message: Any) -> Any | None:
        """Return a message without a code if it is taken."""
        if self._seals is None:
            return message
        self._refuse(NO_CODE)
        return None

    def sealed(self, message: Sealed, received: float) -> Any | None:
        """Return what is sealed if it is taken.

        Args:
            received: system time of receipt [s], not of now: that this program was late is no
                stranger's doing.

        Raises:
            CommandError: it is of another type.
        """
        if self._seals is not None:
            why = self._seals.refusal(sealed_from(message, self._name), received)
            if why:
                self._refuse(f"from {message.source[:80]!r}: {why}")
                return None
        return opened(message, self._topic)

    def lately(self) -> str:
        """Return why a message was refused within the last :data:`SHOWN`, or ``""``."""
        return self.refused if time.monotonic() - self.refused_at < SHOWN else ""

    def _refuse(self, why: str) -> None:
        self.refused, self.refused_at = f"a message was refused: {why}", time.monotonic()
        self._complain(self._topic.name, CommandError(self.refused))


class SealedReader:
    """Newest message of a topic, of those that its judge takes.

    Args:
        topic: the plain one.
        complain: is told of each message that is refused.
    """

    def __init__(
        self,
        node: Node,
        topic: Topic,
        envelope: Envelope | None,
        complain: Callable[[str, Exception], None],
    ) -> None:
        self.topic = topic
        self._plain, self._sealed = Reader(node, topic), Reader(node, SEALED[topic], WAITING)
        self.subscriptions = (self._plain.subscription, self._sealed.subscription)
        self.judge = Judge(topic, self._sealed.subscription.topic_name, envelope, complain)

    def take(self) -> Any | None:
        """Return the newest message that was not taken yet, or None.

        Raises:
            CommandError: what is sealed is of another type.
        """
        newest = self._plain.take()
        if newest is not None:
            newest = self.judge.plain(newest)
        # A stranger's among them must not hide the genuine one.
        for _ in range(WAITING):
            taken = self._sealed.take_aged()
            if taken is None:
                break
            found = self.judge.sealed(taken[0], time.time() - taken[1])
            newest = newest if found is None else found
        return newest
