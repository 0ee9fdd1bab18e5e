"""``kuwa doctor``: what was found on this computer, what is wrong, and what to do about it.

The checks use the standard library alone, and look at everything else from child processes: the
doctor must still speak when the environment is half installed, or when a library crashes.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from kuwa_cli.doctor_checks import CHECKS, Finding, examine

_MARK = {"ok": "ok", "warn": "note", "bad": "WRONG"}
_COLOUR = {"ok": "green", "warn": "yellow", "bad": "bold red"}


def diagnose() -> list[Finding]:
    """Make every check, several at a time, and return the findings in the order of the table."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return [finding for found in pool.map(examine, CHECKS) for finding in found]


def _print_plain(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{_MARK[finding.status]:<6} {finding.name:<20} {finding.found}")


def _print_rich(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("", "what", "found", box=None, pad_edge=False, header_style="dim")
    for finding in findings:
        mark = Text(_MARK[finding.status], style=_COLOUR[finding.status])
        table.add_row(mark, finding.name, Text(finding.found))
    Console().print(table)


def report(as_json: bool) -> int:
    """Print the findings; return 1 if something that Kuwa needs is broken, else 0."""
    findings = diagnose()
    bad = [finding for finding in findings if finding.status == "bad"]
    if as_json:
        print(json.dumps({"ok": not bad, "findings": [vars(f) for f in findings]}, indent=2))
        return 1 if bad else 0
    try:
        _print_rich(findings)
    except ImportError:
        _print_plain(findings)
    remedies = [finding for finding in findings if finding.remedy]
    if remedies:
        print("\nWhat to do")
        for finding in remedies:
            print(f"  {finding.name}: {finding.remedy}")
    print("\n" + ("Kuwa cannot work as it is." if bad else "Kuwa can work here."))
    return 1 if bad else 0


try:
    import typer
except ImportError:  # Before set-up only `python -m kuwa_cli.doctor` gets here.
    pass
else:

    def command(
        as_json: bool = typer.Option(False, "--json", help="Print the findings as JSON."),
    ) -> None:
        """Say what was found on this computer and what is wrong.

        Ends with status 1 if something that Kuwa needs is broken.
        """
        sys.exit(report(as_json))


if __name__ == "__main__":
    unknown = set(sys.argv[1:]) - {"--json"}
    if unknown:
        sys.exit(f"kuwa doctor: unknown option {' '.join(sorted(unknown))}; valid: --json")
    os.environ.setdefault("KUWA_STALE", "venv dependencies")
    sys.exit(report("--json" in sys.argv))
