"""Compresses pictures for the bag in a thread of its own: as they come they would fill any disk."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from PIL import Image
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage

from kuwa_record.bagfile import Channel
from kuwa_record.schemas import definition
from kuwa_record.taps import Taken
from kuwa_ros.world import image_from

QUALITY: Final = 90
MOST: Final = 128 * 2**20
"""Bytes of pictures that may wait."""
TYPE: Final = "sensor_msgs/msg/CompressedImage"


class Pictures:
    """Compresses what is put into it, as ``image_transport`` names and types it.

    Args:
        put: takes channel, receipt, stamp [ns] and the serialized message.
        dropped: called for each picture that is left out.
    """

    def __init__(
        self, put: Callable[[Channel, int, int, bytes], object], dropped: Callable[[], None]
    ) -> None:
        self._put, self._dropped = put, dropped
        self._channels: dict[str, Channel] = {}
        self._waiting: deque[Taken] = deque()
        self._bytes = 0
        self._counting = threading.Lock()
        self._some = threading.Semaphore(0)
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def add(self, taken: Taken) -> None:
        """Have a picture compressed; it is left out where too many wait."""
        with self._counting:
            room = self._bytes + len(taken.data) <= MOST
            self._bytes += len(taken.data) * room
        if not room:
            self._dropped()
            return
        self._waiting.append(taken)
        self._some.release()

    def stop(self) -> None:
        """Compress what waits and end."""
        self._ended = True
        self._some.release()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._some.acquire()
            if not self._waiting:
                if self._ended:
                    return
                continue
            taken = self._waiting.popleft()
            with self._counting:
                self._bytes -= len(taken.data)
            try:
                self._compress(taken)
            except Exception:
                # Of whatever size and encoding it says it is: the others are compressed.
                self._dropped()

    def _compress(self, taken: Taken) -> None:
        message = deserialize_message(taken.data, taken.tap.message)
        sink = io.BytesIO()
        Image.fromarray(image_from(message)).save(sink, "JPEG", quality=QUALITY)
        packed = CompressedImage(header=message.header, format="rgb8; jpeg compressed bgr8")
        packed.data = sink.getvalue()
        name = taken.tap.channel.topic
        if name not in self._channels:
            self._channels[name] = Channel(f"{name}/compressed", TYPE, definition(TYPE))
        self._put(self._channels[name], taken.log, taken.publish, serialize_message(packed))
