"""Scenario files: the ones that come with Kuwa are sound, and a wrong one says where and why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_sim.scenario import (
    SCENARIOS,
    Bound,
    ScenarioError,
    check_tools,
    load_scenario,
    scenario_names,
)
from kuwa_sim.soil import load_soil


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_that_comes_with_kuwa_is_sound(name: str) -> None:
    scenario = load_scenario(name)
    load_soil(scenario.soil)
    specs = {key: load_machine(station.machine) for key, station in scenario.machines.items()}
    check_tools(scenario, specs)
    grid = scenario.ground.grid
    x1, y1 = grid.x0 + grid.cell * grid.nx, grid.y0 + grid.cell * grid.ny

    def inside(x: float, y: float) -> bool:
        return grid.x0 < x < x1 and grid.y0 < y < y1

    assert any(station.task is not None for station in scenario.machines.values())
    for station in scenario.machines.values():
        assert inside(station.x_m, station.y_m)
        if station.task is None:
            continue
        assert station.success, "a task without a measure of success"
        task = station.task.task
        for x, y in (*task.path, (task.x, task.y)):
            assert inside(x, y)
    height = scenario.heights(np.random.default_rng(0))
    assert height.shape == (grid.nx, grid.ny) and np.isfinite(height).all()


def write(folder: Path, *changes: tuple[tuple[str, ...], Any]) -> str:
    raw = yaml.safe_load((SCENARIOS / "dig_trench.yaml").read_text())
    raw["name"] = "mine"
    for keys, value in changes:
        at = raw
        for key in keys[:-1]:
            at = at[key]
        if value is None:
            del at[keys[-1]]
        else:
            at[keys[-1]] = value
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return str(path)


TASK = ("machines", "zx200", "task")


@pytest.mark.parametrize(
    ("keys", "value", "why"),
    [
        (("soil_type",), "loam", r"soil_type: unknown key; .*soil"),
        (("duration_s",), -1, r"duration_s: .*greater than 0"),
        (("machines",), {}, r"machines: .*at least 1"),
        ((*TASK, "kind"), "dance", r"machines.zx200.task.*dig_trench.*grade.*plough"),
        ((*TASK, "depth_m"), None, r"task.dig_trench.depth_m: this key is missing|tolerance"),
        ((*TASK, "width_m"), 0, r"width_m: .*greater than 0"),
        ((*TASK, "slope_percent"), 5, r"slope_percent: unknown key"),
        (("machines", "zx200", "success"), {"beauty": {"at_least": 1}}, r"beauty: no such figure"),
        (("machines", "zx200", "success"), {"rmse_m": {}}, r"either at_least or at_most"),
        (("ground", "cell_m"), 0.001, r"cell_m: .*greater than 0.01"),
        (("name",), "yours", r"'yours' must equal the file's name"),
        (("features",), [{"shape": "hole"}], r"features.0.shape.*mound"),
        (("obstacles",), [{"kind": "ball", "centre_m": [0, 0, 0], "half_m": [1, 1, 1]}], "kind"),
    ],
)
def test_a_wrong_scenario_is_refused(
    tmp_path: Path, keys: tuple[str, ...], value: Any, why: str
) -> None:
    if keys[-1] == "depth_m":
        keys = (*TASK, "tolerance_m")
    with pytest.raises(ScenarioError, match=why) as refused:
        load_scenario(write(tmp_path, (keys, value)))
    assert "mine.yaml" in str(refused.value)


def test_a_machine_without_the_tool_is_refused() -> None:
    scenario = load_scenario("dig_trench").with_machine("d37")
    with pytest.raises(ScenarioError, match=r"'d37' works with a blade; .*'dig_trench'.*bucket"):
        check_tools(scenario, {"d37": load_machine("d37")})


def test_another_machine_takes_the_lead() -> None:
    scenario = load_scenario("dig_trench").with_machine("zx120")
    assert list(scenario.machines) == ["zx120"] and scenario.lead.machine == "zx120"
    assert scenario.lead.task == load_scenario("dig_trench").lead.task


def test_numbers_in_a_file_become_si_units() -> None:
    task = load_scenario("dig_trench").lead.task
    assert task is not None
    turned = task.model_copy(update={"yaw_deg": 90.0}).task
    assert turned.yaw == pytest.approx(np.pi / 2)
    assert (turned.x, turned.depth, turned.kind) == (6.5, 0.5, "dig_trench")


def test_bounds_hold_only_for_numbers() -> None:
    assert Bound(at_least=0.9).holds(0.9) and not Bound(at_least=0.9).holds(0.89)
    assert Bound(at_most=0.02).holds(0.02) and not Bound(at_most=0.02).holds(0.03)
    assert not Bound(at_most=1.0).holds(None) and not Bound(at_most=1.0).holds(float("nan"))


def test_features_shape_the_ground(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        (("randomise", "roughness_m"), 0.0),
        (
            ("features",),
            [
                {"shape": "slope", "rise_percent": 10},
                {"shape": "mound", "x_m": 4, "y_m": 4, "height_m": 1.2, "radius_m": 2},
            ],
        ),
    )
    scenario = load_scenario(path)
    grid, height = scenario.ground.grid, scenario.heights(np.random.default_rng(1))
    i, j = round((4 - grid.x0) / grid.cell), round((4 - grid.y0) / grid.cell)
    assert height[i, j] == pytest.approx(0.4 + 1.2, abs=0.06)
    assert height[0, 0] == pytest.approx(0.1 * grid.x0)


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(KuwaError, match="dig_trench"):
        load_scenario("dig_trenhc")
