"""The page of the failure table."""

from __future__ import annotations

from collections import Counter

from kuwa_hardware.failures import Failure, table

REACTIONS = {
    "refuse": "what came is not taken; what was in force goes on",
    "limit": "what was asked for is cut down to what is safe",
    "hold": "the joints are brought to rest and held",
    "neutral": "valves in neutral",
    "stopped": "valves in neutral, latched until a person releases it",
    "warn": "the work goes on, people are told",
}
RECOVERY = {
    "self": "by itself",
    "person": "a person acts",
    "restart": "the node is started again, once nothing may move",
}


def page(note: str) -> str:
    """Return the page."""
    groups = table().groups
    count = sum(len(rows) for rows in groups.values())
    kinds = Counter(row.reaction.value for rows in groups.values() for row in rows.values())
    lines = [
        "# What can fail, and what happens then",
        "",
        note,
        f"The {count} rows of `hardware/kuwa_hardware/failures/table.yaml`. The running stack",
        "takes its time-outs from them, and `tests/safety` makes each fault happen, measures how",
        "long the reaction takes and sees how the stack goes on; a row without a test that passes",
        "fails the build.",
        "",
        "*Found within* is the time-out of the detection, 0 where it is found at the message or",
        "step itself. *Reaction within* is from the fault on: the bound of the row's test.",
        "",
        "| reaction | meaning | rows |",
        "|---|---|---|",
        *(f"| {name} | {words} | {kinds[name]} |" for name, words in REACTIONS.items()),
        "",
    ]
    for group, rows in groups.items():
        lines += [
            f"## {group.capitalize()}",
            "",
            "| row | fault | who finds it, by what | found within | reaction | reaction within "
            "| goes on | what a person can do | sets |",
            "|---|---|---|---|---|---|---|---|---|",
            *(_line(code, row) for code, row in rows.items()),
            "",
        ]
    return "\n".join(lines)


def _line(code: str, row: Failure) -> str:
    sets = f"`{row.sets}`" if row.sets else "–"
    return (
        f"| `{code}` | {row.fault} | {row.detector}: {row.detection} | {_time(row.timeout_ms)} "
        f"| {row.reaction.value} | {_time(row.within_ms)} | {RECOVERY[row.recovery]} "
        f"| {row.remedy} | {sets} |"
    )


def _time(ms: float) -> str:
    if not ms:
        return "0"
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"
