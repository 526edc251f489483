"""What the embedding API costs: Brolga, wasmtime-py and plain Python, side by side in one process.

    python benchmarks/embedding.py [--rounds N] [--json FILE]

Each row is one small program. Rounds go over the columns in turn, so that a disturbance of the machine hits all of them; figures
are the least time of one operation over the rounds. The ratio is to wasmtime-py, where it has the operation, else to Python.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

WAT: Final = """(module
    (import "" "host" (func $host (param i32) (result i32)))
    (memory (export "memory") 1)
    (table (export "table") 4 funcref)
    (global (export "global") (mut i32) (i32.const 0))
    (func $leaf (export "leaf") (param i32) (result i32) local.get 0 i32.const 1 i32.add)
    (func (export "loop") (param i32) (result i32) (local i32)
        (loop $l (local.set 1 (i32.add (local.get 1) (local.get 0)))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        local.get 1)
    (func (export "callbacks") (param i32) (result i32) (local i32)
        (loop $l (local.set 1 (call $host (local.get 0)))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        local.get 1)
    (func (export "trap") unreachable)
    (elem (i32.const 0) $leaf))"""

# One memory, ten functions, five exports.
INSTANTIATED: Final = "".join(
    [
        '(module (memory (export "m") 1)',
        *(f'(func (export "f{i}") (param i32) (result i32) local.get 0)' for i in range(4)),
        *["(func (param i32) (result i32) local.get 0)"] * 6,
        ")",
    ]
)
HELLO: Final = r"""(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\06\00\00\00") (data (i32.const 16) "hello\n")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))))"""

CALLBACKS: Final = 100
ITERATIONS: Final = 100  # of the function with a loop

Operation = tuple[Callable[[], Any], int]  # what to time, and how many operations one call of it does


def python_leaf(x: int) -> int:
    return x + 1


def python_loop(x: int) -> int:
    total = 0
    while x:
        total += x
        x -= 1
    return total


def host(x: int) -> int:
    return x


def python_callbacks(count: int) -> int:
    result = 0
    while count:
        result = host(count)
        count -= 1
    return result


def python_trap() -> None:
    try:
        raise ValueError
    except ValueError:
        pass


def operations(w: Any) -> dict[str, Operation]:
    """By row, for one of the two packages."""
    store = w.Store()
    module = w.Module(store.engine, WAT)
    i32 = w.ValType.i32()
    exports = w.Instance(store, module, [w.Func(store, w.FuncType([i32], [i32]), host)]).exports(store)
    leaf, loop, callbacks, trap = (exports[name] for name in ("leaf", "loop", "callbacks", "trap"))
    memory, table, variable = exports["memory"], exports["table"], exports["global"]
    small = w.Module(store.engine, INSTANTIATED)

    def catch() -> None:
        try:
            trap(store)
        except w.Trap:
            pass

    def instantiate() -> None:
        w.Instance(w.Store(store.engine), small, [])

    def instantiate_and_export() -> None:
        own = w.Store(store.engine)
        w.Instance(own, small, []).exports(own)

    data = b"abcdefgh"
    return {
        "call, leaf": (lambda: leaf(store, 5), 1),
        "call, loop of 100": (lambda: loop(store, ITERATIONS), 1),
        "host callback": (lambda: callbacks(store, CALLBACKS), CALLBACKS),
        "trap caught": (catch, 1),
        "memory.read of 8 bytes": (lambda: memory.read(store, 16, 24), 1),
        "memory.write of 8 bytes": (lambda: memory.write(store, data, 16), 1),
        "memory.read of 64 KiB": (lambda: memory.read(store, 0, 65536), 1),
        "memory.size": (lambda: memory.size(store), 1),
        "table.get": (lambda: table.get(store, 0), 1),
        "table.set": (lambda: table.set(store, 1, leaf), 1),
        "global.value": (lambda: variable.value(store), 1),
        "global.set_value": (lambda: variable.set_value(store, 7), 1),
        "instantiate and drop, with its store": (instantiate, 1),
        "the same, and all exports": (instantiate_and_export, 1),
    }


def bound_operations(w: Any) -> dict[str, Operation]:
    """As `operations`, with what `load` returns."""
    it = w.load(WAT, {"": {"host": host}})
    return {
        "load(): it.leaf(5)": (lambda: it.leaf(5), 1),
        "load(): it.loop(100)": (lambda: it.loop(ITERATIONS), 1),
        "load(): it.memory[16:24]": (lambda: it.memory[16:24], 1),
        "load(): memoryview(it.memory)": (lambda: memoryview(it.memory), 1),
    }


PYTHON: Final[dict[str, Operation]] = {
    "call, leaf": (lambda: python_leaf(5), 1),
    "call, loop of 100": (lambda: python_loop(ITERATIONS), 1),
    "host callback": (lambda: python_callbacks(CALLBACKS), CALLBACKS),
    "trap caught": (python_trap, 1),
    "load(): it.leaf(5)": (lambda: python_leaf(5), 1),
    "load(): it.loop(100)": (lambda: python_loop(ITERATIONS), 1),
}


def process(*command: str) -> Operation:
    def run() -> None:
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)

    return run, 1


def timed(operation: Operation, seconds: float) -> float:
    """Microseconds of one operation: the mean over about `seconds`."""
    function, per_call = operation
    count, elapsed = 1, 0.0
    while True:
        repetitions = range(count)
        start = time.perf_counter()
        for _ in repetitions:
            function()
        elapsed = time.perf_counter() - start
        if elapsed >= seconds or count >= 1 << 24:
            return 1e6 * elapsed / (count * per_call)
        count = count * 2 if elapsed <= 0 else max(2 * count, int(count * seconds / elapsed))


def measure(columns: dict[str, dict[str, Operation]], rounds: int) -> dict[str, dict[str, float]]:
    """Least microseconds by row and column."""
    rows: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        found = rows[name] = {}
        for _ in range(rounds):
            for column, table in columns.items():
                if name in table:
                    found[column] = min(timed(table[name], 0.02), found.get(column, float("inf")))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of the embedding API")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    import wasmtime

    import brolga

    hello = Path(tempfile.mkdtemp()) / "hello.wasm"
    hello.write_bytes(brolga.wat2wasm(HELLO))
    start = "import wasmtime as w; s = w.Store(); c = w.WasiConfig(); c.inherit_stdout(); s.set_wasi(c); l = w.Linker(s.engine)"
    start += f"; l.define_wasi(); m = w.Module.from_file(s.engine, {str(hello)!r}); l.instantiate(s, m).exports(s)['_start'](s)"
    columns: dict[str, dict[str, Operation]] = {
        "brolga": {
            **operations(brolga),
            **bound_operations(brolga),
            "import": process("-c", "import brolga"),
            "hello world": process("-m", "brolga", "run", str(hello)),
        },
        "wasmtime": {
            **operations(wasmtime),
            "import": process("-c", "import wasmtime"),
            "hello world": process("-c", start),
        },
        "python": {**PYTHON, "import": process("-c", "pass"), "hello world": process("-c", "print('hello')")},
    }
    rows = measure(columns, options.rounds)
    table = Table("microseconds", *columns, "ratio", title="Costs of the embedding API")
    for name, found in rows.items():
        ratio = found["brolga"] / found.get("wasmtime", found.get("python", float("nan")))
        cells = [f"{found[column]:,.3f}" if column in found else "" for column in columns]
        table.add_row(name, *cells, f"{ratio:.3f}")
    Console().print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
