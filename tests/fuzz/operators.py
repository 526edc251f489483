"""Every numeric operator with edge-case operands, on Brolga and on wasmtime.

    python tests/fuzz/operators.py [OPERATORS...]     e.g. i32.div_s f64.min; default: all
    python tests/fuzz/operators.py --seed 7           in a random configuration of Brolga for each of them

For each operator a module is made whose functions compute it in every form that the compiler treats differently:
operands in registers, one of them in memory, the left or the right one constant, both constant (folding), both the
same; comparisons also as conditions of `if`, `br_if`, `select` and under `i32.eqz`. Results are compared bit by bit;
where wasm leaves the payload of a NaN open, both must be quiet NaNs.
"""

from __future__ import annotations

import argparse
import importlib
import random
import struct
import sys
from typing import Any, Final

import comparison
import wasmtime
from worker_pool import run_isolated

from brolga.jit.wasm import opcodes
from brolga.jit.wasm.types import VALUE_TYPE_NAMES

SECONDS: Final = 120.0
X: Final = 0  # addresses of the operands, 8 bytes each, and of the results
Y: Final = 1024
OUT: Final = 2048
BITS: Final = {"i32": 32, "i64": 64, "f32": 32, "f64": 64}

_FORMS_OF_NUMERIC: Final = range(0x45, 0xC5)
_SATURATING: Final = range(opcodes.FC_BASE, opcodes.FC_BASE + 8)
NUMERIC: Final = {
    opcodes.OPERATOR_NAMES[code]: code
    for code in [*_FORMS_OF_NUMERIC, *_SATURATING]
    if opcodes.OPERATOR_NAMES[code] and not opcodes.PROPOSALS[code]
}
EXACT_NANS: Final = ("abs", "neg", "copysign", "reinterpret")  # the sign and payload of a NaN are defined


def traps(name: str) -> bool:
    kind = name.split(".")[1]
    return kind in ("div_s", "div_u", "rem_s", "rem_u") and name[0] == "i" or kind.startswith("trunc_f")


def operand_bits(type_name: str) -> list[int]:
    """Edge cases of a type, as bits, and a few random ones."""
    choose = random.Random(type_name)
    bits = BITS[type_name]
    mask = (1 << bits) - 1
    if type_name[0] == "i":
        values = [0, 1, 2, 3, 5, 7, 8, 10, 31, 32, 63, 64, 100, 127, 128, 255, 256, 641, 32767, 32768, 65535, 65536]
        values += [(1 << bits - 1) - 1, 1 << bits - 1, (1 << bits - 1) + 1, mask, mask - 1, mask - 6, mask - 99]
        values += [mask & -128, mask & -129, mask & -32768, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 62 & mask]
        values += [choose.getrandbits(bits) for _ in range(3)]
        return list(dict.fromkeys(value & mask for value in values))
    layout, quiet = ("<f", 1 << 22) if type_name == "f32" else ("<d", 1 << 51)
    floats = [
        0.0,
        0.25,
        0.5,
        1.0,
        1.5,
        2.5,
        3.0,
        100.125,
        2.0**24 + 2,
        2.0**31,
        2.0**32,
        2.0**52 + 0.5,
        2.0**63,
        2.0**64,
    ]
    if type_name == "f32":
        floats += [1e-45, 1.1754943508222875e-38, 3.4028234663852886e38, 2147483520.0, 4294967040.0, float("inf")]
    else:
        floats += [5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 3.4028235677973366e38, float("inf")]
        floats += [2147483647.5, 2147483648.5, 4294967295.5, 9223372036854774784.0, 18446744073709549568.0, 1e-46]
    result = [int.from_bytes(struct.pack(layout, value), "little") for value in floats]
    infinity = result[floats.index(float("inf"))]
    result += [infinity | quiet, infinity | quiet | 5, infinity | 1]
    result += [value | 1 << bits - 1 for value in result]
    return result + [choose.getrandbits(bits) for _ in range(2)]


def constant(type_name: str, bits: int) -> str:
    """The constant instruction in text form."""
    if type_name[0] == "i":
        return f"({type_name}.const {bits})"
    width = BITS[type_name]
    sign, magnitude = "-" if bits >> width - 1 else "", bits & (1 << width - 1) - 1
    infinity = 0x7F80_0000 if type_name == "f32" else 0x7FF0_0000_0000_0000
    if magnitude > infinity:
        text = f"nan:0x{magnitude - infinity:x}"
    elif magnitude == infinity:
        text = "inf"
    else:
        raw = magnitude.to_bytes(width // 8, "little")
        text = float(struct.unpack("<f" if width == 32 else "<d", raw)[0]).hex()
    return f"({type_name}.const {sign}{text})"


class Operator:
    """An operator, its types, and the text of its test module."""

    def __init__(self, name: str, seed: int | None) -> None:
        code = NUMERIC[name]
        self.name = name
        self.seed = seed
        self.types = [VALUE_TYPE_NAMES[type] for type in opcodes.OPERANDS[code]]
        self.result = VALUE_TYPE_NAMES[opcodes.RESULTS[code][0]]
        self.xs = operand_bits(self.types[0])
        self.ys = operand_bits(self.types[1]) if len(self.types) == 2 else [0]
        self.is_test = self.result == "i32" and NUMERIC[name] <= opcodes.F64_GE

    def apply(self, *operands: str) -> str:
        return f"({self.name} {' '.join(operands[: len(self.types)])})"

    def operand(self, index: int) -> str:
        return self.types[min(index, len(self.types) - 1)]

    # Operators that cannot trap: functions that run through all operands in memory.

    def loops(self) -> dict[str, tuple[str, list[int], list[int]]]:
        """Name -> (expression over $x, $y, $i and $j, the left operands it runs through, the right ones)."""
        x, y = "(local.get $x)", "(local.get $y)"
        memory_x = f"({self.operand(0)}.load offset={X} (local.get $i))"
        memory_y = f"({self.operand(1)}.load offset={Y} (local.get $j))"
        forms = {"registers": self.apply(x, y), "left in memory": self.apply(memory_x, y)}
        if len(self.types) == 2:
            forms["right in memory"] = self.apply(x, memory_y)
            forms["both in memory"] = self.apply(memory_x, memory_y)
            forms["the same"] = self.apply(x, x)
        if self.is_test:
            test = self.apply(x, y)
            forms["if"] = f"(if (result i32) {test} (then (i32.const 17)) (else (i32.const 42)))"
            forms["br_if"] = f"(block $b (result i32) (drop (br_if $b (i32.const 17) {test})) (i32.const 42))"
            forms["select"] = f"(select (i32.const 17) (i32.const 42) {test})"
            forms["select of operands"] = f"(select (i32.wrap_i64 (i64.load (local.get $i))) (local.get $i) {test})"
            forms["eqz"] = f"(i32.eqz {test})"
            forms["if not"] = f"(if (result i32) (i32.eqz {test}) (then (i32.const 17)) (else (i32.const 42)))"
        rows = {name: (expression, self.xs, self.ys) for name, expression in forms.items()}
        if len(self.types) == 2:
            for value in self.ys:
                expression = self.apply(x, constant(self.operand(1), value))
                rows[f"right is {value:#x}"] = (expression, self.xs, [value])
                if self.is_test:
                    chosen = f"(select (i32.const 17) (i32.const 42) {expression})"
                    rows[f"select, right is {value:#x}"] = (chosen, self.xs, [value])
            for value in self.xs:
                rows[f"left is {value:#x}"] = (self.apply(constant(self.operand(0), value), y), [value], self.ys)
        return rows

    def loop_module(self) -> str:
        functions = []
        for name, (expression, xs, ys) in self.loops().items():
            functions.append(f"""
  (func (export "{name}") (local $i i32) (local $j i32) (local $out i32)
      (local $x {self.operand(0)}) (local $y {self.operand(1)})
    (local.set $out (i32.const {OUT}))
    (loop $outer
      (local.set $x ({self.operand(0)}.load offset={X} (local.get $i)))
      (local.set $j (i32.const 0))
      (loop $inner
        (local.set $y ({self.operand(1)}.load offset={Y} (local.get $j)))
        ({self.result}.store (local.get $out) {expression})
        (local.set $out (i32.add (local.get $out) (i32.const 8)))
        (local.set $j (i32.add (local.get $j) (i32.const 8)))
        (br_if $inner (i32.lt_u (local.get $j) (i32.const {len(ys) * 8}))))
      (local.set $i (i32.add (local.get $i) (i32.const 8)))
      (br_if $outer (i32.lt_u (local.get $i) (i32.const {len(xs) * 8})))))""")
        for index, x in enumerate(self.xs):
            stores = "\n    ".join(
                f"({self.result}.store offset={OUT + 8 * place} (i32.const 0) "
                f"{self.apply(constant(self.operand(0), x), constant(self.operand(1), y))})"
                for place, y in enumerate(self.ys)
            )
            functions.append(f"""\n  (func (export "both constant {index}") {stores})""")
        return f'(module (memory (export "memory") 1) {"".join(functions)})'

    def run_loops(self, api_name: str, wasm: bytes) -> dict[str, bytes]:
        """Results by form: 8 bytes for each pair of operands."""
        exports, store = _instantiate(api_name, wasm, self.seed)
        memory = exports["memory"]

        def run(name: str, xs: list[int], ys: list[int]) -> bytes:
            memory.write(store, struct.pack(f"<{len(xs)}Q", *xs), X)
            memory.write(store, struct.pack(f"<{len(ys)}Q", *ys), Y)
            size = 8 * len(xs) * len(ys)
            memory.write(store, bytes(size), OUT)
            exports[name](store)
            return bytes(memory.read(store, OUT, OUT + size))

        results = {name: run(name, xs, ys) for name, (_, xs, ys) in self.loops().items()}
        for index, x in enumerate(self.xs):
            results[f"both constant {index}"] = run(f"both constant {index}", [x], self.ys)
        return results

    def compare_loops(self) -> list[str]:
        wasm = bytes(wasmtime.wat2wasm(self.loop_module()))
        ours, theirs = self.run_loops("brolga", wasm), self.run_loops("wasmtime", wasm)
        rows = {name: (xs, ys) for name, (_, xs, ys) in self.loops().items()}
        rows.update({f"both constant {index}": ([x], self.ys) for index, x in enumerate(self.xs)})
        found = []
        for name, (xs, ys) in rows.items():
            pairs = [(x, y) for x in xs for y in ys]
            values = zip(struct.iter_unpack("<Q", ours[name]), struct.iter_unpack("<Q", theirs[name]), strict=True)
            for (x, y), ((a,), (b,)) in zip(pairs, values, strict=True):
                if not self.same(a, b):
                    found.append(f"{self.name} {name}: x={x:#x} y={y:#x}: brolga {a:#x}, wasmtime {b:#x}")
        return found

    def same(self, ours: int, theirs: int) -> bool:
        if ours == theirs:
            return True
        if self.result[0] != "f" or any(word in self.name for word in EXACT_NANS):
            return False
        quiet_nan = 0x7FC0_0000 if self.result == "f32" else 0x7FF8_0000_0000_0000
        return ours & quiet_nan == quiet_nan and theirs & quiet_nan == quiet_nan

    # Operators that can trap: one call for each pair.

    def call_module(self) -> str:
        parameters = " ".join(self.types)
        x, y = "(local.get 0)", "(local.get 1)"
        rows = [f'(func (export "registers") (param {parameters}) (result {self.result}) {self.apply(x, y)})']
        for index, value in enumerate(self.ys if len(self.types) == 2 else []):
            body = self.apply(x, constant(self.operand(1), value))
            rows.append(f'(func (export "right {index}") (param {self.operand(0)}) (result {self.result}) {body})')
        for index, value in enumerate(self.xs):
            body = self.apply(constant(self.operand(0), value), x)
            parameter = f"(param {self.operand(1)})" if len(self.types) == 2 else ""
            rows.append(f'(func (export "left {index}") {parameter} (result {self.result}) {body})')
        return f"(module {' '.join(rows)})"

    def run_calls(self, api_name: str, wasm: bytes) -> dict[str, str]:
        """Results, or names of traps, by form and operands."""
        exports, store = _instantiate(api_name, wasm, self.seed)
        api: Any = importlib.import_module(api_name)

        def run(name: str, *arguments: Any) -> str:
            try:
                return str(exports[name](store, *arguments))
            except api.Trap as trap:
                return str(trap.trap_code.name)

        xs = [_python_value(self.operand(0), x) for x in self.xs]
        ys = [_python_value(self.operand(1), y) for y in self.ys]
        if len(self.types) == 1:
            results = {f"registers, x={x!r}": run("registers", x) for x in xs}
            return results | {f"constant, x={x!r}": run(f"left {i}") for i, x in enumerate(xs)}
        results = {}
        for i, x in enumerate(xs):
            for j, y in enumerate(ys):
                results[f"registers, x={x} y={y}"] = run("registers", x, y)
                results[f"right constant, x={x} y={y}"] = run(f"right {j}", x)
                results[f"left constant, x={x} y={y}"] = run(f"left {i}", y)
        return results

    def compare_calls(self) -> list[str]:
        wasm = bytes(wasmtime.wat2wasm(self.call_module()))
        ours, theirs = self.run_calls("brolga", wasm), self.run_calls("wasmtime", wasm)
        return [
            f"{self.name} {form}: brolga {ours[form]}, wasmtime {theirs[form]}"
            for form in ours
            if ours[form] != theirs[form]
        ]


def _instantiate(api_name: str, wasm: bytes, seed: int | None) -> tuple[Any, Any]:
    api: Any = importlib.import_module(api_name)
    engine = api.Engine() if seed is None or api_name != "brolga" else comparison.brolga_engine(seed)
    store = api.Store(engine)
    return api.Instance(store, api.Module(store.engine, wasm), []).exports(store), store


def _python_value(type_name: str, bits: int) -> int | float:
    width = BITS[type_name]
    if type_name[0] == "i":
        return bits - (1 << width) if bits >> width - 1 else bits
    return float(struct.unpack("<f" if width == 32 else "<d", bits.to_bytes(width // 8, "little"))[0])


def check(item: tuple[str, int | None]) -> str:
    """Differences of one operator, as text; "" if there are none. With a seed: in the configuration that it gives."""
    name, seed = item
    operator = Operator(name, seed)
    found = operator.compare_calls() if traps(name) else operator.compare_loops()
    shown = found[:5] + ([f"... {len(found) - 5} more"] if len(found) > 5 else [])
    if shown and seed is not None:
        shown.append(f"seed {seed}: {comparison.describe_engine(seed)}")
    return "\n".join(shown)


def main() -> int:
    parser = argparse.ArgumentParser(description="Numeric operators with edge-case operands.")
    parser.add_argument("operators", nargs="*", metavar="OPERATOR")
    parser.add_argument("--seed", type=int, help="of the first operator's configuration; the others follow")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    names = options.operators or list(NUMERIC)
    for name in names:
        if name not in NUMERIC:
            parser.error(f"{name} is no numeric operator")
    failures = 0
    first = options.seed
    items = [(name, None if first is None else first + place) for place, name in enumerate(names)]
    for (name, _), report, failure in run_isolated(check, items, options.workers, SECONDS):
        if failure or report:
            failures += 1
            print(failure and f"{name}: {failure}" or report, flush=True)
    print(f"{len(names)} operators, {failures} with differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
