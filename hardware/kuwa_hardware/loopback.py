"""A CAN bus between the processes of one computer: python-can's UDP multicast, kept at home.

Frames go over the loopback interface only. Unlike the class it is made from, a node does not hear
its own frames: each sends from a port of its own and passes over what came from there, before the
frame is unpacked.
"""

from __future__ import annotations

import select
import socket
import struct
from contextlib import suppress
from typing import Final

import can
from can.interfaces.udp_multicast import UdpMulticastBus
from can.interfaces.udp_multicast.utils import pack_message, unpack_message

LOOPBACK: Final = "127.0.0.1"
BUFFER: Final = 1 << 20
"""A process that is held up for a moment must not lose what a bus would have kept [bytes]."""
LONGEST: Final = 4096
_TIMESTAMP: Final = struct.Struct("@ll")


class LoopbackBus(UdpMulticastBus):
    """One node.

    Args:
        group: IPv4 multicast address. port: of the bus.
    """

    def __init__(self, group: str, port: int) -> None:
        super().__init__(group, port=port, hop_limit=0, fd=False)
        self._in: socket.socket = self._multicast._socket
        self._to = (group, port)
        lo = socket.inet_aton(LOOPBACK)
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            # Already a member there where the system's route for multicast is the loopback.
            with suppress(OSError):
                self._in.setsockopt(
                    socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + lo
                )
            self._in.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            self._in.setblocking(False)
            self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
            self._out.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
            self._out.bind((LOOPBACK, 0))
            self._own = self._out.getsockname()
        except OSError:
            self.shutdown()
            raise

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Send one frame."""
        try:
            self._out.sendto(pack_message(msg), self._to)
        except OSError as error:
            raise can.CanOperationError(f"failed to send: {error}") from error

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        while True:
            try:
                data, more, _, sender = self._in.recvmsg(LONGEST, 64)
            except BlockingIOError:
                if timeout == 0.0 or not select.select([self._in], [], [], timeout)[0]:
                    return None, False
                # Own frames and late ones must not make anybody wait twice.
                timeout = 0.0
                continue
            except OSError as error:
                raise can.CanOperationError(f"failed to receive: {error}") from error
            if sender == self._own:
                continue
            stamp = 0.0
            if more:
                seconds, nanoseconds = _TIMESTAMP.unpack(more[0][2][: _TIMESTAMP.size])
                stamp = seconds + 1e-9 * nanoseconds
            try:
                message = unpack_message(data, replace={"timestamp": stamp}, check=True)
            except Exception:
                # Anybody on this computer can send to the port; what is no frame is no frame.
                continue
            return message, False

    def shutdown(self) -> None:
        """Leave the bus; safe to call twice."""
        super().shutdown()
        self._out.close()
