"""What every machine must satisfy, whatever its make: one suite for all folders."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from kuwa_machines import MachineSpec, load_machine, machine_folders
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive
from kuwa_sim.model import Grid, build_model

GRID = Grid(-1.0, -1.0, 0.5, 20, 10)


@pytest.fixture(params=sorted(machine_folders()), scope="module")
def spec(request: pytest.FixtureRequest) -> MachineSpec:
    return load_machine(request.param)


@pytest.fixture(scope="module")
def model(spec: MachineSpec) -> mujoco.MjModel:
    return build_model(spec, GRID, 0.002)


def test_model_weighs_what_the_data_say(spec: MachineSpec, model: mujoco.MjModel) -> None:
    mass = sum(link.mass for link in spec.links.values())
    assert model.body_mass.sum() == pytest.approx(mass, abs=0.01)


def test_pins_are_where_the_data_say(spec: MachineSpec, model: mujoco.MjModel) -> None:
    for joint in spec.joints.values():
        assert model.body(joint.child).pos == pytest.approx(joint.origin)


def test_nothing_in_the_model_touches(model: mujoco.MjModel) -> None:
    assert not model.geom_contype.any() and not model.geom_conaffinity.any()


def test_lever_arm_is_the_derivative_of_length(spec: MachineSpec) -> None:
    for joint in spec.joints.values():
        if not isinstance(joint.drive, CylinderDrive):
            continue
        q = np.linspace(joint.position.min, joint.position.max, 400)
        length = joint.drive.linkage.length(q)
        lever = lever_arm(joint.drive.linkage, q)
        integral = np.concatenate([[0], np.cumsum((lever[1:] + lever[:-1]) / 2 * np.diff(q))])
        assert length - length[0] == pytest.approx(integral, abs=1e-4)


def test_home_is_inside_the_limits(spec: MachineSpec) -> None:
    assert np.all(spec.q_min <= spec.home) and np.all(spec.home <= spec.q_max)


def test_velocity_limits_are_within_what_the_pump_can_do(spec: MachineSpec) -> None:
    for name, joint in spec.joints.items():
        drive = joint.drive
        if isinstance(drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 50)
            fastest = drive.valve.max_flow_positive / drive.rod_area
            reachable = fastest / np.abs(lever_arm(drive.linkage, q)).min()
        else:
            reachable = drive.valve.max_flow_positive / drive.displacement
        assert reachable >= 0.9 * joint.velocity, name
