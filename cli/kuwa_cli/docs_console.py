"""The reference page of the operator's console: patterns, keys, buttons, joysticks."""

from __future__ import annotations

from collections.abc import Iterator

from kuwa_hardware.operator.controls import controls
from kuwa_hardware.operator.layouts import Layout, layouts
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.operator import LEVERS, OperatorFile, load_operator


def page(note: str) -> str:
    """Return the page."""
    lines = [
        "# The operator's console",
        "",
        note,
        "How to drive: [the tutorial](../tutorial/drive-it-yourself.md). How to connect sticks:",
        "[the guide](../how-to/teleoperate.md). Why it is safe:",
        "[the explanation](../explanation/console.md). The parameters of the node are with",
        "[those of the others](parameters.md), under `teleop`.",
        "",
        "## Keys and buttons",
        "",
        "Of the page; a gamepad is one that browsers know as *standard*.",
        "",
        "| | keys | gamepad |",
        "|---|---|---|",
        *(f"| {c.does} | {c.keys or '–'} | {c.gamepad or '–'} |" for c in controls()),
        "",
        "## Control patterns",
        "",
        "Each machine's are in its folder, `operator.yaml`. x: right is +; y: away is +.",
        "",
        *_patterns(),
        "## Joysticks on the topic `joy`",
        "",
        "From `hardware/kuwa_hardware/operator/layouts.yaml`; axes are positive to the left and",
        "away from the operator, as the nodes of the `joy` package have them.",
        "",
        "| layout | " + " | ".join(LEVERS) + " | deadman | arm, stop, planner, record, discard |",
        "|---" * (len(LEVERS) + 3) + "|",
        *(_layout(name, each) for name, each in layouts().items()),
        "",
    ]
    return "\n".join(lines)


def _patterns() -> Iterator[str]:
    seen: dict[str, OperatorFile] = {}
    of: dict[str, list[str]] = {}
    for name in sorted(machine_folders()):
        file = load_operator(load_machine(name))
        key = file.model_dump_json()
        seen[key] = file
        of.setdefault(key, []).append(name)
    for key, file in seen.items():
        yield f"### {', '.join(of[key])}"
        yield ""
        for name, pattern in file.patterns.items():
            default = ", the default" if name == file.default else ""
            yield f"**{pattern.title}** (`{name}`{default}): {pattern.follows}."
            yield ""
            yield "| lever | − | + | joints |"
            yield "|---|---|---|---|"
            for lever, use in pattern.levers.items():
                joints = ", ".join(f"`{j}` {gain:+g}" for j, gain in use.joints.items())
                yield f"| {lever.replace('_', ' ')} | {use.negative} | {use.positive} | {joints} |"
            yield ""


def _layout(name: str, each: Layout) -> str:
    cells = []
    for lever in LEVERS:
        at = getattr(each, lever)
        if at.axis is None:
            cells.append(f"buttons {at.minus}, {at.plus}")
        else:
            cells.append(f"axis {at.axis}{', turned' if at.sign < 0 else ''}")
    held = " or ".join(str(k) for k in each.deadman)
    others = ", ".join(
        str(each.buttons[a]) if a in each.buttons else "–"
        for a in ("arm", "stop", "auto", "record", "discard")
    )
    return f"| `{name}`: {each.title} | {' | '.join(cells)} | {held} | {others} |"
