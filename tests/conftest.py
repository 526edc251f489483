"""What all tests share."""

from __future__ import annotations

import brolga
from brolga.jit.compile import COMPILED


def pytest_report_header() -> str:
    """Which Brolga is tested: `make install` puts a compiled one in the place of the sources."""
    return f"brolga: {'compiled' if COMPILED else 'interpreted'}, {brolga.__file__}"
