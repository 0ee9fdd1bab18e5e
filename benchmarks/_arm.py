"""The arm with an unknown payload: trials, drawn by seed, and what a controller makes of one.

A trial is a reference of two sines a joint, a payload within ± 20 % of 10 kg, friction that nobody
knows, and a start beside the reference. The same seed is the same trial for every controller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kuwa_machines.contracts import Array
from kuwa_policies.control.adaptive.sliding import Motion, SlidingController, SlidingGains
from kuwa_sim.arm import ArmModel, ArmParameters, TwoLinkArm

PERIOD = 1e-3
SECONDS = 40.0
LAST = 10.0
"""Errors count over the last of the seconds."""
PAYLOAD = 10.0
BEYOND = 1e3
"""An arm that turns so fast [rad/s], or so often, has run away; its errors are NaN."""
PREVIEW = 0.3
"""The reference is known so far ahead [s]."""
KNOWN = ArmParameters()
GAINS = SlidingGains(slope=(3.5, 3.5), damping=(60.0, 30.0), limit=KNOWN.torque)
"""The same for every controller, as is the literature's way: what adapts is compared, not how stiff
the rest is."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One of all trials.

    Args:
        seed: of reference, payload, friction, start and encoder noise.
    """

    seed: int

    def reference(self) -> tuple[Array, Array, Array]:
        """Return q_d, q̇_d, q̈_d at every tick, shape (ticks, 2) each."""
        rng = np.random.default_rng([self.seed, 1])
        t = np.arange(0.0, SECONDS + PREVIEW, PERIOD)[:, None]
        centre = rng.uniform([-0.5, 0.6], [0.5, 1.4])
        parts = [np.tile(centre, (len(t), 1)), np.zeros((len(t), 2)), np.zeros((len(t), 2))]
        for low, high, amplitude in ((0.1, 0.25, 0.45), (0.25, 0.5, 0.2)):
            w = 2.0 * np.pi * rng.uniform(low, high, 2)
            a = amplitude * rng.uniform(0.7, 1.3, 2)
            phase = w * t + rng.uniform(0.0, 2.0 * np.pi, 2)
            parts[0] += a * np.sin(phase)
            parts[1] += a * w * np.cos(phase)
            parts[2] -= a * w**2 * np.sin(phase)
        return parts[0], parts[1], parts[2]

    def plant(self) -> TwoLinkArm:
        """Return the arm as it really is, at its start."""
        rng = np.random.default_rng([self.seed, 2])
        truth = ArmParameters(
            payload=PAYLOAD * rng.uniform(0.8, 1.2),
            viscous=tuple(rng.uniform(0.2, 1.0, 2)),
            coulomb=tuple(rng.uniform(0.2, 1.0, 2)),
        )
        plant = TwoLinkArm(truth, PERIOD, seed=self.seed)
        plant.reset(self.reference()[0][0] + rng.uniform(-0.2, 0.2, 2))
        return plant


Make = Callable[[Trial], SlidingController]
Event = Callable[[SlidingController], None]


def nominal() -> ArmModel:
    """Return what controllers know: the arm without payload and friction."""
    return ArmModel(KNOWN)


def run(
    make: Make, trial: Trial, event: Event | None = None, at: float = 20.0, seconds: float = SECONDS
) -> Array:
    """Return the errors of the joints at every tick, shape (ticks, 2) [rad].

    Args:
        make: makes the controller.
        event: what happens to it after ``at`` seconds.
        seconds: of the trial.
    """
    plant = trial.plant()
    controller = make(trial)
    q_d, qd_d, qdd_d = trial.reference()
    lag = 0
    if controller.feedforward is not None:
        lag = round(controller.feedforward.lag / PERIOD)
    ticks = round(seconds / PERIOD)
    errors = np.zeros((ticks, 2))
    controller.reset(plant.read(), keep_weights=False)
    applied = np.zeros(2)
    for k in range(ticks):
        if event is not None and k == round(at / PERIOD):
            event(controller)
        now = Motion(q_d[k], qd_d[k], qdd_d[k])
        then = Motion(q_d[k + lag], qd_d[k + lag], qdd_d[k + lag])
        errors[k] = plant.x[:2] - q_d[k]
        applied = plant.step(controller.step(plant.read(), now, then, applied))
        if not abs(plant.x).max() < BEYOND:
            errors[k:] = np.nan
            break
    close = getattr(controller.feedforward, "close", None)
    if close is not None:
        close()
    return errors


def rmse(errors: Array, begin: float = -LAST, end: float | None = None) -> float:
    """Return the RMSE between two times, by default of the last seconds, mean over joints [°]."""
    part = errors[round(begin / PERIOD) : None if end is None else round(end / PERIOD)]
    return float(np.degrees(np.sqrt((part**2).mean(axis=0)).mean()))
