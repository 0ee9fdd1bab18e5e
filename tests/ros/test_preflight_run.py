"""A preflight through a running stack: behind the gate, with a mock, and with an OPERA machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kuwa_bringup.preflight import PreflightRun
from kuwa_bringup.processes import Processes
from kuwa_cli.preflight_stack import minimal_stack
from kuwa_hardware.preflight import Plan, Preflight, Verdict
from kuwa_hardware.preflight.session import Preflight as Session
from kuwa_machines.contracts import Mode
from kuwa_machines.loader import load_machine

pytestmark = [pytest.mark.ros, pytest.mark.full]
SPEC = load_machine("zx200")
PLAN = Plan(SPEC, SPEC, "mock", True)


def quiet(session: Session) -> None:
    pass


def test_the_gate_lets_guided_motions_through_and_nothing_else(tmp_path: Path) -> None:
    """Stop, arming, motions, neutral; a second session that is broken off leaves it in ready."""
    processes = Processes(minimal_stack("zx200", "mock"), tmp_path)
    run = None
    try:
        processes.start()
        run = PreflightRun(SPEC, "/zx200")
        state = run.wait(60.0)
        assert run.kind == "mock" and sorted(run.names) == sorted(SPEC.joint_names)
        stop = run.check_stop("Ada")
        assert "stopped" in stop.measured and "not released" not in stop.measured
        pose = dict(zip(SPEC.joint_names, map(float, state.q), strict=True))
        session = Preflight(replace(PLAN, pose=pose, names=run.names))
        most = 0.0

        def watch(session: Session) -> None:
            nonlocal most
            assert run is not None
            most = max(most, float(np.abs(run._applied).max()))

        run.go(session, lambda question: True, watch)
        wrong = [c for c in session.failures if c.check not in ("rate", "jitter")]
        # A busy computer may lose states; what the joints did must be right all the same.
        assert not session.refused and not wrong, (session.refused, wrong)
        if not session.failures:
            assert 0.1 < most <= 0.3
            signs = [c for c in session.checks if c.check == "sign"]
            assert len(signs) == 4 and all(c.verdict is Verdict.PASS for c in signs)
        assert run._until(lambda: run is not None and run.mode == Mode.READY.value, 5.0)
        after = run.state
        assert after is not None and np.abs(after.q - state.q).max() < 0.1

        again = Preflight(replace(PLAN, pose=pose, names=run.names))
        run.go(again, lambda question: False, quiet)
        assert not again.passed and run._until(
            lambda: run is not None and run.mode == Mode.READY.value, 5.0
        )
    finally:
        if run is not None:
            run.close()
        codes = processes.stop()
    assert set(codes.values()) == {0}, codes
