"""What a frame of a data set consists of: names, types, shapes and units, for any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kuwa_policies.datasets.layout import DatasetError

STATE: Final = "observation.state"
ACTION: Final = "action"
PRESSURE: Final = "observation.pressure"
IMU: Final = "observation.imu"
REQUESTED: Final = "action.requested"
APPLIED: Final = "action.applied"
RECEIPT: Final = "timestamp.receipt"
STAMP: Final = "timestamp.state"
INTERVENTION: Final = "intervention"
MODE: Final = "mode"
SOURCE: Final = "source"
IMAGES: Final = "observation.images."

MODES: Final = ("off", "ready", "armed", "teleop", "auto", "stopped")
"""What the numbers of the feature ``mode`` mean."""
SOURCES: Final = ("hold", "planning", "teleop")
"""What the numbers of the feature ``source`` mean: whose the action is."""
IMU_NAMES: Final = (
    "orientation.x", "orientation.y", "orientation.z", "orientation.w", "angular_velocity.x",
    "angular_velocity.y", "angular_velocity.z", "linear_acceleration.x", "linear_acceleration.y",
    "linear_acceleration.z",
)  # fmt: skip
"""Of the feature ``observation.imu``: quaternion [1], angular velocity [rad/s], acceleration
[m/s²], in the machine's base frame."""
TYPES: Final = ("float32", "float64", "int64", "bool")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column, or one video.

    Args:
        dtype: one of :data:`TYPES`, or ``"video"``.
        shape: of a frame's value; ``(1,)`` is a number, a video's is (height, width, 3).
        names: of its elements; of a video's axes.
    """

    dtype: str
    shape: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def is_video(self) -> bool:
        """Whether its values are pictures."""
        return self.dtype == "video"

    def info(self, fps: int, codec: str) -> dict[str, Any]:
        """Return what ``info.json`` says of it."""
        values: dict[str, Any] = {
            "dtype": self.dtype, "shape": list(self.shape), "names": list(self.names),
        }  # fmt: skip
        if self.is_video:
            height, width, channels = self.shape
            values["info"] = {
                "video.height": height, "video.width": width, "video.channels": channels,
                "video.codec": codec, "video.pix_fmt": "yuv420p", "video.is_depth_map": False,
                "video.fps": fps, "has_audio": False,
            }  # fmt: skip
        return values


COLUMNS: Final[dict[str, Feature]] = {
    "timestamp": Feature("float32", (1,), ("timestamp",)),
    "frame_index": Feature("int64", (1,), ("frame_index",)),
    "episode_index": Feature("int64", (1,), ("episode_index",)),
    "index": Feature("int64", (1,), ("index",)),
    "task_index": Feature("int64", (1,), ("task_index",)),
}
"""Which the writer fills in by itself."""


@dataclass(frozen=True)
class DatasetInfo:
    """What all episodes of a set have in common.

    Args:
        robot_type: machine, by name.
        joints: in the order of every vector.
        fps: frames in a second, 1 to 200.
        features: by name.
        kuwa: what else ``meta/kuwa.json`` should say, e.g. units, control period, versions.
    """

    robot_type: str
    joints: tuple[str, ...]
    fps: int
    features: Mapping[str, Feature]
    kuwa: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 200:
            raise DatasetError(f"fps is {self.fps}; expected 1 to 200")
        for name, feature in self.features.items():
            if name in COLUMNS or "/" in name:
                raise DatasetError(f"feature {name!r}: the name is taken, or has a slash")
            if not feature.is_video and feature.dtype not in TYPES:
                raise DatasetError(f"feature {name!r}: {feature.dtype!r}; valid: {TYPES}")
            wide = feature.shape[2:] == (3,) if feature.is_video else len(feature.shape) == 1
            if not wide or min(feature.shape) < 1:
                raise DatasetError(f"feature {name!r} has shape {feature.shape}")
            if feature.is_video and (feature.shape[0] % 2 or feature.shape[1] % 2):
                raise DatasetError(f"video {name!r} of {feature.shape}: its sides must be even")

    @property
    def videos(self) -> tuple[str, ...]:
        """Names of the videos."""
        return tuple(name for name, each in self.features.items() if each.is_video)

    @property
    def vectors(self) -> dict[str, Feature]:
        """The features that are numbers."""
        return {name: each for name, each in self.features.items() if not each.is_video}

    @classmethod
    def of_machine(
        cls,
        machine: str,
        joints: tuple[str, ...],
        fps: int = 20,
        *,
        cameras: Mapping[str, tuple[int, int]] | None = None,
        pressure: bool = False,
        imu: bool = False,
        kuwa: Mapping[str, Any] | None = None,
    ) -> DatasetInfo:
        """Return what Kuwa records of a machine.

        Args:
            cameras: name → (height, width).
            pressure, imu: whether the machine has them.
            kuwa: what ``meta/kuwa.json`` should say beyond machine and joints.
        """
        each = tuple(f"{joint}.vel" for joint in joints)
        one = {name: Feature("int64", (1,), (name,)) for name in (INTERVENTION, MODE, SOURCE)}
        features = {
            STATE: Feature("float32", (2 * len(joints),), state_names(joints)),
            ACTION: Feature("float32", (len(joints),), each),
            REQUESTED: Feature("float32", (len(joints),), tuple(f"{j}.valve" for j in joints)),
            APPLIED: Feature("float32", (len(joints),), tuple(f"{j}.valve" for j in joints)),
            RECEIPT: Feature("float64", (1,), (RECEIPT,)),
            STAMP: Feature("float64", (1,), (STAMP,)),
            **one,
        }
        if pressure:
            names = tuple(f"{joint}.{side}" for joint in joints for side in ("a", "b"))
            features[PRESSURE] = Feature("float32", (2 * len(joints),), names)
        if imu:
            features[IMU] = Feature("float32", (len(IMU_NAMES),), IMU_NAMES)
        for name, (height, width) in (cameras or {}).items():
            shape, axes = (height, width, 3), ("height", "width", "channels")
            features[IMAGES + name] = Feature("video", shape, axes)
            stamp = image_stamp(IMAGES + name)
            features[stamp] = Feature("float64", (1,), (stamp,))
        return cls(machine, joints, fps, features, dict(kuwa or {}))

    def checked(self, name: str, value: Any) -> NDArray[Any]:
        """Return one value of a frame as an array of its feature's type and shape.

        Raises:
            DatasetError: it has another shape, or is not finite.
        """
        feature = self.features[name]
        array = np.asarray(value)
        if feature.is_video:
            if array.dtype != np.uint8 or array.shape != feature.shape:
                raise DatasetError(
                    f"{name} is {array.dtype} of shape {array.shape}; "
                    f"expected uint8 of shape {feature.shape}"
                )
            return array
        array = np.asarray(array, feature.dtype).reshape(-1)
        if array.shape != feature.shape:
            raise DatasetError(f"{name} has shape {array.shape}; expected {feature.shape}")
        if not np.isfinite(array).all():
            raise DatasetError(f"{name} has values that are not finite: {array.tolist()}")
        return array


def image_stamp(video: str) -> str:
    """Return the feature with the stamps of a video's pictures [s]."""
    return f"timestamp.{video.removeprefix('observation.')}"


def state_names(joints: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of ``observation.state``: all positions [rad], then all velocities [rad/s].

    Sliding joints, if a machine has any, in [m] and [m/s].
    """
    return (*(f"{joint}.pos" for joint in joints), *(f"{joint}.vel" for joint in joints))


MEANING: Final = ("qd_max", "control_period", "units", "modes", "sources")
"""What ``meta/kuwa.json`` says that an episode's numbers mean nothing without."""


def meanings(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return (what, in one, in the other) where numbers of two sets mean different things.

    Where only one of them says what is meant nothing is known, and nothing returned.
    """
    found = []
    for key in MEANING:
        a, b = one.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            both = sorted(a.keys() & b.keys())
            found += [(f"{key} of {name}", a[name], b[name]) for name in both if a[name] != b[name]]
        elif a is not None and b is not None and a != b:
            found.append((key, a, b))
    return found


def agreed(said: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what all say, and say alike; of what has parts those parts."""
    first, *others = said
    found: dict[str, Any] = {}
    for key, value in first.items():
        if not all(key in other for other in others):
            continue
        values = [other[key] for other in others]
        if isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in values):
            parts = agreed([value, *values])
            if parts or not value:
                found[key] = parts
        elif all(each == value for each in values):
            found[key] = value
    return found


def interventions(column: NDArray[np.int64]) -> dict[str, Any]:
    """Return what the notes say of the feature ``intervention``, shape (frames,) or (frames, 1).

    ``count`` and ``frames`` of them, and ``intervals``: the first frame of each, and the one after
    its last.
    """
    driven = np.asarray(column).reshape(-1) != 0
    edges = np.flatnonzero(np.diff(driven, prepend=False, append=False)).reshape(-1, 2)
    return {"count": len(edges), "frames": int(driven.sum()), "intervals": edges.tolist()}
