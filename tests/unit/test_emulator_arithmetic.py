"""The integer primitives obey the arithmetic that they are named after."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator import arithmetic as a

state = st.integers(-(2**23), 2**23)
word = st.integers(-(2**31), 2**31 - 1)


@settings(deadline=None)
@given(state, st.integers(0, 4096))
def test_decay_rounds_towards_zero_and_is_odd(x: int, keep: int) -> None:
    assert a.decay(x, keep) == np.sign(x) * (abs(x) * keep // 4096)
    assert a.decay(-x, keep) == -a.decay(x, keep)
    assert a.decay(x, 4096) == x and a.decay(x, 0) == 0


@settings(deadline=None)
@given(word, st.integers(2, 31))
def test_wrapping_keeps_the_value_modulo_the_range(x: int, bits: int) -> None:
    y = a.wrap(x, bits)
    assert -(2 ** (bits - 1)) <= y < 2 ** (bits - 1)
    assert (y - x) % 2**bits == 0


@settings(deadline=None)
@given(word)
def test_wrapping_once_is_wrapping_but_for_the_ends_and_what_is_far_out(x: int) -> None:
    y = a.wrap_once(x)
    assert (y - x) in (0, -(2**24), 2**24)
    if -(2**23) < x < 2**23:
        assert y == x
    elif -3 * 2**23 < x < 3 * 2**23 and x not in (-(2**23), 2**23):
        assert y == a.wrap(x)
    assert a.wrap_once(2**23) == 2**23 == a.wrap_once(-(2**23))


@settings(deadline=None)
@given(word)
def test_saturation_is_symmetric(x: int) -> None:
    assert a.saturate(x) == max(min(x, 2**23 - 1), -(2**23 - 1)) == -a.saturate(-x)


@settings(deadline=None)
@given(st.integers(-(2**20), 2**20), st.integers(-12, 7))
def test_shift_is_a_power_of_two_rounded_down(x: int, exponent: int) -> None:
    assert a.shift(x, exponent) == int(np.floor(x * 2.0**exponent))


@settings(deadline=None)
@given(st.integers(-255, 255), st.integers(1, 8), st.sampled_from(a.SIGN_MODES))
def test_truncation_leaves_multiples_and_loses_less_than_one(
    w: int, bits: int, mode: a.SignMode
) -> None:
    step = 2 ** a.truncated_bits(bits, mode)
    w = {"excitatory": abs(w), "inhibitory": -abs(w), "mixed": w}[mode]
    kept = int(a.truncate_weights(np.array([w]), bits, mode)[0])
    assert kept % step == 0
    lost = w - kept
    assert 0 <= (-lost if mode == "inhibitory" else lost) < step


def test_the_sign_mode_is_the_narrowest_that_holds_all() -> None:
    assert a.sign_mode_of(np.array([[0, 3]])) == "excitatory"
    assert a.sign_mode_of(np.array([[0, -3]])) == "inhibitory"
    assert a.sign_mode_of(np.array([[1, -3]])) == "mixed"


def test_random_numbers_are_even_in_every_bit_and_repeat_with_their_seed() -> None:
    random, ones = a.seeded(3), np.zeros(32)
    first = a.next_random(random)
    for _ in range(20000):
        random = a.next_random(random)
        assert 0 < random < 2**32
        ones += (int(random) >> np.arange(32)) & 1
    np.testing.assert_allclose(ones / 20000, 0.5, atol=5 * 0.0036)
    assert a.next_random(a.seeded(3)) == first != a.next_random(a.seeded(4))


@pytest.mark.parametrize(("bits", "mode"), [(0, "mixed"), (9, "excitatory"), (8, "both")])
def test_what_is_no_weight_format_is_refused(bits: int, mode: a.SignMode) -> None:
    with pytest.raises(KuwaError, match=r"1 to 8|valid: "):
        a.truncated_bits(bits, mode)
