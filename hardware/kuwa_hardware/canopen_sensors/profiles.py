"""Object dictionaries of the two device profiles, as far as we use them; no EDS file is needed.

CiA 301 for what every node has; CiA 406 for encoders: 6001h measuring units per revolution, 6002h
total range, 6003h preset, 6004h position; CiA 410 for inclinometers: 6000h resolution in 0.001°,
6010h slope lengthwise, 6020h slope crosswise. The numbers are from public manuals of such devices.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from canopen import LocalNode, ObjectDictionary, RemoteNode
from canopen.objectdictionary import ODRecord, ODVariable, datatypes

ENCODER: Final = 406
INCLINOMETER: Final = 410
UNITS_PER_REVOLUTION, TOTAL_RANGE, PRESET, POSITION = 0x6001, 0x6002, 0x6003, 0x6004
RESOLUTION, SLOPE_LONG, SLOPE_LATERAL = 0x6000, 0x6010, 0x6020
DEVICE_TYPE, ERROR_REGISTER, HEARTBEAT_TIME = 0x1000, 0x1001, 0x1017

NO_FRAME: Final = (struct.error, LookupError, ValueError, TypeError, AttributeError)
"""What canopen raises at a frame that is too short, or that has no place in what is going on."""

_U8, _U16, _U32 = datatypes.UNSIGNED8, datatypes.UNSIGNED16, datatypes.UNSIGNED32
_I16 = datatypes.INTEGER16


def entry(node: LocalNode | RemoteNode, index: int, sub: int | None = None) -> Any:
    """Return an entry of a node's dictionary; its ``raw`` is read and written through SDO."""
    found: Any = node.sdo[index]
    return found if sub is None else found[sub]


def encoder() -> ObjectDictionary:
    """Return the dictionary of an absolute encoder."""
    od = _common(ENCODER)
    for index, name, default in (
        (UNITS_PER_REVOLUTION, "measuring units per revolution", 65536),
        (TOTAL_RANGE, "total measuring range", 65536),
        (PRESET, "preset value", 0),
    ):
        _add(od, index, name, _U32, default)
    _add(od, POSITION, "position value", _U32, 0, "ro")
    return od


def inclinometer() -> ObjectDictionary:
    """Return the dictionary of a two-axis inclinometer with 16-bit values."""
    od = _common(INCLINOMETER)
    _add(od, RESOLUTION, "resolution", _U16, 10)
    _add(od, SLOPE_LONG, "slope long16", _I16, 0, "ro")
    _add(od, SLOPE_LATERAL, "slope lateral16", _I16, 0, "ro")
    return od


def _common(profile: int) -> ObjectDictionary:
    od = ObjectDictionary()
    _add(od, DEVICE_TYPE, "device type", _U32, profile, "ro")
    _add(od, ERROR_REGISTER, "error register", _U8, 0, "ro")
    _add(od, HEARTBEAT_TIME, "producer heartbeat time", _U16, 0)
    _record(od, 0x1018, "identity", [("vendor-ID", _U32, 0), ("product code", _U32, 0)])
    settings = [
        ("COB-ID used by TPDO", _U32, 0x80000000),
        ("transmission type", _U8, 254),
        ("inhibit time", _U16, 0),
        ("reserved", _U8, 0),
        ("event timer", _U16, 0),
    ]
    _record(od, 0x1800, "TPDO communication parameter 1", settings)
    mapped = [(f"mapped {i}", _U32, 0) for i in range(1, 5)]
    count = _record(od, 0x1A00, "TPDO mapping parameter 1", mapped)
    count.default, count.access_type = 0, "rw"
    return od


def _add(
    od: ObjectDictionary, index: int, name: str, kind: int, default: int, access: str = "rw"
) -> None:
    od.add_object(_variable(index, 0, name, kind, default, access))


def _record(
    od: ObjectDictionary, index: int, name: str, members: list[tuple[str, int, int]]
) -> ODVariable:
    """Add a record; return the entry that counts its members."""
    record = ODRecord(name, index)
    count = _variable(index, 0, "highest sub-index", _U8, len(members), "ro")
    record.add_member(count)
    for sub, (label, kind, default) in enumerate(members, 1):
        record.add_member(_variable(index, sub, label, kind, default, "rw"))
    od.add_object(record)
    return count


def _variable(index: int, sub: int, name: str, kind: int, default: int, access: str) -> ODVariable:
    variable = ODVariable(name, index, sub)
    variable.data_type = kind
    variable.default = default
    variable.access_type = access
    variable.pdo_mappable = True
    return variable
