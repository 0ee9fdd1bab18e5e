"""The parts of identification: dead time, inertia, excitation, tables of values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import KuwaError, load_machine, machine_folders
from kuwa_policies.identification import Excitation, LogError
from kuwa_policies.identification.csv_file import read_csv
from kuwa_policies.identification.descent import descend
from kuwa_policies.identification.excitation import windows
from kuwa_policies.identification.model import MachineModel, delayed, functions
from kuwa_policies.identification.rigid import BASE, GRAVITY, RigidTree

MACHINES = sorted(machine_folders())


@given(
    st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.floats(0.0, 3.0), st.integers(0, 2**31)
)
@settings(max_examples=50, deadline=None)
def test_a_delay_keeps_the_integral(values: list[float], dead_time: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.cumsum(rng.uniform(0.005, 0.1, len(values)))
    edges = np.arange(0.0, t[-1] + dead_time + 1.0, 0.002)
    late = delayed(t, np.array([*values[:-1], 0.0]), edges - dead_time)
    held = float(np.diff(t) @ values[:-1])
    assert late.sum() * 0.002 == pytest.approx(held, abs=1e-9)
    assert np.abs(late).max() <= 1.0 + 1e-9


@pytest.mark.parametrize("name", MACHINES)
def test_weight_is_the_slope_of_potential_energy_and_inertia_is_positive(name: str) -> None:
    spec = load_machine(name)
    names = functions(spec)
    tree = RigidTree(spec, names)
    model = MachineModel(spec)
    q = np.random.default_rng(0).uniform(model.q_min, model.q_max)

    def energy(q: np.ndarray) -> float:
        R, p = tree.frames(q[None])
        height = [(p[0, k] + R[0, k] @ np.array(link.com))[2] for k, link in enumerate(tree.links)]
        return GRAVITY * float(np.dot([link.mass for link in tree.links], height))

    M, g = tree.inertia_and_weight(q[None])
    h = 1e-6
    slope = [(energy(q + h * e) - energy(q - h * e)) / (2 * h) for e in np.eye(len(q))]
    assert g[0, BASE:] == pytest.approx(-np.array(slope), rel=1e-5, abs=1e-2)
    assert g[0, 2] == pytest.approx(-tree.mass * GRAVITY)
    assert np.allclose(M[0], M[0].T)
    assert np.linalg.eigvalsh(M[0]).min() > 0
    assert M[0, 0, 0] == pytest.approx(tree.mass)


@pytest.mark.parametrize(
    ("name", "faster"), [*((name, 1.4) for name in MACHINES), ("zx200", 0.6), ("zx200", 1.0)]
)
def test_the_script_keeps_every_joint_in_its_limits(name: str, faster: float) -> None:
    spec = load_machine(name)
    model = MachineModel(spec)
    place = windows(spec)
    script = Excitation(spec, 300.0, 3, 0.01)
    x = np.array([spec.joints[n].home for n in functions(spec)])
    sent: list[np.ndarray] = []
    levels = set()
    moving = 0
    while (u := script.step(x)) is not None:
        assert np.all(np.abs(u) <= 1.0)
        sent.append(u)
        moving = max(moving, np.count_nonzero(u))
        if len(sent) % 20 == 1:
            D = model.displacement(x[None])[0]
        for j, f in enumerate(model.prior):
            k = len(sent) - 1 - round(1.2 * f.dead_time / 0.01)
            s = float(f.flow_fraction(sent[k][j])) if k >= 0 else 0.0
            most = min(f.max_flow_positive if s > 0 else f.max_flow_negative, model.pump[0])
            x[j] += 0.01 * faster * s * most / D[j, int(s > 0)]
            levels.add((j, round(float(u[j]), 3)))
        assert np.all(x >= model.q_min) and np.all(x <= model.q_max)
    assert len(sent) == pytest.approx(30_000, abs=2)
    assert moving == len(x)
    for j in range(len(x)):
        assert len([1 for i, u in levels if i == j and u > 0]) > 8
        assert len([1 for i, u in levels if i == j and u < 0]) > 8
    assert np.all(place.half > 0)


def test_the_script_repeats_and_refuses_too_little_time() -> None:
    spec = load_machine("zx200")
    a, b = (Excitation(spec, 200.0, 5, 0.01) for _ in range(2))
    x = windows(spec).centre
    for _ in range(20_000):
        u, v = a.step(x), b.step(x)
        assert (u is None) == (v is None)
        assert u is None or v is None or np.array_equal(u, v)
    with pytest.raises(KuwaError, match="140 s at least"):
        Excitation(spec, 60.0, 0, 0.01)
    with pytest.raises(KuwaError, match="nan s"):
        Excitation(spec, float("nan"), 0, 0.01)


def test_the_descent_finds_a_minimum_inside_and_at_a_bound() -> None:
    def residuals(x: np.ndarray) -> np.ndarray:
        return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])  # Rosenbrock

    wide = np.array([-5.0, -5.0]), np.array([5.0, 5.0])
    step = np.full(2, 1e-7)
    x, _, _ = descend(residuals, np.array([-1.2, 1.0]), *wide, step, 1e-14)
    assert x == pytest.approx([1.0, 1.0], abs=1e-4)
    x, _, _ = descend(residuals, np.array([-1.2, 1.0]), wide[0], np.array([0.5, 5.0]), step, 1e-14)
    assert x == pytest.approx([0.5, 0.25], abs=1e-3)


TABLE = "stamp,a_command,a_q,a_qd\n0.00,0,1.0,0\n0.01,0.5,,0.1\n0.02,0.5,nan,0.2\n"


def test_a_table_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(TABLE)
    log = read_csv(path, "log.csv")
    assert log.joints == ("a",)
    assert log.qd is not None and log.qd[:, 0].tolist() == [0, 0.1, 0.2]
    assert np.isnan(log.q[1:, 0]).all() and log.command[1, 0] == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column 'stamp'"),
        ("stamp\n1\n", "no joint's columns"),
        ("stamp,a_command,a_q\n", "no rows"),
        ("stamp,a_q\n0,1\n", "no column 'a_command'"),
        ("stamp,a_command,a_q,a_pos\n0,0,0,0\n", "'a_pos'"),
        ("stamp,a_command,a_q,a_q\n0,0,0,0\n", "2 times"),
        ("stamp,a_command,a_q\n0,0\n", "line 2 has 2 cells"),
        ("stamp,a_command,a_q\n0,x,0\n", "line 2, column a_command: 'x'"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(LogError, match=says):
        read_csv(path, "log.csv")
