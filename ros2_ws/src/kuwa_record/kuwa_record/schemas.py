"""Definitions of messages as bags hold them: the ``.msg`` files of a type and of all its parts.

Encoding ``ros2msg`` of the MCAP registry: the type's own file, then each other after a line of
``=`` and ``MSG: package/Name``.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from kuwa_machines.errors import KuwaError

ENCODING: Final = "ros2msg"
LINE: Final = "=" * 80
PLAIN: Final = frozenset(
    {"bool", "byte", "char", "float32", "float64", "string", "wstring"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
_FIELD: Final = re.compile(r"^\s*([A-Za-z][\w/]*)(?:<=\d+)?(?:\[[^\]]*\])?\s+[a-z]\w*")


class SchemaError(KuwaError):
    """A message type whose definition is not installed."""


@cache
def definition(name: str) -> str:
    """Return the whole definition of a type, e.g. of ``"sensor_msgs/msg/JointState"``.

    Raises:
        SchemaError: its package, or that of a part of it, is not installed.
    """
    own = _text(name)
    parts = [own]
    seen, waiting = {name}, _used(own, name)
    while waiting:
        each = waiting.pop(0)
        if each not in seen:
            seen.add(each)
            text = _text(each)
            package, _, kind = each.split("/")
            parts += [LINE, f"MSG: {package}/{kind}", text]
            waiting += _used(text, each)
    return "\n".join(parts)


@cache
def stamped(name: str) -> bool:
    """Say whether a type begins with a header or a stamp, so that its first 8 bytes are one."""
    for line in _text(name).splitlines():
        match = _FIELD.match(line.partition("#")[0])
        if match:
            return match[1] in ("std_msgs/Header", "Header", "builtin_interfaces/Time", "Time")
    return False


def _text(name: str) -> str:
    package, _, kind = name.split("/")
    try:
        path = Path(get_package_share_directory(package), "msg", f"{kind}.msg")
        return path.read_text("utf-8").rstrip()
    except (PackageNotFoundError, OSError):
        raise SchemaError(f"message {name}: its definition is not installed") from None


def _used(text: str, name: str) -> list[str]:
    """Return the full names of the types that a definition uses."""
    found = []
    for line in text.splitlines():
        match = _FIELD.match(line.partition("#")[0])
        if match and match[1] not in PLAIN:
            parts = match[1].split("/")
            package = parts[0] if len(parts) > 1 else name.split("/")[0]
            found.append(f"{package}/msg/{parts[-1]}")
    return found
