"""A run through ROS 2: the whole stack as processes, watched from the side."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_bringup.processes import Processes
from kuwa_bringup.stack import stack
from kuwa_cli.live import LiveStatus
from kuwa_cli.observer import Observer
from kuwa_cli.outcome import EndedBy, Outcome, Panels, figures_of
from kuwa_cli.progress import Progress
from kuwa_cli.runfolder import LOGS, controller_files
from kuwa_cli.runlog import RunLog
from kuwa_cli.settings import Settings
from kuwa_cli.window import Window
from kuwa_hardware.canbus import GROUP, PORT
from kuwa_machines.contracts import Mode
from kuwa_machines.errors import KuwaError
from kuwa_machines.secretfile import new_secret
from kuwa_sim.plant import CONTROL_PERIOD

START_TIMEOUT = 90.0
"""The stack must be ready within this; compiling kernels for the first time takes most [s]."""
LOOK = 0.05
"""Between two looks at what has arrived [s]."""
SETTLE = 0.6
"""After the planner is done, simulated: the last map is still on its way [s]."""
TIMING = "robot_timing.json"
KEY = "key"
"""Of this run, for the codes on commands; there while the run goes on."""
WATCHER = "supervisor"
ON_CAN = ("com3_can", "isobus")
"""Kinds of robot whose machine is on a CAN bus."""
SENSORS_BEYOND = 1000
"""The port of a run's CANopen sensors is so far above that of its machine's bus."""


class StackError(KuwaError):
    """The stack did not start, with the end of the log that says why."""


class StoppedAtStart(StackError):
    """A gate stopped before the run began: nothing has moved that a new start would lose."""


def run(settings: Settings, folder: Path, logs: Mapping[str, RunLog], live: LiveStatus) -> Outcome:
    """Start the stack, watch it until the task is done or time is up, end it.

    Raises:
        StoppedAtStart: a gate stopped the machine while the others still started.
        KuwaError: the stack could not start.
    """
    speed = settings.speed or 1.0
    domain = int(os.environ.get("ROS_DOMAIN_ID") or free_domain())
    names = list(logs)
    key = _fresh_key(folder / KEY)
    specs = stack(
        machine=settings.spec.name,
        scenario=settings.scenario_name,
        seed=settings.seed,
        speed=speed,
        stats_file=str(folder / TIMING),
        key_file=str(key),
        namespace=names[0],
        parameters=settings.parameters,
        controller=settings.controller,
        controller_state=settings.controller_state,
        controller_states_out={n: str(f) for n, f in controller_files(folder, names).items()},
        robot=settings.robot,
        bus=_bus(domain) if settings.robot in ON_CAN else "",
        sensors=settings.sensors,
        sensors_bus=_bus(domain + SENSORS_BEYOND) if settings.sensors else "",
        emulated=settings.emulated,
        partners={name: settings.specs[name].name for name in working(settings)[1:]},
    )
    live.status.waiting = "starting the nodes"
    live.show()
    observers: list[Observer] = []
    environment = {"ROS_DOMAIN_ID": str(domain)}
    processes = Processes(specs, folder / LOGS, environment=environment)
    ended_by: EndedBy = "interrupt"
    note = ""
    began = 0.0
    try:
        with unbroken():
            processes.start()
        for name, log in logs.items():
            observers.append(
                Observer(log, f"/{name}", domain, CONTROL_PERIOD, ground=not observers)
            )
        awaited = [observer for observer in observers if observer.name in working(settings)]
        _wait_for_auto(awaited, processes, live)
        for observer in observers:
            observer.recording = True
        live.status.waiting = ""
        began = observers[0].stamp
        with Window(settings.specs, settings.tasks, settings.obstacles) as window:
            ended_by, note = _watch(observers, processes, live, settings, window, began)
    except KeyboardInterrupt:
        ended_by, note = "interrupt", ""
    finally:
        # A second Ctrl-C must not leave half a stack behind, nor lose what was recorded.
        with suppress(KeyboardInterrupt), unbroken():
            processes.stop()
            for observer in observers:
                observer.close()
            key.unlink(missing_ok=True)
    lead = observers[0] if observers else None
    return _outcome(logs[names[0]], lead, folder / TIMING, ended_by, note, speed)


def _fresh_key(path: Path) -> Path:
    """Write a new key that nobody else may read."""
    path.unlink(missing_ok=True)
    new_secret(path, secrets.token_hex(32))
    return path


def working(settings: Settings) -> list[str]:
    """Return the names of the machines that get a stack: the lead, and who has a task."""
    machines = settings.scenario.machines
    lead = next(iter(machines))
    return [name for name in machines if name == lead or machines[name].task is not None]


@contextmanager
def unbroken() -> Iterator[None]:
    """Hold Ctrl-C back for a moment that must not be cut in two, then let it through."""
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda got, _: held.append(got))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if held:
        raise KeyboardInterrupt


def _wait_for_auto(observers: list[Observer], processes: Processes, live: LiveStatus) -> None:
    """Wait until every node is active and every gate is in auto."""
    deadline = time.monotonic() + START_TIMEOUT
    while any(observer.mode != Mode.AUTO.value for observer in observers):
        _check_alive(processes)
        nodes = [node for observer in observers for node in observer.nodes.items()]
        if time.monotonic() > deadline:
            states = ", ".join(f"{n} {words}" for n, (_, words, _) in nodes)
            raise StackError(
                f"the stack was not ready within {START_TIMEOUT:.0f} s ({states or 'no node heard'}"
                f"); logs are in {processes.logs}"
            )
        time.sleep(LOOK)
        for observer in observers:
            observer.look()
            # Who may move is recorded from then on, while others still start.
            observer.recording |= observer.mode == Mode.AUTO.value
        stopped = [observer for observer in observers if observer.mode == Mode.STOPPED.value]
        if stopped:
            # Only a person releases a stop: nothing would come of waiting longer.
            raise StoppedAtStart(f"{_why(stopped, processes, {})}; logs are in {processes.logs}")
        # Supervisors call themselves active from the start.
        count = len([1 for n, (_, _, v) in nodes if v.get("state") == "active" and n != WATCHER])
        managed = sum(spec.lifecycle for spec in processes.specs.values())
        words = f"{count} of {managed} nodes active"
        if live.due:
            live.status.waiting = words
            live.status.nodes = _nodes(observers)
            live.show()


def _watch(
    observers: list[Observer],
    processes: Processes,
    live: LiveStatus,
    settings: Settings,
    window: Window,
    began: float,
) -> tuple[EndedBy, str]:
    lead = observers[0]
    at_work = [observer for observer in observers if observer.name in working(settings)]
    progress = Progress(lead.log, settings.task, settings.duration)
    until = np.inf
    # A run that stands still on the wall must end as well.
    patience = 20.0 / min(settings.speed or 1.0, 1.0)
    moved_at, last = time.monotonic(), began
    while True:
        time.sleep(LOOK)
        for observer in observers:
            observer.look()
        now = lead.stamp
        if now != last:
            moved_at, last = time.monotonic(), now
        if all(observer.done for observer in at_work) and until == np.inf:
            until = now + SETTLE
        if now >= until:
            return "done", ""
        if now - began >= settings.duration:
            return "duration", "time was up before the planner was done"
        ended = processes.ended()
        stopped = [observer for observer in observers if observer.mode == Mode.STOPPED.value]
        if ended or stopped:
            return "fault", _why(stopped, processes, ended)
        if time.monotonic() - moved_at > patience:
            return "fault", f"no joint state for {patience:.0f} s; logs are in {LOGS}"
        if live.due:
            progress.fill(live.status, began)
            live.status.nodes = _nodes(observers)
            live.status.reason = "; ".join(lead.reasons)
            live.show()
        if settings.view and not window.show({o.name: o.log for o in observers}):
            return "interrupt", ""


def _check_alive(processes: Processes) -> None:
    for name, code in processes.ended().items():
        raise StackError(f"node {name} ended with code {code} while starting:\n"
                         f"{processes.tail(name)}")  # fmt: skip


def _why(stopped: list[Observer], processes: Processes, ended: dict[str, int]) -> str:
    if ended:
        name, code = next(iter(ended.items()))
        return f"node {name} ended with code {code}: {processes.tail(name, 3)}"
    reasons = "; ".join(reason for observer in stopped for reason in observer.reasons)
    return f"the gate stopped the machine: {reasons}"


def _nodes(observers: list[Observer]) -> dict[str, tuple[bool, str]]:
    """Return what is worth a word of each node."""
    shown = {}
    for observer in observers:
        mark = "" if observer is observers[0] else observer.name + "."
        for name, (good, words, values) in sorted(observer.nodes.items()):
            missed = values.get("missed", "0")
            if words in ("active", "running"):
                words = "" if missed == "0" else f"{missed} missed"
            shown[mark + name] = (good, words)
    return shown


def _outcome(
    log: RunLog, observer: Observer | None, timing_file: Path, ended_by: EndedBy, note: str,
    speed: float,
) -> Outcome:  # fmt: skip
    t, wall = log.state.t, log.state["wall"]
    span, passed = (float(t[-1] - t[0]), float(wall[-1] - wall[0])) if len(t) > 1 else (0.0, 0.0)
    interval = 1e3 * np.diff(wall)
    robot = _robot_timing(timing_file)
    ticks, missed = robot.get("ticks", 0), robot.get("missed", 0)
    timing: dict[str, Any] = {
        "real_time_factor": span / passed if passed > 0 else None,
        "wall_s": passed,
        "joint_states_hz": (len(t) - 1) / passed if passed > 0 else None,
        "applied_hz": _rate(log.applied["wall"]),
        "unanswered_share": _unanswered(log),
        "missed_ticks_share": missed / (ticks + missed) if ticks else None,
        "clock_gaps": observer.clock_gaps if observer else None,
        "clock_messages": observer.clock_messages if observer else None,
        "interval_ms": figures_of(interval),
        "robot": robot,
    }
    panels: Panels = [("Between joint states", "[ms]", interval, 1e3 * CONTROL_PERIOD / speed)]
    latency = _unfold(robot.get("latency_ms", {}))
    if latency.size:
        panels.append(("Joint state to applied command", "[ms]", latency, None))
    return Outcome(ended_by, note, timing, panels)


def _unanswered(log: RunLog) -> float | None:
    """Return the share of joint states that no applied command answered."""
    # Stamps pass through nanoseconds; the last tenth of a second is still on its way.
    states, answers = (np.round(1e5 * stream.t) for stream in (log.state, log.applied))
    states = states[:-10]
    return float(1.0 - np.isin(states, answers).mean()) if states.size else None


def _rate(wall: np.ndarray) -> float | None:
    return float((len(wall) - 1) / (wall[-1] - wall[0])) if len(wall) > 1 else None


def _robot_timing(path: Path) -> dict[str, Any]:
    """Return what the robot node measured itself, as close to the plant as can be."""
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _unfold(figures: dict[str, Any]) -> np.ndarray:
    """Return values that have the histogram of the figures."""
    histogram = figures.get("histogram", {})
    counts = np.array(histogram.get("counts", []), int)
    width = float(histogram.get("bin_ms", 1.0))
    return np.repeat(width * (np.arange(counts.size) + 0.5), counts)


def _bus(number: int) -> str:
    """Return a bus of this run's own, on the loopback: a port for each ROS domain."""
    return f"udp_multicast:{GROUP}:{PORT + number}"


def free_domain() -> int:
    """Return a ROS domain that nobody on this computer uses, so that stacks do not meet."""
    domains = list(range(1, 100))
    random.shuffle(domains)
    for domain in domains:
        # Where the first participants of a domain listen (RTPS 2.2, section 9.6.1.1).
        base = 7400 + 250 * domain
        if all(_free(base + offset) for offset in (10, 11, 12, 13)):
            return domain
    return domains[0]


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
