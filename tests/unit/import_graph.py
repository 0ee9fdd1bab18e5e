"""Who imports whom, read from the syntax trees of a checkout: nothing is imported to find out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOMS = ("machines", "sim", "policies", "hardware", "cli")


@dataclass
class Module:
    """The imports of one module: all of them, and those that run when it is imported."""

    name: str
    path: Path
    imports: set[str] = field(default_factory=set)
    at_import: set[str] = field(default_factory=set)

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


def package_folders(root: Path) -> dict[str, Path]:
    """Every Python package of ours in a checkout, by import name."""
    folders = [path for room in ROOMS for path in (root / room).glob("kuwa_*")]
    folders += [path for path in (root / "ros2_ws/src").glob("kuwa_*/kuwa_*") if path.is_dir()]
    return {path.name: path for path in sorted(folders) if (path / "__init__.py").exists()}


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _statements(body: list[ast.stmt], running: bool) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement with whether it runs on import."""
    for node in body:
        yield node, running
        inside = running and not _is_type_checking(node)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inside = False
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            for child in getattr(node, name, []):
                if isinstance(child, ast.ExceptHandler | ast.match_case):
                    yield from _statements(child.body, inside)
                else:
                    # The else branch of `if TYPE_CHECKING` does run.
                    runs = running if name == "orelse" and _is_type_checking(node) else inside
                    yield from _statements([child], runs)


def _targets(node: ast.stmt, module: str, is_package: bool) -> Iterator[tuple[str, str | None]]:
    """What an import statement names: (module, name taken from it or None)."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield alias.name, None
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = module.split(".")
            parts = parts[: len(parts) - node.level + (1 if is_package else 0)]
            base = ".".join([*parts, base] if base else parts)
        for alias in node.names:
            yield base, alias.name


def read_modules(root: Path) -> dict[str, Module]:
    """Read every module of ours; ``from package import module`` counts as the module."""
    files = {}
    for package, folder in package_folders(root).items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            name = ".".join([package, *(p for p in parts if p != "__init__")])
            files[name] = path
    modules = {}
    for name, path in files.items():
        module = modules[name] = Module(name, path)
        tree = ast.parse(path.read_text(), str(path))
        for node, runs in _statements(tree.body, True):
            for base, taken in _targets(node, name, path.name == "__init__.py"):
                target = f"{base}.{taken}" if taken and f"{base}.{taken}" in files else base
                module.imports.add(target)
                if runs:
                    module.at_import.add(target)
    return modules


def reachable(modules: dict[str, Module], package: str) -> dict[str, str]:
    """Everything that importing ``package`` can bring in, each with the module that asks for it.

    Lazy imports count. So do the ``__init__`` of every package on the way to a module.
    """
    found: dict[str, str] = {}
    todo = [(name, name) for name in modules if name.partition(".")[0] == package]
    while todo:
        name, asker = todo.pop()
        if name in found:
            continue
        found[name] = asker
        if "." in name:
            todo.append((name.rpartition(".")[0], asker))
        if name in modules:
            todo += [(target, name) for target in modules[name].imports]
    return found


def cycles(modules: dict[str, Module]) -> list[list[str]]:
    """Groups of modules that import each other while they are being imported (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in modules[name].at_import:
            if target not in modules:
                continue
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            at = stack.index(name)
            group = stack[at:]
            del stack[at:]
            if len(group) > 1 or name in modules[name].at_import:
                groups.append(sorted(group))

    for name in modules:
        if name not in index:
            visit(name)
    return groups
