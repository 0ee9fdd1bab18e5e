"""The recorder goes on, or says why not, whatever error comes from below."""

from __future__ import annotations

import time
from typing import Any

import pytest

from kuwa_record.bagging import Bagging
from kuwa_record.session import Session

pytestmark = pytest.mark.ros


class Broken:
    """A bag that fails in a way that nobody thought of."""

    def write(self, *_: Any) -> None:
        raise ValueError("write to closed file")

    def flush(self) -> None:
        """Nothing to flush."""

    def abandon(self) -> None:
        """Nothing to leave."""


class Disk:
    full, remaining = False, 1e9

    def words(self) -> str:
        return "room"


def test_an_unforeseen_error_of_a_bag_is_told_and_counts_what_is_lost() -> None:
    told: list[str] = []
    bagging = Bagging(Broken(), told.append)  # type: ignore[arg-type]
    assert bagging.put(None, 0, 0, b"x")  # type: ignore[arg-type]
    until = time.monotonic() + 5.0
    while not told and time.monotonic() < until:
        time.sleep(0.01)
    assert told == ["the bag is not written any more: write to closed file"]
    assert not bagging.put(None, 0, 0, b"x")  # type: ignore[arg-type]
    assert bagging.dropped >= 1
    bagging.stop()


def test_an_unforeseen_error_of_a_command_is_its_answer() -> None:
    def changed() -> Any:
        raise RuntimeError("dictionary changed size during iteration")

    session = Session(changed, None, None, list, Disk(), task="dig")  # type: ignore[arg-type]
    done, why = session.command("start")
    assert not done and "changed size" in why
    assert session.state == "idle"
    session.close()
