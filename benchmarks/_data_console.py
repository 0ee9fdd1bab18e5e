"""People at the console: levers thrown to their ends by keys, buttons and thumbs, in simulation.

An expert leads softly and seldom asks for all there is; a person at a keyboard asks for nothing
else. A doctor of data sets must take both for what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np

from kuwa_cli.demos import episode
from kuwa_cli.demos.noise import load_noise
from kuwa_hardware.operator.shaping import Shaping
from kuwa_machines.contracts import Array, MachineState, Trajectory
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.controllers import DEFAULT
from kuwa_policies.datasets import Dataset
from kuwa_sim.scenario import load_scenario

ATTACK = {"keys": 4.0, "buttons": np.inf, "sticks": 10.0, "levers": 1.0}
"""How fast a lever is moved [1/s]: by a key of the page (``sticks.js``), by a button, by a thumb
that always pushes to the end, and by a hand that leads it there."""
HOLD = (0.4, 3.0)
"""A lever is held for so long, and left alone for so long [s]."""


class Thrown:
    """Levers thrown to their ends and let go, in place of a
    :class:`kuwa_policies.planning.demonstrator.Demonstrator`.

    Args:
        spec: of an excavator, whose joints all have limits.
        period: of control [s]. how: of :data:`ATTACK`. seed: of everything.
    """

    def __init__(self, spec: MachineSpec, period: float, how: str, seed: int) -> None:
        n = len(spec.joint_names)
        self._middle = (spec.q_min + spec.q_max) / 2
        self._period, self._attack, self._keys = period, ATTACK[how], how == "keys"
        self._rng, self._shaping = np.random.default_rng(seed), Shaping()
        self._lever, self._want, self._left = np.zeros(n), np.zeros(n), np.zeros(n)

    def reset(self, state: MachineState) -> None:
        """Let all levers go."""
        self._lever[:], self._want[:] = 0.0, 0.0
        self._left = self._rng.uniform(*HOLD, self._left.shape)

    def step(self, state: MachineState, chunk: Trajectory | None, applied: Array) -> Array:
        """Return the velocity reference, shape (n,), whatever the expert would do."""
        self._left -= self._period
        for j in np.flatnonzero(self._left <= 0.0):
            self._left[j] = self._rng.uniform(*HOLD)
            # Most often back towards the middle, as somebody does who sees the machine.
            back = np.sign(self._middle[j] - state.q[j])
            end = back if self._rng.random() < 0.8 else -back
            self._want[j] = end if self._want[j] == 0.0 else 0.0
        step = self._attack * self._period
        moved = self._lever + np.clip(self._want - self._lever, -step, step)
        # A key that is let go lets the lever jump into its middle.
        self._lever = np.where(self._keys & (self._want == 0.0), 0.0, moved)
        out: Array = self._shaping(self._lever).astype(np.float32).astype(np.float64)
        return out


def at_the_console(root: Path, count: int, seconds: float) -> Iterator[Dataset]:
    """Yield sets of one episode each above a trench, in turn by each way of moving a lever."""
    job = episode.Job(
        load_scenario("dig_trench"), load_noise("none"), 0, DEFAULT, 20, False, seconds, "drive"
    )
    info = episode.info_of(job, {})
    for number in range(count):
        how = list(ATTACK)[number % len(ATTACK)]

        def thrown(
            spec: MachineSpec, period: float, *_: object, how: str = how, k: int = number
        ) -> Thrown:
            return Thrown(spec, period, how, k)

        folder = root / f"{how}-{number}"
        with mock.patch.object(episode, "Demonstrator", thrown):
            episode.record(job, number, folder, info)
        yield Dataset(folder)
