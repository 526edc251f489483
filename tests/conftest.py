"""What all tests share: a cache of their own, and Ctrl-C as an interactive program has it."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

import brolga
from brolga.jit.code import COMPILED


def pytest_report_header() -> str:
    """Which Brolga is tested: `make install` puts a compiled one in the place of the sources."""
    return f"brolga: {'compiled' if COMPILED else 'interpreted'}, {brolga.__file__}"


def pytest_configure(config: pytest.Config) -> None:
    """A shell that runs the tests in the background lets them ignore SIGINT, which many of them send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of the user who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
