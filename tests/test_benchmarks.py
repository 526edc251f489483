"""The benchmarks run, with small counts; the kernels' checksums are compared on the way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

BENCHMARKS: Final = Path(__file__).resolve().parent.parent / "benchmarks"


def _report(script: str, *arguments: str, directory: Path) -> Any:
    """What a benchmark writes as JSON."""
    file = directory / "report.json"
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--json", str(file)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def test_every_kernel_has_the_same_checksum_on_brolga_and_wasmtime(tmp_path: Path) -> None:
    report = _report("run.py", "--rounds", "1", "--engines", "brolga,wasmtime", directory=tmp_path)
    kernels = {source.stem for source in (BENCHMARKS / "kernels").glob("*.c")}
    assert set(report["seconds"]) == kernels
    assert set(report["geometric_mean_ratio"]) == {"brolga", "wasmtime"}


def test_compile_cost_by_phase(tmp_path: Path) -> None:
    report = _report("compile_cost.py", "1,000 a function", directory=tmp_path)
    cost = report["1,000 a function"]
    phases = ("decode", "validate", "translate", "passes", "lower", "allocate", "emit")
    assert abs(sum(cost[phase] for phase in phases) - cost["total"]) < 1e-6
