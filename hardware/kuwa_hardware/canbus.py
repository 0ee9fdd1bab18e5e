"""CAN buses by a few words: ``socketcan:can0``, ``udp_multicast:239.1.2.3:43113``, ``virtual:a``.

``socketcan`` is a real bus, or vcan. ``udp_multicast`` carries frames between processes of this
computer over its loopback; they never leave it. ``virtual`` is a bus inside one process.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, cast

import can

from kuwa_machines.errors import KuwaError, choices

Interface = Literal["socketcan", "udp_multicast", "virtual"]
INTERFACES: Final = ("socketcan", "udp_multicast", "virtual")
GROUP: Final = "239.74.163.2"
PORT: Final = 43113
LOOPBACK: Final = "127.0.0.1"

BUS_ERRORS: Final = (can.CanError, OSError, ValueError)
"""What the libraries raise when a bus is gone."""


class BusError(KuwaError):
    """A bus cannot be opened, or is described wrongly."""


@dataclass(frozen=True, slots=True)
class BusSettings:
    """One bus.

    Args:
        interface: see above.
        channel: network interface (``can0``), multicast address, or any name.
        port: of the multicast.
    """

    interface: Interface
    channel: str
    port: int = PORT

    @classmethod
    def parse(cls, text: str) -> BusSettings:
        """Return the settings in ``interface:channel[:port]``.

        Raises:
            BusError: naming the part that is wrong.
        """
        parts = text.split(":")
        if parts[0] not in INTERFACES:
            raise BusError(
                f"bus {text!r}: no interface {parts[0]!r}; {choices(parts[0], INTERFACES)}"
            )
        interface = cast(Interface, parts[0])
        channel = parts[1] if len(parts) > 1 else ""
        if interface != "udp_multicast":
            if len(parts) != 2 or not channel:
                raise BusError(f"bus {text!r}: expected {interface}:<channel>")
            return cls(interface, channel)
        channel = channel or GROUP
        try:
            good = ipaddress.IPv4Address(channel).is_multicast
        except ValueError:
            good = False
        if not good:
            raise BusError(f"bus {text!r}: {channel!r} is no IPv4 multicast address (239.x.x.x)")
        port = parts[2] if len(parts) == 3 else str(PORT)
        if len(parts) > 3 or not port.isdecimal() or not 1024 <= int(port) <= 65535:
            raise BusError(f"bus {text!r}: expected udp_multicast:<address>:<port 1024 to 65535>")
        return cls(interface, channel, int(port))

    def __str__(self) -> str:
        port = f":{self.port}" if self.interface == "udp_multicast" else ""
        return f"{self.interface}:{self.channel}{port}"

    @property
    def echoes(self) -> bool:
        """Whether a node receives the frames that it sent itself."""
        return self.interface == "udp_multicast"

    def open(self) -> can.BusABC:
        """Open the bus.

        Raises:
            BusError: with the remedy.
        """
        try:
            if self.interface == "udp_multicast":
                return _loopback(self.channel, self.port)
            return can.Bus(interface=self.interface, channel=self.channel)
        except BUS_ERRORS as error:
            raise BusError(f"bus {self}: cannot be opened: {error}; {self._remedy}") from None

    @property
    def opener(self) -> Callable[[], can.BusABC]:
        """What a driver calls to open it, also again after it was lost."""
        return self.open

    @property
    def _remedy(self) -> str:
        if self.interface == "socketcan":
            return (
                f"plug the adapter in and bring it up: ip link set {self.channel} up type can "
                "bitrate <bit/s>"
            )
        return "see whether the loopback interface is up (ip link show lo)"


def _loopback(group: str, port: int) -> can.BusABC:
    from can.interfaces.udp_multicast import UdpMulticastBus

    bus = UdpMulticastBus(group, port=port, hop_limit=0, fd=False)
    sock: socket.socket = bus._multicast._socket
    lo = socket.inet_aton(LOOPBACK)
    try:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, lo)
        # Already a member there where the system's route for multicast is the loopback.
        with suppress(OSError):
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + lo
            )
        # A process that is held up for a moment must not lose frames that a bus would have kept.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    except OSError:
        bus.shutdown()
        raise
    return bus
