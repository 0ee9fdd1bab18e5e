"""``kuwa test``: style, types and tests, one after the other, with one summary at the end."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import typer

# Unknown options belong to pytest.
CONTEXT_SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True}

_ROOT = Path(__file__).resolve().parents[2]
_COLOUR = re.compile(rb"\x1b\[[0-9;]*m")
# "=== 3 passed in 0.12s ===" or, with -q, the same without the bars.
_CLOSING = re.compile(rb"^(=+ )?((\d+ [a-z]+|no tests ran)(, )?)+ in (?P<seconds>[\d.]+)s.*$")
_COUNT = re.compile(r"(\d+) ([a-z]+)")
_INTERRUPTED = 2
"""What pytest returns after Ctrl-C."""

SLOWEST = ["--durations=12", "--durations-min=5"]
ALONE = "tests alone"
PARTS = {
    "tests side by side": ["-m", "not alone", "-n", "auto", "--dist", "worksteal", *SLOWEST],
    ALONE: ["-m", "alone", *SLOWEST],
}
"""What measures time or starts many processes runs by itself, the rest on all processors."""

CHECKS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "shellcheck": ["shellcheck", "-x", "kuwa", "cli/setup.sh", ".ci/run"],
    "hadolint": ["hadolint", "Dockerfile"],
}


def _run_check(name: str, arguments: list[str]) -> bool:
    """Run a checker, quiet when it is content; return whether it was."""
    start = time.monotonic()
    program = Path(sys.executable).with_name(arguments[0])
    if name == "hadolint" and not program.exists():  # There is no wheel of it for every processor.
        print(f"{name:<12} left out: not available for {platform.machine()}", flush=True)
        return True
    done = subprocess.run(
        [str(program), *arguments[1:]],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - start
    word, said = ("ok", "") if done.returncode == 0 else ("FAILED", f"\n{done.stdout}")
    # In one go: others run beside it.
    print(f"{name:<12} {word}  {seconds:.1f} s{said}\n", end="", flush=True)
    return done.returncode == 0


def _run_pytest(arguments: list[str]) -> tuple[int, str]:
    """Run pytest, passing its output on as it comes; return its status and its closing line."""
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *colour, *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    tail = b""
    try:
        # Not by lines: pytest's dots should appear one by one.
        while piece := process.stdout.read1(4096):  # type: ignore[attr-defined]
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            tail = (tail + piece)[-4096:]
        status = process.wait()
    except KeyboardInterrupt:
        # The terminal has sent it to pytest as well, which now takes down what its tests started.
        status = process.wait()
    for line in reversed(_COLOUR.sub(b"", tail).splitlines()):
        if _CLOSING.match(line):
            return status, line.decode()
    return status, f"pytest ended without a closing line, status {status}"


def _run_again_what_a_stall_failed(arguments: list[str]) -> tuple[int, str]:
    """Run pytest; once more, alone, what failed while the computer itself stood still.

    Limits of tenths of a second say nothing on a virtual machine that was given no time meanwhile.
    What failed without such a stall has failed, and so has what fails again.
    """
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder, "stalls.txt")
        status, closing = _run_pytest([*arguments, "--stalls", str(listed)])
        lines = listed.read_text().splitlines() if listed.is_file() else []
    told = dict(line.split("\t")[::-1] for line in lines)
    passed = forgiven(closing, len(told)) if told and status == 1 else ""
    if not passed:
        return status, closing
    print("\nfailed while the computer stood still; once more:", flush=True)
    for test, seconds in told.items():
        print(f"  {test} ({float(seconds):.2f} s)", flush=True)
    again, _ = _run_pytest([*told, *(["--full"] if "--full" in arguments else [])])
    return (0, passed) if again == 0 else (again, closing)


def forgiven(closing: str, count: int) -> str:
    """Return a closing line in which ``count`` failures have passed, or ``""`` if more failed."""
    head, _, seconds = closing.rpartition(" in ")
    counts = {what: int(number) for number, what in _COUNT.findall(head)}
    if sum(counts.pop(what, 0) for what in ("failed", "error", "errors")) != count:
        return ""
    counts["passed"] = counts.get("passed", 0) + count
    return ", ".join(f"{number} {what}" for what, number in counts.items()) + f" in {seconds}"


def together(closings: list[str]) -> str:
    """Return one closing line for those of several runs of pytest, in its own words."""
    if len(closings) == 1:
        return closings[0]
    counts: dict[str, int] = {}
    seconds = 0.0
    for line in closings:
        match = _CLOSING.match(line.encode())
        if match is None:
            return line
        head, _, _ = line.rpartition(" in ")
        for number, what in _COUNT.findall(head):
            if what != "deselected":  # one part's are the other's
                counts[what] = counts.get(what, 0) + int(number)
        seconds += float(match["seconds"])
    told = ", ".join(f"{number} {what}" for what, number in counts.items())
    return f"{told or 'no tests ran'} in {seconds:.2f}s"


def command(
    context: typer.Context,
    full: bool = typer.Option(False, "--full", help="Run the long tests as well."),
    checks: bool = typer.Option(True, help="Run ruff and mypy before the tests."),
) -> None:
    """Run ruff, mypy and the tests.

    Anything else goes to pytest: kuwa test tests/unit -k gate.
    """
    failed = []
    if checks:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            content = pool.map(_run_check, CHECKS, CHECKS.values())
        failed += [name for name, passed in zip(CHECKS, content, strict=True) if not passed]
    chosen = (["--full"] if full else []) + context.args
    lines = []
    for name, arguments in ({"pytest": []} if context.args else PARTS).items():
        print(f"\n{name}", flush=True)
        run = _run_again_what_a_stall_failed if name == ALONE else _run_pytest
        status, closing = run([*arguments, *chosen])
        lines.append(closing)
        if status != 0:
            failed.append(name)
        if status == _INTERRUPTED:
            break
    print()
    print(f"FAILED: {', '.join(failed)}" if failed else "Everything passed.")
    print(together(lines))
    sys.exit(1 if failed else 0)
