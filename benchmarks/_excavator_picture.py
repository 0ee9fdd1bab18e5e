"""Draw docs/pictures/learning.png: a worn excavator's tip, followed with and without learning.

./kuwa exec python benchmarks/_excavator_picture.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _excavator import LAST, SECONDS, Case
from _excavator_figures import BASELINE, _make

PATH = Path(__file__).parents[1] / "docs/pictures/learning.png"
SEED = 1
SMOOTH = 10.0
"""Window of the running RMSE [s]."""
STYLES = {
    BASELINE: ("#D55E00", "conventional, tuned"),
    "pid_adaptive": ("#999999", "with a written-down regressor"),
    "ebn": ("#0072B2", "with spiking networks"),
}


def main() -> None:
    """Run one machine with each controller and draw."""
    figure, (over, spikes) = plt.subplots(
        2, 1, figsize=(9, 5.2), sharex=True, height_ratios=(3, 1), layout="constrained"
    )
    case = Case(SEED)
    for name, (colour, words) in STYLES.items():
        controller = _make(name, case.spec)
        rates: list[tuple[float, float]] = []

        def watch(
            t: float, of: object = controller, into: list[tuple[float, float]] = rates
        ) -> None:
            if hasattr(of, "networks") and round(t * 100) % 100 == 0:
                into.append((t, float(sum(n.activity.spikes.sum() for n in of.networks))))

        run = case.run(controller, watch)
        n = max(round(SMOOTH / (run.t[1] - run.t[0])), 1)
        rms = np.sqrt(np.convolve(run.error**2, np.ones(n) / n, "valid"))
        over.plot(run.t[n - 1 :], 100 * rms, color=colour, label=words, lw=1.8)
        if rates:
            t, count = np.array(rates).T
            neurons = sum(net.p.neurons for net in getattr(controller, "networks", []))
            spikes.bar(t[1:], np.diff(count) / neurons, width=1.0, color=colour)
    over.axvspan(SECONDS - LAST, SECONDS, color="#eeeeee", zorder=0)
    over.set(ylabel="tip error, rms of 10 s [cm]", ylim=(0, None), xlim=(0, SECONDS))
    over.legend(frameon=False)
    over.set_title(
        "A worn ZX200 with an unknown load, dead time 0.5 s; grey: what counts", loc="left"
    )
    spikes.set(xlabel="time [s]", ylabel="spikes per neuron\nand second")
    for axes in (over, spikes):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(PATH, dpi=110)
    print(PATH)


if __name__ == "__main__":
    main()
