"""Draw docs/pictures/device-curves.png from benchmarks/results/devices.json."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

from kuwa_policies.devices.nonidealities import TABLE

ROOT = Path(__file__).resolve().parents[1]

# Okabe and Ito's colours; markers and dashes say the same to who sees no colours.
KINDS = {
    "without": ("#D55E00", "o", "-", "weights written as they are"),
    "adapted": ("#E69F00", "s", "--", "… then 40 s of learning on the device"),
    "mapped": ("#56B4E9", "^", "-", "weights fitted to the measured device"),
    "both": ("#0072B2", "D", "--", "… then 40 s of learning on the device"),
}
WORDS = {
    "mismatch": "device mismatch σ",
    "bits": "weight quantisation [bit]",
    "stuck_low": "share of devices stuck low",
    "stuck_high": "share of devices stuck high",
    "dead_neurons": "share of dead neurons",
    "drift": "drift ν, a day after writing",
    "read_noise": "read noise σ",
    "ir_drop": "IR drop: loss at the far end",
    "threshold_spread": "spread of thresholds σ",
    "tau_spread": "spread of time constants σ",
    "jitter": "spike-time jitter σ [ms]",
}


def draw() -> None:
    """One panel for each non-ideality, all of one scale."""
    saved = json.loads((ROOT / "benchmarks/results/devices.json").read_text("utf-8"))
    values = {figure["name"]: figure["value"] for figure in saved["figures"]}
    best = values["devices.ideal.error"]
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    chart, panels = plt.subplots(3, 4, figsize=(11, 7.4), sharey=True, layout="constrained")
    for panel, row in zip(panels.flat, TABLE, strict=False):
        at = range(len(row.sweep))
        panel.axhline(best, color="black", lw=1, ls=":")
        for kind, (colour, marker, line, _) in KINDS.items():
            errors = [values[f"devices.{row.name}.{s:g}.{kind}"] for s in row.sweep]
            panel.plot(at, errors, color=colour, marker=marker, ls=line, ms=5, lw=1.6)
        factor = 1000 if row.name == "jitter" else 1
        panel.set_xticks(at, [f"{factor * s:g}" for s in row.sweep])
        panel.set_title(WORDS[row.name], fontsize=10, loc="left")
        panel.set_yscale("log")
        panel.set_ylim(7, 400)
        panel.set_yticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
        panel.minorticks_off()
        panel.grid(axis="y", lw=0.4, color="0.85")
    for panel in panels[:, 0]:
        panel.set_ylabel("error [% of the signal]")
    key = panels.flat[-1]
    key.axis("off")
    for colour, marker, line, words in KINDS.values():
        key.plot([], [], color=colour, marker=marker, ls=line, label=words)
    key.plot([], [], color="black", lw=1, ls=":", label="ideal network")
    key.legend(loc="center left", frameon=False, borderaxespad=0.0, fontsize=9)
    path = ROOT / "docs/pictures/device-curves.png"
    chart.savefig(path, dpi=110)
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    draw()
