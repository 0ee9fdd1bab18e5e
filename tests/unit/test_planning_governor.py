"""The path's clock keeps its promises, stops for an edge that lags, and lifts it when it stalls."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kuwa_policies.planning.governor import Governor, GovernorSettings

ERRORS = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60)
SETTINGS = GovernorSettings()


@given(ERRORS)
def test_promises_are_kept_and_nothing_jumps(errors: list[float]) -> None:
    clock = Governor()
    for k, error in enumerate(errors):
        ahead = np.linspace(0.0, 2.8, 29)
        s, rate, lift = clock.ahead(ahead)
        assert np.all(np.diff(s) >= -1e-12) and np.all(np.diff(s) <= 0.1 + 1e-9)
        assert np.abs(np.diff(rate)).max() <= 0.1 * SETTINGS.rate_change + 1e-9
        assert np.abs(np.diff(lift)).max() <= 0.1 * SETTINGS.lift_speed + 1e-9
        assert np.all((lift >= 0) & (lift <= SETTINGS.lift_max))
        clock.advance(0.2 * (k + 1), error)
        assert np.allclose([clock.s, clock.rate, clock.lift], [s[2], rate[2], lift[2]])


def test_runs_at_full_rate_while_the_edge_follows() -> None:
    clock = Governor()
    for k in range(10):
        clock.advance(0.2 * (k + 1), 0.9 * SETTINGS.error_full)
    assert np.isclose(clock.s, 2.0) and clock.lift == 0.0


def test_stops_and_lifts_for_a_stalled_edge_then_recovers() -> None:
    clock = Governor()
    for k in range(15):
        clock.advance(0.2 * (k + 1), 1.0)
    stopped = clock.s
    clock.advance(3.2, 1.0)
    assert clock.s == stopped and clock.rate == 0.0
    assert clock.lift > 0.2
    for k in range(60):
        clock.advance(3.4 + 0.2 * k, 0.0)
    assert clock.rate == 1.0 and clock.lift == 0.0


def test_starts_where_it_is_told() -> None:
    clock = Governor()
    clock.reset(7.0, -1.2)
    s, _, _ = clock.ahead(np.array([0.0, 1.2]))
    assert np.allclose(s, [-1.2, 0.0])
