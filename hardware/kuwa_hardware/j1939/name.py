"""The 64-bit NAME of SAE J1939-81 and ISO 11783-5: who a node is, and who wins an address."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from kuwa_hardware.j1939.identifier import J1939Error

_BITS = {
    "identity_number": 21,
    "manufacturer_code": 11,
    "ecu_instance": 3,
    "function_instance": 5,
    "function": 8,
    "reserved": 1,
    "device_class": 7,
    "device_class_instance": 4,
    "industry_group": 3,
    "arbitrary_address_capable": 1,
}
"""Fields from the lowest bit on."""


@dataclass(frozen=True, slots=True)
class Name:
    """Who a node is; the lower number wins an address.

    Args:
        identity_number: serial number, 21 bits.
        manufacturer_code: 11 bits, given out by SAE; we have none and use 0.
        ecu_instance, function_instance: of several with the same function.
        function: 8 bits. device_class: 7 bits, e.g. 1 tractor. industry_group: 2 is agriculture.
        arbitrary_address_capable: it takes another address where its own is lost.
    """

    identity_number: int
    manufacturer_code: int = 0
    ecu_instance: int = 0
    function_instance: int = 0
    function: int = 0
    device_class: int = 0
    device_class_instance: int = 0
    industry_group: int = 2
    arbitrary_address_capable: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value, bits = int(getattr(self, field.name)), _BITS[field.name]
            if not 0 <= value < 1 << bits:
                raise J1939Error(f"NAME's {field.name} is {value}; expected 0 to {(1 << bits) - 1}")

    @property
    def value(self) -> int:
        """The 64 bits."""
        number, at = 0, 0
        parts = asdict(self) | {"reserved": 0}
        for field, bits in _BITS.items():
            number |= int(parts[field]) << at
            at += bits
        return number

    @property
    def data(self) -> bytes:
        """The eight bytes of an address claim."""
        return self.value.to_bytes(8, "little")

    @classmethod
    def parse(cls, data: bytes) -> Name:
        """Take the bytes of an address claim apart."""
        if len(data) != 8:
            raise J1939Error(f"a NAME has 8 bytes, not {len(data)}")
        number, parts = int.from_bytes(data, "little"), {}
        for field, bits in _BITS.items():
            parts[field] = number & ((1 << bits) - 1)
            number >>= bits
        del parts["reserved"]
        capable = bool(parts.pop("arbitrary_address_capable"))
        return cls(**parts, arbitrary_address_capable=capable)
