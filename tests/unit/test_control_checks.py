"""What control is told, checked before a core sees it; without a node."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kuwa_control.checks import (
    EARLY,
    YOUNG,
    checked_applied,
    checked_chunk,
    checked_state,
    jump_limits,
)
from kuwa_control.warm import at_rest, hold
from kuwa_hardware.envelope import Envelope
from kuwa_machines import load_machine
from kuwa_machines.contracts import CommandKind, JointCommand
from kuwa_machines.errors import CommandError

SPEC = load_machine("zx200")
NAMES = tuple(SPEC.joint_names)
REST = at_rest(SPEC.home)


def test_a_chunk_is_about_now_and_here_or_refused() -> None:
    chunk, reach = hold(REST), jump_limits(SPEC)
    length = float(chunk.t[-1])
    for now in (0.0, length, length + 0.9 * YOUNG, -0.9 * EARLY):
        assert checked_chunk(chunk, replace(REST, stamp=now), reach) is chunk
    for now, why in ((length + 1.1 * YOUNG, "over"), (-1.1 * EARLY, "too early")):
        with pytest.raises(CommandError, match=why):
            checked_chunk(chunk, replace(REST, stamp=now), reach)
    for joint in range(len(NAMES)):
        away = np.eye(len(NAMES))[joint] * reach
        near = replace(REST, q=REST.q + 0.99 * away)
        assert checked_chunk(chunk, near, reach) is chunk
        with pytest.raises(CommandError, match="from where the joints are"):
            checked_chunk(chunk, replace(REST, q=REST.q - 1.01 * away), reach)
    assert checked_state(REST) is REST


def test_an_endless_joint_may_be_anywhere() -> None:
    spec = load_machine("d37")
    reach = jump_limits(spec)
    assert np.isinf(reach).tolist() == [np.isinf(limit) for limit in spec.q_max]


def test_with_a_key_only_the_gate_says_what_was_applied() -> None:
    envelope, names = Envelope(bytes(range(32))), tuple(NAMES)
    told = JointCommand(0.0, 1, "gate", CommandKind.VALVE, names, np.full(4, 0.3))
    assert (checked_applied(envelope.seal(told), names, envelope) == 0.3).all()
    with pytest.raises(CommandError, match="no code"):
        checked_applied(told, names, envelope)
