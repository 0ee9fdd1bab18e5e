"""Random and damaged ROS messages of any type."""

from __future__ import annotations

import copy
import random
import re
from functools import cache
from importlib import import_module
from typing import Any

from rclpy.serialization import deserialize_message, serialize_message

FLOATS = (float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 5e-324, 0.0, -0.0, 1.0, -1.0)
TEXTS = ("", "control", "teleop", "gate", "supervisor", "boom_joint", "swing_joint", "zx200", "map",
         "auto", "stopped", "active", "32FC1", "rgb8", "\x00", "🚜" * 50, "A" * 10_000, "../../x",
         "NaN", "Ada")  # fmt: skip
ARRAY = re.compile(r"(?:sequence<(?P<seq>.+?)(?:, (?P<most>\d+))?>|(?P<fix>.+)\[(?P<n>\d+)\])$")
BITS = re.compile(r"u?int(\d+)$")


@cache
def _class(name: str) -> Any:
    package, kind = name.split("/")
    return getattr(import_module(f"{package}.msg"), kind)


def _value(rng: random.Random, kind: str, depth: int) -> Any:
    array = ARRAY.match(kind)
    if array:
        inner = array["seq"] or array["fix"]
        count = int(array["n"]) if array["n"] else rng.choice((0, 1, 3, 4, 5, 7, 7, 200))
        if array["most"]:
            count = min(count, int(array["most"]))
        return [_value(rng, inner, depth + 1) for _ in range(count)]
    bits = BITS.match(kind)
    if bits:
        size = int(bits[1])
        low, high = (
            (0, 2**size - 1) if kind[0] == "u" else (-(2 ** (size - 1)), 2 ** (size - 1) - 1)
        )
        return rng.choice((low, high, rng.randint(low, high), min(3, high), 0))
    if kind in ("double", "float"):
        value = rng.choice((*FLOATS, rng.uniform(-2, 2), rng.uniform(-1e4, 1e4)))
        return max(min(value, 3e38), -3e38) if kind == "float" and abs(value) < 1e309 else value
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("octet", "char"):
        return bytes([rng.randrange(256)]) if kind == "octet" else rng.randrange(256)
    if kind.startswith(("string", "wstring")):
        return rng.choice(TEXTS)
    return message(rng, _class(kind), depth + 1)


def message(rng: random.Random, kind: Any, depth: int = 0) -> Any:
    """Return a message with random fields; deep ones stay empty."""
    out = kind()
    for name, field in kind.get_fields_and_field_types().items():
        if depth < 5 and rng.random() < 0.9:
            setattr(out, name, _value(rng, field, depth))
    return out


def damaged(rng: random.Random, good: Any) -> Any:
    """Return a copy of a good message with some fields changed."""
    kind = type(good)
    out = deserialize_message(serialize_message(good), kind)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _damage(rng, out)
    return out


def _damage(rng: random.Random, msg: Any) -> None:
    name, field = rng.choice(list(msg.get_fields_and_field_types().items()))
    value = getattr(msg, name)
    if hasattr(value, "get_fields_and_field_types") and rng.random() < 0.9:
        _damage(rng, value)
        return
    array = ARRAY.match(field)
    if array and not array["n"] and len(value) and rng.random() < 0.8:
        items = list(value)
        at = rng.randrange(len(items))
        how = rng.randrange(4)
        if how == 0:
            del items[at]
        elif how == 1:
            items.insert(at, copy.deepcopy(items[at]))
        elif hasattr(items[at], "get_fields_and_field_types"):
            _damage(rng, items[at])
        else:
            items[at] = _value(rng, array["seq"], 1)
        if not array["most"] or len(items) <= int(array["most"]):
            setattr(msg, name, items)
        return
    setattr(msg, name, _value(rng, field, 1))
