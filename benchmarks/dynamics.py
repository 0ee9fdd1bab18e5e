"""Dynamics that spiking networks learn from their error and then run alone: six systems.

Each network learns from pushes in random directions, its feedback is taken away, and it runs beside
its teacher. Of three seeds the worst counts. Oscillators are compared by period and size (root mean
square), whose errors say more than a distance that any error of phase makes large; a damped one by
its damping ratio. No copy can follow the Lorenz system for long. It is compared by the spread of
its signals, by how much its turns differ (those of a periodic orbit do not), by how often it
changes sides, by how fast two copies of it part (its largest Lyapunov exponent), and by Lorenz's
map from one turn's height to the next's: noise would blur it, and another chaos bend it otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array
from kuwa_policies.ebn.dynamics import DT, PUSH, Run, Student
from kuwa_policies.ebn.teachers import LEVEL, TEACHERS, peaks, watched

SEEDS = (0, 1, 2)
ALONE = 10.0
LORENZ_ALONE = 60.0
KICKS = 3000
"""Neuron steps between kicks of the damped oscillator."""
COPIES = 40
"""Pairs of neighbours whose parting is averaged."""
Values = dict[str, float]


def period(x: Array) -> float:
    """Return the mean time between upward crossings of 0, with a band against noise [s]."""
    up, low, times = 0.1, False, []
    for t, value in enumerate(x):
        if value < -up:
            low = True
        elif value > up and low:
            low = False
            times.append(t * DT)
    return float(np.mean(np.diff(times))) if len(times) > 2 else float("nan")


def oscillation(run: Run) -> Values:
    """Compare period and size."""
    own, true = run.x_hat[:, 0], run.x[:, 0]
    return {
        "period_error": 100.0 * abs(period(own) / period(true) - 1.0),
        "size_error": 100.0 * abs(float(own.std() / true.std()) - 1.0),
        "distance_2_s": float(np.sqrt(np.mean((run.x - run.x_hat)[: round(2.0 / DT)] ** 2))),
    }


def damping(run: Run) -> Values:
    """Compare damping ratios, and states."""
    own, true = damping_ratio(run.x_hat), damping_ratio(run.x)
    return {
        "damping_error": 100.0 * abs(own / true - 1.0),
        "distance": float(np.sqrt(np.mean((run.x - run.x_hat) ** 2))),
    }


def damping_ratio(x: Array, span: int = 100) -> float:
    """Return ζ of the linear map over ``span`` neuron steps that fits free decay best."""
    begin = np.arange(len(x) - span)
    free = (begin % KICKS >= PUSH) & (begin % KICKS < KICKS - span)
    begin = begin[free & (np.linalg.norm(x[begin], axis=1) > 0.1)]
    A = np.linalg.lstsq(x[begin], x[begin + span], rcond=None)[0]
    root = np.log(np.linalg.eigvals(A).astype(complex)[0])
    return float(-root.real / abs(root))


def switching(run: Run) -> Values:
    """Share of the time on the right side, and how far from its level."""
    right = np.sign(run.x_hat) == np.sign(run.x)
    calm = np.abs(np.abs(run.x) - LEVEL) < 0.01
    off = np.abs(run.x_hat - run.x)[calm & right]
    return {"right_side": 100.0 * float(right.mean()), "level_error": float(off.mean())}


def chaos(run: Run) -> Values:
    """Compare statistics, Lorenz's map, and how long it stays with its teacher."""
    off = np.abs(run.x_hat.std(axis=0) / run.x.std(axis=0) - 1.0).max()
    apart = np.abs(run.x - run.x_hat).max(axis=1) > 0.3
    turns = peaks(run.x_hat[:, 2])
    mixed = np.random.default_rng(0).permutation(turns)
    return {
        "spread_error": 100.0 * float(off),
        "peaks_ratio": float(turns.std() / peaks(run.x[:, 2]).std()),
        "map_error": map_error(turns[:-1], turns[1:]),
        "map_error_if_mixed": map_error(turns, mixed),
        "horizon": float(np.argmax(apart)) * DT,
        "sides_ratio": sides(run.x_hat[:, 0]) / max(sides(run.x[:, 0]), 1),
    }


def sides(x: Array) -> int:
    """Return how often x changes sides, with a band against noise."""
    clear = np.sign(x[np.abs(x) > 0.1])
    return int((np.diff(clear) != 0).sum())


def map_error(before: Array, after: Array) -> float:
    """Return the mean distance of turns from the teacher's map, in its standard deviations."""
    x, lorenz = np.array([0.1, 0.0, 0.0]), next(t for t in TEACHERS if t.name == "lorenz")
    states = np.zeros((600_000, 3))
    watched(lorenz.kind, x, np.zeros(states.shape), DT, states)
    z = peaks(states[5000:, 2])
    away = np.hypot(before[:, None] - z[:-1], after[:, None] - z[1:]).min(axis=1)
    return float(away.mean() / z.std())


def parting(student: Student) -> Values:
    """Return how fast neighbours part, of network and teacher, over 2 s [1/s].

    A copy starts with the same state and the same membrane noise, and is pushed aside by 0.02.
    """
    net, rng = student.network, np.random.default_rng(3)
    state = (net.V, net.r, net.x_hat, net.psi, net.random, student.x)
    away: tuple[list[Array], list[Array]] = ([], [])
    for _ in range(COPIES):
        student.run(1.7)
        kept = [array.copy() for array in state]
        one = student.run(3.0)
        for array, value in zip(state, kept, strict=True):
            array[:] = value
        pushes = np.zeros(one.x.shape)
        aside = rng.standard_normal(3)
        pushes[:PUSH] = 0.02 * aside / np.linalg.norm(aside) / (PUSH * DT)
        two = student.run(3.0, pushes)
        away[0].append(np.linalg.norm(one.x_hat - two.x_hat, axis=1))
        away[1].append(np.linalg.norm(one.x - two.x, axis=1))
    speeds = []
    for distances in away:
        logs = np.log(np.maximum(np.array(distances), 1e-6)).mean(axis=0)
        speeds.append(float(logs[2200:3000].mean() - logs[200:1000].mean()) / 2.0)
    return {"lyapunov": speeds[0], "lyapunov_of_teacher": speeds[1]}


def pushes(name: str, steps: int, J: int) -> Array:
    """Return what both are pushed with while the network is alone, shape (steps, J) [1/s]."""
    out = np.zeros((steps, J))
    rng = np.random.default_rng(7)
    if name == "bistable":
        side = 1.0
        for begin in range(500, steps - PUSH, 1000):
            side = -side if rng.random() < 0.7 else side
            out[begin : begin + PUSH] = side * 1.2 / (PUSH * DT)
    if name == "damped":
        for begin in range(KICKS, steps - PUSH, KICKS):
            out[begin : begin + PUSH] = 0.5 * rng.choice([-1.0, 1.0], J) / (PUSH * DT)
    return out


COMPARE: dict[str, tuple[Callable[[Run], Values], dict[str, tuple[str, str]]]] = {
    "harmonic": (oscillation, {
        "period_error": ("%", "<= 3"), "size_error": ("%", "<= 5"), "distance_2_s": ("1", "")}),
    "damped": (damping, {"damping_error": ("%", "<= 20"), "distance": ("1", "<= 0.1")}),
    "van_der_pol": (oscillation, {
        "period_error": ("%", "<= 3"), "size_error": ("%", "<= 5"), "distance_2_s": ("1", "")}),
    "bistable": (switching, {"right_side": ("%", ">= 95"), "level_error": ("1", "<= 0.05")}),
    "lorenz": (chaos, {
        "spread_error": ("%", "<= 20"), "peaks_ratio": ("1", ">= 0.5"),
        "map_error": ("1", "<= 0.2"), "map_error_if_mixed": ("1", ""),
        "lyapunov": ("1/s", ">= 0.5"),
        "lyapunov_of_teacher": ("1/s", ""), "horizon": ("s", ""), "sides_ratio": ("1", "")}),
    "pendulum": (oscillation, {
        "period_error": ("%", "<= 5"), "size_error": ("%", "<= 10"), "distance_2_s": ("1", "")}),
}  # fmt: skip
SMALL_IS_BAD = (
    "right_side", "horizon", "peaks_ratio", "lyapunov", "lyapunov_of_teacher", "map_error_if_mixed",
)  # fmt: skip


def alone(student: Student) -> Run:
    """Let a network that has learnt run alone."""
    teacher = student.teacher
    student.let_go(np.array(teacher.start))
    steps = round((LORENZ_ALONE if teacher.name == "lorenz" else ALONE) / DT)
    return student.run(steps * DT, pushes(teacher.name, steps, len(teacher.start)))


def measure() -> Iterator[Figure]:
    """Teach each network, let it go, compare."""
    for teacher in TEACHERS:
        compare, goals = COMPARE[teacher.name]
        results, rates = [], []
        for seed in SEEDS:
            student = Student(teacher, seed)
            student.learn()
            run = alone(student)
            results.append(compare(run))
            if teacher.name == "lorenz":
                results[-1] |= parting(student)
            rates.append(run.rate)
        for name, (unit, goal) in goals.items():
            values = [each[name] for each in results]
            worst = min(values) if name in SMALL_IS_BAD else max(values)
            if name == "sides_ratio":
                worst = max(values, key=lambda v: abs(np.log(max(v, 1e-9))))
            yield Figure(f"dynamics.{teacher.name}.{name}.worst", worst, unit, goal)
        yield Figure(f"dynamics.{teacher.name}.rate", float(np.mean(rates)), "Hz", "<= 20")
