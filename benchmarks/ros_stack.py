"""The whole stack through ROS 2 over one dig: real-time factor, rates, latency, lost ticks.

Headless, no camera. Latency is measured by the robot node, from handing a joint state to the
middleware to the arrival of the applied command that answers it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from kuwa_cli.figure import Figure
from kuwa_machines.errors import KuwaError


def measure() -> Iterator[Figure]:
    """Dig one trench in real time."""
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(
            [sys.executable, "-m", "kuwa_cli.main", "sim", "dig_trench", "--no-report", "--json",
             "--out", folder],
            stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    if not run.stdout:
        raise KuwaError("the stack did not run; its messages are above")
    result = json.loads(run.stdout)
    timing, latency = result["timing"], result["timing"]["robot"]["latency_ms"]
    share = result["score"]["share_within_tolerance"]
    yield Figure("ros.real_time_factor", timing["real_time_factor"], "1", ">= 0.98")
    yield Figure("ros.joint_states_rate", timing["joint_states_hz"], "Hz", ">= 99")
    yield Figure("ros.applied_rate", timing["applied_hz"], "Hz", ">= 99")
    yield Figure("ros.missed_ticks", 100 * timing["missed_ticks_share"], "%", "<= 1")
    yield Figure("ros.unanswered_states", 100 * timing["unanswered_share"], "%", "<= 1")
    yield Figure("ros.clock_gaps", timing["clock_gaps"], "1", "== 0")
    yield Figure("ros.latency_median", latency["median"], "ms", "<= 8")
    yield Figure("ros.latency_p99", latency["p99"], "ms", "<= 25")
    yield Figure("ros.share", 100 * share, "%", ">= 90")
