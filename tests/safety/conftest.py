"""What all rows share: the stack that some of them started ends with the test run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _end_of_shared_stack() -> Iterator[None]:
    yield
    from shared_stack import close

    close()
