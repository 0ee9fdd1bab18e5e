"""Every sensor measured against its own data: noise, bias, wander, steps, rate, delay, losses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kuwa_machines import load_machine
from kuwa_sim.faults import Fault
from sensing_rig import StillPlant, exact, follow, sampled, with_sensors

ZX = load_machine("zx200")
FAULT = Fault.model_validate


def series(states: list[Any], field: str) -> np.ndarray:
    return np.array([getattr(state, field) for state in states])


def gnss(rate: float = 10.0, **more: Any) -> dict[str, Any]:
    still = {"noise": exact(0, "m")}
    parts = {"horizontal": still, "vertical": still, "velocity": {"noise": exact(0, "m/s")}}
    return sampled(rate, **(parts | more))


def ramp(plant: Any, t: float) -> None:
    """The truth is the time itself: a reading says when it was true."""
    plant.base_position = np.full(3, t)
    plant.q = np.full(len(plant.q), t)


def test_the_noise_of_every_quantity_has_its_standard_deviation() -> None:
    plant = StillPlant(ZX)
    states = follow(plant, 6000)
    s = ZX.sensors
    expected = [
        ("q", s.encoders.position), ("qd", s.encoders.velocity), ("pressure", s.pressures),
        ("acceleration", s.imu.specific_force), ("tool_force", s.tool_force),
    ]  # fmt: skip
    for name, errors in expected:
        x = series(states, name).reshape(len(states), -1)
        spread = np.diff(x, axis=0).std(0) / np.sqrt(2)
        whole = np.hypot(errors.noise, errors.quantisation / np.sqrt(12))
        assert spread == pytest.approx(np.full(x.shape[1], whole), rel=0.05), name
    rate = series(states, "base_velocity")[:, 3:]
    assert np.diff(rate, axis=0).std(0) / np.sqrt(2) == pytest.approx(
        np.full(3, s.imu.angular_rate.noise), rel=0.05
    )
    new = np.flatnonzero(np.diff(series(states, "base_stamp"))) + 1
    position = series(states, "base_position")[new]
    for axis, errors in ((0, s.gnss.horizontal), (1, s.gnss.horizontal), (2, s.gnss.vertical)):
        spread = np.diff(position[:, axis]).std() / np.sqrt(2)
        whole = np.hypot(errors.noise, errors.quantisation / np.sqrt(12))
        assert spread == pytest.approx(whole, rel=0.15)
    speed = series(states, "base_velocity")[new, :3]
    assert np.diff(speed, axis=0).std() / np.sqrt(2) == pytest.approx(
        s.gnss.velocity.noise, rel=0.1
    )
    load = series(states, "tool_load")[::10]
    assert np.diff(load).std() / np.sqrt(2) == pytest.approx(s.tool_load.noise, rel=0.15)


def test_attitude_and_heading_have_noises_of_their_own() -> None:
    plant = StillPlant(ZX)
    roll, pitch, yaw = 0.1, -0.2, 2.5
    cr, cp, cy = np.cos(np.array([roll, pitch, yaw]) / 2)
    sr, sp, sy = np.sin(np.array([roll, pitch, yaw]) / 2)
    plant.base_quaternion_wxyz = np.array(
        [cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy,
         cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy]
    )  # fmt: skip
    w, x, y, z = series(follow(plant, 4000), "base_quaternion_wxyz").T
    angles = np.stack(
        [
            np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)),
            np.arcsin(2 * (w * y - z * x)),
            np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)),
        ]
    )
    imu = ZX.sensors.imu
    spread = np.diff(angles).std(1) / np.sqrt(2)
    noise = [imu.attitude.noise, imu.attitude.noise, imu.heading.noise]
    assert spread == pytest.approx(noise, rel=0.05)
    assert angles.mean(1) == pytest.approx([roll, pitch, yaw], abs=0.005)


def test_a_bias_stays_for_a_run_and_is_drawn_anew_for_the_next() -> None:
    biased = {"noise": exact(0, "rad"), "bias": exact(2, "deg")}
    encoders = sampled(100.0, position=biased, velocity={"noise": exact(0, "rad/s")})
    plant = StillPlant(with_sensors(ZX, encoders=encoders))
    drawn = []
    for seed in range(250):
        q = series(follow(plant, 3, seed), "q") - plant.q
        assert np.ptp(q, axis=0).max() < 1e-15
        drawn.append(q[0])
    assert np.std(drawn) == pytest.approx(np.radians(2), rel=0.08)


def test_wander_has_its_spread_and_its_memory() -> None:
    walk = {"noise": exact(0, "m"), "wander": exact(5, "mm"), "wander_time": exact(2, "s")}
    plant = StillPlant(with_sensors(ZX, gnss=gnss(20.0, horizontal=walk)))
    runs = [series(follow(plant, 4000, seed), "base_position")[::5, :2] for seed in range(6)]
    x = np.concatenate(runs, axis=1)
    assert x.std() == pytest.approx(0.005, rel=0.12)
    lag = 40  # of 50 ms: the time constant
    correlation = (x[lag:] * x[:-lag]).mean() / (x**2).mean()
    assert correlation == pytest.approx(np.exp(-1), abs=0.12)
    assert np.abs(np.diff(x, axis=0)).max() < 0.005


def test_readings_lie_on_steps() -> None:
    steps = {"noise": exact(0.02, "rad"), "quantisation": exact(0.005, "rad")}
    encoders = sampled(100.0, position=steps, velocity={"noise": exact(0, "rad/s")})
    q = series(follow(StillPlant(with_sensors(ZX, encoders=encoders)), 400), "q") / 0.005
    assert q == pytest.approx(np.round(q), abs=1e-9)
    assert len(np.unique(np.round(q[:, 0]))) > 10


@pytest.mark.parametrize(("rate", "delay"), [(10.0, 50), (20.0, 0), (100.0, 30), (5.0, 200)])
def test_rate_and_delay_are_exact(rate: float, delay: int) -> None:
    plant = StillPlant(with_sensors(ZX, gnss=gnss(rate, delay=exact(delay, "ms"))))
    states = follow(plant, 300, move=ramp)
    x, stamp = series(states, "base_position")[:, 0], series(states, "base_stamp")
    t = series(states, "stamp")
    # The newest instant of sampling whose delay has passed; before time zero it stood at zero.
    expected = np.floor((t - delay / 1000) * rate + 1e-9) / rate
    assert stamp == pytest.approx(expected, abs=1e-9)
    assert x == pytest.approx(np.maximum(expected, 0.0), abs=1e-9)
    assert series(states, "q")[:, 0] == pytest.approx(t)  # encoders wait for nobody


def test_a_rate_that_is_no_divisor_of_the_ticks_is_kept_on_the_whole() -> None:
    plant = StillPlant(with_sensors(ZX, gnss=gnss(30.0)))
    stamp = series(follow(plant, 1001), "base_stamp")
    assert len(np.unique(stamp[stamp >= 0])) == 301


def test_lost_readings_are_held_and_grow_old() -> None:
    plant = StillPlant(with_sensors(ZX, gnss=gnss(100.0, dropout=exact(20, "percent"))))
    states = follow(plant, 5000, move=ramp)
    stamp, x = series(states, "base_stamp"), series(states, "base_position")[:, 0]
    lost = np.diff(stamp) == 0
    assert lost.mean() == pytest.approx(0.2, abs=0.02)
    assert x == pytest.approx(np.maximum(stamp, 0), abs=1e-9)


def test_effort_is_what_the_measured_pressures_give() -> None:
    plant = StillPlant(ZX)
    plant.circuit.parameters[:, 6:8] = (0.02, 0.01)  # areas; the lever is 1
    state = follow(plant, 5)[-1]
    expected = 0.02 * state.pressure[:, 0] - 0.01 * state.pressure[:, 1]
    assert state.effort == pytest.approx(expected)


def test_gravity_and_rates_are_measured_in_the_body() -> None:
    free = {
        name: {"noise": exact(0, unit)}
        for name, unit in (
            ("attitude", "rad"), ("heading", "rad"), ("angular_rate", "rad/s"),
            ("specific_force", "m/s2"),
        )
    }  # fmt: skip
    plant = StillPlant(with_sensors(ZX, imu=sampled(100.0, **free)))
    tilt = 0.3  # about y: nose down
    plant.base_quaternion_wxyz = np.array([np.cos(tilt / 2), 0.0, np.sin(tilt / 2), 0.0])

    def move(plant: Any, t: float) -> None:
        plant.base_velocity = np.array([0.5 * t, 0.0, 0.0, 0.1, 0.2, 0.3])

    state = follow(plant, 20, move=move)[-1]
    ahead = np.array([np.cos(tilt), 0.0, np.sin(tilt)])
    gravity = 9.81 * np.array([-np.sin(tilt), 0.0, np.cos(tilt)])
    assert state.acceleration == pytest.approx(0.5 * ahead + gravity, abs=1e-9)
    assert state.base_velocity[3:] == pytest.approx([0.1, 0.2, 0.3], abs=1e-12)
    assert state.base_quaternion_wxyz == pytest.approx(plant.base_quaternion_wxyz, abs=1e-12)


def test_the_same_seed_gives_the_same_bits_and_another_does_not() -> None:
    plant = StillPlant(ZX)
    one, two, other = (follow(plant, 300, seed) for seed in (3, 3, 4))
    for name in ("q", "qd", "pressure", "base_position", "acceleration", "tool_force"):
        assert np.array_equal(series(one, name), series(two, name)), name
        assert not np.array_equal(series(one, name), series(other, name)), name
    assert np.array_equal(one[0].terrain.height, two[0].terrain.height)


def test_a_fault_of_one_sensor_leaves_the_others_as_they_are() -> None:
    plant = StillPlant(ZX)
    faults = [
        FAULT({"sensor": "encoders", "kind": "dropout", "value": 0.5}),
        FAULT({"sensor": "imu", "kind": "noise", "quantity": "heading", "value": 1.0}),
    ]
    sound, broken = follow(plant, 600), follow(plant, 600, faults=faults)
    for name in ("pressure", "base_position", "acceleration", "tool_force", "tool_load"):
        assert np.array_equal(series(sound, name), series(broken, name)), name
    assert not np.array_equal(series(sound, "q"), series(broken, "q"))


def test_a_machine_without_a_sensor_knows_nothing_and_one_with_it_always_something() -> None:
    bare = follow(StillPlant(with_sensors(ZX)), 5)[-1]
    for name in ("pressure", "base_position", "acceleration", "tool_force", "tool_load", "effort"):
        assert np.all(np.isnan(getattr(bare, name))), name
    assert np.isnan(bare.base_stamp) and np.all(np.isnan(bare.base_quaternion_wxyz))
    assert bare.terrain is None and np.all(np.isfinite(bare.q))
    for state in follow(StillPlant(ZX), 400):
        for name in ("q", "qd", "effort", "pressure", "base_position", "base_quaternion_wxyz",
                     "base_velocity", "base_stamp", "acceleration", "tool_force", "tool_load",
                     "pump_pressure"):  # fmt: skip
            assert np.all(np.isfinite(getattr(state, name))), name
