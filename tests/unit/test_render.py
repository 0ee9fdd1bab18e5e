"""Pictures of machine and ground: what should be seen is seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap, Task
from kuwa_sim.cameras import FIELD_OF_VIEW, axes, fitted
from kuwa_sim.loads import ACROSS, ALONG, level_in
from kuwa_sim.paint import GroundPaint, texels
from kuwa_sim.render import RenderError, SceneRenderer
from kuwa_sim.scenario import load_scenario
from kuwa_sim.scene import Scene

SPEC = load_machine("zx200")
SCENARIO = load_scenario("dig_trench")
STATION = SCENARIO.lead
assert STATION.task is not None
TASK = STATION.task.task


def flat() -> HeightMap:
    grid = SCENARIO.ground.grid
    return HeightMap(np.zeros((grid.nx, grid.ny)), grid.x0, grid.y0, grid.cell)


def dug(x: float, y: float, depth: float = 0.5) -> HeightMap:
    ground = flat()
    i, j = ground.index(x, y)
    ground.height[i - 8 : i + 8, j - 8 : j + 8] -= depth
    return ground


def pixel(ground: HeightMap, x: float, y: float, size: int) -> tuple[int, int]:
    nx, ny = ground.height.shape
    across = (x - ground.x0) / (ground.cell * (nx - 1))
    down = 1.0 - (y - ground.y0) / (ground.cell * (ny - 1))
    return round(down * (size - 1)), round(across * (size - 1))


def test_turned_soil_is_painted_dark_where_it_lies_and_stays_dark() -> None:
    size, x, y = 512, 8.0, 3.0
    paint = GroundPaint(flat(), TASK, size)
    before = paint.picture(flat()).astype(int)
    after = paint.picture(dug(x, y)).astype(int)
    row, column = pixel(flat(), x, y, size)
    change = (before - after).sum(axis=2)
    assert change[row - 4 : row + 4, column - 4 : column + 4].min() > 60
    assert np.abs(change[: size // 4]).max() < 30
    filled = paint.picture(flat()).astype(int)
    assert (before - filled).sum(axis=2)[row, column] > 30


def test_the_outline_is_sprayed_around_the_task() -> None:
    size = 1024
    ground = flat()
    picture = GroundPaint(ground, TASK, size).picture(ground)
    for x, y in ((6.5, 0.59), (6.5, -0.59), (4.91, 0.0), (8.09, 0.0)):
        row, column = pixel(ground, x, y, size)
        assert picture[row, column].min() > 150
    assert picture[pixel(ground, 6.5, 0.0, size)].min() < 130


def test_a_part_painted_for_itself_is_as_if_all_were_painted() -> None:
    rng = np.random.default_rng(0)
    ground = HeightMap(0.02 * rng.standard_normal((121, 91)), 0.0, 0.0, 0.1)
    task = Task("spray", path=((1.0, 4.0), (10.0, 4.0)), x=5.0, y=4.0, length=6.0, width=4.0)
    for coarse in (1, 3):
        paint = GroundPaint(ground, task, texels(121, 91), coarse=coarse)
        dry = paint.picture(ground).copy()
        height = ground.height
        for k in range(4):
            height = height.copy()
            i, j = rng.integers(10, 80, 2)
            height[i : i + 6, j : j + 9] -= 0.3
            paint.wet(np.array([(k, 2), (k, 6), (k + 1, 6), (k + 1, 2)], dtype=float))
            parts = paint.picture(HeightMap(height, 0.0, 0.0, 0.1)).copy()
        assert np.abs(parts.astype(int) - dry).max() > 60
        paint._painted = None
        whole = paint.picture(HeightMap(height, 0.0, 0.0, 0.1))
        assert np.array_equal(parts, whole)


def test_machines_and_ground_are_seen() -> None:
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    specs = {"digger": SPEC, "dozer": load_machine("d37")}
    view = fitted([(-3, -3, 0), (9, 3, 0), (-3, 8, 3)], math.radians(129))
    with SceneRenderer(specs, flat(), [TASK], (), 320, 180) as scene:
        digger = ("digger", SPEC.home, np.zeros(3), upright)
        scene.set_machine(*digger, 0.0)
        scene.set_machine("dozer", specs["dozer"].home, np.array([2.0, 6.0, 0.0]), upright, 0.0)
        first = scene.picture(view).astype(int)
        assert first.shape == (180, 320, 3)
        orange = (first[..., 0] > 150) & (first[..., 1] < 130) & (first[..., 2] < 60)
        yellow = (first[..., 0] > 150) & (first[..., 1] > 130) & (first[..., 2] < 60)
        assert 0.01 < orange.mean() < 0.3 and 0.002 < yellow.mean() < 0.1
        q = SPEC.home.copy()
        q[0] += 0.6
        scene.set_machine("digger", q, np.zeros(3), upright, 0.0)
        assert np.abs(scene.picture(view) - first).mean() > 1.0
        scene.set_machine(*digger, 0.0)
        scene.set_terrain(dug(6.5, 0.0))
        assert (np.abs(scene.picture(view) - first).sum(axis=2) > 40).mean() > 0.002
    scene.close()


@pytest.mark.parametrize(("machine", "mass"), [("zx200", 1200.0), ("ic120", 9e3), ("d37", 1500.0)])
def test_soil_in_a_tool_has_its_volume_and_lies_in_the_tool(machine: str, mass: float) -> None:
    spec = load_machine(machine)
    scene = Scene({machine: spec}, HeightMap(np.zeros((60, 60)), -3.0, -3.0, 0.1))
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    q = np.array([0.0, -0.6, 1.9, 1.9]) if machine == "zx200" else spec.home
    load = scene.loads[machine]
    geom = scene.model.geom("tool_load_surface")
    heights = []
    for share in (0.0, 0.3, 1.0):
        scene.set_machine(machine, q, np.zeros(3), upright, share * mass)
        scene.update()
        assert geom.rgba[3] == (share > 0.0)
        first = scene.model.mesh_vertadr[load.mesh]
        surface = scene.model.mesh_vert[first : first + ALONG * ACROSS]
        world = (
            scene.data.geom_xpos[geom.id] + surface @ scene.data.geom_xmat[geom.id].reshape(3, 3).T
        )
        heights.append(world[:, 2].max())
        reach = np.abs(surface[:, 1]).max()
        assert share == 0.0 or 0.4 * spec.tool.width < reach < 0.5 * spec.tool.width
    assert heights[2] > heights[1] + 0.05


def test_a_vessel_is_filled_to_the_level_that_its_section_needs() -> None:
    square = np.array([(0.0, 1.0), (0.0, 0.0), (2.0, 0.0), (2.0, 1.0)])
    up = np.array([0.0, 1.0])
    a, b, crown = level_in(square, up, 1.0)
    assert (a[1], b[1]) == pytest.approx((0.5, 0.5), abs=1e-5) and crown == 0.0
    a, b, crown = level_in(square, up, 2.4)
    assert (a[1], b[1]) == (1.0, 1.0) and 2 / 3 * crown * 2.0 == pytest.approx(0.4)
    tilted = np.array([-0.5, 1.0]) / np.hypot(0.5, 1.0)
    a, b, crown = level_in(square, tilted, 1.0)
    assert (b - a) @ tilted == pytest.approx(0.0, abs=1e-9) and crown == 0.0


def test_a_fitted_view_holds_its_points_and_is_no_further_than_needed() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        points = rng.uniform(-10, 10, (12, 3))
        view = fitted(points, rng.uniform(-3, 3), -0.4, aspect=1.5, margin=0.0)
        turn = axes(view.azimuth, view.elevation)
        right, up, ahead = turn @ (points - (view.target - view.distance * turn[2])).T
        t = math.tan(FIELD_OF_VIEW / 2)
        wide, tall = np.abs(right / ahead).max() / (1.5 * t), np.abs(up / ahead).max() / t
        assert ahead.min() > 0.0
        assert max(wide, tall) == pytest.approx(1.0, abs=1e-3)


def test_without_opengl_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kuwa_sim.gl.LIBRARIES", {"egl": "libNoEGL.so", "osmesa": "libNoMesa.so"})
    with pytest.raises(RenderError, match="apt-get install libegl1"):
        SceneRenderer({"zx200": SPEC}, flat(), [TASK], (), 64, 48)
