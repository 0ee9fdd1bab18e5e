"""What every test may use: the --full option, the checkout's root, a ROS domain of its own.

With ``--stalls FILE`` the tests are listed that failed while the computer itself stood still.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import stall_watch
from stall_watch import pytest_configure as pytest_configure

_ROOT = Path(__file__).resolve().parents[1]

ALONE = {"ros", "safety"}
"""Folders whose tests start stacks of processes, or measure them; elsewhere each says so itself."""

# Above 101 the ports of DDS reach into those that Linux hands out to any program.
_LAST_DOMAIN = 101


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the tests marked full as well")
    stall_watch.pytest_addoption(parser)


@pytest.hookimpl(tryfirst=True)  # before -m looks at the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        folder = item.path.relative_to(_ROOT / "tests").parts[0]
        if folder in ALONE or item.get_closest_marker("ros"):
            item.add_marker("alone")
    if config.getoption("--full"):
        return
    long = [item for item in items if item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return _ROOT


def _ports_free(domain: int) -> bool:
    """Whether no participant of ``domain`` lives on this computer (RTPS 2.2, section 9.6.1.1)."""
    base = 7400 + 250 * domain
    for port in (base + 10, base + 11, base + 12, base + 13):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True


@contextmanager
def _reserved_domain() -> Iterator[int]:
    """Hold a domain against test runs beside this one; the lock goes with the process."""
    for step in range(_LAST_DOMAIN):
        domain = 1 + (os.getpid() + step) % _LAST_DOMAIN
        path = Path(tempfile.gettempdir()) / f"kuwa-test-domain-{domain}.{os.getuid()}.lock"
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if _ports_free(domain):
                yield domain
                return
    raise RuntimeError(f"no free ROS domain between 1 and {_LAST_DOMAIN}: stop some ROS 2 programs")


def _domain_in_environment() -> Iterator[int]:
    if "KUWA_ROOT" not in os.environ:
        pytest.fail("this test needs Kuwa's environment: ./kuwa test, or ./kuwa exec pytest", False)
    with _reserved_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        yield domain


@pytest.fixture
def ros_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that nobody else on this computer uses, set in the environment."""
    yield from _domain_in_environment()


@pytest.fixture(scope="module")
def ros_domain_module() -> Iterator[int]:
    """The same for all tests of a module, which share one stack."""
    yield from _domain_in_environment()
