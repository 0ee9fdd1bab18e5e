"""What the doctor may find, as a table: name, what it means, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table.

    Args:
        title: what is wrong, in a few words. how: how it is found. remedy: what to do about it.
    """

    title: str
    how: str
    remedy: str


CHECKS: Final[dict[str, Check]] = {
    "unreadable": Check(
        "files missing or torn",
        "A file does not open, fails its checksum, or has another number of rows than is said.",
        "Restore the file, or leave the episode out with kuwa data split.",
    ),
    "nan": Check(
        "numbers that are none",
        "NaN or infinity in any column.",
        "Leave the episode out; look for the sensor that was lost.",
    ),
    "dropped_frames": Check(
        "frames dropped",
        "The stamps of two states in a row lie more than 1.5 frames apart, or a state is repeated "
        "for more than that.",
        "Leave the episode out, or train on its stamps; record with less load on the computer.",
    ),
    "wrong_fps": Check(
        "the frame rate is not the one that is written down",
        "The stamps advance by another step than 1/fps, or positions change by other amounts than "
        "the velocities say.",
        "Correct fps in meta/info.json by recording or converting anew.",
    ),
    "skew": Check(
        "streams out of step",
        "The age of the states varies or is above 0.25 s, or motion comes before the action or "
        "much later than the machine's dead time allows.",
        "Synchronise the clocks; record anew.",
    ),
    "frozen_sensor": Check(
        "a sensor stood still",
        "A reading keeps its bits while the machine moves: a position while its velocity does not "
        "rest, both while the joint is asked to move, a pressure or an attitude for 2 s.",
        "Look at the sensor and its bus; leave the episode out.",
    ),
    "constant_action": Check(
        "the action never changes",
        "No joint's action varies, or one keeps a value other than zero.",
        "Look at the lever and its message; leave the episode out.",
    ),
    "clipped_action": Check(
        "the action is cut off",
        "An action beyond ±1, or one at ±1 for more than 20 % of the frames in which it acts, "
        "while the joint moves faster there than its smaller actions promise; full deflection "
        "alone is none.",
        "Check the scale of the levers; fractions of the maximum velocity are meant.",
    ),
    "wrong_sign": Check(
        "a sign is wrong",
        "A joint moves against its action, or its position against its velocity.",
        "Run kuwa preflight; correct the sign in the machine's file and record anew.",
    ),
    "mixed_machines": Check(
        "episodes of several machines",
        "Episodes say different machines, positions lie beyond the machine's limits, or velocities "
        "answer actions on another scale: faster than asked for, or never as fast.",
        "Split the set by machine.",
    ),
    "truncated_video": Check(
        "a video is cut short",
        "It does not decode, or holds fewer pictures than the episode has frames.",
        "Leave the episode out, or take the video from the bag again with kuwa data convert.",
    ),
    "duplicate_episodes": Check(
        "the same episode twice",
        "Two episodes have the same states and actions, to the bit.",
        "Leave one out; in a split it may be on both sides.",
    ),
    "label_error": Check(
        "a label contradicts what is known",
        "Called a success with bounds missed or a fault, or a failure without either; a task that "
        "is not the one of its index; no task in words.",
        "Correct the label.",
    ),
    "changed": Check(
        "changed since it was recorded",
        "The bytes of the actions have another hash than the notes say.",
        "Take the episode from the original set.",
    ),
}
"""By code, in the order in which a report lists them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong.

    Args:
        code: of :data:`CHECKS`.
        episode: its index; −1: the whole set.
        where: column, joint, camera or file.
        measured: in words. expected: likewise.
        frame: where it begins, −1 where that means nothing.
    """

    code: str
    episode: int
    where: str
    measured: str
    expected: str
    frame: int = -1

    @property
    def words(self) -> str:
        """One line, without the remedy."""
        place = "" if self.episode < 0 else f"episode {self.episode}: "
        at = f" at frame {self.frame}" if self.frame >= 0 else ""
        return (
            f"{place}{CHECKS[self.code].title} ({self.where}{at}): {self.measured}, expected "
            f"{self.expected}"
        )


def markdown() -> str:
    """Return the table for the documentation."""
    rows = [
        f"| `{code}` | {check.title} | {check.how} | {check.remedy} |"
        for code, check in CHECKS.items()
    ]
    return "\n".join(
        ["| code | what is wrong | found by | what to do |", "|---|---|---|---|", *rows]
    )
