"""``kuwa test``: what it says at the end of several runs of pytest."""

from __future__ import annotations

import pytest

from kuwa_cli.test import together

ONE = "= 2 failed, 3 passed, 1 skipped, 9 deselected, 2 warnings in 12.50s ="


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([ONE], ONE),
        (
            [ONE, "=== 40 passed, 4 skipped in 1088.26s (0:18:08) ==="],
            "2 failed, 43 passed, 5 skipped, 2 warnings in 1100.76s",
        ),
        (
            [ONE, "pytest ended without a closing line, status 3"],
            "pytest ended without a closing line, status 3",
        ),
    ],
)
def test_the_closing_lines_are_added_up(lines: list[str], said: str) -> None:
    assert together(lines) == said
