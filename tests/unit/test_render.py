"""Pictures of machine and ground: what should be seen is seen."""

from __future__ import annotations

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_machines.contracts import HeightMap
from kuwa_sim.paint import GroundPaint
from kuwa_sim.render import RenderError, SceneRenderer
from kuwa_sim.scenario import load_scenario

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


def test_machine_and_ground_are_seen() -> None:
    upright = np.array([1.0, 0.0, 0.0, 0.0])
    with SceneRenderer(SPEC, flat(), TASK, 320, 180) as scene:
        scene.set_machine(SPEC.home, np.zeros(3), upright, 0.0)
        first = scene.picture("overview").astype(int)
        assert first.shape == (180, 320, 3)
        orange = (first[..., 0] > 150) & (first[..., 2] < 60)
        assert 0.01 < orange.mean() < 0.3
        q = SPEC.home.copy()
        q[0] += 0.6
        scene.set_machine(q, np.zeros(3), upright, 0.0)
        assert np.abs(scene.picture("overview") - first).mean() > 1.0
        near = scene.picture("trench").astype(int)
        scene.set_terrain(dug(6.5, 0.0))
        assert (np.abs(scene.picture("trench") - near).sum(axis=2) > 40).mean() > 0.01
        with pytest.raises(RenderError, match="did you mean 'overview'"):
            scene.picture("overveiw")
    scene.close()


def test_without_opengl_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "kuwa_sim.render.LIBRARIES", {"egl": "libNoEGL.so", "osmesa": "libNoMesa.so"}
    )
    with pytest.raises(RenderError, match="apt-get install libegl1"):
        SceneRenderer(SPEC, flat(), TASK, 64, 48)
