"""Logs of machines whose valves are known: the model itself, with noise, makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kuwa_machines import MachineSpec
from kuwa_policies.identification import Excitation, JointLog
from kuwa_policies.identification.joint_log import checked
from kuwa_policies.identification.model import Function, MachineModel, functions
from kuwa_policies.identification.windows import Activity

Script = Callable[[float], np.ndarray]
PERIOD = 0.01
NOISE, VELOCITY_NOISE = 3.5e-4, 3e-3


def synthetic(
    spec: MachineSpec,
    truth: list[Function],
    seconds: float,
    seed: int = 0,
    script: Script | None = None,
) -> JointLog:
    """Return a log of the excitation, or of ``script(t)``, on a machine that is the model."""
    model = MachineModel(spec)
    names = functions(spec)
    if script is None:
        excitation = Excitation(spec, seconds, seed, PERIOD)
    home = np.array([spec.joints[name].home for name in names])
    # First without inertia, to let the script see where the joints are.
    x, command, way = home.copy(), [], []
    for k in range(round(seconds / PERIOD)):
        u = excitation.step(x) if script is None else script(k * PERIOD)
        if u is None:
            break
        D = model.displacement(x[None])[0]
        for j, f in enumerate(truth):
            late = command[k - round(f.dead_time / PERIOD)][j] if k * PERIOD >= f.dead_time else 0.0
            s = float(f.flow_fraction(np.array(late)))
            most = f.max_flow_positive if s > 0 else f.max_flow_negative
            x[j] += PERIOD * s * most / D[j, int(s > 0)]
        command.append(u)
        way.append(x.copy())
    t = PERIOD * np.arange(len(command))
    log = JointLog(names, t, np.array(way), None, t, np.array(command), "synthetic")
    rng = np.random.default_rng(seed)
    for _ in range(2):  # Then with it, twice: levers depend on where it really goes.
        window = Activity(log).window(model, np.arange(len(t)))
        time, q, qd = model.simulate(window, truth, truth[0])
        log = replace(
            log,
            q=np.stack([np.interp(t, time, c) for c in q.T], 1),
            qd=np.stack([np.interp(t, time, c) for c in qd.T], 1),
        )
    assert log.qd is not None
    noisy = replace(
        log,
        q=log.q + NOISE * rng.standard_normal(log.q.shape),
        qd=log.qd + VELOCITY_NOISE * rng.standard_normal(log.q.shape),
    )
    checked(noisy, spec)
    return noisy
