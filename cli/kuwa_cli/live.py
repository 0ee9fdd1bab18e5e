"""Live status of a run on the terminal: what it does, how far it is, who is well."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

REFRESH = 0.25
"""Time between two pictures on a terminal [s]."""
LINE_EVERY = 10.0
"""Time between two lines where the output is no terminal [s]."""


@dataclass
class Status:
    """What is shown.

    Args:
        time, duration: of the run [s].
        moved: volume cut from the task's rectangle so far [m³]; target: to be cut.
        load: soil in the tool [kg].
        factor: simulated seconds in a second, lately.
        nodes: name → (good, words), for a run of several processes.
    """

    waiting: str = ""
    time: float = 0.0
    duration: float = 0.0
    phase: str = ""
    cycle: int = 0
    moved: float = 0.0
    target: float = 0.0
    load: float = float("nan")
    mode: str = ""
    reason: str = ""
    factor: float = float("nan")
    nodes: dict[str, tuple[bool, str]] = field(default_factory=dict)


class LiveStatus:
    """Shows a :class:`Status` on standard error; a context manager.

    Args:
        title: of the run.
        quiet: show nothing.
    """

    def __init__(self, title: str, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self.status = Status()
        self._title = title
        self._next = 0.0
        self._last_line = ""
        self._live: Live | None = None
        if self.console.is_terminal and not quiet:
            self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self) -> LiveStatus:
        if self._live is not None:
            self._live.start()
        else:
            self.console.print(self._title)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def due(self) -> bool:
        """Whether it is time to show something new."""
        return time.monotonic() >= self._next

    def show(self) -> None:
        """Show the status now."""
        if self._live is not None:
            self._next = time.monotonic() + REFRESH
            self._live.update(self._picture(), refresh=True)
            return
        line = self._line()
        if line != self._last_line:
            self.console.print(line, soft_wrap=True)
            self._last_line = line
        self._next = time.monotonic() + (1.0 if self.status.waiting else LINE_EVERY)

    def _line(self) -> str:
        s = self.status
        if s.waiting:
            return f"  {s.waiting}"
        cut = f"{s.moved:.2f} of {s.target:.2f} m³  " if s.target > 0 else ""
        return (
            f"  {s.time:6.1f} s  {s.phase.replace('_', ' '):<14} cycle {s.cycle}  "
            f"{cut}{_factor(s)}  {s.mode}"
        )

    def _picture(self) -> Panel:
        s = self.status
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="dim", width=10)
        rows.add_column(width=26)
        rows.add_column(style="dim", width=10)
        rows.add_column()
        if s.waiting:
            rows.add_row("starting", s.waiting, "", "")
        else:
            share = min(max(s.moved / s.target, 0.0), 1.0) if s.target > 0 else 0.0
            bar = ProgressBar(total=1.0, completed=share, width=24, complete_style="dark_orange3")
            load = f"{s.load / 1000:.2f} t" if s.load == s.load else "–"
            phase = Text(s.phase.replace("_", " ") or "–", style="bold")
            rows.add_row("phase", phase, "cycle", str(s.cycle))
            rows.add_row("time", f"{s.time:.1f} of {s.duration:.0f} s", "load", load)
            if s.target > 0:
                rows.add_row("cut", bar, "", f"{s.moved:.2f} of {s.target:.2f} m³")
            rows.add_row("mode", _mode(s), "speed", _factor(s))
        parts: list[Table | Text] = [rows]
        if s.nodes:
            parts.append(_nodes(s.nodes))
        if s.reason:
            parts.append(Text(s.reason, style="yellow", overflow="ellipsis", no_wrap=True))
        return Panel(Group(*parts), title=self._title, title_align="left", border_style="dim",
                     subtitle="Ctrl-C stops", subtitle_align="right", width=78)  # fmt: skip


def _factor(s: Status) -> str:
    return f"{s.factor:.2f} × real time" if s.factor == s.factor else ""


def _mode(s: Status) -> Text:
    return Text(s.mode or "–", style="bold red" if s.mode == "stopped" else "")


def _nodes(nodes: dict[str, tuple[bool, str]]) -> Text:
    line = Text("nodes     ", style="dim")
    for name, (good, words) in nodes.items():
        line.append("  ● ", style="green" if good else "bold red")
        line.append(name, style="default")
        if words:
            line.append(f" {words}", style="dim" if good else "bold red")
    return line
