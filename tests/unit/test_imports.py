"""The arrows between rooms hold, nothing imports in a circle, and control stays light."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from import_graph import cycles, package_folders, reachable, read_modules

ROOT = Path(__file__).resolve().parents[2]
MODULES = read_modules(ROOT)

ROS = {
    "rclpy",
    "ament_index_python",
    "launch",
    "launch_ros",
    "kuwa_msgs",
    "com3_msgs",
    "builtin_interfaces",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "nav_msgs",
    "rcl_interfaces",
    "rosgraph_msgs",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "trajectory_msgs",
    "visualization_msgs",
}
CORES = {"kuwa_machines", "kuwa_sim", "kuwa_policies", "kuwa_hardware"}

# What a package of ours may import from our other packages. A ROS package that is not named here
# is a stage: the rooms and what all nodes share, but no other stage.
ARROWS = {
    "kuwa_machines": set(),
    "kuwa_sim": {"kuwa_machines"},
    "kuwa_policies": {"kuwa_machines"},
    "kuwa_hardware": {"kuwa_machines"},
    "kuwa_ros": CORES,
}
STAGE = CORES | {"kuwa_ros"}
ANYTHING = {"kuwa_bringup", "kuwa_cli"}

FORBIDDEN = {
    "kuwa_machines": ROS | {"mujoco", "torch", "numba"},
    "kuwa_sim": ROS,
    "kuwa_policies": ROS | {"mujoco"},
    "kuwa_hardware": ROS | {"mujoco", "torch"},
}
LIGHT = ("kuwa_control", "kuwa_safety")

PACKAGES = sorted(package_folders(ROOT))


def top(name: str) -> str:
    return name.partition(".")[0]


def broken_arrows(modules: dict, package: str) -> list[str]:
    """Imports of our packages that ``package`` may not make."""
    if package in ANYTHING:
        allowed = {top(name) for name in modules} - {"kuwa_cli"}
    else:
        allowed = ARROWS.get(package, STAGE)
    ours = {top(name) for name in modules}
    return sorted(
        f"{module.path}: {package} may not import {target}; valid: {', '.join(sorted(allowed))}"
        for module in modules.values()
        if module.package == package
        for target in module.imports
        if top(target) in ours and top(target) not in allowed | {package}
    )


def test_every_room_was_found() -> None:
    assert CORES | {"kuwa_cli"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_point_down(package: str) -> None:
    assert broken_arrows(MODULES, package) == []


@pytest.mark.parametrize("package", sorted(FORBIDDEN))
def test_cores_know_no_ros(package: str) -> None:
    wrong = [
        f"{module.path} imports {target}"
        for module in MODULES.values()
        if module.package == package
        for target in module.imports
        if top(target) in FORBIDDEN[package]
    ]
    assert wrong == []


def test_machines_need_little() -> None:
    allowed = {"kuwa_machines", "numpy", "yaml", "pydantic"} | set(sys.stdlib_module_names)
    used = {top(t) for m in MODULES.values() if m.package == "kuwa_machines" for t in m.imports}
    assert used <= allowed


@pytest.mark.parametrize("package", [name for name in LIGHT if name in PACKAGES])
def test_control_and_safety_stay_light(package: str) -> None:
    found = reachable(MODULES, package)
    heavy = {name: asker for name, asker in found.items() if top(name) in {"torch", "mujoco"}}
    assert heavy == {}


def test_nothing_imports_in_a_circle() -> None:
    assert cycles(MODULES) == []


@pytest.mark.parametrize("path", sorted((ROOT / "launch").glob("*.py")), ids=lambda p: p.name)
def test_launch_files_know_only_the_stack_description(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert not top(name).startswith("kuwa_") or top(name) == "kuwa_bringup", name


@pytest.fixture
def checkout(tmp_path: Path):
    """A small checkout to break rules in: a function that writes a module and reads them all."""

    def write(**sources: str) -> dict:
        for name, source in sources.items():
            package, _, module = name.partition("__")
            room = {"kuwa_sim": "sim", "kuwa_policies": "policies"}.get(
                package, f"ros2_ws/src/{package}"
            )
            folder = tmp_path / room / package
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
            (folder / f"{module}.py").write_text(source)
        return read_modules(tmp_path)

    return write


@pytest.mark.parametrize(
    "source",
    [
        "import kuwa_sim.plant",
        "from kuwa_sim import plant",
        "from kuwa_sim.plant import Plant",
        "def lazy():\n    import kuwa_sim",
        "try:\n    import kuwa_sim\nexcept ImportError:\n    pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import kuwa_sim",
        "class A:\n    from kuwa_sim import plant",
    ],
)
def test_a_forbidden_arrow_is_seen_however_it_is_written(checkout, source: str) -> None:
    modules = checkout(kuwa_sim__plant="", kuwa_policies__plan=source)
    assert len(broken_arrows(modules, "kuwa_policies")) == 1


def test_a_stage_may_not_import_another_stage(checkout) -> None:
    modules = checkout(kuwa_control__node="import kuwa_planning.node", kuwa_planning__node="")
    assert broken_arrows(modules, "kuwa_control")


def test_a_heavy_import_is_seen_through_others(checkout) -> None:
    modules = checkout(
        kuwa_control__node="from kuwa_policies import track",
        kuwa_policies__track="from .learn import f",
        kuwa_policies__learn="def f():\n    import torch",
    )
    assert reachable(modules, "kuwa_control")["torch"] == "kuwa_policies.learn"


TYPES_ONLY = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    "


@pytest.mark.parametrize(
    ("source", "circle"),
    [
        ("from kuwa_sim import a", True),
        ("from . import a", True),
        ("import kuwa_sim.a", True),
        ("def f():\n    from kuwa_sim import a", False),
        (f"{TYPES_ONLY}from kuwa_sim import a", False),
        (f"{TYPES_ONLY}pass\nelse:\n    from . import a", True),
    ],
)
def test_circles(checkout, source: str, circle: bool) -> None:
    modules = checkout(kuwa_sim__a="import kuwa_sim.b", kuwa_sim__b=source)
    assert bool(cycles(modules)) is circle
