"""The reference page of ISOBUS, from its database and the machines' files."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

from cantools.database.can import Message
from cantools.database.can.signal import Signal

from kuwa_hardware.isobus import codec
from kuwa_hardware.isobus.mapping import FILE, Mapping
from kuwa_machines.datafile import load_data

HEAD = """\
What Kuwa says and hears on a tractor's ISOBUS: ISO 11783 on J1939 identifiers of 29 bits,
250 kbit/s. The database is [isobus.dbc](../../hardware/kuwa_hardware/isobus/isobus.dbc), written
in our words from the public data dictionary of ISO 11783-7 (isobus.net); SPN is its number there.
[How to run on such a tractor](../how-to/run-on-an-isobus-tractor.md).

**None of it was ever run on a real tractor.** What public sources do not say, and is therefore an
assumption of ours:

* the values of the resolution mode of an auxiliary valve's command (1: the extended flow counts);
* the place of the limit status in an auxiliary valve's estimated flow;
* 0 and 1 of a machine's direction (reverse, forward), and that a ground-based speed is laid out as
  a wheel-based one;
* that a commander may send more often than every 100 ms; a public manual says so of guidance only;
* the function codes in our NAMEs;
* every time-out but guidance's: the standard's text is not public.

Signals are little endian; a physical value is raw · scale + offset. Above its range a signal says
"error" or "not available", as SAE J1939-71 has it. Bits that no signal names are ones.

Messages whose name begins with **Emulated** are not ISOBUS at all. They are Kuwa's own, sent and
understood by Kuwa's emulated tractor only: an ISOBUS tractor lets no commander drive its wheels
without a certified TIM (tractor implement management), which is not to be had here, and it does not
tell joint angles a hundred times a second.
"""
NUMBER = re.compile(r"\d+")


def page(note: str, machines: Path) -> str:
    """Return ``docs/reference/isobus.md``.

    Args:
        machines: folder of the machines.
    """
    lines = ["# ISOBUS", "", note, *HEAD.splitlines(), ""]
    lines += ["| message | group | from | every | |", "|---|---|---|---|---|"]
    families = [list(family) for _, family in groupby(_sorted(), key=_family)]
    for family in families:
        first, name = family[0], _title(family)
        known = codec.messages()[first.name]
        pgn = f"{known.pgn}"
        if len(family) > 1:
            pgn += f"–{codec.messages()[family[-1].name].pgn}"
        sender = "commander (Kuwa)" if first.senders == ["Commander"] else "tractor"
        lines.append(
            f"| [{name}](#{name.lower()}) | {pgn} | {sender} "
            f"| {1e3 * known.period:.0f} ms | {first.comment or ''} |"
        )
    for family in families:
        lines += ["", *_section(_title(family), family[0])]
    for path in sorted(machines.glob(f"*/{FILE}")):
        lines += ["", *_machine(path)]
    return "\n".join([*lines, ""])


def _sorted() -> list[Message]:
    return sorted(codec.database().messages, key=lambda m: codec.messages()[m.name].pgn)


def _family(message: Message) -> str:
    return NUMBER.sub("N", message.name)


def _title(family: list[Message]) -> str:
    return _family(family[0]) if len(family) > 1 else family[0].name


def _section(title: str, message: Message) -> list[str]:
    lines = [
        f"## {title}", "",
        "| signal | bits | scale | offset | unit | SPN | |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    # The SPN of a valve's signals differs from valve to valve.
    lines += [_signal(signal) for signal in message.signals]
    return lines


def _signal(signal: Signal) -> str:
    spn = f"{signal.spn}" if signal.spn else ""
    words = [str(signal.comment)] if signal.comment else []
    if signal.choices:
        words.append(", ".join(f"{k}: {v}" for k, v in sorted(signal.choices.items())))
    bits = f"{signal.start}–{signal.start + signal.length - 1}"
    sign = "signed" if signal.is_signed else ""
    return (
        f"| `{signal.name}` | {bits} {sign} | {signal.scale:g} | {signal.offset:g} "
        f"| {signal.unit or ''} | {spn} | {'; '.join(words)} |"
    )


def _machine(path: Path) -> list[str]:
    mapping = load_data(path, Mapping, codec.IsobusError)
    lines = [
        f"## {path.parent.name}", "",
        f"Tractor at address {mapping.tractor.address}, commander at {mapping.commander.address}.",
        "",
        "| joint | function | angle from | command every | neutral after | full stroke |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for joint, function in mapping.functions.items():
        what: str = function.type
        for key in ("side", "valve", "channel"):
            if hasattr(function, key):
                what += f" {getattr(function, key)}"
        stroke = getattr(function, "full_stroke", None)
        lines.append(
            f"| `{joint}` | {what} | {function.feedback} | {1e3 * function.period:.0f} ms "
            f"| {1e3 * function.timeout:.0f} ms | {'' if stroke is None else f'{stroke:g} rad'} |"
        )
    return lines
