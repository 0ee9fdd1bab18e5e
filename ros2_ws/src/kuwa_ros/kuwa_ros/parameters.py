"""Node parameters as frozen dataclasses: declared with type, range and words, read once.

A field made by :func:`parameter` is one ROS parameter. The dataclass is also what the reference
page is generated from, so a parameter that is not described cannot exist.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from kuwa_machines.errors import KuwaError, choices

P = TypeVar("P")


class ParameterError(KuwaError):
    """A parameter has a value that the node cannot work with."""


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    valid: tuple[str, ...] = (),
) -> Any:
    """Return a dataclass field that is a ROS parameter.

    Args:
        default: its value and, by it, its type: bool, int, float, str or a tuple of str.
        description: one line for people.
        unit: e.g. ``"s"``.
        low, high: inclusive range of a number; both or neither.
        valid: the values a text may have.
    """
    meta = {"description": description, "unit": unit, "low": low, "high": high, "valid": valid}
    return field(default=default, metadata=meta)


def declare(node: Node, table: type[Any]) -> None:
    """Declare every field of ``table`` on ``node``."""
    for item in fields(table):
        default, meta = _default(item), item.metadata
        words = meta["description"] + (f" [{meta['unit']}]" if meta["unit"] else "")
        descriptor = ParameterDescriptor(description=words)
        if meta["valid"]:
            descriptor.additional_constraints = "one of: " + ", ".join(meta["valid"])
        if meta["low"] is not None and isinstance(default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(meta["low"]), to_value=float(meta["high"]))
            ]
        elif meta["low"] is not None:
            descriptor.integer_range = [
                IntegerRange(from_value=int(meta["low"]), to_value=int(meta["high"]), step=1)
            ]
        value = list(default) if isinstance(default, tuple) else default
        node.declare_parameter(item.name, value, descriptor)


def read(node: Node, table: type[P]) -> P:
    """Return the table filled with the node's parameters.

    Raises:
        ParameterError: if a text is not one of the valid ones.
    """
    values: dict[str, Any] = {}
    for item in fields(table):  # type: ignore[arg-type]
        value = node.get_parameter(item.name).value
        valid = item.metadata["valid"]
        if valid and value not in valid:
            raise ParameterError(f"parameter {item.name} is {value!r}; {choices(value, valid)}")
        values[item.name] = tuple(value) if isinstance(_default(item), tuple) else value
    return table(**values)


def markdown(title: str, table: type[Any]) -> str:
    """Return one node's parameters as a section of the reference page."""
    lines = [
        f"## {title}",
        "",
        "| parameter | type | default | unit | range | meaning |",
        "|---|---|---|---|---|---|",
    ]
    for item in fields(table):
        default, meta = _default(item), item.metadata
        kind = "list of str" if isinstance(default, tuple) else type(default).__name__
        shown = ", ".join(default) if isinstance(default, tuple) else str(default)
        limits = ", ".join(meta["valid"])
        if meta["low"] is not None:
            limits = f"{meta['low']:g} to {meta['high']:g}"
        lines.append(
            f"| `{item.name}` | {kind} | {f'`{shown}`' if shown else 'empty'} "
            f"| {meta['unit'] or '–'} | {limits or '–'} | {meta['description']} |"
        )
    return "\n".join([*lines, ""])


def _default(item: Field[Any]) -> Any:
    if item.default is MISSING:
        raise TypeError(f"{item.name} was not made by parameter()")
    return item.default
