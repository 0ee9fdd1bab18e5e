"""A machine whose valves differ from its data is identified from the log that its plant makes."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

from kuwa_cli.identify import PARAMETERS, command, joint_log
from kuwa_cli.identify_record import record
from kuwa_cli.runlog import RunLog
from kuwa_machines import load_machine
from kuwa_machines.errors import KuwaError
from kuwa_machines.overlay import load_machine_with
from kuwa_policies.identification import identify
from kuwa_policies.identification.rigid import BASE, RigidTree
from kuwa_sim.robot import SimRobot

SPEC = load_machine("zx200")
TRUTH = """\
machine: zx200
sources: {wear: a worn machine}
joints:
  boom_joint:
    drive:
      valve:
        dead_time: {value: 400, unit: ms, source: wear}
        dead_band: {value: 8, unit: percent, source: wear}
        time_constant: {value: 80, unit: ms, source: wear}
  bucket_joint:
    drive:
      valve:
        dead_time: {value: 700, unit: ms, source: wear}
        max_flow_positive: {value: 250, unit: L/min, source: wear}
"""


@pytest.mark.full
def test_a_worn_machine_is_found_and_simulated_again(tmp_path: Path) -> None:
    worn = tmp_path / "worn.yaml"
    worn.write_text(TRUTH)
    truth = load_machine_with("zx200", worn)
    log = record(truth, 240.0, 0)
    found = identify(joint_log(log, "a log"), SPEC)
    for name, function in found.functions.items():
        valve = truth.joints[name].oil.valve
        for key in ("dead_time", "dead_band", "time_constant"):
            estimate = function.estimates[key]
            assert estimate.identified, (name, key, estimate)
            assert estimate.value == pytest.approx(getattr(valve, key), rel=0.05), (name, key)
    # What no fit has seen: all functions at once, sharing the pump.
    assert np.all(found.combined_rms < np.radians(0.5))


def test_the_verb_writes_a_file_that_the_simulator_runs_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    run = {"machine": None, "minutes": 2.5, "seed": 0, "parameters": None, "as_json": False}
    command(log=None, record=True, out=out, report=True, **run)  # type: ignore[arg-type]
    assert "dead time" in capsys.readouterr().out
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 9 and "nan" not in page.lower().split("<svg")[0]
    robot = SimRobot("dig_trench")
    robot.spec = load_machine_with("zx200", out / PARAMETERS)
    robot.connect()
    robot.advance()
    assert RunLog.load(out / "log.npz").meta["machine"] == "zx200"
    with pytest.raises(KuwaError, match="log of 'zx200', not of 'zx120'"):
        command(log=out / "log.npz", record=False, out=tmp_path / "no", report=True,
                **(run | {"machine": "zx120"}))  # type: ignore[arg-type]  # fmt: skip
    assert not (tmp_path / "no").exists()


def test_inertia_and_weight_are_those_of_the_simulator() -> None:
    robot = SimRobot("dig_trench")
    robot.connect()
    assert robot.plant is not None
    model = robot.plant.model
    data = mujoco.MjData(model)
    joints = [model.joint(name) for name in SPEC.joint_names]
    at = [int(j.qposadr[0]) for j in joints]
    dof = [int(j.dofadr[0]) for j in joints]
    q = np.array([0.4, -0.8, 1.9, 0.7])
    data.qpos[at] = q
    mujoco.mj_forward(model, data)
    M, g = RigidTree(SPEC, SPEC.joint_names).inertia_and_weight(q[None])
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    ours, theirs = M[0, BASE:, BASE:], full[np.ix_(dof, dof)]
    assert np.abs(ours - theirs).max() < 1e-3 * ours.max()
    assert -data.qfrc_bias[dof] == pytest.approx(g[0, BASE:], rel=1e-3, abs=10.0)
