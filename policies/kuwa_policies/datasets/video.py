"""Videos of a data set: encoded in the background while recording, decoded picture by picture.

H.264, yuv420p, a key frame at every second picture, so that a random picture is decoded quickly.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets.layout import DatasetError

CODEC: Final = "h264"
ENCODERS: Final = ("libx264", "libopenh264", "h264")
"""In the order in which they are taken, as this PyAV has them."""
OPTIONS: Final = {"preset": "ultrafast", "crf": "20", "g": "2", "bf": "0"}
WAITING: Final = 8
"""Pictures that wait for the encoder; whoever adds the next one waits as well."""
LOOK: Final = 0.1
"""Whoever waits for the encoder looks so often whether it is still there [s]."""
MAX_SIDE: Final = 8192
"""A larger picture is refused."""


def encoder() -> str:
    """Return the encoder that is there.

    Raises:
        DatasetError: PyAV was built without H.264.
    """
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except Exception:
            continue
        return name
    raise DatasetError(f"this PyAV has no encoder of H.264; expected one of {', '.join(ENCODERS)}")


class VideoWriter:
    """Encodes pictures in a thread of its own.

    Args:
        path: of the file; torn until :meth:`close` has returned.
        shape: (height, width, 3) of every picture.
        fps: pictures in a second.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], fps: int) -> None:
        self.path, self._shape, self._fps = path, shape, fps
        self.count = 0
        self._queue: queue.Queue[NDArray[np.uint8] | None] = queue.Queue(WAITING)
        self._error: Exception | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._main, name=f"video {path.stem}", daemon=True)
        self._thread.start()

    def add(self, image: NDArray[np.uint8]) -> None:
        """Encode a picture, RGB; it must not be changed after.

        Raises:
            OSError, DatasetError: an earlier one could not be encoded or written.
        """
        self._raise()
        self._give(image)
        self._raise()
        self.count += 1

    def close(self) -> None:
        """Encode what waits and finish the file.

        Raises:
            OSError, DatasetError: it is not whole.
        """
        self._give(None)
        self._thread.join()
        self._raise()
        found = frames_in(self.path)
        if found != self.count:
            raise DatasetError(f"{self.path.name} holds {found} pictures of {self.count}")

    def cancel(self) -> None:
        """End without a file."""
        self._cancelled = True
        self._give(None)
        self._thread.join()
        self.path.unlink(missing_ok=True)

    def _give(self, image: NDArray[np.uint8] | None) -> None:
        """Let the thread have a picture, or the end; one that has ended is not waited for."""
        while self._thread.is_alive():
            try:
                self._queue.put(image, timeout=LOOK)
                return
            except queue.Full:
                continue

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _main(self) -> None:
        try:
            self._encode()
        except Exception as error:
            known = isinstance(error, OSError)
            self._error = error if known else DatasetError(f"{self.path.name}: {error}")

    def _encode(self) -> None:
        height, width, _ = self._shape
        with av.open(str(self.path), "w", format="mp4") as container:
            stream: Any = container.add_stream(encoder(), rate=self._fps)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, self._fps)
            stream.codec_context.thread_count = 1
            stream.options = OPTIONS
            index = 0
            while (image := self._queue.get()) is not None and not self._cancelled:
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, self._fps)
                container.mux(stream.encode(frame))
                index += 1
            container.mux(stream.encode(None))


def frames_in(path: Path) -> int:
    """Return how many pictures a file says it holds.

    Raises:
        DatasetError: it is no whole video.
    """
    try:
        with av.open(str(path)) as container:
            return int(container.streams.video[0].frames)
    except (av.FFmpegError, IndexError) as error:
        raise DatasetError(f"{path}: no whole video: {error}") from None


def decode(path: Path, start: float = 0.0, count: int | None = None) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures, RGB, shape (height, width, 3), from a time on [s].

    Raises:
        DatasetError: it is no whole video, or ends before ``count`` pictures.
    """
    given = 0
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if max(stream.width, stream.height) > MAX_SIDE:
                raise DatasetError(f"{path}: {stream.width} × {stream.height}; at most {MAX_SIDE}")
            if start > 0.0 and stream.time_base is not None:
                container.seek(int(start / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                if count is not None and given >= count:
                    return
                if frame.time is not None and frame.time < start - 1e-4:
                    continue
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                given += 1
    except (av.FFmpegError, IndexError) as error:
        raise DatasetError(f"{path}: no whole video: {error}") from None
    if count is not None and given < count:
        raise DatasetError(f"{path}: {given} pictures from {start:g} s on; expected {count}")
