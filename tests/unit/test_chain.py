"""Where links are, against the physics model and by hand."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.chain import Chain
from kuwa_machines.errors import MachineError
from kuwa_sim.model import build_model
from kuwa_sim.scenery import Grid

POINTS = {
    "tractor_plough": ("plough_link", (-0.55, -0.6, -0.62)),
    "tractor_sprayer": ("boom_left_link", (0.0, 10.5, 0.0)),
    "zx200": ("bucket_link", (1.5, 0.1, 0.0)),
}


@pytest.mark.parametrize("machine", POINTS)
def test_a_point_is_where_the_physics_model_has_it(machine: str) -> None:
    spec = load_machine(machine)
    link, point = POINTS[machine]
    chain = Chain(spec, link)
    model = build_model(spec, Grid(0.0, 0.0, 1.0, 4, 4), 0.002)
    data = mujoco.MjData(model)
    rng = np.random.default_rng(0)
    low = np.where(np.isfinite(spec.q_min), spec.q_min, -1.0)
    high = np.where(np.isfinite(spec.q_max), spec.q_max, 1.0)
    base = spec.undercarriage.link
    for _ in range(20):
        q = rng.uniform(low, high)
        for name, angle in zip(spec.joint_names, q, strict=True):
            data.joint(name).qpos[0] = angle
        for name, passive in spec.passive_joints.items():
            led = passive.follows
            angle = 0.0 if led is None else led.angle(q[spec.joint_names.index(led.joint)])
            data.joint(name).qpos[0] = np.ravel(angle)[0]
        mujoco.mj_kinematics(model, data)
        world = data.body(link).xpos + data.body(link).xmat.reshape(3, 3) @ point
        R = data.body(base).xmat.reshape(3, 3)
        assert chain.place(q, point) == pytest.approx(R.T @ (world - data.body(base).xpos))


def test_many_positions_at_once_are_each_alone() -> None:
    spec = load_machine("tractor_plough")
    chain = Chain(spec, "plough_link")
    q = np.tile(spec.home, (7, 2, 1))
    q[..., -1] = np.linspace(-0.2, 0.7, 14).reshape(7, 2)
    together = chain.place(q, (-1.0, 0.0, -0.5))
    assert together.shape == (7, 2, 3)
    assert together[3, 1] == pytest.approx(chain.place(q[3, 1], (-1.0, 0.0, -0.5)))


@pytest.mark.parametrize("machine", ["zx200", "tractor_plough"])
def test_plain_numbers_give_the_same(machine: str) -> None:
    spec = load_machine(machine)
    chain = Chain(spec, spec.tool.link)
    q = spec.home + 0.1
    assert chain.at(q.tolist(), (1.0, 0.2, -0.5)) == pytest.approx(chain.place(q, (1.0, 0.2, -0.5)))


def test_a_link_that_hangs_elsewhere_is_refused() -> None:
    with pytest.raises(MachineError, match="no joints lead"):
        Chain(load_machine("zx200"), "nowhere_link")
