"""Lava's process models, asked for a network: run by the interpreter that has lava-nc 0.10.0.

``how="models"`` calls the process models step by step, which is Lava's arithmetic without its
message passing; ``how="runtime"`` connects processes and runs them as Lava is meant to be run.
"""

from __future__ import annotations

import functools
import logging
import time

import numpy as np
from lava.magma.core.learning.constants import GradedSpikeCfg
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule
from lava.proc.dense.models import (
    PyDelayDenseModelBitAcc,
    PyDenseModelBitAcc,
    PyLearningDenseModelBitApproximate,
)
from lava.proc.lif.models import PyLifModelBitAcc
from lava.utils.weightutils import SignMode

from peers.protocol import serve

SIGNS = {
    None: None,
    "mixed": SignMode.MIXED,
    "excitatory": SignMode.EXCITATORY,
    "inhibitory": SignMode.INHIBITORY,
}


class Wire:
    """A port of a model that is called by hand; dtypes are those of Lava's ports."""

    def __init__(self):
        self.data = []

    def send(self, data):
        self.data = [data]

    def recv(self):
        return self.data[0]


class In:
    """The sum of what several wires bring, as PyInPortVectorDense makes it."""

    def __init__(self, size, wires):
        self.size, self.wires = size, wires

    def recv(self):
        start = np.zeros(self.size, np.int16)
        return functools.reduce(lambda a, wire: a + wire.recv(), self.wires, start)


class Sum(Wire):
    """A wire that carries 32 bits, as the shared memory between Lava's processes does."""

    def send(self, data):
        self.data = [np.asarray(data).astype(np.int32)]


def dense_model(number, c, arrays):
    weights, delays = arrays[f"weights:{number}"], arrays[f"delays:{number}"]
    parameters = {"weight_exp": c["exponent"], "num_weight_bits": c["bits"]}
    if c["sign_mode"] is not None:
        parameters["sign_mode"] = SIGNS[c["sign_mode"]]
    if c["learning"]:
        rule = {
            k: v for k, v in c["learning"].items() if v is not None and k not in ("rule", "text")
        }
        parameters |= {
            "learning_rule": Loihi2FLearningRule(**rule),
            "shape": weights.shape,
            "graded_spike_cfg": GradedSpikeCfg.USE_REGULAR_IMPULSE,
        }
        model = PyLearningDenseModelBitApproximate(parameters)
        pre, post = weights.shape[1], weights.shape[0]
        for name, size in (("x", pre), ("y", post)):
            setattr(model, f"{name}0", np.zeros(size, bool))
            setattr(model, f"t{name}", np.zeros(size, int))
            for k in range(1, 3 if name == "x" else 4):
                setattr(model, f"{name}{k}", np.zeros(size, int))
        model.tag_1, model.tag_2 = np.zeros(weights.shape, int), np.zeros(weights.shape, int)
        model.a_buff = np.zeros(post, np.int32)
    elif delays.any():
        model = PyDelayDenseModelBitAcc(parameters)
        model.delays = delays.astype(np.int32)
        model.a_buff = np.zeros((weights.shape[0], int(delays.max()) + 1), np.int32)
    else:
        model = PyDenseModelBitAcc(parameters)
        model.a_buff = np.zeros(weights.shape[0], np.int32)
    model.weights = weights.astype(np.int32)
    model.num_message_bits = np.array([0])
    model.s_in, model.a_out = Wire(), Sum()
    return model


def lif_model(name, size, arrays, at, wires):
    model = PyLifModelBitAcc({})
    model.u = arrays["u"][at].astype(np.int32)
    model.v = arrays["v"][at].astype(np.int32)
    model.du, model.dv = arrays[f"decay_u:{name}"], arrays[f"decay_v:{name}"]
    model.vth = arrays[f"threshold:{name}"].astype(np.int32)
    model.bias_mant = arrays[f"bias:{name}"].astype(np.int16)
    model.bias_exp = arrays[f"bias_exponent:{name}"].astype(np.int16)
    model.a_in, model.s_out = In((size,), wires), Wire()
    return model


def run_models(meta, arrays):
    raster = arrays["raster"]
    steps = len(raster)
    denses = [dense_model(n, c, arrays) for n, c in enumerate(meta["connections"])]
    groups, start = {}, 0
    for name, size in meta["neurons"].items():
        at = slice(start, start + size)
        wires = [
            d.a_out for d, c in zip(denses, meta["connections"], strict=True) if c["target"] == name
        ]
        groups[name] = (lif_model(name, size, arrays, at, wires), at)
        start += size
    inputs, first = {}, 0
    for name, size in meta["inputs"].items():
        inputs[name] = slice(first, first + size)
        first += size
    u, v = np.zeros((steps, start), np.int32), np.zeros((steps, start), np.int32)
    spikes = np.zeros((steps, start), np.uint8)
    learning = [n for n, c in enumerate(meta["connections"]) if c["learning"]]
    history = {n: [] for n in learning}
    for t in range(steps):
        # A connection sends what it has summed before it takes new spikes, so the neurons can be
        # called first and the sums of the last step are what they get.
        for d in denses:
            d.a_out.send(d.a_buff[:, 0] if d.a_buff.ndim == 2 else d.a_buff)
        for model, at in groups.values():
            model.run_spk()
            spikes[t, at] = model.s_out.recv()
            u[t, at], v[t, at] = model.u, model.v
        for n, (d, c) in enumerate(zip(denses, meta["connections"], strict=True)):
            if c["source"] in inputs:
                s = raster[t, inputs[c["source"]]]
            else:
                s = spikes[t, groups[c["source"]][1]]
            d.time_step = t + 1
            d.s_in.data = [s.astype(bool)]
            if n in history:
                d.s_in_bap = Wire()
                d.s_in_bap.data = [spikes[t, groups[c["target"]][1]].astype(bool)]
            d.run_spk()
            if n in history:
                if d.lrn_guard():
                    d.run_lrn()
                history[n].append(
                    np.concatenate(
                        [
                            np.ravel(a)
                            for a in (d.weights, d.tag_1, d.tag_2, d.x1, d.x2, d.y1, d.y2, d.y3)
                        ]
                    ).astype(np.int32)
                )
    answer = {"spikes": spikes, "u": u, "v": v}
    for n, rows in history.items():
        answer[f"learning:{n}"] = np.array(rows)
    return answer


def run_runtime(meta, arrays):
    """Do the same with processes, ports and monitors; a group has one number for all neurons."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi1SimCfg
    from lava.proc.dense.process import DelayDense, Dense
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF
    from lava.proc.monitor.process import Monitor

    raster = arrays["raster"]
    steps = len(raster)
    sources, groups, monitors = {}, {}, {}
    first = 0
    for name, size in meta["inputs"].items():
        sources[name] = RingBuffer(data=raster[:, first : first + size].T.astype(int))
        first += size
    start = 0
    for name, size in meta["neurons"].items():
        one = {k: int(arrays[f"{k}:{name}"][0]) for k in ("decay_u", "decay_v", "threshold")}
        group = LIF(
            shape=(size,),
            u=arrays["u"][start : start + size].astype(int),
            v=arrays["v"][start : start + size].astype(int),
            du=one["decay_u"],
            dv=one["decay_v"],
            vth=one["threshold"],
            bias_mant=arrays[f"bias:{name}"],
            bias_exp=arrays[f"bias_exponent:{name}"],
        )
        start += size
        sources[name] = groups[name] = group
        monitors[name] = {key: Monitor() for key in ("u", "v", "s_out")}
        for key, monitor in monitors[name].items():
            monitor.probe(getattr(group, key), steps)
    for n, c in enumerate(meta["connections"]):
        weights, delays = arrays[f"weights:{n}"].astype(int), arrays[f"delays:{n}"].astype(int)
        more = {} if c["sign_mode"] is None else {"sign_mode": SIGNS[c["sign_mode"]]}
        more |= {"weight_exp": c["exponent"], "num_weight_bits": c["bits"]}
        if delays.any():
            dense = DelayDense(weights=weights, delays=delays, **more)
        else:
            dense = Dense(weights=weights, **more)
        sources[c["source"]].s_out.connect(dense.s_in)
        dense.a_out.connect(groups[c["target"]].a_in)
    last = next(reversed(groups.values()))
    last.run(condition=RunSteps(steps), run_cfg=Loihi1SimCfg(select_tag="fixed_pt"))
    answer = {}
    for key, out in (("u", "u"), ("v", "v"), ("s_out", "spikes")):
        parts = [next(iter(m[key].get_data().values()))[key] for m in monitors.values()]
        answer[out] = np.concatenate(parts, axis=1).astype(np.int64)
    last.stop()
    return answer


def time_runtime(size, steps):
    """Seconds a step of two groups with a dense connection, and of set, one step and get."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi1SimCfg
    from lava.proc.dense.process import Dense
    from lava.proc.lif.process import LIF

    rng = np.random.default_rng(0)
    numbers = {"du": 500, "dv": 100, "bias_mant": 4095, "bias_exp": 7}
    a = LIF(shape=(size,), vth=60000, **numbers)
    b = LIF(shape=(size,), vth=60000, du=500, dv=100)
    dense = Dense(weights=rng.integers(-128, 128, (size, size)))
    a.s_out.connect(dense.s_in)
    dense.a_out.connect(b.a_in)
    configuration = Loihi1SimCfg(select_tag="fixed_pt")
    a.run(condition=RunSteps(5), run_cfg=configuration)
    begin = time.perf_counter()
    a.run(condition=RunSteps(steps), run_cfg=configuration)
    step = (time.perf_counter() - begin) / steps
    trips = []
    for _ in range(200 if size <= 100 else 20):
        begin = time.perf_counter()
        a.v.set(np.zeros(size, int))
        a.run(condition=RunSteps(1), run_cfg=configuration)
        b.v.get()
        trips.append(time.perf_counter() - begin)
    a.stop()
    return {
        "step": step,
        "trip": float(np.median(trips)),
        "trip_p99": float(np.quantile(trips, 0.99)),
    }


def answer(meta, arrays):
    if meta["question"] == "versions":
        from importlib.metadata import version

        return {"lava-nc": version("lava-nc"), "numpy": version("numpy")}, {}
    if meta["question"] == "time":
        return time_runtime(meta["size"], meta["steps"]), {}
    run = run_runtime if meta["how"] == "runtime" else run_models
    return {}, run(meta, arrays)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    serve(answer)
