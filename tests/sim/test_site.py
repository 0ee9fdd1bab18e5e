"""Several machines on one ground: they share soil, and each is real mass to the other."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import KuwaError, MachineSpec, load_machine
from kuwa_machines.contracts import Array
from kuwa_machines.kinematics import ExcavatorKinematics
from kuwa_sim.plant import CONTROL_PERIOD, Plant
from kuwa_sim.scenery import Grid
from kuwa_sim.site import Placement, Site
from kuwa_sim.soil import load_soil

GRID = Grid(-5.975, -5.975, 0.05, 320, 340)
DIGGER, TRUCK = load_machine("zx200"), load_machine("ic120")
SPROCKETS = ("sprocket_left_joint", "sprocket_right_joint")


def command(spec: MachineSpec, **joints: float) -> Array:
    u = np.zeros(len(spec.joint_names))
    for name, value in joints.items():
        u[spec.joint_names.index(f"{name}_joint")] = value
    return u


def drive(site: Site, plant: Plant, seconds: float, **joints: float) -> None:
    plant.write(command(plant.spec, **joints))
    for _ in range(round(seconds / CONTROL_PERIOD)):
        site.advance()


def reach(site: Site, plant: Plant, target: Array, seconds: float) -> None:
    """Bring the joints to a target, slowly enough for the dead times."""
    for _ in range(round(seconds / CONTROL_PERIOD)):
        error = target - plant.q
        u = np.clip(0.8 * error, -0.5, 0.5) + 0.06 * np.sign(error) * (np.abs(error) > 0.01)
        plant.write(u)
        site.advance()
    plant.write(np.zeros(len(target)))


def loading_site() -> Site:
    site = Site(
        {"digger": Placement(DIGGER), "truck": Placement(TRUCK, x=1.7, y=7.7)},
        load_soil("sandy_loam"),
        GRID,
    )
    start = ExcavatorKinematics(DIGGER).inverse(np.array([7.8, 0.0, 0.05]), np.radians(105))
    site.reset(starts=[start, None])
    return site


def test_the_truck_takes_soil_from_the_bucket_hauls_it_and_tips_it_out() -> None:
    site = loading_site()
    digger, truck = site["digger"], site["truck"]
    drive(site, digger, 1.6, boom=0.35)
    drive(site, digger, 3.0, arm=0.6)
    drive(site, digger, 2.0, bucket=0.7, arm=0.4)
    drive(site, digger, 3.0, boom=-0.7, bucket=0.3)
    carried = digger.tool_load
    assert carried > 150
    kinematics = ExcavatorKinematics(DIGGER)
    over = kinematics.inverse(np.array([0.0, 6.3, 3.2]), np.radians(155))
    reach(site, digger, over, 9.0)
    open_ = over.copy()
    open_[3] = max(over[3] - 1.9, DIGGER.q_min[3])
    empty_weight = site.model.body_mass.sum() - digger.tool_load - truck.tool_load
    reach(site, digger, open_, 7.0)
    loaded = truck.tool_load
    assert loaded > 0.9 * (carried - digger.tool_load - 20)
    assert site.model.body_mass.sum() == pytest.approx(
        empty_weight + digger.tool_load + loaded, abs=1.0
    )

    before = truck.base_position
    drive(site, truck, 4.0, sprocket_left=0.4, sprocket_right=0.4)
    drive(site, truck, 1.5)
    assert truck.base_position[0] - before[0] > 2.0
    assert truck.tool_load == pytest.approx(loaded, abs=1.0)
    drive(site, truck, 14.0, vessel_pin=-1.0)
    assert truck.q[2] < -0.9
    assert truck.tool_load < 10
    assert site.ground.volume_error() < 1e-9


def test_a_site_repeats_bit_for_bit() -> None:
    def run() -> bytes:
        site = loading_site()
        rng = np.random.default_rng(2)
        for _ in range(8):
            for plant in site.plants:
                plant.write(0.5 * rng.uniform(-1, 1, len(plant.spec.joint_names)))
            for _ in range(30):
                site.advance()
        return bytes(site.data.qpos.tobytes() + site.ground.height.tobytes())

    assert run() == run()


def test_a_machine_of_a_site_behaves_as_it_does_alone() -> None:
    alone = Site({"": Placement(TRUCK)}, load_soil("sandy_loam"), GRID)
    pair = Site(
        {"a": Placement(TRUCK), "b": Placement(DIGGER, y=6.0)}, load_soil("sandy_loam"), GRID
    )
    for site in (alone, pair):
        site.reset()
        drive(site, site.plants[0], 3.0, sprocket_left=0.5, sprocket_right=0.3)
    assert alone.plants[0].base_position == pytest.approx(pair.plants[0].base_position, abs=1e-6)


def test_impossible_sites_are_refused() -> None:
    soil = load_soil("loam")
    with pytest.raises(KuwaError, match="at least one"):
        Site({}, soil, GRID)
    with pytest.raises(KuwaError, match="give it one"):
        Site({"": Placement(TRUCK), "b": Placement(DIGGER)}, soil, GRID)
    with pytest.raises(KuwaError, match="reset the site"):
        Site({"a": Placement(TRUCK), "b": Placement(DIGGER, y=6.0)}, soil, GRID).plants[0].reset()
