"""What integers lose of a network's parameters, and how far from overflow they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kuwa_policies.ebn.fixed_kernel import INT8, NOISE_BITS, PSI_BITS, TABLE_BITS
from kuwa_policies.ebn.fixed_plan import PSI_MOST, Layout
from kuwa_policies.ebn.network import FOUR_BYTES_SD
from kuwa_policies.emulator.arithmetic import STATE_LIMIT, UNITY

if TYPE_CHECKING:
    from kuwa_policies.ebn.parameters import EbnParameters


@dataclass(frozen=True, slots=True)
class Loss:
    """One line of the report.

    Args:
        what: was looked at.
        value: of it. unit: ``"1"`` for a share.
        note: what it means.
    """

    what: str
    value: float
    unit: str
    note: str


def losses(p: EbnParameters, a: Layout) -> tuple[Loss, ...]:
    """Return what the layout lost of the parameters."""
    D = a.d * (a.unit_d * 2.0 ** a.row_shift[:, None])
    share = float(np.linalg.norm(D - p.D) / np.linalg.norm(p.D))
    off = float(np.abs(a.thresholds * a.unit_v / p.thresholds - 1.0).max())
    leak = (UNITY - a.keep) / (UNITY * p.leak * p.dt) - 1.0
    lines = [
        Loss("decoders", share, "1", "rms error over rms"),
        Loss("thresholds", off, "1", "worst relative error"),
        Loss("leak", leak, "1", "relative error; the drive is scaled by the same"),
        Loss("voltage range", STATE_LIMIT * a.unit_v / float(np.linalg.norm(D, axis=0).max()),
             "signal", "error x − x̂ along a decoder at which voltages saturate"),
        Loss("signal range", STATE_LIMIT * a.unit_x, "signal", "x̂ at which it saturates"),
        Loss("signal step", a.unit_x, "signal", "resolution of x̂"),
    ]  # fmt: skip
    for name, cost in (("mu", p.mu), ("nu", p.nu)):
        if cost > 0.0:
            kept = round(cost / a.unit_v) * a.unit_v
            lines.append(Loss(name, kept / cost - 1.0, "1", "relative error; −1: lost altogether"))
    if p.noise > 0.0:
        sigma = p.noise * float(p.thresholds.mean()) * np.sqrt(2.0 * p.leak * p.dt)
        kept = a.noise * FOUR_BYTES_SD * 2.0**-NOISE_BITS * a.unit_v
        lines.append(Loss("noise", kept / sigma - 1.0, "1", "relative error; −1: lost altogether"))
    if p.slow_tau > 0.0:
        tau = p.dt * UNITY / (UNITY - a.psi_keep)
        lines.append(Loss("slow synapses", tau / p.slow_tau - 1.0, "1", "relative error of tau"))
    if p.dendrites:
        unit_short = a.unit_x * 2.0**a.x_short
        scale = 2.0 ** -(a.m_shift.astype(float) + TABLE_BITS) / unit_short
        slope = float(np.abs(a.m * scale[:, None] - p.M).max() / max(np.abs(p.M).max(), 1e-30))
        full = p.dendrites * INT8 * PSI_MOST << PSI_BITS
        lines += [
            Loss("dendrites", slope, "1", "worst error of M over its largest entry"),
            Loss("weight step", a.unit_w, "signal²/s", "resolution of Ω_s, its bound over 127"),
            Loss("slow sum", float(np.log2(full)), "bit", "largest sum of ψ Ω_s, of 31"),
        ]
    if p.eta > 0.0:
        # A weight follows an error of one along its decoder, all dendrites active, in one step.
        change = p.eta * p.dt * float(np.linalg.norm(p.D, axis=0).max()) / a.unit_w
        lines.append(
            Loss("learning", change, "weight steps", "chance to move, error 1, ψ 1, one step")
        )
    return tuple(lines)
