"""Run time of generated code: Brolga, wasmtime (Cranelift) and native C, in one process.

    python benchmarks/run.py [--rounds N] [--engines LIST] [--json FILE] [KERNELS...]

Each kernel's wasm runs on the engines, its C source compiled natively with and without vectorising. After one call
for the checksum (which must be the same everywhere) and lazy compilation, rounds go over all engines in turn, so
that a disturbance of the machine hits all of them. Figures are medians of the processor time of single calls; ratios
are to wasmtime's, below 1 is faster than wasmtime; the last row is their geometric mean.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import math
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build import build_native
from kernels import BY_NAME, KERNELS, Kernel
from rich.console import Console
from rich.table import Table

ENGINES: Final = ("brolga", "wasmtime", "native", "native-novec")
REFERENCE: Final = "wasmtime"
Run = Callable[[int], int]


def load_wasm(kernel: Kernel, engine_name: str) -> Run:
    """`run` of the kernel's wasm; Brolga and PyPI wasmtime have the same names."""
    api: Any = importlib.import_module(engine_name)
    store = api.Store(api.Engine())
    instance = api.Instance(store, api.Module(store.engine, kernel.wasm.read_bytes()), [])
    function = instance.exports(store)["run"]
    return lambda n: function(store, n) & 0xFFFF_FFFF


def load_native(kernel: Kernel, vectorise: bool) -> Run:
    with tempfile.TemporaryDirectory() as directory:
        library = ctypes.CDLL(str(build_native(kernel, Path(directory), vectorise)))
    library.run.argtypes = [ctypes.c_int]
    library.run.restype = ctypes.c_uint
    function: Run = library.run
    return function


def load(kernel: Kernel, engine: str) -> Run:
    if engine.startswith("native"):
        return load_native(kernel, vectorise=engine == "native")
    return load_wasm(kernel, engine)


def measure(kernels: list[Kernel], engines: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of processor time of one call, by kernel and engine. Exits if checksums differ."""
    medians: dict[str, dict[str, float]] = {}
    for kernel in kernels:
        runs = {engine: load(kernel, engine) for engine in engines}
        checksums = {engine: run(kernel.n) for engine, run in runs.items()}
        if len(set(checksums.values())) != 1:
            sys.exit(f"{kernel.name}: checksums differ: {checksums}")
        times: dict[str, list[float]] = {engine: [] for engine in engines}
        for _ in range(rounds):
            for engine, run in runs.items():
                start = time.thread_time()
                run(kernel.n)
                times[engine].append(time.thread_time() - start)
        medians[kernel.name] = {engine: statistics.median(samples) for engine, samples in times.items()}
    return medians


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(math.log(value) for value in values) / len(values))


def ratios(medians: dict[str, dict[str, float]], engine: str) -> list[float]:
    return [row[engine] / row[REFERENCE] for row in medians.values()]


def print_table(medians: dict[str, dict[str, float]], engines: list[str], console: Console) -> None:
    others = [engine for engine in engines if engine != REFERENCE] if REFERENCE in engines else []
    table = Table()
    table.add_column("kernel")
    for engine in engines:
        table.add_column(f"{engine} ms", justify="right")
    for engine in others:
        table.add_column(f"{engine} / {REFERENCE}", justify="right", style="bold" if engine == "brolga" else "")
    for name, row in medians.items():
        cells = [f"{row[engine] * 1e3:.1f}" for engine in engines]
        cells += [f"{row[engine] / row[REFERENCE]:.2f}" for engine in others]
        table.add_row(name, *cells)
    if others:
        table.add_section()
        means = [f"{geometric_mean(ratios(medians, engine)):.2f}" for engine in others]
        table.add_row("geometric mean", *[""] * len(engines), *means)
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run time of generated code.")
    parser.add_argument("kernels", nargs="*", metavar="KERNEL", help=f"default: all of {', '.join(BY_NAME)}")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--engines", default=",".join(ENGINES), help="comma-separated, default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write seconds and ratios to FILE too")
    options = parser.parse_args()
    engines = options.engines.split(",")
    for name, known in [(name, BY_NAME) for name in options.kernels] + [(name, ENGINES) for name in engines]:
        if name not in known:
            parser.error(f"{name} is none of {', '.join(known)}")
    kernels = [BY_NAME[name] for name in options.kernels] or list(KERNELS)
    medians = measure(kernels, engines, options.rounds)
    print_table(medians, engines, Console(width=None if sys.stdout.isatty() else 160))
    if options.json:
        means = {e: geometric_mean(ratios(medians, e)) for e in engines} if REFERENCE in engines else {}
        report = {"python": platform.python_version(), "machine": platform.machine(), "rounds": options.rounds,
                  "seconds": medians, "geometric_mean_ratio": means}  # fmt: skip
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
