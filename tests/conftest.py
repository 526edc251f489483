"""What all tests share: a cache of their own, and Ctrl-C as an interactive program has it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import brolga
from brolga.jit.code import COMPILED

# These are about files that are the same for both builds, and start no compiler that the tests of it do not start.
SAME_FOR_BOTH: Final = ("test_benchmarks.py", "test_docs.py", "test_layering.py", "test_typing.py")


def pytest_report_header() -> str:
    """Which Brolga is tested: `make install` puts a compiled one in the place of the sources."""
    return f"brolga: {'compiled' if COMPILED else 'interpreted'}, {brolga.__file__}"


def pytest_configure(config: pytest.Config) -> None:
    """A shell that runs the tests in the background lets them ignore SIGINT, which many of them send."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """On a compiled compiler, leave out what is tested on the sources, unless BROLGA_TESTS=all: the platform `minimal`, but for the
    code that is made for it (`jit`, golden files, fuzzers), and files that are the same for both builds.
    """
    if not COMPILED or os.environ.get("BROLGA_TESTS") == "all":
        return
    here = Path(__file__).parent
    other_platform = pytest.mark.skip(
        reason="the platform `minimal` is tested on the sources (BROLGA_TESTS=all: here too)"
    )
    same = pytest.mark.skip(reason="the same for both builds, tested on the sources (BROLGA_TESTS=all: here too)")
    for item in items:
        parts = item.path.relative_to(here).parts
        if parts[0] in SAME_FOR_BOTH:
            item.add_marker(same)
        elif parts[0] != "jit" and "minimal" in _parameters(item).values():
            item.add_marker(other_platform)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


@pytest.fixture(scope="session", autouse=True)
def _cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the cache of the user who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
