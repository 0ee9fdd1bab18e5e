"""The reference page of COM3, from its database and the machines' files."""

from __future__ import annotations

from pathlib import Path

import cantools
from cantools.database.can import Database, Message
from cantools.database.can.signal import Signal

from kuwa_hardware.com3.codec import FILE, messages
from kuwa_hardware.com3.mapping import NAME, Com3Map
from kuwa_machines.datafile import load_data
from kuwa_machines.errors import MachineError

HEAD = """\
The messages of an excavator on the OPERA platform's control bus: J1939 identifiers of 29 bits,
1 Mbit/s. The database is [com3.dbc](../../hardware/kuwa_hardware/com3/com3.dbc), written from the
set that PWRI published on 2023-08-15, in our words; two misspelt words in its signals' names are
put right (angular, assist). [How to run on such a machine](../how-to/run-on-a-com3-machine.md).

Signals are unsigned and little endian; a physical value is raw · scale + offset. In signals with a
unit the top of the raw range is no value, as SAE J1939-71 has it: in whole bytes a top byte of 0xFE
is an error and 0xFF "not available", in other widths the two highest numbers are. Bits that no
signal names are sent as 0.
"""
WHO = {"controller": "the controller (Kuwa)", "machine": "the machine"}


def page(note: str, machines: Path) -> str:
    """Return ``docs/reference/com3.md``.

    Args:
        machines: folder of the machines.
    """
    database = cantools.database.load_file(FILE)
    assert isinstance(database, Database)
    table = messages().values()
    lines = ["# COM3", "", note, *HEAD.splitlines(), ""]
    lines += ["| message | identifier | group | from | every | |", "|---|---|---|---|---|---|"]
    lines += [
        f"| [{m.name}](#{m.name.lower()}) | `{m.id:08X}` | {m.pgn} | {WHO[m.sender]} "
        f"| {1e3 * m.cycle:.0f} ms | {m.comment} |"
        for m in table
    ]
    for message in database.messages:
        lines += ["", *_section(message)]
    for path in sorted(machines.glob(f"*/{NAME}")):
        lines += ["", *_machine(path)]
    return "\n".join([*lines, ""])


def _section(message: Message) -> list[str]:
    lines = [
        f"## {message.name}", "",
        "| signal | bits | scale | offset | range | unit | |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for s in message.signals:
        low, high = _number(s.minimum), _number(s.maximum)
        lines.append(
            f"| `{s.name}` | {s.start}–{s.start + s.length - 1} | {_number(s.scale)} "
            f"| {_number(s.offset)} | {low} to {high} | {s.unit or '–'} | {_meaning(s)} |"
        )
    return lines


def _machine(path: Path) -> list[str]:
    """Return how one machine's joints speak."""
    data = load_data(path, Com3Map, MachineError)
    how = "pilot pressures" if data.mode == "effort" else "velocities"
    external = ", ".join(map(str, data.external))
    lines = [
        f"## Joints of {path.parent.name}", "",
        f"Commands go out as {how}; a full one is {1e-6 * data.pilot.full:g} MPa. `control_state` "
        f"{external} is external control. The driver needs {', '.join(data.watched)}.", "",
        "| joint | angle | sign | scale | offset | positive | negative | head, A | rod, B |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, j in data.joints.items():
        lines.append(
            f"| {name} | `{j.angle}` | {j.sign:+d} | {j.scale:g} | {j.offset:g} rad "
            f"| `{j.positive.command}` | `{j.negative.command}` | `{j.pressures[0]}` "
            f"| `{j.pressures[1]}` |"
        )
    return lines


def _meaning(signal: Signal) -> str:
    choices = ", ".join(f"{value} {word}" for value, word in sorted((signal.choices or {}).items()))
    return " ".join(filter(None, [signal.comment or "", choices]))


def _number(value: float | int | None) -> str:
    return "–" if value is None else f"{float(value):.10g}".replace("e+06", " · 10⁶")
