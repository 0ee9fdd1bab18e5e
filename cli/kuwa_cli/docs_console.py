"""The reference page of the operator's console: patterns, keys, buttons, joysticks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from kuwa_hardware.operator.controls import controls
from kuwa_hardware.operator.layouts import Action, Layout, layouts
from kuwa_machines.loader import load_machine, machine_folders
from kuwa_machines.operator import LEVERS, OperatorFile, load_operator

BUTTONS: Final[dict[Action, str]] = {a: {"auto": "planner"}.get(a, a) for a in get_args(Action)}
"""What is in the table of layouts for each button."""


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
        "| layout | " + " | ".join((*LEVERS, "deadman", *BUTTONS.values())) + " |",
        "|---" * (1 + len(LEVERS) + 1 + len(BUTTONS)) + "|",
        *(_layout(name, each) for name, each in layouts().items()),
        "",
        "The buttons of the recorder do what they do on a gamepad above: *record* starts an",
        "episode and ends it as a success; *end* ends it and leaves the label for later; *again*",
        "does the open one over or, with none open, takes back the last saved one. *End* and",
        "*again* count only with the deadman let go.",
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
    cells += [held, *(str(each.buttons.get(action, "–")) for action in BUTTONS)]
    return f"| `{name}`: {each.title} | {' | '.join(cells)} |"
