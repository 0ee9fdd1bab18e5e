"""CAN buses by a few words: ``socketcan:can0``, ``udp_multicast:239.1.2.3:30113``, ``virtual:a``.

``socketcan`` is a real bus, or vcan. ``udp_multicast`` carries frames between processes of this
computer over its loopback; they never leave it. ``virtual`` is a bus inside one process. On none
of them a node hears its own frames.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, cast

import can

from kuwa_hardware.loopback import LoopbackBus
from kuwa_machines.errors import KuwaError, choices

Interface = Literal["socketcan", "udp_multicast", "virtual"]
INTERFACES: Final = ("socketcan", "udp_multicast", "virtual")
GROUP: Final = "239.74.163.2"
PORT: Final = 30113
"""A ROS domain adds its number; below the ports that Linux gives to anybody who asks for none."""

BUS_ERRORS: Final = (can.CanError, OSError, ValueError)
"""What the libraries raise when a bus is gone."""


RECOVERED = 256
"""Good frames after which a controller that was error-passive is so no more, also where nobody says
it: it is so from 128 errors on, and a good frame takes one away (ISO 11898-1)."""


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

    def open(self) -> can.BusABC:
        """Open the bus.

        Raises:
            BusError: with the remedy.
        """
        try:
            if self.interface == "udp_multicast":
                return LoopbackBus(self.channel, self.port)
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
