"""What the embedding API costs: Brolga, wasmtime-py and plain Python, side by side.

    python benchmarks/embedding.py [--rounds N] [--json FILE] [ROW ...]

Each row is one statement, the same for every column that has it: the names in it mean objects of Brolga, of wasmtime-py, or
Python's own functions. It is timed by `timeit`, in processor time, and the loop's cost is taken off. Rounds go over the columns
in turn, so that a disturbance of the machine hits all of them alike, and figures are the least time of one operation over
the rounds: what it takes when nothing disturbs. `noise` is the median of the first column's rounds over their least; from
1.2 on, the machine is not quiet, and ratios mean more than times.

Rows about whole processes are processor time (user and system) of a process whose bytecode is there already, without that
of `python -c pass`, which is a row of its own. The ratio is to wasmtime-py, where it has the operation, else to Python.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from timeit import Timer
from types import SimpleNamespace
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
    (func (export "fault") (drop (i32.load (i32.const -16))))
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

# What is timed: the statement, and how many operations it does.
ROWS: Final[dict[str, tuple[str, int]]] = {
    "call, leaf": ("leaf(store, 5)", 1),
    "call, loop of 100": ("loop(store, 100)", 1),
    "host callback": (f"callbacks(store, {CALLBACKS})", CALLBACKS),
    "trap caught": ("try:\n trap(store)\nexcept Trap:\n pass", 1),
    "trap of a fault caught": ("try:\n fault(store)\nexcept Trap:\n pass", 1),
    "memory.read of 8 bytes": ("memory.read(store, 16, 24)", 1),
    "memory.write of 8 bytes": ("memory.write(store, data, 16)", 1),
    "memory.read of 64 KiB": ("memory.read(store, 0, 65536)", 1),
    "memory.size": ("memory.size(store)", 1),
    "memory.data_len": ("memory.data_len(store)", 1),
    "table.get": ("table.get(store, 0)", 1),
    "table.set": ("table.set(store, 1, leaf)", 1),
    "table.size": ("table.size(store)", 1),
    "global.value": ("variable.value(store)", 1),
    "global.set_value": ("variable.set_value(store, 7)", 1),
    "instantiate and drop, with its store": ("Instance(Store(engine), small, [])", 1),
    "the same, and all exports": ("s = Store(engine)\nInstance(s, small, []).exports(s)", 1),
    "load(): it.leaf(5)": ("it.leaf(5)", 1),
    "load(): it.loop(100)": ("it.loop(100)", 1),
    "load(): it.memory[16:24]": ("it.memory[16:24]", 1),
    "load(): memoryview(it.memory)": ("memoryview(it.memory)", 1),
}
_LOADED: Final = frozenset(name for name in ROWS if name.startswith("load()"))
_PYTHON: Final = frozenset(
    ("call, leaf", "call, loop of 100", "host callback", "trap caught", "load(): it.leaf(5)", "load(): it.loop(100)")
)
Round = Callable[[], float]  # takes one measurement: microseconds of one operation


def python_loop(store: object, x: int) -> int:
    total = 0
    while x:
        total += x
        x -= 1
    return total


def host(x: int) -> int:
    return x


def python_callbacks(store: object, count: int) -> int:
    result = 0
    while count:
        result = host(count)
        count -= 1
    return result


def python_trap(store: object) -> None:
    raise ValueError


def python_names() -> dict[str, Any]:
    """What the names in the statements mean in plain Python."""

    def it_loop(x: int) -> int:
        total = 0
        while x:
            total += x
            x -= 1
        return total

    return {
        "store": object(),
        "leaf": lambda store, x: x + 1,
        "loop": python_loop,
        "callbacks": python_callbacks,
        "trap": python_trap,
        "Trap": ValueError,
        "it": SimpleNamespace(leaf=lambda x: x + 1, loop=it_loop),
    }


def names(w: Any) -> dict[str, Any]:
    """What they mean with one of the two packages."""
    store = w.Store()
    module = w.Module(store.engine, WAT)
    i32 = w.ValType.i32()
    exports = w.Instance(store, module, [w.Func(store, w.FuncType([i32], [i32]), host)]).exports(store)
    return {
        **{name: exports[name] for name in ("leaf", "loop", "callbacks", "trap", "fault", "memory", "table")},
        "variable": exports["global"],
        "store": store,
        "engine": store.engine,
        "small": w.Module(store.engine, INSTANTIATED),
        "data": b"abcdefgh",
        **{name: getattr(w, name) for name in ("Trap", "Instance", "Store")},
        "it": w.load(WAT, {"": {"host": host}}) if hasattr(w, "load") else None,
    }


def statement(text: str, operations: int, table: dict[str, Any], seconds: float = 0.01) -> Round:
    """Rounds of about `seconds`."""
    timer = Timer(text, timer=time.thread_time, globals=table)
    timer.timeit(20)  # routines are made when functions are called often
    count = 1
    while (elapsed := timer.timeit(count)) < seconds / 2:
        count = max(2 * count, int(count * seconds / max(elapsed, 1e-6) / 2))
    loop = min(Timer("pass", timer=time.thread_time).repeat(20, count))

    def one_round() -> float:
        return 1e6 * (timer.timeit(count) - loop) / (count * operations)

    return one_round


def process(*arguments: str) -> Round:
    """Rounds of one process: its processor time."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def one_round() -> float:
        with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{arguments} failed")
        return 1e6 * (usage.ru_utime + usage.ru_stime)

    one_round()  # writes bytecode, fills caches
    return one_round


def process_rows(hello: Path) -> dict[str, dict[str, Round]]:
    """The rows about processes."""
    start = "import wasmtime as w; s = w.Store(); c = w.WasiConfig(); c.inherit_stdout(); s.set_wasi(c)"
    start += f"; l = w.Linker(s.engine); l.define_wasi(); m = w.Module.from_file(s.engine, {str(hello)!r})"
    start += "; l.instantiate(s, m).exports(s)['_start'](s)"
    return {
        "python -c pass": {"python": process("-c", "pass")},
        "import": {"brolga": process("-c", "import brolga"), "wasmtime": process("-c", "import wasmtime")},
        "hello world": {"brolga": process("-m", "brolga", "run", str(hello)), "wasmtime": process("-c", start)},
    }


def measure(rows: dict[str, dict[str, Round]], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Microseconds of each round by row and column."""
    found: dict[str, dict[str, list[float]]] = {}
    for name, columns in rows.items():
        found[name] = {column: [] for column in columns}
        for _ in range(rounds):
            for column, one_round in columns.items():
                found[name][column].append(one_round())
    return found


def report(found: dict[str, dict[str, list[float]]]) -> tuple[Table, dict[str, dict[str, float]]]:
    """The table, and the least of each row and column."""
    least = {name: {column: min(values) for column, values in row.items()} for name, row in found.items()}
    base = least.get("python -c pass", {}).get("python", 0.0)
    for name in ("import", "hello world"):
        for column in least.get(name, {}):
            least[name][column] -= base
    columns = ("brolga", "wasmtime", "python")
    table = Table("microseconds", *columns, "ratio", "noise", title="Costs of the embedding API")
    for name, row in least.items():
        cells = [f"{row[column]:,.3f}" if column in row else "" for column in columns]
        other = row.get("wasmtime", row.get("python", 0.0))
        ratio = f"{row['brolga'] / other:.3f}" if "brolga" in row and other else ""
        rounds = next(iter(found[name].values()))
        table.add_row(name, *cells, ratio, f"{median(rounds) / min(rounds):.2f}")
    return table, least


def main() -> None:
    parser = argparse.ArgumentParser(description="Costs of the embedding API")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="only rows that contain one of these words")
    options = parser.parse_args()
    import wasmtime

    import brolga

    meanings = {"brolga": names(brolga), "wasmtime": names(wasmtime), "python": python_names()}
    has = {"brolga": set(ROWS), "wasmtime": set(ROWS) - _LOADED, "python": _PYTHON}

    def wanted(name: str) -> bool:
        return not options.rows or any(word in name for word in options.rows)

    rows = {
        name: {c: statement(text, count, meanings[c]) for c in meanings if name in has[c]}
        for name, (text, count) in ROWS.items()
        if wanted(name)
    }
    if any(map(wanted, ("import", "hello world"))):
        with tempfile.TemporaryDirectory() as directory:
            hello = Path(directory) / "hello.wasm"
            hello.write_bytes(brolga.wat2wasm(HELLO))
            found = measure(rows, options.rounds) | measure(process_rows(hello), options.rounds)
    else:
        found = measure(rows, options.rounds)
    table, least = report(found)
    Console().print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(least, indent=1))


if __name__ == "__main__":
    main()
