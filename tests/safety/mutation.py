"""Takes one guard at a time out of the safety code and asks whether a test notices.

A guard is an ``if`` whose condition is made false, or a ``min``, ``max`` or ``clip`` of which only
the value that it bounds is left. An ``if`` that guards nothing (a short cut for speed, words for
people) says so on its line with ``# no guard: why``.

Every mutant runs in a process of its own, forked from one that has the slow imports behind it, and
is given to the tests through an import hook: no file is touched. Compiled modules run as Python: to
compile each mutant would take a minute. The tests must pass on the whole code, and in a third of
the time that a mutant is given: a test that fails or hangs anyway notices nothing. Run it with

    ./kuwa exec python tests/safety/mutation.py [part of a file's name ...]
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
HARDWARE = ROOT / "hardware" / "kuwa_hardware"
MARK = "# no guard:"
BOUNDS = {"min", "max", "minimum", "maximum", "clip", "fmin", "fmax"}
TIMEOUT_S = 480
PASSED = (0, 5)
"""What pytest returns if everything passed, or no test was there: nobody has noticed."""
COMPILED = "kernels"


@dataclass(frozen=True)
class Mutant:
    """One guard to take out.

    Args:
        path: of the module. line, column: of the guard. what: its source, shortened.
    """

    path: Path
    line: int
    column: int
    what: str

    @property
    def module(self) -> str:
        """Its name for ``import``."""
        parts = self.path.relative_to(HARDWARE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.what}"


class _Remove(ast.NodeTransformer):
    """Takes the guard at one place out."""

    def __init__(self, line: int, column: int) -> None:
        self.at = (line, column)
        self.done = False

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if (node.lineno, node.col_offset) == self.at:
            self.done = True
            node.test = ast.copy_location(ast.Constant(False), node.test)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if (node.lineno, node.col_offset) == self.at and _bounds(node):
            self.done = True
            return node.args[0]
        return node


def _bounds(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in BOUNDS and len(node.args) >= 2


def guards(path: Path) -> Iterator[Mutant]:
    """Yield every guard of a module."""
    source = path.read_text("utf-8")
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        test = isinstance(node, ast.If) and ast.unparse(node.test) != "TYPE_CHECKING"
        if not (test or (isinstance(node, ast.Call) and _bounds(node))):
            continue
        assert isinstance(node, ast.If | ast.Call)
        end = node.test.end_lineno if isinstance(node, ast.If) else node.end_lineno
        above = lines[node.lineno - 2].strip() if node.lineno > 1 else ""
        told = [*lines[node.lineno - 1 : end], above if above.startswith("#") else ""]
        if any(MARK in line for line in told):
            continue
        what = ast.unparse(node.test if isinstance(node, ast.If) else node)
        yield Mutant(path, node.lineno, node.col_offset, what[:70])


def mutated(mutant: Mutant) -> ast.Module:
    """Return the module without that guard."""
    change = _Remove(mutant.line, mutant.column)
    tree = change.visit(ast.parse(mutant.path.read_text("utf-8")))
    assert change.done, mutant
    return ast.fix_missing_locations(tree)


class _Hook(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Serves the mutated module."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        self.code = compile(mutated(mutant), str(mutant.path), "exec")

    def find_spec(self, name: str, path: object, target: object = None) -> object:
        if name != self.mutant.module:
            return None
        package = self.mutant.path.name == "__init__.py"
        return importlib.machinery.ModuleSpec(
            name, self, origin=str(self.mutant.path), is_package=package
        )

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = str(self.mutant.path)
        if self.mutant.path.name == "__init__.py":
            module.__path__ = [str(self.mutant.path.parent)]
        exec(self.code, module.__dict__)


def caught(mutant: Mutant, tests: Sequence[str]) -> bool:
    """Run the tests without that guard; say whether one fails."""
    child = os.fork()
    if child == 0:
        status = 70
        try:
            status = _run(mutant, tests)
        finally:
            os._exit(status)
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            return code not in PASSED
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True  # a test that hangs is noticed as well


def _run(mutant: Mutant, tests: Sequence[str]) -> int:
    import numba
    import pytest

    os.setpgid(0, 0)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if mutant.path.parent.name == COMPILED:
        # What was compiled from the whole module must not be taken for the mutant.
        numba.config.DISABLE_JIT = True
    if mutant.line:
        # Whoever runs this may have the whole module: it, and all that has it, is imported anew.
        for name in [name for name in sys.modules if name.startswith("kuwa_")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Hook(mutant))
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not ros and not full"]
    for one in tests:
        code = int(pytest.main([*options, *one.split()]))
        if code not in PASSED:
            return code
    return 0


def survivors(mutants: Sequence[Mutant], tests: Sequence[str]) -> Iterator[tuple[Mutant, bool]]:
    """Yield every mutant and whether it was caught."""
    import hypothesis  # noqa: F401
    import numba  # noqa: F401
    import numpy  # noqa: F401
    import pydantic  # noqa: F401
    import scipy.spatial  # noqa: F401
    import yaml  # noqa: F401

    for mutant in mutants:
        yield mutant, caught(mutant, tests)


def check(file: Path, tests: Sequence[str]) -> None:
    """Run the tests on the whole code as they will be run on its mutants.

    Raises:
        RuntimeError: they fail or take too long, so that they would notice anything.
    """
    began = time.monotonic()
    failed = caught(Mutant(file, 0, 0, "nothing"), tests)
    took = time.monotonic() - began
    if failed or took > TIMEOUT_S / 3:
        state = "fail" if failed else f"take {took:.0f} s"
        raise RuntimeError(f"{', '.join(tests)} {state} on the whole {file.name}")


_GATE = ("tests/unit/test_gate.py", "tests/unit/test_gate_limits.py", "tests/safety")
SUBJECTS: dict[str, tuple[str, ...]] = {
    "modes": ("tests/unit/test_modes.py", "tests/unit/test_gate.py"),
    "envelope": ("tests/unit/test_envelope.py",),
    **dict.fromkeys(("freshness", "seals"), ("tests/unit/test_seals.py",)),
    "latch": ("tests/unit/test_latch.py", "tests/unit/test_gate.py"),
    "watchdog": ("tests/unit/test_watchdog.py",),
    "watch": ("tests/unit/test_gate_watch.py", *_GATE),
    "hold": ("tests/unit/test_hold.py", *_GATE),
    "monitors": ("tests/unit/test_monitors.py", *_GATE),
    **dict.fromkeys(("faults", "intake", "keepout", "bodies"), _GATE),
    "bounds": ("tests/unit/test_gate_flow.py", *_GATE),
    "gate": ("tests/unit/test_latch.py", *_GATE),
    "operator": ("tests/unit/test_operator.py",),
    "blackbox": ("tests/unit/test_blackbox.py",),
    "com3/codec": ("tests/unit/test_com3_codec.py",),
    **dict.fromkeys(("com3/link", "com3/supervision"), ("tests/unit/test_com3_link.py",)),
    "com3/driver": (
        "tests/unit/test_com3_driver.py",
        "tests/unit/test_com3_machine.py",
        "tests/contract/test_robots.py -k com3",
    ),
    "com3/listener": (
        "tests/unit/test_com3_listener.py",
        "tests/unit/test_com3_driver.py",
        "tests/unit/test_com3_machine.py",
    ),
    **dict.fromkeys(
        (f"com3/{name}" for name in ("mapping", "oil", "pose")),
        ("tests/unit/test_com3_data.py", "tests/unit/test_com3_driver.py"),
    ),
    **dict.fromkeys(
        (
            f"isobus/{name}"
            for name in (
                "codec",
                "commands",
                "driver",
                "feedback",
                "geometry",
                "mapping",
                "supervision",
            )
        ),
        (
            "tests/unit/test_isobus.py",
            "tests/unit/test_isobus_driver.py",
            "tests/contract/test_robots.py -k isobus",
        ),
    ),
    "j1939": ("tests/unit/test_j1939.py", "tests/unit/test_isobus_driver.py"),
    "canopen_sensors/robot": ("tests/unit/test_canopen_robot.py",),
    **dict.fromkeys(
        ("canopen_sensors/config", "canopen_sensors/sensors"),
        ("tests/unit/test_canopen_sensors.py",),
    ),
    "preflight": (
        "tests/unit/test_preflight_record.py",
        "tests/unit/test_preflight_still.py",
        "tests/unit/test_preflight_motion.py",
        "tests/unit/test_preflight.py",
    ),
    COMPILED: (*_GATE[:2], "tests/unit/test_gate_braking.py"),
}
"""Module or package of ``kuwa_hardware`` → tests that answer for its guards, the quickest first."""


def all_guards(
    names: Sequence[str] = (), subjects: Iterable[str] = tuple(SUBJECTS)
) -> Iterator[tuple[Mutant, bool]]:
    """Yield every guard of the safety code, or of some of its files, and whether it was missed."""
    for subject in subjects:
        tests = SUBJECTS[subject]
        path = HARDWARE / subject
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            if not names or any(name in str(file) for name in names):
                check(file, tests)
                yield from survivors(list(guards(file)), tests)


def main(names: Sequence[str]) -> int:
    """Print who survived; return how many."""
    alive = count = 0
    for mutant, noticed in all_guards(names):
        count += 1
        alive += not noticed
        print("caught  " if noticed else "SURVIVED", mutant, flush=True)
    print(f"{count - alive} of {count} guards are watched by a test")
    return alive


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(1 if main(sys.argv[1:]) else 0)
