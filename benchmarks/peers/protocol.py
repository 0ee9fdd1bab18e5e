"""What a peer and its client say to each other: a length, then an .npz without pickle."""

from __future__ import annotations

import io
import json
import struct
import sys

import numpy as np


def write(stream, meta, arrays):
    """Send one message: plain data and arrays."""
    file = io.BytesIO()
    np.savez(file, _meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    data = file.getbuffer()
    stream.write(struct.pack("<Q", len(data)))
    stream.write(data)
    stream.flush()


def read(stream):
    """Return (meta, arrays) of the next message, or None at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    data = stream.read(struct.unpack("<Q", head)[0])
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(arrays.pop("_meta").tobytes()), arrays


def serve(answer):
    """Answer every message until the client is gone; what is printed goes to standard error."""
    out = sys.stdout.buffer
    sys.stdout = sys.stderr
    while True:
        message = read(sys.stdin.buffer)
        if message is None:
            return
        try:
            meta, arrays = answer(*message)
        except Exception as error:  # the client raises it
            import traceback

            traceback.print_exc()
            meta, arrays = {"error": f"{type(error).__name__}: {error}"}, {}
        write(out, meta, arrays)
