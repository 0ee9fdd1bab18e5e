"""Learning dynamics from error feedback, and running them without it (Alemi et al. 2017).

    teacher ẋ = f(x) + c        network x̂̇ = −λx̂ + Wᵀψ(x̂) + c + k e,  Ω_s = DᵀW,  e = x − x̂

Each synapse changes by η (Dᵀe)_i ψ_k. η and k are high at first, so that weights chase the error,
and fall over the first half of the lessons. Over the second half runs, beside each weight, its
mean, which is as local as the rule and is what the network keeps. Then k falls to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_policies.ebn.decoders import random_decoders, random_dendrites
from kuwa_policies.ebn.network import Ebn, step_ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.teachers import Teacher, flow

DT = 1e-3
PUSH = 50
"""Neuron steps that a push takes."""
MEAN_EVERY = 20
"""Neuron steps between two looks at the weights for their mean."""
MU, NOISE = 0.1, 0.02
"""Little of both: noise of x̂ reaches ψ and makes what is learnt smaller than it is."""


@dataclass(frozen=True, slots=True)
class Run:
    """What teacher and network did, at every neuron step: shape (steps, J).

    Args:
        x: the teacher. x_hat: the network. pushes: drive on both [1/s]. rate: mean [Hz].
    """

    x: Array
    x_hat: Array
    pushes: Array
    rate: float


class Student:
    """A network that learns from one teacher.

    Args:
        teacher: whose dynamics.
        seed: of decoders, dendrites and noise.
    """

    def __init__(self, teacher: Teacher, seed: int = 0) -> None:
        self.teacher = teacher
        J = len(teacher.start)
        M, theta = random_dendrites(J, [range(J)], teacher.dendrites, seed + 1, teacher.gain)
        self.p = EbnParameters(
            random_decoders(J, teacher.neurons, teacher.norm, seed),
            leak=teacher.leak,
            mu=MU * teacher.norm**2,
            dt=DT,
            noise=NOISE,
            M=M,
            theta=theta,
            eta=teacher.eta,
        )
        self.network = Ebn(self.p, seed, "float32")
        self.x = np.array(teacher.start)
        self._rng = np.random.default_rng(seed)

    def learn(self, seconds: float | None = None) -> Array:
        """Learn while the teacher is pushed about; return the RMS of e in each tenth of it."""
        seconds = self.teacher.seconds if seconds is None else seconds
        every = round(self.teacher.every / DT)
        lessons = max(10, round(seconds / self.teacher.every))
        net = self.network
        mean, seen = np.zeros(net.Omega_s.shape), np.zeros(1)
        squares = np.zeros(lessons)
        for n in range(lessons):
            pushes = np.zeros((every, len(self.x)))
            goal = self.teacher.hold * self.x
            goal += self.teacher.kick * self._rng.standard_normal(len(self.x))
            pushes[:PUSH] = (goal - self.x) / (PUSH * DT)
            late = 2 * n >= lessons
            done = min(2.0 * n / lessons, 1.0)
            k = self.teacher.k * (self.teacher.k_late / self.teacher.k) ** done
            run = self._go(pushes, k, k, self.teacher.calm**done, mean, seen, late)
            squares[n] = np.mean((run.x - run.x_hat) ** 2)
        net.Omega_s[:] = mean
        return np.sqrt([part.mean() for part in np.array_split(squares, 10)])

    def let_go(self, x: Array, seconds: float = 2.0) -> None:
        """Bring both to a state and take the feedback away, k falling to 0."""
        steps = round(seconds / DT)
        pushes = np.zeros((steps, len(x)))
        self.x[:] = x
        self._go(pushes[: steps // 2], self.teacher.k, self.teacher.k)
        self._go(pushes[steps // 2 :], self.teacher.k, 0.0)

    def run(self, seconds: float, pushes: Array | None = None) -> Run:
        """Run both side by side, k = 0, from where they are.

        Args:
            seconds: how long.
            pushes: on both, shape (steps, J) [1/s].
        """
        none = np.zeros((round(seconds / DT), len(self.x)))
        return self._go(none if pushes is None else pushes, 0.0, 0.0)

    def _go(
        self,
        pushes: Array,
        k: float,
        k_end: float,
        zeal: float = 0.0,
        mean: Array | None = None,
        seen: Array | None = None,
        average: bool = False,
    ) -> Run:
        net, steps = self.network, len(pushes)
        x, x_hat = np.zeros(pushes.shape), np.zeros(pushes.shape)
        before = int(net.activity.spikes.sum())
        mean = np.zeros((0, 0)) if mean is None else mean
        seen = np.zeros(1) if seen is None else seen
        _side_by_side(
            net._bound, self.teacher.kind, self.x, pushes, k, k_end, zeal, mean, seen, average,
            x, x_hat,
        )  # fmt: skip
        spikes = int(net.activity.spikes.sum()) - before
        return Run(x, x_hat, pushes, spikes / (self.p.neurons * steps * DT))


# Numba leaves decorated functions untyped: the annotations are for readers.
_step: Any = step_ebn


@njit(cache=True)
def _side_by_side(
    bound: Any, kind: Any, x: Any, pushes: Any, k: Any, k_end: Any, zeal: Any,
    mean: Any, seen: Any, average: Any, out_x: Any, out_hat: Any,
) -> None:  # fmt: skip
    """Advance teacher (Heun's rule) and network together; push, learn and average as told."""
    c, e, x_hat, psi, Omega_s = bound[0], bound[1], bound[8], bound[9], bound[10]
    steps, J = pushes.shape
    here, there, ahead = np.zeros(J), np.zeros(J), np.zeros(J)
    for t in range(steps):
        gain = k + (k_end - k) * t / steps
        for j in range(J):
            error = x[j] - x_hat[j]
            e[j] = zeal * error  # for learning alone: the feedback is in the drive
            c[j] = pushes[t, j] + gain * error
        _step(*bound, 1, zeal > 0.0, psi)
        flow(kind, x, here)
        for j in range(J):
            ahead[j] = x[j] + DT * (here[j] + pushes[t, j])
        flow(kind, ahead, there)
        for j in range(J):
            x[j] += DT * (0.5 * (here[j] + there[j]) + pushes[t, j])
            out_x[t, j] = x[j]
            out_hat[t, j] = x_hat[j]
        if average and t % MEAN_EVERY == 0:
            seen[0] += 1.0
            for m in range(mean.shape[0]):
                for i in range(mean.shape[1]):
                    mean[m, i] += (Omega_s[m, i] - mean[m, i]) / seen[0]
