"""The fuzzers with small counts. BROLGA_FUZZ=N multiplies the counts by N; BROLGA_FUZZ_SEED moves to other inputs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).resolve().parent
SCALE: Final = float(os.environ.get("BROLGA_FUZZ", "1"))
SEED: Final = os.environ.get("BROLGA_FUZZ_SEED", "1")
WASI_REGRESSIONS: Final = sorted((HERE / "regressions" / "wasi").glob("*.py"))
REGRESSIONS: Final = sorted((HERE / "regressions").glob("*.wat"))


def _run(script: str, *arguments: str) -> None:
    """Run a fuzzer; what it prints is the reason if it fails."""
    done = subprocess.run([sys.executable, str(HERE / script), *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _count(count: int) -> str:
    return str(max(1, int(count * SCALE)))


@pytest.mark.parametrize("generator", ["smith", "programs", "effects", "idioms"])
def test_differential(generator: str, tmp_path: Path) -> None:
    _run("differential.py", "--generator", generator, "--count", _count(150), "--seed", SEED, "--keep", str(tmp_path))


@pytest.mark.parametrize("generator", ["smith", "programs"])
def test_fuel(generator: str, tmp_path: Path) -> None:
    """What is left of it is what wasmtime leaves."""
    arguments = ["--generator", generator, "--count", _count(60), "--seed", SEED, "--keep", str(tmp_path)]
    _run("differential.py", "--fuel", *arguments)


def test_machine_code_against_the_ir_interpreter(tmp_path: Path) -> None:
    _run("differential.py", "--against", "interpreter", "--count", _count(60), "--seed", SEED, "--keep", str(tmp_path))


def test_operators() -> None:
    _run("operators.py")


def test_operators_in_random_configurations() -> None:
    _run("operators.py", "--seed", SEED)


def test_mutation(tmp_path: Path) -> None:
    _run("mutation.py", "--count", _count(400), "--seed", SEED, "--keep", str(tmp_path))


@pytest.mark.parametrize("file", REGRESSIONS, ids=lambda file: file.stem)
def test_regression(file: Path) -> None:
    _run("differential.py", str(file))


@pytest.mark.parametrize("races", [False, True], ids=["programs", "races"])
def test_wasi(races: bool, tmp_path: Path) -> None:
    """With small counts; see `wasi.py` for hours."""
    counts = ["--race", "--count", _count(40)] if races else ["--count", _count(120)]
    _run("wasi.py", *counts, "--seed", SEED, "--keep", str(tmp_path))


@pytest.mark.parametrize("file", WASI_REGRESSIONS, ids=lambda file: file.stem)
def test_wasi_regression(file: Path) -> None:
    _run("wasi.py", str(file))


def test_soak() -> None:
    """For seconds here; the figures mean something after minutes."""
    script = Path(__file__).parent / "soak.py"
    command = [sys.executable, str(script), "--minutes", str(0.08 * SCALE), "--seed", SEED]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300 + 60 * SCALE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("platform", ["linux", "linux-reservations", "minimal"])
def test_api(platform: str, tmp_path: Path) -> None:
    _run("api.py", "--platform", platform, "--count", _count(30), "--seed", SEED, "--keep", str(tmp_path))
