"""What the bus costs a dig: one in lock-step through COM3 frames, beside the same one without.

Driver and emulated machine exchange real frames on a virtual bus in this process, one period of
10 ms later than without; the clock is the simulation's, so that a busy computer changes nothing.
Bucket load and pump pressure are not on the bus. Arguments: [scenario] [seed] [controller].
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from kuwa_cli import lockstep_run
from kuwa_cli.live import LiveStatus
from kuwa_cli.outcome import finite, result
from kuwa_cli.settings import settings
from kuwa_cli.sim import new_logs
from kuwa_hardware.canbus import BusSettings
from kuwa_hardware.com3.driver import Com3Robot
from kuwa_hardware.com3.machine import EmulatedMachine
from kuwa_machines.contracts import GroundTruth, JointCommand, MachineState
from kuwa_policies.control.controllers import DEFAULT
from kuwa_sim.robot import SimRobot, robots_of
from kuwa_sim.world import World

_channels = itertools.count()
SHOWN = (
    "share_within_tolerance", "rmse_m", "cycle_mean_s", "cycles", "energy_per_volume_kwh_m3",
    "limit_violations", "done",
)  # fmt: skip


class _Advanced:
    """A plant that the world has advanced already."""

    def __init__(self, robot: SimRobot) -> None:
        self.robot, self.spec, self.control_period = robot, robot.spec, robot.control_period
        self.write = robot.write

    def advance(self) -> MachineState:
        return self.robot.read()


class InStep:
    """A robot in lock-step whose every value went over the bus; the site's sensors do not."""

    def __init__(self, robot: SimRobot) -> None:
        self.robot, self.spec, self.task = robot, robot.spec, robot.task
        self.control_period = robot.control_period
        self._started = False

    def _start(self) -> None:
        bus = BusSettings("virtual", f"dig-{next(_channels)}")
        self._machine = EmulatedMachine(_Advanced(self.robot), bus.open(), self._clock)  # type: ignore[arg-type]
        self._driver = Com3Robot(
            self.robot.spec, bus.opener, steady=self._clock, system=self._clock
        )
        self._driver._link.open(self._clock())
        self._started, self._stamp = True, -1.0

    def _clock(self) -> float:
        return 1.0 + self.robot.read().stamp

    def read(self) -> MachineState:
        """Let the machine tell what it measures; add what other sensors of the site do."""
        if not self._started:
            self._start()
        own = self.robot.read()
        if own.stamp != self._stamp:
            # The first time everything is told, as it is before anybody arms a machine.
            for _ in range(11 if self._stamp < 0.0 else 1):
                self._machine.step()
            self._stamp = own.stamp
            heard = self._driver.read()
            self._state = replace(
                heard, stamp=own.stamp, terrain=own.terrain, acceleration=own.acceleration,
                base_quaternion_wxyz=own.base_quaternion_wxyz, base_velocity=own.base_velocity,
                tool_force=own.tool_force,
            )  # fmt: skip
        return self._state

    def write(self, command: JointCommand) -> JointCommand:
        """Send the command; the machine takes it a period later."""
        return self._driver.write(command)

    def neutral(self) -> None:
        """Centre the valves; the machine does so a period later."""
        self._driver.neutral()

    def truth(self) -> GroundTruth:
        """Return where it really is."""
        return self.robot.truth()

    def close(self) -> None:
        """Leave the bus."""
        self.robot.close()


def dig(scenario: str, seed: int, controller: str, bus: bool) -> dict[str, Any]:
    """Return the score of one run."""

    def robots(world: World) -> dict[str, Any]:
        own = robots_of(world)
        return {name: InStep(robot) for name, robot in own.items()} if bus else dict(own)

    lockstep_run.robots_of = robots  # type: ignore[assignment]
    asked = settings(scenario, None, seed, True, None, None, False, None, controller, None)
    logs = new_logs(asked, exact=True)
    with LiveStatus("") as live, tempfile.TemporaryDirectory() as folder:
        outcome = lockstep_run.run(asked, Path(folder), logs, live)
    values = finite(result(logs, outcome, asked, "lockstep", ""))
    score = values["machines"][asked.spec.name]["score"]
    return {key: score.get(key) for key in SHOWN} | {
        "success": values["success"], "ended_by": values["ended_by"], "note": values["note"],
    }  # fmt: skip


def main() -> None:
    """Print both, as JSON."""
    given, usual = sys.argv[1:], ("dig_trench", "0", DEFAULT)
    scenario, seed, controller = (*given, *usual[len(given) :])
    both = {
        name: dig(scenario, int(seed), controller, bus)
        for name, bus in (("through COM3", True), ("without", False))
    }
    print(json.dumps(both, indent=1))


if __name__ == "__main__":
    main()
