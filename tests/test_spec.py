"""The official test suite: every command of every script of the level `scalar` passes, on both platforms, compiled lazily
and eagerly, with the verifier and the allocation checker on.

The suite is looked for in $WASM_TESTSUITE (default: ../shared/testsuite, seen from the repository) and the list of the
level's scripts in $WASM_TESTSUITE_LEVELS (default: ../shared/testsuite-levels).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from brolga import Config
from brolga.jit.debug import KNOBS
from brolga.runtime.wast import read_script, run_script

_SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
SUITE = Path(os.environ.get("WASM_TESTSUITE", _SHARED / "testsuite"))
LEVEL = Path(os.environ.get("WASM_TESTSUITE_LEVELS", _SHARED / "testsuite-levels")) / "scalar.txt"
COMMANDS = 26_446  # of the level, as its list was made


def _scripts() -> list[str]:
    return LEVEL.read_text().split() if LEVEL.exists() and SUITE.exists() else []


pytestmark = pytest.mark.skipif(not _scripts(), reason=f"the test suite is not in {SUITE} or its list not in {LEVEL}")


@pytest.fixture
def verified() -> Iterator[None]:
    before = KNOBS.verify
    KNOBS.verify = True
    yield
    KNOBS.verify = before


@pytest.mark.usefixtures("verified")
@pytest.mark.parametrize("eager", [False, True], ids=["lazy", "eager"])
@pytest.mark.parametrize("platform", ["linux", "minimal"])
@pytest.mark.parametrize("script", _scripts() or ["none"])
def test_script(script: str, platform: str, eager: bool) -> None:
    config = Config()
    config.platform = platform
    config.eager = eager
    result = run_script(str(SUITE / script), config)
    assert result.failures == []
    assert result.passed > 0 and result.skipped == 0


def test_the_level_is_whole(tmp_path: Path) -> None:
    """No command is lost between the script and the runner."""
    assert sum(len(read_script(str(SUITE / script), str(tmp_path))) for script in _scripts()) == COMMANDS
