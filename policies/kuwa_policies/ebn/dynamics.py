"""Learning dynamics from error feedback, and running them without it (Alemi et al. 2017).

    teacher ẋ = f(x) + c        network x̂̇ = −λx̂ + Wᵀψ(x̂) + c + k e,  Ω_s = DᵀW,  e = x − x̂

Each synapse changes by η (Dᵀe)_i p_k, where p = ψ − ψ̄ is what its dendrite says above its mean.
Without the mean, which all dendrites share, learning sees their differences: with it, weights chase
the error along the orbit faster than they can learn from it. η and k fall over the first half of
the lessons. Over the second half runs, beside each weight, its mean, which is as local as the rule
and is what the network keeps. Then k falls to 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from kuwa_machines.contracts import Array
from kuwa_policies.ebn.decoders import random_decoders
from kuwa_policies.ebn.network import Ebn, step_ebn
from kuwa_policies.ebn.parameters import EbnParameters
from kuwa_policies.ebn.teachers import Teacher, advance, watched

DT = 1e-3
PUSH = 50
"""Neuron steps that a push takes."""
LOOK = 100.0
"""How long the teacher is watched before the lessons, for the scale of its states [s]."""
MEAN_EVERY = 20
"""Neuron steps between two looks at the weights for their mean."""
MU, NOISE = 0.1, 0.02
"""Little of both: noise of x̂ reaches ψ and makes what is learnt smaller than it is."""
CONSTANT = 0.5
"""Offset of the dendrite that reads nothing."""


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
        self.x = np.array(teacher.start)
        self._rng = np.random.default_rng(seed)
        states = self._look()
        M, theta = bent_dendrites(states, teacher, seed + 1)
        psi = np.tanh(states @ M.T + theta)
        self.rest = psi.mean(axis=0)
        """ψ̄ of each dendrite, the constant one's 0, shape (K + 1,)."""
        self.rest[-1] = 0.0
        power = float(((psi - self.rest) ** 2).sum(axis=1).mean())
        self.p = EbnParameters(
            random_decoders(len(self.x), teacher.neurons, teacher.norm, seed),
            leak=teacher.leak,
            mu=MU * teacher.norm**2,
            nu=0.0,
            dt=DT,
            noise=NOISE,
            M=M,
            theta=theta,
            eta=teacher.haste * (teacher.k / 2.0) ** 2 / power,
        )
        self.network = Ebn(self.p, seed, "float32")

    def learn(self, seconds: float | None = None) -> Array:
        """Learn while the teacher is pushed about; return the RMS of e in each tenth of it."""
        teacher, net = self.teacher, self.network
        seconds = teacher.seconds if seconds is None else seconds
        lessons = max(10, round(seconds / teacher.every))
        mean, seen = np.zeros(net.Omega_s.shape), np.zeros(1)
        squares = np.zeros(lessons)
        fall = teacher.k_late / teacher.k
        calm = teacher.haste_late / teacher.haste * fall**2
        # At rest ψ is 0 and far from its mean: the network joins its teacher before it learns.
        self._go(np.zeros((2 * PUSH, len(self.x))), teacher.k, teacher.k)
        for n in range(lessons):
            late = 2 * n >= lessons
            done = min(2.0 * n / lessons, 1.0)
            k = teacher.k * fall**done
            run = self._go(self._push(), k, k, calm**done, mean, seen, late)
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

    def _push(self) -> Array:
        """Return the pushes of one lesson, from where the teacher is."""
        teacher, J = self.teacher, len(self.x)
        pushes = np.zeros((round(teacher.every / DT), J))
        goal = teacher.hold * self.x + teacher.kick * self._rng.uniform(-1.0, 1.0, J)
        pushes[:PUSH] = (goal - self.x) / (PUSH * DT)
        return pushes

    def _look(self) -> Array:
        """Watch the teacher under pushes like those of the lessons; shape (steps, J)."""
        seen = []
        for _ in range(round(LOOK / self.teacher.every)):
            pushes = self._push()
            seen.append(np.zeros(pushes.shape))
            watched(self.teacher.kind, self.x, pushes, DT, seen[-1])
        self.x[:] = self.teacher.start
        return np.concatenate(seen)

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
            net._bound, self.teacher.kind, self.x, self.rest, pushes, k, k_end, zeal,
            mean, seen, average, x, x_hat,
        )  # fmt: skip
        spikes = int(net.activity.spikes.sum()) - before
        return Run(x, x_hat, pushes, spikes / (self.p.neurons * steps * DT))


def bent_dendrites(states: Array, teacher: Teacher, seed: int) -> tuple[Array, Array]:
    """Return M, shape (K + 1, J), and theta, shape (K + 1,); the last dendrite is constant.

    Slopes are the same for each direction in units of the states' spread along it, so that what
    differs little between signals is learnt as fast as what they share.

    Args:
        states: of the teacher, shape (steps, J).
        teacher: its gain, offsets and dendrites.
        seed: of the directions and offsets.
    """
    rng = np.random.default_rng(seed)
    K, J = teacher.dendrites, states.shape[1]
    spread = np.linalg.cholesky(np.linalg.inv(np.atleast_2d(np.cov(states.T))))
    w = rng.standard_normal((K, J))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    M = teacher.gain * w @ spread.T
    theta = rng.uniform(*teacher.offsets, K) * rng.choice([-1.0, 1.0], K)
    return np.vstack([M, np.zeros(J)]), np.append(theta - M @ states.mean(axis=0), CONSTANT)


# Numba leaves decorated functions untyped: the annotations are for readers.
_step: Any = step_ebn


@njit(cache=True)
def _side_by_side(
    bound: Any, kind: Any, x: Any, rest: Any, pushes: Any, k: Any, k_end: Any, zeal: Any,
    mean: Any, seen: Any, average: Any, out_x: Any, out_hat: Any,
) -> None:  # fmt: skip
    """Advance teacher and network together; push, learn and average as told."""
    c, e, x_hat, psi, Omega_s = bound[0], bound[1], bound[8], bound[9], bound[10]
    steps, J = pushes.shape
    last = len(rest) - 1
    work = np.zeros((3, J))
    p = np.zeros_like(psi)
    constant = np.tanh(CONSTANT)
    for t in range(steps):
        gain = k + (k_end - k) * t / steps
        for j in range(J):
            error = x[j] - x_hat[j]
            e[j] = zeal * error  # for learning alone: the feedback is in the drive
            c[j] = pushes[t, j] + gain * error
        # The error of now was made by the activity of the step before. The constant dendrite is
        # told what the others' means amount to: Ω_sᵀψ then changes as if ψ were p and a constant.
        means = 0.0
        for m in range(last):
            p[m] = psi[m] - rest[m]
            means += rest[m] * p[m]
        p[last] = psi[last] - means / constant
        _step(*bound, 1, zeal > 0.0, p)
        advance(kind, x, pushes[t], DT, work)
        for j in range(J):
            out_x[t, j] = x[j]
            out_hat[t, j] = x_hat[j]
        if average and t % MEAN_EVERY == 0:
            seen[0] += 1.0
            for m in range(mean.shape[0]):
                for i in range(mean.shape[1]):
                    mean[m, i] += (Omega_s[m, i] - mean[m, i]) / seen[0]
