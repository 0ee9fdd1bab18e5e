"""Dynamics that spiking networks learn from their error and then run alone: six systems.

Each network learns from pushes in random directions, its feedback is taken away, and it runs beside
its teacher. Of three seeds the worst counts. Oscillators are compared by period and size (root mean
square), whose errors say more than a distance that any error of phase makes large; the Lorenz
system, which no copy can follow for long, by the spread of its signals, by how much its turns
differ (a periodic orbit has equal ones) and by how often it changes sides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from kuwa_cli.figure import Figure
from kuwa_machines.contracts import Array
from kuwa_policies.ebn.dynamics import DT, PUSH, Run, Student
from kuwa_policies.ebn.teachers import LEVEL, TEACHERS

SEEDS = (0, 1, 2)
ALONE = 10.0
LORENZ_ALONE = 60.0
TURN = 300
"""Neuron steps that a turn of the Lorenz system takes at least."""
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


def following(run: Run) -> Values:
    """Compare states."""
    return {"distance": float(np.sqrt(np.mean((run.x - run.x_hat) ** 2)))}


def switching(run: Run) -> Values:
    """Share of the time on the right side, and how far from its level."""
    right = np.sign(run.x_hat) == np.sign(run.x)
    calm = np.abs(np.abs(run.x) - LEVEL) < 0.01
    off = np.abs(run.x_hat - run.x)[calm & right]
    return {"right_side": 100.0 * float(right.mean()), "level_error": float(off.mean())}


def chaos(run: Run) -> Values:
    """Compare statistics, and how long it stays with its teacher."""
    off = np.abs(run.x_hat.std(axis=0) / run.x.std(axis=0) - 1.0).max()
    apart = np.abs(run.x - run.x_hat).max(axis=1) > 0.3
    sides = [int((np.diff(np.sign(x[:, 0])) != 0).sum()) for x in (run.x_hat, run.x)]
    return {
        "spread_error": 100.0 * float(off),
        "peaks_ratio": float(peaks(run.x_hat[:, 2]).std() / peaks(run.x[:, 2]).std()),
        "horizon": float(np.argmax(apart)) * DT,
        "sides_ratio": sides[0] / max(sides[1], 1),
    }


def peaks(z: Array) -> Array:
    """Return the height of each turn of the Lorenz system; on a periodic orbit all are the same."""
    smooth = np.convolve(z, np.ones(20) / 20, "same")
    rises = np.diff(smooth)
    tops = np.nonzero((rises[:-1] > 0.0) & (rises[1:] <= 0.0) & (smooth[1:-1] > 0.0))[0] + 1
    found: list[float] = []
    last = -TURN
    for t in tops:
        if t - last > TURN:
            found.append(smooth[t])
            last = t
        else:
            found[-1] = max(found[-1], smooth[t])
    return np.array(found)


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
        for begin in range(3000, steps - PUSH, 3000):
            out[begin : begin + PUSH] = 0.5 * rng.choice([-1.0, 1.0], J) / (PUSH * DT)
    return out


COMPARE: dict[str, tuple[Callable[[Run], Values], dict[str, tuple[str, str]]]] = {
    "harmonic": (oscillation, {
        "period_error": ("%", "<= 3"), "size_error": ("%", "<= 15"), "distance_2_s": ("1", "")}),
    "damped": (following, {"distance": ("1", "<= 0.1")}),
    "van_der_pol": (oscillation, {
        "period_error": ("%", "<= 3"), "size_error": ("%", "<= 5"), "distance_2_s": ("1", "")}),
    "bistable": (switching, {"right_side": ("%", ">= 95"), "level_error": ("1", "<= 0.05")}),
    "lorenz": (chaos, {
        "spread_error": ("%", "<= 20"), "peaks_ratio": ("1", ">= 0.5"), "horizon": ("s", ""),
        "sides_ratio": ("1", "")}),
    "pendulum": (oscillation, {
        "period_error": ("%", "<= 5"), "size_error": ("%", "<= 25"), "distance_2_s": ("1", "")}),
}  # fmt: skip
SMALL_IS_BAD = ("right_side", "horizon", "peaks_ratio")


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
            rates.append(run.rate)
        for name, (unit, goal) in goals.items():
            values = [each[name] for each in results]
            worst = min(values) if name in SMALL_IS_BAD else max(values)
            if name == "sides_ratio":
                worst = max(values, key=lambda v: abs(np.log(max(v, 1e-9))))
            yield Figure(f"dynamics.{teacher.name}.{name}.worst", worst, unit, goal)
        yield Figure(f"dynamics.{teacher.name}.rate", float(np.mean(rates)), "Hz", "<= 20")
