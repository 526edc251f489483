"""The benchmarks run, with small counts; the kernels' checksums and the programs' outputs are compared on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
BENCHMARKS: Final = ROOT / "benchmarks"


def _report(script: str, *arguments: str, directory: Path, path: str | None = None) -> Any:
    """What a benchmark writes as JSON."""
    file = directory / "report.json"
    command = [sys.executable, str(BENCHMARKS / script), *arguments, "--json", str(file)]
    environment = dict(os.environ) if path is None else os.environ | {"PATH": path}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(file.read_text())


def test_every_kernel_has_the_same_checksum_on_brolga_and_wasmtime(tmp_path: Path) -> None:
    report = _report("run.py", "--rounds", "1", "--engines", "brolga,wasmtime", directory=tmp_path)
    kernels = {source.stem for source in (BENCHMARKS / "kernels").glob("*.c")}
    assert set(report["seconds"]) == kernels
    assert set(report["geometric_mean_ratio"]) == {"brolga", "wasmtime"}


def test_all_engines_that_are_here_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.svg"
    report = _report("run.py", "fib", "crc32", "--rounds", "2", "--plot", str(picture), directory=tmp_path)
    engines = set(report["seconds"]["fib"])
    assert engines >= {"brolga", "wasmtime", "native", "native-novec"}
    left_out = {note.split()[0] for note in report["notes"]}
    assert engines | left_out == {"brolga", "wasmtime", "turbofan", "native", "native-novec"}
    assert all(len(sample) == 2 for sample in report["samples"]["fib"].values())
    value, low, high = report["ratios"]["brolga/wasmtime"]["fib"]
    assert 0 < low <= value <= high
    assert report["code_bytes"]["fib"]["brolga"] > 0 < report["code_bytes"]["fib"]["wasmtime"]
    text = picture.read_text()
    assert "crc32" in text and "geometric mean" in text


def test_a_peer_that_is_absent_is_left_out_with_a_note(tmp_path: Path) -> None:
    report = _report("run.py", "fib", "--rounds", "1", "--engines", "brolga,turbofan", directory=tmp_path, path=str(tmp_path))
    assert set(report["seconds"]["fib"]) == {"brolga"}
    assert report["notes"] == ["turbofan is left out: there is no node"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a repository")
def test_two_versions_side_by_side(tmp_path: Path) -> None:
    report = _report("compare.py", "HEAD", "fib", "--rounds", "2", directory=tmp_path)
    fib = report["fib"]
    assert [len(samples) for samples in (*fib["run"], *fib["compile"])] == [2] * 4
    assert all(size > 0 for size in fib["bytes"])
    assert fib["ratios"][2] == fib["bytes"][0] / fib["bytes"][1]


def test_programs_in_c(tmp_path: Path) -> None:
    names = ("raytrace", "json", "compress")
    report = _report("programs.py", *names, "--rounds", "1", "--starts", "1", directory=tmp_path)
    assert tuple(report) == names
    for found in report.values():
        assert found["seconds"].keys() >= {"brolga", "wasmtime"}
        assert all(found["code_bytes"][engine] > 10_000 for engine in ("brolga", "wasmtime"))
        assert found["starts"]["brolga"].keys() == {"cold", "warm"}
        assert all(start["peak"] > 1 << 20 for states in found["starts"].values() for start in states.values())


def test_large_programs_start(tmp_path: Path) -> None:
    report = _report("programs.py", "quickjs", "sql", "--rounds", "0", "--starts", "1", directory=tmp_path)
    assert set(report) == {"quickjs", "sql"}
    assert all(found["starts"]["brolga"]["warm"]["wall"] > 0 for found in report.values())


def test_programs_without_starts(tmp_path: Path) -> None:
    report = _report("programs.py", "raytrace", "--rounds", "1", "--starts", "0", directory=tmp_path)
    assert report["raytrace"]["starts"] == {}


def test_ratios_have_intervals() -> None:
    sampling = run_path(str(BENCHMARKS / "sampling.py"))
    ratio: Callable[..., Any] = sampling["ratio"]
    assert tuple(ratio([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])) == (2.0, 2.0, 2.0)  # disturbed alike
    value, low, high = ratio([1.0, 1.0, 1.0, 1.0, 3.0], [1.0] * 5)
    assert (value, low) == (1.0, 1.0)
    assert high == 3.0  # three of five draws are the outlier in 6 % of the cases
    noisy = [1.0 + 0.01 * (7 * i % 15 - 7) for i in range(15)]
    value, low, high = ratio(noisy, [1.0] * 15)
    assert 0.93 < low < value == 1.0 < high < 1.07
    mean = sampling["mean_ratio"]([([2.0], [1.0]), ([8.0], [1.0])])
    assert mean.value == pytest.approx(4.0) and mean.low == pytest.approx(4.0)
    assert sampling["spread"]([1.0, 1.0, 2.0, 3.0, 3.0]) == 0.5
    assert sampling["spread"]([5.0]) == 0.0


def test_compile_cost_by_phase(tmp_path: Path) -> None:
    report = _report("compile_cost.py", "1,000 a function", directory=tmp_path)
    cost = report["1,000 a function"]
    phases = ("decode", "validate", "translate", "passes", "lower", "allocate", "emit")
    assert abs(sum(cost[phase] for phase in phases) - cost["total"]) < 1e-6
    assert cost["memory"] is None


def test_memory_of_a_large_function(tmp_path: Path) -> None:
    peak, kept = _report("compile_cost.py", "10,000 a function", directory=tmp_path)["10,000 a function"]["memory"]
    assert peak >= kept and peak > 0


def test_compile_cost_against_size(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curves.svg"
    curves = _report("compile_curves.py", "--points", "2", "--rounds", "1", str(picture), directory=tmp_path)
    assert set(curves) == {"operators in each function", "functions in the module"}
    for lines in curves.values():
        assert len(lines) == 2 and all(len(line) == 2 for line in lines.values())
    assert "microseconds an operator" in picture.read_text()


def test_costs_of_embedding(tmp_path: Path) -> None:
    report = _report("embedding.py", "--rounds", "1", "call,", "trap", "global.value", "load()", directory=tmp_path)
    assert set(report["call, leaf"]) == set(report["trap caught"]) == {"brolga", "wasmtime", "python"}
    assert set(report["global.value"]) == {"brolga", "wasmtime"}
    assert set(report["load(): it.loop(100)"]) == {"brolga", "python"}
    assert "import" not in report
