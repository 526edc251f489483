from __future__ import annotations

from collections.abc import Iterator

import pytest

from .native import Native


@pytest.fixture(scope="session")
def native() -> Native:
    return Native()


@pytest.fixture
def running(native: Native) -> Iterator[Native]:
    """Faults in compiled code are traps during the test."""
    with native:
        yield native
