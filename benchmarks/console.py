"""The operator's page: how soon it is there and acts, how soon a loss is neutral, who gets in.

The machine is simulated, the page is in headless Chromium on the same computer, without the view in
three dimensions, which a graphics card would draw. KUWA_CONSOLE_RUNS (10) is how often each loss is
tried, KUWA_CONSOLE_INPUTS (300) how many movements of a stick are timed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_cli.ros_run import free_domain
from kuwa_hardware.operator.core import BLIND
from kuwa_machines.errors import KuwaError

_ROOT = Path(__file__).resolve().parents[1]
for _folder in ("benchmarks", "tests/ros", "tests/unit"):
    sys.path.insert(0, str(_ROOT / _folder))

RUNS = int(os.environ.get("KUWA_CONSOLE_RUNS", "10"))
INPUTS = int(os.environ.get("KUWA_CONSOLE_INPUTS", "300"))
NEUTRAL_GOAL = 250
"""From a loss to neutral valves [ms]."""
OVERTAKEN_GOAL = INPUTS // 100
"""Inputs that no command shows are not in the percentiles, so there may be few of them."""
TRIES = 5
"""A page that stands still for longer than ``stale`` no longer drives, and what its sticks do from
then on is not timed: it is counted and tried anew, so often at most."""
SETTLE_MS = 3000
"""Nobody drives before the page has been there for so long."""
MOVES = """
(count) => new Promise((done) => {
  const log = [];
  const move = (k) => {
    if (k === count) { done(log); return; }
    const y = 0.3 + 0.6 * ((k * 7919) % count) / count;
    pad([0, 0, 0, -y], true);
    log.push([performance.timeOrigin + performance.now(), y]);
    setTimeout(() => move(k + 1), 60 + (k * 37) % 41);
  };
  move(0);
})
"""
"""Moves the stick to a place where it was not before, at uneven intervals; says when and where."""


def measure() -> Iterator[Figure]:
    """Start it, drive it, lose it, and try to get in."""
    yield Figure("console.page_ready", _page_ready(), "s", "<= 10")
    os.environ["ROS_DOMAIN_ID"] = str(free_domain())
    import console_rig

    if not console_rig.CHROMIUM:
        raise KuwaError("no Chromium on this computer: install chromium, then measure again")
    with (
        tempfile.TemporaryDirectory() as folder,
        console_rig.console(Path(folder), robot="sim", picture_timeout=BLIND) as run,
    ):
        with console_rig.chromium() as browser:
            yield from _latency(run, browser)
            yield from _losses(run, browser)
        yield _matrix(run)


def _page_ready() -> float:
    """Return how long from the command to an answered page, the stack's start included [s]."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, "-m", "kuwa_cli.main", "teleop", "dig_trench", "--no-browser",
             "--port", "0", "--out", str(Path(folder) / "run")],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            assert run.stdout is not None
            url = run.stdout.readline().strip()
            if not url:
                raise KuwaError("kuwa teleop did not start; run it by hand to see why")
            with urllib.request.urlopen(url.partition("#")[0], timeout=10) as answer:
                answer.read()
            return time.monotonic() - start
        finally:
            run.send_signal(signal.SIGINT)
            run.wait(30)


def _latency(run: Any, browser: Any) -> Iterator[Figure]:
    """Time from a moved stick to the velocity reference at its reader, and to the request."""
    from console_rig import BOOM, Hand
    from kuwa_hardware.operator.shaping import Shaping

    # The rig's clock is steady, the page's is that of the system: their distance is constant.
    offset = time.time() - time.monotonic()
    driving, tries = False, 0
    while not driving and tries < TRIES:
        tries += 1
        run.rest()
        context = browser.new_context()
        hand = Hand(context.new_page(), run)
        hand.pad()
        hand.page.wait_for_timeout(SETTLE_MS)
        hand.arm()
        hand.drive()
        mark = len(run.ears.references)
        moves = hand.page.evaluate(MOVES, INPUTS)
        hand.page.wait_for_timeout(300)
        heard = [(t + offset, values[BOOM]) for t, values in run.ears.references[mark:]]
        driving = run.probe.mode == "teleop"
        context.close()
    yield Figure("console.thrown_out", tries - driving, "1", "<= 0")
    curve, times, lost = Shaping(), [], 0
    for at, y in moves:
        want = float(curve(np.array([round(y, 3)]))[0])
        first = next((t for t, v in heard if t > 1e-3 * at and abs(v - want) < 1e-4), None)
        if first is None:
            lost += 1
        else:
            times.append(1e3 * (first - 1e-3 * at))
    yield Figure("console.input_to_command_median", float(np.median(times)), "ms")
    yield Figure("console.input_to_command_p99", float(np.percentile(times, 99)), "ms", "<= 50")
    yield Figure("console.inputs_timed", len(times), "1")
    yield Figure("console.inputs_overtaken", lost, "1", f"<= {OVERTAKEN_GOAL}")


def _losses(run: Any, browser: Any) -> Iterator[Figure]:
    """Time from a loss to neutral valves, the worst of all tries."""
    from console_rig import LOSSES, Hand, renderer, wait_for

    kinds: dict[str, Any] = LOSSES | {"browser frozen": None}
    overall = 0.0
    for name, act in kinds.items():
        worst = 0.0
        for _ in range(RUNS):
            run.rest()
            context = browser.new_context()
            hand = Hand(context.new_page(), run)
            hand.pad()
            hand.arm()
            pid = renderer(hand) if act is None else 0
            hand.drive()
            at = time.monotonic()
            if act is None:
                os.kill(pid, signal.SIGSTOP)
            else:
                act(hand)
            wait_for("not driving", lambda: run.probe.mode == "armed", 5.0)
            time.sleep(0.4)
            worst = max(worst, run.ears.last_motion(at))
            if act is None:
                os.kill(pid, signal.SIGCONT)
            context.close()
        label = re.sub(r"\W+", "_", name)
        overall = max(overall, worst)
        yield Figure(f"console.neutral_after.{label}", 1e3 * worst, "ms", f"<= {NEUTRAL_GOAL}")
    yield Figure("console.loss_to_neutral_worst", 1e3 * overall, "ms", f"<= {NEUTRAL_GOAL}")


def _matrix(run: Any) -> Figure:
    """Count what gets in with a foreign origin, host, path, key or token."""
    from console_rig import keys_of, strangers, upgrade

    tried = list(strangers(run))
    right = ["kuwa", f"key.{keys_of(run)['drive']}"]
    if not upgrade(run, "/ws", f"http://127.0.0.1:{run.port}", right, f"127.0.0.1:{run.port}"):
        raise KuwaError("the page itself is not let in")
    print(f"  {len(tried)} combinations tried", file=sys.stderr)
    peer = {"viser 1.1": "has no token, takes any Origin"}
    return Figure("console.strangers_let_in", sum(let_in for _, let_in in tried), "1", "== 0", peer)
