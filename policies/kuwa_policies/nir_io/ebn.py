"""An efficient balanced network, frozen, as populations and projections.

    V̇ = −λV + Dᵀ(c + k e) + Ω_sᵀψ + Ω_f o,    x̂̇ = −λx̂ + D o

is a LIF with τ = R = 1/λ, thresholds T and the weights Dᵀ, Ω_sᵀ and Ω_f = −(DᵀD + μI), and an LI
that reads x̂ out with D. A spike o is a delta: its weights are divided by dt. The inputs are the J
drives c + k e and the K activities ψ, side by side: no node of NIR is a dendrite φ(M x̂ + θ).
"""

from __future__ import annotations

import numpy as np

from kuwa_machines.errors import KuwaError, choices
from kuwa_policies.ebn.network import Ebn
from kuwa_policies.nir_io.network import Population, Projection, SpikingNetwork, lif

SELVES = ("connection", "value")


def ebn_network(net: Ebn, self_reset: str = "connection") -> SpikingNetwork:
    """Return a network that can be exchanged.

    It differs from :class:`~kuwa_policies.ebn.network.Ebn` in three ways that NIR imposes: all
    neurons over their threshold spike, not the ``max_spikes`` furthest ones; they inhibit each
    other a step later; and there is neither noise nor learning. Networks bear this whose ν is about
    2 |D_i|², μ about |D_i|²/2, dt short; others answer every spike with another.

    Args:
        self_reset: ``"connection"``: neurons are taken down by Ω_f's diagonal, −(|D_i|² + μ), and
            the node's own reset is "none"; ``"value"``: the diagonal is zero and the node's own
            reset goes to v_reset = T − (|D_i|² + μ), which forgets by how much T was passed.
    """
    if self_reset not in SELVES:
        raise KuwaError(f"no self_reset {self_reset!r}; {choices(self_reset, SELVES)}")
    p = net.p
    D = np.asarray(net.D, float)
    T = np.asarray(net.thresholds, float)
    if not net.alive.all():
        # A threshold that is never reached; NIR has no dead neurons, HDF5 keeps no infinity apart.
        T = np.where(net.alive, T, np.finfo(np.float32).max)
    tau = np.full(p.neurons, 1.0 / p.leak)
    fast = -(D.T @ D + p.mu * np.eye(p.neurons))
    down = T + np.diag(fast)
    if self_reset == "value":
        np.fill_diagonal(fast, 0.0)
    neurons = lif(
        tau, T, 1.0 / p.leak, "none" if self_reset == "connection" else "to_value",
        0.0 if self_reset == "connection" else down,
    )  # fmt: skip
    lines = np.full(p.signals, 1.0 / p.leak)
    zero = np.zeros(p.signals)
    x_hat = Population("LI", lines, lines.copy(), zero, zero, zero, reset="none")
    drive = np.concatenate([D.T, np.asarray(net.Omega_s, float).T], axis=1)
    return SpikingNetwork(
        p.dt,
        {"drive": p.signals + p.dendrites},
        {"neurons": neurons, "x_hat": x_hat},
        [
            Projection("drive", "neurons", drive),
            Projection("neurons", "neurons", fast / p.dt),
            Projection("neurons", "x_hat", D / p.dt),
        ],
        {"spikes": "neurons", "signals": "x_hat"},
    )
