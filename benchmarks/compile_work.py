"""Does the work for each operator grow with the size of its function? Counted, not timed.

    python benchmarks/compile_work.py [--sizes N ...]

Compiles the same number of operators in functions of several sizes under valgrind's cachegrind, and prints for each operator
the instructions executed and the misses of simulated caches: a first level of 32 KB, and a second of 1 MB in place of the
last level. The counts of a run that compiles nothing are subtracted. Times, which depend on the machine, are in compile_cost.py.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

import synthetic
from rich.console import Console
from rich.table import Table

from brolga.jit.code import COMPILED
from brolga.jit.compile import compile_function
from brolga.jit.debug import Knobs
from brolga.jit.settings import CPU_FEATURES, Settings
from brolga.jit.vmctx import ContextLayout
from brolga.jit.wasm.decode import decode
from brolga.jit.wasm.types import Module

OPERATORS: Final = 50_000
SIZES: Final = (1_000, 10_000, 50_000)
COUNTS: Final = {"I refs": "instructions", "D1 misses": "first-level misses", "LLd misses": "second-level misses"}
CACHES: Final = ("--I1=32768,8,64", "--D1=32768,8,64", "--LL=1048576,16,64")


def compile_all(module: Module) -> None:
    layout = ContextLayout(module)
    settings = Settings(features=frozenset(CPU_FEATURES))
    knobs = Knobs({})
    for place in range(len(module.bodies)):
        compile_function(module, layout, module.imported_funcs + place, settings, knobs)


def work(file: Path, wanted: bool) -> None:
    """The measured process: first a little of everything, so that what is made once does not count."""
    gc.disable()  # as runtime does while it compiles
    compile_all(decode(synthetic.module(1_000, 2)))
    module = decode(file.read_bytes())
    if wanted:
        compile_all(module)


def count(file: Path, wanted: bool) -> dict[str, int]:
    """What cachegrind counts in a process that compiles the module, or only gets ready to."""
    command = [
        "valgrind", "--tool=cachegrind", "--cache-sim=yes", "--cachegrind-out-file=/dev/null", *CACHES,
        sys.executable, __file__, "--work", str(file), *(["--compile"] if wanted else []),
    ]  # fmt: skip
    environment = dict(os.environ, PYTHONHASHSEED="0")
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, int] = {}
    for line in done.stderr.splitlines():
        match = re.match(r"==\d+==\s+(\S+)\s+(\S+):\s+([\d,]+)", line)
        if match and f"{match[1]} {match[2]}" in COUNTS:
            found[f"{match[1]} {match[2]}"] = int(match[3].replace(",", ""))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="Work of the compiler for each operator, by size of the function.")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), metavar="N")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.compile)
        return
    if not shutil.which("valgrind"):
        sys.exit("valgrind is needed")
    table = Table(title=f"for each operator, {'compiled' if COMPILED else 'interpreted'} compiler")
    for heading in ("operators a function", *COUNTS.values()):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as directory:
        for size in options.sizes:
            file = Path(directory) / f"{size}.wasm"
            file.write_bytes(synthetic.module(size, OPERATORS // size))
            without = count(file, wanted=False)
            whole = count(file, wanted=True)
            each = [(whole[name] - without[name]) / OPERATORS for name in COUNTS]
            table.add_row(f"{size:,}", *[f"{value:,.0f}" for value in each])
    Console(width=None if sys.stdout.isatty() else 120).print(table)


if __name__ == "__main__":
    main()
