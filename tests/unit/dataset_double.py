"""Small data sets: of a machine that follows its actions, and of numbers that mean nothing."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

import numpy as np

from kuwa_machines import load_machine
from kuwa_policies.datasets import Dataset, DatasetInfo, DatasetWriter
from kuwa_policies.datasets import features as f

FPS = 20


def make_set(
    folder: Path,
    episodes: int = 2,
    seconds: float = 12.0,
    camera: bool = True,
    driven: Container[int] = (),
) -> Dataset:
    """Write a set of an excavator whose joints answer after their dead time, with some noise.

    In the frames ``driven`` of each episode the operator intervenes.
    """
    spec = load_machine("zx200")
    joints, n = spec.joint_names, len(spec.joint_names)
    cameras = {"cab": (32, 48)} if camera else None
    info = DatasetInfo.of_machine(
        spec.name, joints, FPS, cameras=cameras, pressure=True,
        kuwa={"qd_max": spec.qd_max.tolist(), "control_period": 0.01},
    )  # fmt: skip
    with DatasetWriter(folder, info) as writer:
        for episode in range(episodes):
            rng = np.random.default_rng(episode)
            frames = round(seconds * FPS)
            t = np.arange(frames) / FPS
            phase, rate = rng.uniform(0, 6, (2, n)), rng.uniform(0.6, 1.4, (2, n))
            action = 0.35 * np.sin(rate[0] * t[:, None] + phase[0])
            action += 0.25 * np.sin(2.3 * rate[1] * t[:, None] + phase[1])
            late = [np.roll(action[:, j], round(spec.dead_time[j] * FPS)) for j in range(n)]
            qd = np.stack(late, 1) * spec.qd_max * 0.95 + rng.normal(0, 0.004, (frames, n))
            q = spec.home + np.cumsum(qd, 0) / FPS * 0.3
            # Slower than they say would be another defect: velocities are those of the positions.
            qd = np.gradient(q, 1 / FPS, axis=0)
            action *= 0.3
            q = q + rng.normal(0, 1e-4, q.shape)
            writer.begin("dig", machine=spec.name, missed=[], fault="", scenario="dig_trench")
            for k in range(frames):
                frame = {
                    f.STATE: np.concatenate([q[k], qd[k]]), f.ACTION: action[k],
                    f.REQUESTED: action[k], f.APPLIED: action[k], f.RECEIPT: t[k] + 0.004,
                    f.STAMP: t[k], f.INTERVENTION: int(k in driven), f.MODE: 4, f.SOURCE: 1,
                    f.PRESSURE: rng.uniform(1e6, 2e7, 2 * n),
                }  # fmt: skip
                if camera:
                    picture = rng.integers(0, 255, (32, 48, 3)).astype(np.uint8)
                    frame |= {f.IMAGES + "cab": picture, f.image_stamp(f.IMAGES + "cab"): t[k]}
                writer.add(frame)
                for tick in range(5):
                    writer.control(t[k] + 0.01 * tick, action[k], 1)
            writer.save(True)
    return Dataset(folder)


def plain(count: int = 4) -> DatasetInfo:
    """A set without pictures, which is quick."""
    return DatasetInfo.of_machine("zx200", load_machine("zx200").joint_names[:count], 10)


def fill(writer: DatasetWriter, tag: int, frames: int = 3) -> None:
    """Begin an episode of its own task, with so many frames."""
    writer.begin(f"task {tag}")
    for k in range(frames):
        frame = {n: np.full(e.shape, tag + k) for n, e in writer.info.features.items()}
        writer.add(frame)
