"""What a bucket holds follows from its shape, its attitude and the soil's repose."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines import load_machine
from kuwa_sim.soil import BucketShape, SoilError
from kuwa_sim.soil.bucket import capacity_at, centre_at
from kuwa_sim.soil.layout import SHELL_LENGTH, SHELL_NX, SHELL_NZ
from soil_rig import BUCKET

REPOSE = math.radians(35)
TABLE = BUCKET.capacity_table(REPOSE)


def holds(pitch_deg: float, dam: float = 0.0) -> float:
    return capacity_at(TABLE, math.radians(pitch_deg), dam)


def test_full_when_the_mouth_looks_up_and_empty_when_it_looks_down() -> None:
    assert holds(180) == pytest.approx(BUCKET.heaped)
    assert BUCKET.struck < BUCKET.heaped
    for pitch in (-30, 0, 30):
        assert holds(pitch) == 0.0


def test_opening_the_bucket_only_loses_soil() -> None:
    amounts = [holds(pitch) for pitch in range(180, 0, -2)]
    assert np.all(np.diff(amounts) <= 1e-12)
    assert 0.2 < holds(120) / BUCKET.struck < 0.6


def test_a_triangular_bucket_holds_what_geometry_says() -> None:
    # Mouth 1 m wide and level, sides at 45°: struck 0.25 m²; the heap is a triangle of tan 20° / 4.
    shape = BucketShape(np.array([[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]]), 1.0, 0.6, 0.03)
    table = shape.capacity_table(math.radians(20))
    expected = 0.25 + 0.25 * math.tan(math.radians(20))
    assert capacity_at(table, math.pi, 0.0) == pytest.approx(expected, rel=2e-3)
    # At 135° the floor lies level and the back stands upright: a slope of 20° from the tip.
    side = math.sqrt(0.5)
    assert capacity_at(table, math.radians(135), 0.0) == pytest.approx(
        0.5 * side * side * math.tan(math.radians(20)), rel=2e-2
    )


@settings(deadline=None)
@given(st.floats(-720, 720), st.floats(0.0, 0.7), st.floats(0.0, 0.3))
def test_ground_in_front_of_the_edge_only_helps(pitch: float, dam: float, more: float) -> None:
    low, high = holds(pitch, dam), holds(pitch, dam + more)
    assert 0.0 <= low <= high + 1e-12 <= BUCKET.heaped + 2e-12


@settings(deadline=None)
@given(st.floats(100, 200), st.floats(0.0, 1.0))
def test_the_load_lies_inside_the_bucket(pitch: float, fill: float) -> None:
    x, z = centre_at(TABLE, math.radians(pitch), fill)
    low, high = BUCKET.profile.min(axis=0), BUCKET.profile.max(axis=0)
    assert low[0] - 1e-9 <= x <= high[0] + 1e-9
    assert low[1] - 0.2 <= z <= high[1] + 1e-9  # a heap stands over the mouth


def test_contact_points_cover_the_shell_and_look_out_of_it() -> None:
    points = BUCKET.contact_points()
    normals = points[:, [SHELL_NX, SHELL_NZ]]
    assert np.linalg.norm(normals, axis=1) == pytest.approx(1.0)
    middle = BUCKET.profile.mean(axis=0) - BUCKET.tip
    outwards = np.einsum("ij,ij->i", normals, points[:, :2] - middle)
    assert np.all(outwards > 0)
    sides = np.linalg.norm(np.diff(BUCKET.profile, axis=0), axis=1)
    assert points[:, SHELL_LENGTH].sum() < sides.sum()


def test_a_machine_file_gives_a_shape() -> None:
    shape = BucketShape.from_spec(load_machine("zx200").tool)
    assert 0.7 < shape.heaped / shape.struck < 1.6


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0.0}, "width is 0.0"),
        ({"heaped": 5.0}, r"5\.000 m³ does not fit .* 0\.621"),
        ({"profile": [[0, 0], [1, 0]]}, "shape"),
        ({"profile": [[1.5, 0], [0.5, 0.5], [0.2, 0]]}, "upper lip near the pin"),
        ({"profile": [[0, 0], [0.5, -0.5], [1, 0]]}, "side z > 0"),
        ({"profile": [[0, 0], [0.5, math.nan], [1, 0]]}, "not finite"),
    ],
)
def test_an_impossible_bucket_is_refused(change: dict[str, object], words: str) -> None:
    data = {"profile": BUCKET.profile, "width": 1.0, "heaped": 0.8, "edge_thickness": 0.04}
    with pytest.raises(SoilError, match=words):
        BucketShape(**{**data, **change})
