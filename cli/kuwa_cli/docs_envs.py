"""The reference page of the environments, from the table of which their observations are made."""

from __future__ import annotations

from kuwa_machines.loader import load_machine
from kuwa_sim.envs import env_ids, layout
from kuwa_sim.envs import progress as progress_module
from kuwa_sim.envs.environment import Rewards
from kuwa_sim.scenario import Scenario, load_scenario

INTRODUCTION = """\
How to use them: [train in the environments](../how-to/train-in-the-environments.md). A number
outside its range is held at the range's end. What a machine cannot tell is zero. "Task" is the
task's frame: level, its origin in the middle of the rectangle on the ground as it was at the start,
x along the length; of a way the origin is its first point, x its first direction. "Machine" is the
frame of the undercarriage: x forward, y left, z up.
"""


def page(note: str) -> str:
    """Return the page."""
    lines = ["# Environments", "", note, INTRODUCTION]
    lines += ["| environment | scenario | action | observation of |", "|---|---|---|---|"]
    scenarios = {name: load_scenario(scenario) for name, scenario in env_ids().items()}
    for name, scenario in scenarios.items():
        spec = load_machine(scenario.lead.machine)
        seen = ", ".join(f"`{name}`" for name in layout.chosen(spec, None))
        if spec.sensors.cameras:
            seen += "; on request " + ", ".join(f"`camera_{name}`" for name in spec.sensors.cameras)
        lines.append(f"| `{name}` | {scenario.title} | {len(spec.joints)} | {seen} |")
    lines += ["", "## Progress and reward", "", _plain(progress_module.__doc__), ""]
    weights = Rewards()
    lines += [
        f"The reward of a step is {weights.progress:g} × the change of progress"
        f" − {weights.effort:g} × its seconds × the mean square of the action,"
        f" + {weights.success:g} at success, − {weights.failure:g} at failure.",
        "",
    ]
    for name, scenario in scenarios.items():
        lines += _environment(name, scenario)
    return "\n".join(lines)


def _plain(text: str | None) -> str:
    return (text or "").strip()


def _environment(name: str, scenario: Scenario) -> list[str]:
    """Return the section of one environment."""
    spec = load_machine(scenario.lead.machine)
    assert scenario.lead.task is not None
    task = scenario.lead.task.task
    grid = scenario.ground.grid
    lines = [f"## {name}", "", f"{scenario.title}. Truncated after {scenario.duration_s:g} s."]
    lines += ["", f"Action: {', '.join(f'`{joint}`' for joint in spec.joints)}.", ""]
    lines += ["| modality | # | number | unit | from | to | |", "|---|---|---|---|---|---|---|"]
    chosen = layout.chosen(spec, None)
    for modality, entries in layout.vectors(spec, task, grid, chosen).items():
        for k, entry in enumerate(entries):
            lines.append(
                f"| `{modality}` | {k} | `{entry.name}` | {entry.unit} | {entry.low:.4g} | "
                f"{entry.high:.4g} | {entry.text} |"
            )
    if "terrain" in chosen:
        rows, columns = layout.PATCH
        patch = layout.extent(task)
        lines.append(
            f"| `terrain` | {rows} × {columns} | height above the task's origin | m | "
            f"{-layout.PATCH_DEPTH:g} | {layout.PATCH_DEPTH:g} | rows x {patch[0]:g} to "
            f"{patch[1]:g} m, columns y {patch[2]:g} to {patch[3]:g} m, "
            f"{'machine' if task.path else 'task'} |"
        )
    for camera, data in spec.sensors.cameras.items():
        lines.append(
            f"| `camera_{camera}` | {data.height} × {data.width} × 3 | red, green, blue | 1 | 0 | "
            "255 | on request; black before the first picture |"
        )
    return [*lines, ""]
