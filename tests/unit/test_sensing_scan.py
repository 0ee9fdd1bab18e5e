"""The height scan against geometry done by hand."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.sensors import HeightScan
from kuwa_sim.scenery import Grid
from kuwa_sim.sensing import SensorSuite
from kuwa_sim.sensing.scan import Scanner
from sensing_rig import StillPlant, exact, sampled, with_sensors

GRID = Grid(-6.0, -6.0, 0.05, 241, 241)
cells = GRID.x0 + GRID.cell * np.arange(GRID.nx)
POST = 0.1


def sensor(**change: Any) -> dict[str, Any]:
    return sampled(5.0, **({
        "link": "boom_link", "at": {"value": [0, 0, 0], "unit": "m", "source": "test"},
        "max_range": exact(30, "m"), "resolution": exact(0.001, "deg"), "grazing": exact(0, "deg"),
        "noise": exact(0, "m"),
    } | change))  # fmt: skip


def scanner(before: np.ndarray, grid: Grid = GRID, **change: Any) -> Scanner:
    data = HeightScan.model_validate(sensor(**change))
    return Scanner(data, grid, before, np.random.default_rng(0))


def seen(height: np.ndarray, eye: tuple[float, float, float], **change: Any) -> np.ndarray:
    """Which cells a scan from ``eye`` measures."""
    unknown = np.full(height.shape, -99.0)
    return scanner(unknown, **change).scan(height, np.array(eye)).height > -50


def flat() -> np.ndarray:
    return np.zeros((GRID.nx, GRID.ny))


@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_a_wall_throws_the_shadow_of_geometry(turned: int) -> None:
    wall, at, high = 1.0, 1.0, 3.0
    height = flat()
    height[(cells > at - 0.25) & (cells < at + 0.02), :] = wall
    eye = np.array([-2.0, 0.3])
    measured = seen(np.rot90(height, turned), (*_turn(eye, turned), high))
    measured = np.rot90(measured, -turned)
    end = at + wall * (at - eye[0]) / (high - wall)
    shadow = ~measured[:, 120]
    assert shadow.any()
    x = cells[shadow]
    assert x.min() == pytest.approx(at, abs=1.5 * POST)
    assert x.max() == pytest.approx(end, abs=POST)
    assert measured[cells < at - 0.3, :].all()
    assert measured[cells > end + 2 * POST, :].all()


def _turn(point: np.ndarray, times: int) -> np.ndarray:
    """Turn with np.rot90 of [x, y]: (x, y) → (−y, x)."""
    for _ in range(times):
        point = np.array([-point[1], point[0]])
    return point


def test_the_floor_of_a_pit_is_hidden_behind_its_near_edge() -> None:
    depth, near, eye_x, high = 0.5, 1.0, -2.0, 3.0
    height = flat()
    pit = (cells > near) & (cells < near + 3)
    height[np.ix_(pit, np.abs(cells) < 2)] = -depth
    measured = seen(height, (eye_x, 0.0, high))[:, 120]
    hidden = cells[~measured]
    reach = near + depth * (near - eye_x) / high
    assert hidden.min() == pytest.approx(near, abs=1.5 * POST)
    assert hidden.max() == pytest.approx(reach, abs=1.5 * POST)


def test_what_is_hidden_keeps_its_old_height() -> None:
    wall = flat()
    wall[(cells > 0.9) & (cells < 1.1), :] = 1.0
    later = wall - 0.2 * (cells[:, None] > 1.2)
    scan = scanner(wall).scan(later, np.array([-2.0, 0.0, 3.0])).height
    behind = (cells > 1.3) & (cells < 2.3)
    assert np.all(scan[behind, 100:140] == 0.0)
    assert np.all(scan[cells > 3.2, 100:140] == -0.2)


def test_range_and_grazing_angle_bound_the_scan() -> None:
    measured = seen(flat(), (0.0, 0.0, 3.0), max_range=exact(5, "m"))
    x, y = np.meshgrid(cells, cells, indexing="ij")
    r = np.hypot(x, y)
    assert measured[r < 4.0 - POST].all()  # 3-4-5
    assert not measured[r > 4.0 + POST].any()
    measured = seen(flat(), (0.0, 0.0, 3.0), grazing=exact(45, "deg"))
    assert measured[r < 3.0 - POST].all()
    assert not measured[r > 3.0 + POST].any()


def test_coarse_beams_miss_far_ground_but_not_for_ever() -> None:
    scan = scanner(np.full((241, 241), -99.0), resolution=exact(1, "deg"))
    eye = np.array([-5.0, 0.0, 2.0])
    near, far = (cells < -4), (cells > 3) & (cells < 4)
    share = []
    for _ in range(40):
        height = scan.scan(flat(), eye).height[:, 110:130]
        share.append([(height[rows] > -50).mean() for rows in (near, far)])
    first, last = share[0], share[-1]
    # Beams lie r·resolution/sin(angle) apart on the ground: 6 cm below, 60 cm at 8.5 m.
    distance = np.hypot(8.5, 2.0)
    chance = 0.05 * (2.0 / distance) / (distance * np.radians(1))
    assert first[0] > 0.7
    assert first[1] == pytest.approx(chance, rel=0.3)
    assert last[1] == pytest.approx(1 - (1 - chance) ** 40, abs=0.1)


def test_noise_and_bias_of_the_scan() -> None:
    eye = np.array([0.0, 0.0, 8.0])
    scan = scanner(flat(), noise=exact(5, "mm"), bias=exact(10, "mm"))
    maps = np.array([scan.scan(flat(), eye).height for _ in range(12)])
    assert maps.std(axis=(1, 2)) == pytest.approx(np.full(12, 0.005), rel=0.03)
    offset = maps.mean(axis=(1, 2))
    assert np.ptp(offset) < 1e-3
    drawn = [
        Scanner(HeightScan.model_validate(sensor(bias=exact(10, "mm"))), Grid(0, 0, 0.1, 16, 16),
                np.zeros((16, 16)), np.random.default_rng(seed)).map.height[0, 0]
        for seed in range(300)
    ]  # fmt: skip
    assert np.std(drawn) == pytest.approx(0.01, rel=0.1)


def test_a_sensor_beside_the_map_looks_onto_it() -> None:
    assert seen(flat(), (-9.0, 0.0, 4.0)).all()
    assert seen(flat(), (-9.0, 9.0, 4.0)).mean() > 0.99
    assert not seen(flat(), (-90.0, 0.0, 4.0)).any()


def test_the_eye_goes_with_its_link() -> None:
    at = {"value": [1.0, 0.0, 2.0], "unit": "m", "source": "test"}
    spec = with_sensors(load_machine("zx200"), terrain=sensor(at=at, max_range=exact(4, "m")))
    plant = StillPlant(spec, GRID)
    suite = SensorSuite(plant)
    suite.measure()
    boom = plant.bodies["boom_link"]
    boom.xpos = suite._eye[1][:] = np.array([2.0, 0.0, 1.0])
    boom.xmat = suite._eye[2][:] = np.array([0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    plant.terrain.height[:] = 0.1
    plant.time = 0.2
    measured = suite.measure().terrain.height > 0.05
    x, y = np.meshgrid(cells, cells, indexing="ij")
    r = np.hypot(x - 2.0, y - 1.0)  # the eye is at (2, 1, 3)
    reach = np.sqrt(4.0**2 - 2.9**2)
    assert measured[r < reach - POST].all()
    assert not measured[r > reach + POST].any()


def test_a_scan_is_fast() -> None:
    grid = Grid(-4.0, -4.0, 0.05, 161, 161)
    ground = 0.05 * np.random.default_rng(1).standard_normal((161, 161))
    scan = scanner(ground, grid, resolution=exact(0.2, "deg"))
    took = []
    for _ in range(20):
        start = time.perf_counter()
        scan.scan(ground, np.array([-1.0, 0.0, 4.0]))
        took.append(time.perf_counter() - start)
    assert min(took[1:]) < 2e-3
