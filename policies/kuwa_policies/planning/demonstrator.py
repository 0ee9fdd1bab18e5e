"""The expert at the levers: chunks become velocity references, as a person's hands would give them.

A person knows when the machine answers, and leads by that. The references are those that the
tracking controller would ask of its valves (:mod:`kuwa_policies.control.tracking`): the velocity
that is needed when it is felt, and a share of the position error that will be there then. A lever
whose joint rests near enough lies in its middle. On top of it come the differences between people:
a slower hand, pauses, and noise that grows with the deflection (Harris and Wolpert, Nature 394,
1998) and is smooth, because hands are low-passes.

What is given is what the controller follows, to the bit: numbers of 32 bits, as in data sets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array, Controller, MachineState, Trajectory
from kuwa_machines.errors import KuwaError
from kuwa_machines.spec import MachineSpec
from kuwa_policies.control.tracking import TrackingController


@dataclass(frozen=True, slots=True)
class Hands:
    """How a person moves the levers; as it is written, without any fault.

    Args:
        noise: standard deviation of the deflection's error, as a share of the deflection.
        wander: and of what is added to every lever that is not in the middle, of full deflection.
        smooth: time constant of both [s].
        speed: the share of full deflection that this person uses at most.
        pauses: per minute, at random. pause: mean length of one [s].
        ramp: time in which the levers go to the middle and come back at a pause [s].
    """

    noise: float = 0.0
    wander: float = 0.0
    smooth: float = 0.35
    speed: float = 1.0
    pauses: float = 0.0
    pause: float = 0.6
    ramp: float = 0.15

    def __post_init__(self) -> None:
        for name in ("noise", "wander", "pauses"):
            if not 0.0 <= getattr(self, name) < 60.0:
                raise KuwaError(f"hands: {name} {getattr(self, name)}; expected 0 or more")
        for name in ("smooth", "pause", "ramp"):
            if not 0.0 < getattr(self, name) < 60.0:
                raise KuwaError(f"hands: {name} {getattr(self, name)} s; expected above 0")
        if not 0.2 <= self.speed <= 1.0:
            raise KuwaError(f"hands: speed {self.speed}; expected 0.2 to 1")


class Demonstrator:
    """From chunks to velocity references.

    Args:
        spec: the machine as its file has it.
        period: of control [s].
        hands: of the person.
        seed: of everything random about them.
    """

    def __init__(
        self, spec: MachineSpec, period: float, hands: Hands | None = None,
        seed: int | tuple[int, ...] = 0,
    ) -> None:  # fmt: skip
        self._hands = hands or Hands()
        self._period = period
        self._rng = np.random.default_rng(seed)
        self._tracking = TrackingController(spec, period)
        self._n = len(spec.joint_names)
        self._noise = np.zeros((2, 2, self._n))
        self._open, self._pause = 1.0, 0.0

    def reset(self, state: MachineState) -> None:
        """Take the levers in the middle; the machine is at rest in this state."""
        self._tracking.reset(state)
        self._noise[:] = 0.0
        self._open, self._pause = 1.0, 0.0

    def step(self, state: MachineState, chunk: Trajectory | None, applied: Array) -> Array:
        """Return the velocity reference, shape (n,), in [-1, 1]: fractions of each joint's maximum.

        Args:
            chunk: the expert's newest; None: the levers stay in the middle.
            applied: the valve command that the gate let through last, shape (n,).
        """
        self._tracking.step(state, chunk, applied)
        asked = self._tracking.asked
        share, wander = self._errors()
        moved = np.where(asked != 0.0, asked * (1.0 + share) + wander, 0.0)
        out = self._opening() * np.clip(moved, -self._hands.speed, self._hands.speed)
        return out.astype(np.float32).astype(np.float64)

    def _errors(self) -> tuple[Array, Array]:
        """Return how far the hands are off now: a share of the deflection, and what is added.

        Two low-passes in a row, driven by white noise of such a strength that the standard
        deviation is the one asked for.
        """
        hands = self._hands
        if hands.noise == 0.0 and hands.wander == 0.0:
            return self._noise[0, 1], self._noise[1, 1]
        a = math.exp(-self._period / hands.smooth)
        # Variance of y_k = a y_{k-1} + (1-a) x_k, x_k = a x_{k-1} + (1-a) w_k, for unit white w.
        spread = (1 - a) ** 4 * (1 + a * a) / (1 - a * a) ** 3
        drive = self._rng.standard_normal((2, self._n)) / math.sqrt(spread)
        drive *= np.array([[hands.noise], [hands.wander]])
        self._noise[:, 0] += (1 - a) * (drive - self._noise[:, 0])
        self._noise[:, 1] += (1 - a) * (self._noise[:, 0] - self._noise[:, 1])
        return self._noise[0, 1], self._noise[1, 1]

    def _opening(self) -> float:
        """Return 1 while the person works, 0 in a pause, and what lies between on the way."""
        hands = self._hands
        if hands.pauses == 0.0:
            return 1.0
        if self._pause > 0.0:
            self._pause -= self._period
        elif self._rng.random() < hands.pauses / 60.0 * self._period:
            self._pause = float(self._rng.lognormal(math.log(hands.pause) - 0.125, 0.5))
        aim = 0.0 if self._pause > 0.0 else 1.0
        step = self._period / hands.ramp
        self._open += min(max(aim - self._open, -step), step)
        return self._open


class DrivenByHand:
    """A controller that follows a person's levers in place of the chunk; a
    :class:`kuwa_machines.contracts.Controller` itself.

    Args:
        controller: follows the velocity references. demonstrator: gives them.
    """

    def __init__(self, controller: Controller, demonstrator: Demonstrator) -> None:
        self.controller = controller
        self._demonstrator = demonstrator
        self.followed = np.zeros(0)
        """The newest reference, shape (n,), fractions of each joint's maximum."""

    def reset(self, state: MachineState) -> None:
        """Forget the past; start from this state at rest."""
        self._demonstrator.reset(state)
        self.controller.reset(state)

    def step(
        self, state: MachineState, reference: Trajectory | Array | None, applied: Array
    ) -> Array:
        """Return valve commands, shape (n,).

        Raises:
            KuwaError: the reference is no chunk.
        """
        if reference is not None and not isinstance(reference, Trajectory):
            raise KuwaError("a demonstrator takes chunks; velocity references need none")
        self.followed = self._demonstrator.step(state, reference, applied)
        return self.controller.step(state, self.followed, applied)
