"""The generated reference pages say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from kuwa_bringup.reference import pages
from kuwa_ros.topics import TOPICS

pytestmark = pytest.mark.ros


@pytest.mark.parametrize("name", pages())
def test_a_page_is_up_to_date(root: Path, name: str) -> None:
    written = (root / "docs" / "reference" / name).read_text()
    assert written == pages()[name], "run: ./kuwa exec python -m kuwa_bringup.reference"


def test_a_topic_is_named_once() -> None:
    names = [topic.name for topic in TOPICS]
    assert len(names) == len(set(names))
