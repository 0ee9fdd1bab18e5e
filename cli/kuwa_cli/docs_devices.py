"""The reference page of the non-idealities, from their table."""

from __future__ import annotations

from kuwa_policies.devices.nonidealities import TABLE, Flaws


def page(note: str) -> str:
    """Return ``docs/reference/devices.md``."""
    lines = ["# Non-idealities of devices", "", note]
    lines += [
        "What can be wrong with analogue hardware, as "
        "[the table](../../policies/kuwa_policies/devices/nonidealities.py) has it. ĝ is what was",
        "programmed, g what is there, ξ a standard normal number. The severities are those of "
        "`./kuwa bench devices`;",
        "[what comes of them](../explanation/devices.md).",
        "",
        "| name | acts on | law | parameter | unit | allowed | severities | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in TABLE:
        low, high = row.limits
        sweep = ", ".join(f"{value:g}" for value in row.sweep)
        law = row.law.replace("|", "\\|")
        lines.append(
            f"| `{row.name}` | {row.acts_on} | {law} | {row.symbol} | {row.unit} | "
            f"{low:g} to {high:g} | {sweep} | {row.source} |"
        )
    lines += ["", f"`age` [s], {Flaws().age:g} by default, is how long ago the weights were "
              "programmed; drift counts from there.", ""]  # fmt: skip
    return "\n".join(lines)
