"""From a float network to integers that cannot overflow, with a report of what was lost.

A group's currents and voltages are counted in one unit, 1/scale of the float one. The scale is the
largest with which weights, thresholds and biases fit their registers and with which no input at
all can drive sums, currents or voltages beyond theirs. The bounds are intervals:

    a ∈ [Σ min(w, 0), Σ max(w, 0)],   u ∈ a / (1 − keep_u),   v ≤ keep_v·threshold + max u + bias

each source spiking in every step; rounding towards zero only makes magnitudes smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kuwa_machines.contracts import Array
from kuwa_machines.errors import KuwaError
from kuwa_policies.emulator.arithmetic import ALIGN, STATE_LIMIT, UNITY, SignMode, sign_mode_of
from kuwa_policies.emulator.dense import Dense, synapses
from kuwa_policies.emulator.float_network import FloatDense, FloatNetwork, keeps, run_float
from kuwa_policies.emulator.loss import ConnectionLoss, GroupLoss, Report
from kuwa_policies.emulator.network import Emulator, Network
from kuwa_policies.emulator.neurons import BIAS_MAX, THRESHOLD_MAX, Neurons
from kuwa_policies.emulator.profiles import Profile, profile_of

MARGIN = 0.999
"""The scale is made smaller by so much at a time until what was rounded up fits as well."""
MANTISSA = {"mixed": 254, "excitatory": 255, "inhibitory": 255}
RESOLUTION = 8
"""Thresholds of fewer units than this, in steps of a register, are refused."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and most that any input can make of a group, shape (size,) each.

    Args:
        sums: of the synapses in a step. driven: current and bias together.
    """

    sums: tuple[Array, Array]
    u: tuple[Array, Array]
    driven: tuple[Array, Array]
    v: tuple[Array, Array]


@dataclass(frozen=True, eq=False)
class Compiled:
    """The network in integers, its profile, and what was lost.

    Args:
        scales: integer units in a float unit, by group.
    """

    network: Network
    profile: Profile
    scales: dict[str, float]
    report: Report

    def emulator(self) -> Emulator:
        """Return an emulator of it."""
        return Emulator(self.network, self.profile)


def compile_network(
    network: FloatNetwork,
    profile: str | Profile = "lava",
    raster: Mapping[str, NDArray[np.uint8]] | None = None,
    allow_saturation: bool = False,
) -> Compiled:
    """Return the network in integers.

    Args:
        profile: in whose arithmetic. Exact to that reference, and not to any chip.
        raster: spikes of the inputs, by name, shape (steps, size), with which both are run to
            compare their spikes.
        allow_saturation: let voltages be held at their least value where nothing else bounds them:
            neurons without leak that can be inhibited for ever.

    Raises:
        KuwaError: no scale makes it fit, or leaves the threshold a number worth having.
    """
    network.check()
    chosen = profile_of(profile)
    scales: dict[str, float] = {}
    groups: dict[str, Neurons] = {}
    denses: dict[int, Dense] = {}
    losses: list[GroupLoss] = []
    for name in network.neurons:
        incoming = {i: c for i, c in enumerate(network.connections) if c.target == name}
        scale, group, made, loss = _fit(network, name, incoming, chosen, allow_saturation)
        scales[name], groups[name] = scale, group
        denses |= made
        losses.append(loss)
    integers = Network(network.inputs, groups, [denses[i] for i in range(len(network.connections))])
    connection_losses = [
        _connection_loss(c, denses[i], scales[c.target], chosen)
        for i, c in enumerate(network.connections)
    ]
    counts = None
    if raster is not None:
        wanted = run_float(network, raster, chosen.input_delay)
        got = Emulator(integers, chosen).run(raster).spikes
        counts = {n: (int(wanted[n].sum()), int(got[n].sum())) for n in network.neurons}
    report = Report(chosen.name, tuple(losses), tuple(connection_losses), counts)
    return Compiled(integers, chosen, scales, report)


def _fit(
    network: FloatNetwork,
    name: str,
    incoming: dict[int, FloatDense],
    profile: Profile,
    allow_saturation: bool,
) -> tuple[float, Neurons, dict[int, Dense], GroupLoss]:
    """Return scale, neurons, connections and loss of one group."""
    group = network.neurons[name]
    leak_u, leak_v, threshold, bias = group.checked(name)
    if not profile.biased and bias.any():
        raise KuwaError(f"neurons {name!r} have a bias; profile {profile.name} has none")
    decay_u = _decay(leak_u, network.dt, profile.decay_u_offset, profile.decay_u_max)
    decay_v = _decay(leak_v, network.dt, 0, profile.decay_v_max)
    step_bias = bias * network.dt
    most = [float(np.abs(c.weights).max(initial=0.0)) for c in incoming.values()]
    scale = (THRESHOLD_MAX << ALIGN) / float(threshold.max())
    if step_bias.any():
        scale = min(scale, (BIAS_MAX << 7) / float(np.abs(step_bias).max()))
    if max(most, default=0.0) > 0:
        # The mantissa that every sign mode has, at the largest exponent.
        scale = min(scale, (254 << (profile.exponent_range[1] + ALIGN)) / max(most))
    reason = "its registers"
    for _ in range(20_000):
        made = {i: _dense(c, scale, profile) for i, c in incoming.items()}
        neurons = _neurons(group.size, decay_u, decay_v, threshold, step_bias, scale)
        limits = _bounds(neurons, made, profile, _sizes(network))
        over, what = _excess(limits, profile, allow_saturation)
        if over <= 1.0:
            units = float(np.asarray(neurons.threshold).min())
            if units < RESOLUTION:
                break
            effective_v = _kept(decay_v, 0)
            loss = GroupLoss(
                name,
                scale,
                _tau_pair(keeps(leak_u, network.dt), _kept(decay_u, profile.decay_u_offset)),
                _tau_pair(keeps(leak_v, network.dt), effective_v),
                float(np.abs(np.asarray(neurons.threshold) * 64 / scale / threshold - 1).max()),
                _bias_error(neurons, step_bias, scale, threshold),
                _used(limits.u, STATE_LIMIT),
                _used(limits.v, STATE_LIMIT),
                float(np.abs(limits.v[0]).max()) / STATE_LIMIT,
                bool((limits.v[0] < -STATE_LIMIT).any()),
            )
            return scale, neurons, made, loss
        reason = what
        if not np.isfinite(over):
            break
        scale *= min(MARGIN, 1.0 / over) if over > 1.01 else MARGIN
    raise KuwaError(
        f"neurons {name!r} cannot be counted in integers: {reason}. Give them leak, fewer or "
        f"weaker inputs, or a larger threshold"
    )


def _decay(leak: Array, dt: float, offset: int, most: int) -> NDArray[np.int64]:
    lost = np.round(UNITY * (1.0 - keeps(leak, dt))).astype(np.int64) - offset
    return np.asarray(np.clip(lost, 0, most), np.int64)


def _kept(decay: NDArray[np.int64], offset: int) -> Array:
    return np.asarray((UNITY - offset - decay) / UNITY)


def _neurons(
    size: int,
    decay_u: NDArray[np.int64],
    decay_v: NDArray[np.int64],
    threshold: Array,
    bias: Array,
    scale: float,
) -> Neurons:
    wanted = np.abs(bias) * scale
    exponent = np.ceil(np.log2(np.maximum(wanted / BIAS_MAX, 1.0))).astype(np.int64)
    mantissa = np.minimum(np.round(wanted / 2.0**exponent), BIAS_MAX).astype(np.int64)
    return Neurons(
        size,
        decay_u,
        decay_v,
        np.minimum(np.round(threshold * scale / 64), THRESHOLD_MAX).astype(np.int64),
        np.where(bias < 0, -mantissa, mantissa),
        exponent,
    )


def _dense(c: FloatDense, scale: float, profile: Profile) -> Dense:
    """Return a connection with the smallest exponent that holds its weights, not below 0.

    Below 0 the sum of each step would be rounded down, which is a loss that does not average out.
    """
    wanted = np.asarray(c.weights) * scale / (1 << ALIGN)
    mode: SignMode = sign_mode_of(np.sign(wanted).astype(np.int64))
    most = float(np.abs(wanted).max(initial=0.0))
    exponent = max(0, int(np.ceil(np.log2(most / MANTISSA[mode])))) if most > 0 else 0
    exponent = min(exponent, profile.exponent_range[1])
    step = 2 if mode == "mixed" else 1
    mantissa = step * np.round(wanted / 2.0**exponent / step).astype(np.int64)
    mantissa = np.clip(mantissa, -MANTISSA[mode], MANTISSA[mode])
    return Dense(c.source, c.target, mantissa, exponent, 8, mode, c.delays)


def _sizes(network: FloatNetwork) -> dict[str, int]:
    return dict(network.inputs) | {name: group.size for name, group in network.neurons.items()}


def _effective(dense: Dense, profile: Profile, sizes: dict[str, int]) -> NDArray[np.int64]:
    """Return what each synapse adds to the current, in integer units, shape (target, source)."""
    kept = synapses(dense, (sizes[dense.target], sizes[dense.source]), profile)
    added = kept.weights.T.astype(np.int64) << kept.exponent
    return np.asarray(added << ALIGN if profile.aligned_late else added)


def _bounds(
    neurons: Neurons, made: dict[int, Dense], profile: Profile, sizes: dict[str, int]
) -> Bounds:
    low, high = np.zeros(neurons.size), np.zeros(neurons.size)
    for dense in made.values():
        added = _effective(dense, profile, sizes)
        low += np.minimum(added, 0).sum(axis=1)
        high += np.maximum(added, 0).sum(axis=1)
    keep_u = _kept(np.asarray(neurons.decay_u), profile.decay_u_offset)
    keep_v = _kept(np.asarray(neurons.decay_v), 0)
    bias = np.asarray(neurons.bias) * 2.0 ** np.asarray(neurons.bias_exponent)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = (low / (1 - keep_u), high / (1 - keep_u))
        driven = (u[0] + bias, u[1] + bias)
        fall = np.minimum(driven[0], 0.0)
        v_low = np.where(fall < 0, fall / (1 - keep_v), 0.0)
    threshold = np.asarray(neurons.threshold) * 64.0
    v_high = keep_v * threshold + np.maximum(driven[1], 0.0)
    return Bounds((low, high), u, driven, (v_low, v_high))


def _excess(limits: Bounds, profile: Profile, allow_saturation: bool) -> tuple[float, str]:
    """Return by what factor the bounds exceed the registers, and which."""
    worst, what = 0.0, ""
    if profile.synaptic_bits:
        most = max(float(np.abs(x).max()) for x in limits.sums)
        worst, what = most / ((1 << (profile.synaptic_bits - 1)) - 1), "the sum of its synapses"
    checks = []
    if profile.u_overflow != "none":
        checks += [("its current", limits.u[0]), ("its current", limits.u[1])]
    if profile.bias_wraps:
        checks += [("its current with its bias", x) for x in limits.driven]
    if profile.v_limits != "none":
        checks.append(("its voltage above", limits.v[1]))
        if not allow_saturation:
            checks.append(("its voltage below", limits.v[0]))
    for name, values in checks:
        share = float(np.abs(values).max()) / (STATE_LIMIT - 1)
        if share > worst:
            worst, what = share, f"{name} can reach any value" if np.isinf(share) else name
    return worst, what


def _tau_pair(wanted: Array, got: Array) -> tuple[float, float]:
    """Return the time constants in steps, wanted and got, of the neuron with the largest error."""
    i = int(np.abs(wanted - got).argmax())
    with np.errstate(divide="ignore"):
        return float(-1 / np.log(wanted[i])), float(-1 / np.log(got[i]))


def _bias_error(neurons: Neurons, bias: Array, scale: float, threshold: Array) -> float:
    got = np.asarray(neurons.bias) * 2.0 ** np.asarray(neurons.bias_exponent) / scale
    return float((np.abs(got - bias) / threshold).max())


def _used(bounds: tuple[Array, Array], limit: int) -> float:
    return max(float(np.abs(x).max()) for x in bounds) / limit


def _connection_loss(c: FloatDense, dense: Dense, scale: float, profile: Profile) -> ConnectionLoss:
    weights = np.asarray(c.weights, float)
    sizes = {c.target: weights.shape[0], c.source: weights.shape[1]}
    got = _effective(dense, profile, sizes) / scale
    error = got - weights
    norm = float(np.sqrt((weights**2).mean())) if weights.size else 0.0
    return ConnectionLoss(
        c.name,
        dense.exponent,
        str(dense.sign_mode),
        float(np.sqrt((error**2).mean()) / norm) if norm else 0.0,
        float(np.abs(error).max(initial=0.0)),
        int(((got == 0) & (weights != 0)).sum()),
    )
