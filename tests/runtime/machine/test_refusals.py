"""What the system refuses: `tests/fuzz/refusals.py` with small counts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from brolga.jit.code import COMPILED

ROOT: Final = Path(__file__).resolve().parents[3]
SCENARIOS: Final = (
    *("calls", "callbacks", "traps", "growth", "instances", "serialised", "wasi"),
    *("timeouts", "threads", "suspended", "forks", "load", "first"),
)
COUNT: Final = int(os.environ.get("BROLGA_FUZZ", "1"))


def _refuse(*arguments: str, **environment: str) -> None:
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "fuzz" / "refusals.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=300 * COUNT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_each_call_of_the_system_is_refused_once(scenario: str) -> None:
    _refuse("--of", "system", "--scenario", scenario)


@pytest.mark.parametrize("scenario", ["instances", "first"])
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_all_calls_of_the_system_are_refused_from_some_point_on(scenario: str, platform: str) -> None:
    _refuse("--of", "system", "--span", "100000", "--scenario", scenario, "--platform", platform)


@pytest.mark.parametrize("scenario", ["growth", "threads"])
def test_refusals_without_reservations(scenario: str) -> None:
    _refuse("--of", "system", "--scenario", scenario, BROLGA_WITHOUT="reservations,memfd")


@pytest.mark.skipif(COMPILED, reason="code compiled by mypyc ends the process when it gets no memory for an integer")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_allocations_are_refused(scenario: str) -> None:
    pytest.importorskip("_testcapi")
    step = 1 if COUNT > 20 else 67
    last = 1 << 30 if COUNT > 20 else 800
    _refuse("--of", "memory", "--step", str(step), "--last", str(last), "--scenario", scenario)
