"""The identified numbers as an overlay file that the machine is loaded with.

The form is that of :mod:`kuwa_machines.overlay`; only what the log told is in it.
"""

from __future__ import annotations

import json
from datetime import date

from kuwa_machines.units import UNITS
from kuwa_policies.identification.result import Estimate, FunctionResult, Identification

FORM = {
    "dead_time": ("time", "ms", "valve"),
    "dead_band": ("ratio", "percent", "valve"),
    "curve": ("ratio", "1", "valve"),
    "time_constant": ("time", "ms", "valve"),
    "max_flow_positive": ("flow", "L/min", "valve"),
    "max_flow_negative": ("flow", "L/min", "valve"),
    "leakage": ("leakage", "mL/min/MPa", ""),
}
"""Of each parameter: dimension, unit as people publish it, and where below the drive it is."""

SOURCE = "identified"


def in_unit(key: str, value: float) -> float:
    """Return an SI value of a parameter in the unit in which it is published."""
    dimension, unit, _ = FORM[key]
    return value / UNITS[dimension][unit]


def parameter_file(found: Identification, day: date) -> str:
    """Return the text of the overlay.

    Args:
        day: of the identification.
    """
    source = f"identified from {found.source}, {day.isoformat()}"
    lines = [
        f"# {found.machine} as a log of {found.seconds:.0f} s shows it; intervals are 95 %.",
        "# What is not here stays as in machine.yaml, for the reasons at the end.",
        f"machine: {found.machine}",
        f"sources: {{{SOURCE}: {json.dumps(source, ensure_ascii=False)}}}",
    ]
    some = {n: f for n, f in found.functions.items() if f.identified}
    if some:
        lines.append("joints:")
    for name, function in some.items():
        lines += _function(name, function)
    reasons = [
        (f"{name}.{key}", estimate.remark)
        for name, function in found.functions.items()
        for key, estimate in function.estimates.items()
        if not estimate.identified
    ]
    if reasons:
        lines.append("not_identified:")
        lines += [f"  {key}: {json.dumps(why, ensure_ascii=False)}" for key, why in reasons]
    return "\n".join(lines) + "\n"


def _function(name: str, function: FunctionResult) -> list[str]:
    lines = [f"  {name}:", "    drive:"]
    known = {k: e for k, e in function.estimates.items() if e.identified}
    lines += [f"      {_quantity(k, e)}" for k, e in known.items() if not FORM[k][2]]
    valve = [f"        {_quantity(k, e)}" for k, e in known.items() if FORM[k][2]]
    return [*lines, "      valve:", *valve] if valve else lines


def _quantity(key: str, estimate: Estimate) -> str:
    value, low, high = (in_unit(key, x) for x in (estimate.value, estimate.low, estimate.high))
    unit = FORM[key][1]
    unit = f'"{unit}"' if unit == "1" else unit
    interval = f"[{low:.5g}, {high:.5g}]"
    return f"{key}: {{value: {value:.6g}, unit: {unit}, source: {SOURCE}, interval: {interval}}}"
