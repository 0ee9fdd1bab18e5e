"""What every machine must satisfy, whatever its make: one suite for all folders."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from kuwa_machines import CommandError, MachineSpec, load_machine, machine_folders
from kuwa_machines.datafile import quantities
from kuwa_machines.linkage import lever_arm
from kuwa_machines.spec import CylinderDrive, HydrostaticDrive
from kuwa_sim import circuit_layout as oil
from kuwa_sim.model import Grid, build_model
from kuwa_sim.plant import STEP, Plant
from kuwa_sim.site import lone_plant
from kuwa_sim.soil import load_soil

GRID = Grid(-1.0, -1.0, 0.5, 20, 10)


@pytest.fixture(params=sorted(machine_folders()), scope="module")
def spec(request: pytest.FixtureRequest) -> MachineSpec:
    return load_machine(request.param)


@pytest.fixture(scope="module")
def model(spec: MachineSpec) -> mujoco.MjModel:
    return build_model(spec, GRID, STEP)


@pytest.fixture(scope="module")
def plant(spec: MachineSpec) -> Plant:
    plant = lone_plant(spec, load_soil("sandy_loam"), Grid(-9.9, -9.9, 0.1, 200, 200))
    plant.reset()
    return plant


def test_model_weighs_what_the_data_say(spec: MachineSpec, model: mujoco.MjModel) -> None:
    mass = sum(link.mass for link in spec.links.values())
    assert model.body_mass.sum() == pytest.approx(mass, abs=0.01)


def test_pins_are_where_the_data_say(spec: MachineSpec, model: mujoco.MjModel) -> None:
    for joint in [*spec.joints.values(), *spec.passive_joints.values()]:
        assert model.body(joint.child).pos == pytest.approx(joint.origin)


def test_links_hang_together_as_the_data_say(spec: MachineSpec, model: mujoco.MjModel) -> None:
    for joint in [*spec.joints.values(), *spec.passive_joints.values()]:
        parent = int(model.body_parentid[model.body(joint.child).id])
        assert model.body(parent).name == joint.parent
    assert model.njnt == 1 + len(spec.joints) + len(spec.passive_joints), "a joint without data"


def test_nothing_in_the_model_touches(model: mujoco.MjModel) -> None:
    assert not model.geom_contype.any() and not model.geom_conaffinity.any()


def test_every_number_has_a_source_that_is_used(spec: MachineSpec) -> None:
    used = {str(leaf["source"]) for _, leaf in quantities(spec.raw)}
    assert used == set(spec.sources)
    assert (spec.folder / "README.md").read_text(encoding="utf-8").startswith(f"# {spec.name}\n")


def test_a_cylinder_of_one_stage_can_be_as_short_and_as_long(spec: MachineSpec) -> None:
    for name, joint in spec.joints.items():
        if isinstance(joint.drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 101)
            length = joint.drive.linkage.length(q)
            # Rod and barrel are each as long as the stroke; piston, head and eyes need a tenth.
            assert np.ptp(length) < 0.9 * length.min(), name


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
        if isinstance(drive, HydrostaticDrive):
            continue
        if isinstance(drive, CylinderDrive):
            q = np.linspace(joint.position.min, joint.position.max, 50)
            fastest = drive.valve.max_flow_positive / drive.rod_area
            reachable = fastest / np.abs(lever_arm(drive.linkage, q)).min()
        else:
            reachable = drive.valve.max_flow_positive / drive.displacement
        assert reachable >= 0.9 * joint.velocity, name


def test_oil_columns_are_slow_enough_for_the_physics_step(plant: Plant) -> None:
    """An explicit step is stable while ω dt and c dt/I stay well below 2; here, below 0.8."""
    model, data = plant.model, plant.data
    mass = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, mass)
    # Led joints move with their leaders.
    lead = np.eye(model.nv)
    for name, passive in plant.spec.passive_joints.items():
        if passive.follows is not None:
            joint = model.joint(passive.follows.joint)
            q, h = float(data.qpos[joint.qposadr[0]]), 1e-5
            high, low = passive.follows.angle(np.array([q + h, q - h]))
            lead[model.joint(name).dofadr[0], joint.dofadr[0]] = (high - low) / (2 * h)
    led = [
        int(model.joint(n).dofadr[0])
        for n, passive in plant.spec.passive_joints.items()
        if passive.follows is not None
    ]
    keep = [i for i in range(model.nv) if i not in led]
    compliance = np.linalg.inv((lead.T @ mass @ lead)[np.ix_(keep, keep)])
    c = plant.circuit
    names = [n for n, j in plant.spec.joints.items() if not isinstance(j.drive, HydrostaticDrive)]
    for p, table, name in zip(c.parameters, c.table, names, strict=True):
        q = plant.spec.joints[name].home
        lever = oil.interpolate(table[1], p, q)
        head = rod = p[oil.DEAD_VOLUME]
        if p[oil.LENGTH_MAX] > 0:
            piston = oil.interpolate(table[0], p, q)
            head += p[oil.AREA_EXTEND] * (piston - p[oil.LENGTH_MIN])
            rod += p[oil.AREA_RETRACT] * (p[oil.LENGTH_MAX] - piston)
        stiffness = c.pump[oil.BULK] * lever**2
        stiffness *= p[oil.AREA_EXTEND] ** 2 / head + p[oil.AREA_RETRACT] ** 2 / rod
        k = keep.index(int(model.joint(name).dofadr[0]))
        assert np.sqrt(stiffness * compliance[k, k]) * STEP < 0.8, name
        assert stiffness * p[oil.DAMPING_TIME] * compliance[k, k] * STEP < 0.8, name


def test_it_stands_still_and_answers_every_joint(plant: Plant) -> None:
    plant.reset()
    start = plant.base_position
    for _ in range(300):
        plant.advance()
    assert np.abs(plant.base_position - start).max() < 5e-3
    assert np.abs(plant.qd).max() < 0.01
    n = len(plant.spec.joint_names)
    for i, name in enumerate(plant.spec.joint_names):
        for sign in (1.0, -1.0):
            plant.reset()
            before = plant.q[i]
            u = np.zeros(n)
            u[i] = 0.6 * sign
            plant.write(u)
            most = 0.0
            for _ in range(200):
                plant.advance()
                most = max(most, sign * (plant.q[i] - before))
            joint = plant.spec.joints[name]
            room = joint.position.max - before if sign > 0 else before - joint.position.min
            assert most > min(0.02, 0.5 * room), f"{name} {sign:+.0f}"
            assert np.all(np.isfinite(plant.data.qpos))


def test_bad_commands_change_nothing(plant: Plant) -> None:
    plant.reset()
    n = len(plant.spec.joint_names)
    plant.write(np.full(n, 0.1))
    with pytest.raises(CommandError, match=r"within \[-1, 1\]"):
        plant.write(np.full(n, np.nan))
    with pytest.raises(CommandError, match=f"expected {n}"):
        plant.write(np.zeros(n + 1))
    assert plant.command.tolist() == [0.1] * n
