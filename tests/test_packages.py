"""Packages that depend on `wasmtime` do their work on Brolga unchanged, whether or not `wasmtime` is installed."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

import pytest

SCRIPT: Final = Path(__file__).resolve().parent.parent / "benchmarks" / "packages.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("packages", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


packages = _script()


@pytest.mark.parametrize("job", [job for job in packages.JOBS if job != "yosys"])  # which takes minutes
def test_same_result_as_on_wasmtime(job: str, tmp_path: Path) -> None:
    if not packages.installed(job):
        pytest.skip(f"{packages.JOBS[job].package} is not installed: see benchmarks/packages.txt")
    hidden = tmp_path / "site-packages"
    hidden.mkdir()
    packages.hide_wasmtime(hidden)
    assert not (hidden / "wasmtime").exists()
    cold = packages.run(job, "brolga", tmp_path / "brolga", hidden)[1]
    warm = packages.run(job, "brolga", tmp_path / "brolga")[1]
    cached = packages.run(job, "brolga-cache", tmp_path / "brolga", hidden)[1]
    assert cold and cold == warm == cached
    if importlib.util.find_spec("wasmtime") is None:
        pytest.skip("no wasmtime to compare with")
    assert cold == packages.run(job, "wasmtime", tmp_path / "wasmtime")[1]
