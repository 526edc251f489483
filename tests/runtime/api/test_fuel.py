"""Fuel: what is left of it is what wasmtime leaves, for every amount that a call may start with."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import brolga
from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode, ValType, WasmtimeError

wasmtime = pytest.importorskip("wasmtime")

ENOUGH = 10**6


def fueled(api: Any, platform: str = "linux", opt_level: str = "speed") -> Any:
    config = api.Config()
    config.consume_fuel = True
    if api is brolga:
        config.platform = platform
        config.cranelift_opt_level = opt_level
    return api.Engine(config)


def ending(api: Any, action: Any) -> str:
    """What came of it, as text."""
    try:
        return repr(action())
    except api.Trap as trap:
        return str(trap.trap_code)


class Subject:
    """An instance of a module on one of both engines; its imports, if it has some, are these."""

    def __init__(self, api: Any, engine: Any, module: Any) -> None:
        self.api = api
        self.store = api.Store(engine)
        self.seen: list[int] = []
        number = api.FuncType([api.ValType.i32()], [])
        imports = {
            "g": lambda: api.Global(self.store, api.GlobalType(api.ValType.i32(), False), 3),
            "m": lambda: api.Memory(self.store, api.MemoryType(api.Limits(1, None))),
            "t": lambda: api.Table(self.store, api.TableType(api.ValType.funcref(), api.Limits(10, None)), None),
            "note": lambda: api.Func(self.store, number, lambda _: self.seen.append(self.store.get_fuel())),
            "fill": lambda: api.Func(self.store, number, self.store.set_fuel),
            "fail": lambda: api.Func(self.store, number, self.fail),
        }
        self.module = module
        self.imports = [imports[item.name]() for item in module.imports]

    def fail(self, number: int) -> None:
        raise self.api.Trap("no")

    def start(self, fuel: int) -> str:
        self.store.set_fuel(fuel)
        return ending(self.api, self.instantiate)

    def instantiate(self) -> None:
        self.exports = self.api.Instance(self.store, self.module, self.imports).exports(self.store)

    def call(self, fuel: int, name: str, *arguments: int) -> tuple[str, int, list[int], list[int]]:
        """How the call ends, what is left, what host functions saw, and the sizes of what is exported."""
        self.store.set_fuel(fuel)
        end = ending(self.api, lambda: self.exports[name](self.store, *arguments))
        sizes = [self.exports[item].size(self.store) for item in ("m", "t") if item in self.exports]
        return end, self.store.get_fuel(), self.seen, sizes


def engines() -> list[tuple[Any, Any]]:
    """Wasmtime, and ours in several ways."""
    ways = itertools.product(["linux", "minimal"], ["none", "speed"])
    return [(wasmtime, fueled(wasmtime)), *((brolga, fueled(brolga, *way)) for way in ways)]


def same_for_all_amounts(text: str, arguments: list[int], most: int = 60) -> int:
    """Check the function "f" with every amount up to the one that suffices; how much that is."""
    runs = []
    for api, engine in engines():
        module = api.Module(engine, text)
        results = []
        for fuel in [ENOUGH, *range(most)]:
            subject = Subject(api, engine, module)
            assert subject.start(ENOUGH) == "None"
            results.append(subject.call(fuel, "f", *arguments))
        runs.append(results)
    for run in runs[1:]:
        assert run == runs[0]
    return ENOUGH - runs[0][0][1]


PREFIX = """
    (import "" "note" (func $note (param i32)))
    (import "" "fill" (func $fill (param i32)))
    (import "" "fail" (func $fail (param i32)))
    (memory (export "m") 1 4)
    (table $t (export "t") 10 30 funcref)
    (global $x (mut i32) (i32.const 1))
    (type $none (func))
    (type $one (func (param i32)))
    (func $leaf (nop) (drop (i32.const 1)))
    (func $tower (param i32) (if (local.get 0) (then (call $tower (i32.sub (local.get 0) (i32.const 1))))))
    (elem (i32.const 2) $leaf $tower)
    (elem $e func $leaf $leaf)
    (data $d "12345678")
"""

BODIES = {
    "empty": "",
    "free operators": "nop (block) (drop (i32.const 1)) (block (nop) (drop (i32.const 2)))",
    "numbers": "(drop (i32.add (local.get 0) (i32.mul (i32.const 3) (local.get 0))))",
    "constant fold": "(if (i32.add (i32.const 1) (i32.const 2)) (then (drop (i32.const 1)) (nop)) (else (drop (local.get 0))))",
    "return": "(drop (local.get 0)) (return) (drop (local.get 0))",
    "branch to the body": "(br 0)",
    "branch with a condition": "(br_if 0 (local.get 0)) (drop (i32.const 1))",
    "branch with a condition, not taken": "(br_if 0 (i32.eqz (local.get 0))) (drop (i32.const 1)) (unreachable)",
    "if": "(if (local.get 0) (then (drop (i32.const 1)) (drop (i32.const 1))))",
    "if not": "(if (i32.eqz (local.get 0)) (then (drop (i32.const 1)) (drop (i32.const 1))))",
    "else": "(if (i32.eqz (local.get 0)) (then (nop)) (else (drop (i32.const 1)) (drop (i32.const 1))))",
    "if with a result": "(drop (if (result i32) (local.get 0) (then (i32.const 1)) (else (local.get 0) (drop) (i32.const 2))))",
    "both arms leave": "(if (local.get 0) (then (return)) (else (unreachable))) (drop (i32.const 1))",
    "dead code": "(block (br 0) (drop (i32.const 1)) (loop (br 0))) (drop (i32.const 1))",
    "dead if": "(block (br 0) (if (i32.const 1) (then (drop (i32.const 1))) (else (nop)))) (drop (i32.const 1))",
    "loop": "(loop (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0)))",
    "loop without a branch": "(loop (drop (i32.const 1))) (loop (nop)) (drop (i32.const 1))",
    "nested loops": """(local $i i32) (local.set $i (i32.const 2))
        (loop $o (local.set 0 (i32.const 2))
          (loop $i (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if $i (local.get 0)))
          (local.set $i (i32.sub (local.get $i) (i32.const 1))) (br_if $o (local.get $i)))""",
    "loop with an exit": """(block $out (loop $again
          (br_if $out (i32.eqz (local.get 0))) (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br $again)))""",
    "br_table": "(block $a (block $b (br_table $a $b 2 (local.get 0))) (drop (i32.const 1))) (drop (i32.const 2))",
    "br_table to the body": "(block $a (br_table $a $a $a 1 (local.get 0))) (drop (i32.const 2))",
    "call": "(call $leaf) (drop (i32.const 1)) (call $leaf)",
    "recursion": "(call $tower (local.get 0))",
    "call_indirect": "(call_indirect (type $one) (local.get 0) (i32.const 3))",
    "call_indirect outside": "(drop (i32.const 1)) (call_indirect (type $none) (i32.const 40))",
    "call_indirect of null": "(drop (i32.const 1)) (call_indirect (type $none) (i32.const 0))",
    "call_indirect, other type": "(drop (i32.const 1)) (call_indirect (type $none) (local.get 0))",
    "host": "(drop (i32.const 1)) (call $note (i32.const 1)) (drop (i32.const 1)) (call $note (i32.const 1))",
    "host gives fuel": "(drop (i32.const 1)) (call $fill (i32.const 7)) (drop (i32.const 1)) (call $leaf) (call $leaf)",
    "host takes fuel": "(call $fill (i32.const 0)) (drop (i32.const 1)) (loop (call $note (i32.const 1)))",
    "host raises": "(drop (i32.const 1)) (call $fail (i32.const 7))",
    "unreachable": "(drop (i32.const 1)) (unreachable)",
    "division": "(drop (i32.const 1)) (drop (i32.div_s (local.get 0) (i32.const 0)))",
    "division after a call": "(call $leaf) (drop (i32.const 1)) (drop (i32.div_u (i32.const 1) (i32.const 0)))",
    "division in a loop": """(loop (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
          (drop (i32.div_s (i32.const 8) (local.get 0))) (br 0))""",
    "conversion": "(drop (i32.trunc_f32_s (f32.const inf)))",
    "load": "(drop (i32.load (local.get 0))) (i32.store8 (local.get 0) (i32.const 1))",
    "load outside": "(drop (i32.const 1)) (drop (i32.load (i32.const 65536)))",
    "load outside of any memory": "(drop (i32.const 1)) (drop (i32.load offset=262141 (i32.const 0))) (drop (local.get 0))",
    "load, just inside of some memory": "(drop (i32.load offset=262140 (i32.const 0)))",
    "store outside of any memory": "(drop (i32.const 1)) (i64.store offset=262137 (i32.const 0) (i64.const 1)) (call $leaf)",
    "store, just inside of some memory": "(i64.store offset=262136 (i32.const 0) (i64.const 1))",
    "globals": "(global.set $x (i32.add (global.get $x) (i32.const 1)))",
    "references": "(drop (ref.is_null (table.get $t (i32.const 1)))) (table.set $t (i32.const 1) (ref.func $leaf))",
    "table.get outside": "(drop (i32.const 1)) (drop (table.get $t (i32.const 40)))",
    "sizes": "(drop (memory.size)) (drop (table.size $t))",
    "drops": "(data.drop $d) (elem.drop $e)",
    "select": "(drop (select (i32.const 1) (local.get 0) (local.get 0)))",
    "copy through": "(memory.copy (i32.const 8) (i32.const 0) (local.get 0)) (drop (i32.const 1))",
    "length known": "(memory.copy (i32.const 8) (i32.const 0) (i32.const 5)) (drop (i32.const 1))",
    "length computed": "(memory.fill (i32.const 8) (i32.const 0) (i32.add (i32.const 2) (i32.const 3)))",
    "length from a fresh local": "(local $n i32) (memory.fill (i32.const 8) (i32.const 0) (local.get $n))",
    "length from a local": "(local.set 0 (i32.const 6)) (memory.fill (i32.const 8) (i32.const 0) (local.get 0))",
    "length from a tee": "(memory.fill (i32.const 8) (i32.const 0) (local.tee 0 (i32.const 6)))",
    "length set in a block": "(block (local.set 0 (i32.const 6))) (memory.fill (i32.const 8) (i32.const 0) (local.get 0))",
    "length set in one arm": """(if (local.get 0) (then (local.set 0 (i32.const 6))))
        (memory.fill (i32.const 8) (i32.const 0) (local.get 0))""",
    "length set before the arms": """(local.set 0 (i32.const 6)) (if (local.get 0) (then (nop)) (else (nop)))
        (memory.fill (i32.const 8) (i32.const 0) (local.get 0))""",
    "length used in the other arm": """(local.set 0 (i32.const 6)) (if (i32.load (i32.const 0)) (then (local.set 0 (i32.const 1)))
        (else (memory.fill (i32.const 8) (i32.const 0) (local.get 0))))""",
    "length set by the arm that goes on": """(if (i32.eqz (local.get 0)) (then (return)) (else (local.set 0 (i32.const 4))))
        (memory.fill (i32.const 8) (i32.const 0) (local.get 0))""",
    "length set in the block that one leaves": """(block (br_if 0 (i32.eqz (local.get 0))) (local.set 0 (i32.const 4)))
        (memory.fill (i32.const 8) (i32.const 0) (local.get 0))""",
    "length set before a loop": """(local $n i32) (local.set $n (i32.const 4))
        (loop (memory.fill (i32.const 8) (i32.const 0) (local.get $n))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (memory.fill (i32.const 8) (i32.const 0) (local.get $n))""",
    "length set in a loop": """(local $n i32)
        (loop (local.set $n (i32.const 4)) (memory.fill (i32.const 8) (i32.const 0) (local.get $n))
          (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (memory.fill (i32.const 8) (i32.const 0) (local.get $n))""",
    "fill outside": "(memory.fill (i32.const 8) (i32.const 0) (i32.const 1000000))",
    "fill outside, length not known": "(memory.fill (i32.const 65535) (i32.const 0) (local.get 0))",
    "memory.init": "(memory.init $d (i32.const 0) (i32.const 0) (local.get 0))",
    "memory.init, length known": "(memory.init $d (i32.const 0) (i32.const 0) (i32.const 4)) (unreachable)",
    "memory.init outside": "(memory.init $d (i32.const 0) (i32.const 6) (local.get 0))",
    "table.init": "(table.init $t $e (i32.const 0) (i32.const 0) (i32.sub (local.get 0) (i32.const 1)))",
    "table.copy": "(table.copy $t $t (i32.const 0) (i32.const 3) (local.get 0))",
    "table.copy outside": "(table.copy $t $t (i32.const 0) (i32.const 9) (local.get 0))",
    "table.fill": "(table.fill $t (i32.const 0) (ref.null func) (local.get 0))",
    "table.fill, length known": "(table.fill $t (i32.const 0) (ref.null func) (i32.const 2)) (call $leaf)",
    "memory.grow": "(drop (memory.grow (local.get 0)))",
    "memory.grow by nothing": "(drop (memory.grow (i32.sub (local.get 0) (local.get 0))))",
    "memory.grow too far": "(drop (memory.grow (i32.mul (local.get 0) (i32.const 9)))) (drop (i32.const 1))",
    "memory.grow, known": "(drop (memory.grow (i32.const 2)))",
    "memory.grow too far, known": "(drop (memory.grow (i32.const 20))) (drop (i32.const 1))",
    "memory.grow too far, known and large": "(drop (memory.grow (i32.const 200))) (drop (i32.const 1))",
    "table.grow": "(drop (table.grow $t (ref.null func) (local.get 0))) (drop (i32.const 1))",
    "table.grow too far": "(drop (table.grow $t (ref.null func) (i32.mul (local.get 0) (i32.const 99)))) (call $leaf)",
    "table.grow, known": "(drop (table.grow $t (ref.null func) (i32.const 4)))",
    "table.grow too far, known": "(drop (table.grow $t (ref.null func) (i32.const 40)))",
    "table.grow too far, known and large": "(drop (table.grow $t (ref.null func) (i32.const 129)))",
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_calls(body: str) -> None:
    same_for_all_amounts(f'(module {PREFIX} (func (export "f") (param i32) {body}))', [3])


@pytest.mark.parametrize("length", [128, 129])
@pytest.mark.parametrize("text", ["(i32.const {0})", "(i32.add (local.get 0) (i32.const {0}))"])
def test_small_known_lengths_are_paid_later(length: int, text: str) -> None:
    fill = f"(memory.fill (i32.const 0) (i32.const 1) {text.format(length)})"
    cost = same_for_all_amounts(f'(module {PREFIX} (func (export "f") (param i32) {fill}))', [0], 145)
    assert cost == 4 + length + 2 * ("add" in text) + 1


def test_operators_with_overlong_numbers() -> None:
    """`table.grow` whose sub-opcode takes two bytes."""
    body = b"\x00\xd0\x70\x20\x00\xfc\x8f\x00\x00\x1a\x0b"
    sections = {
        1: b"\x01\x60\x01\x7f\x00",
        3: b"\x01\x00",
        4: b"\x01\x70\x01\x01\x05",
        7: b"\x01\x01f\x00\x00",
        10: b"\x01" + bytes([len(body)]) + body,
    }
    binary = b"\0asm\1\0\0\0" + b"".join(bytes([id, len(data)]) + data for id, data in sections.items())
    runs = []
    for api, engine in engines()[:2]:
        subject = Subject(api, engine, api.Module(engine, binary))
        subject.start(ENOUGH)
        runs.append([subject.call(fuel, "f", delta) for fuel in range(12) for delta in (3, 30)])
    assert runs[0] == runs[1]


IMPORTS = '(import "" "g" (global $g i32)) (import "" "m" (memory 1)) (import "" "t" (table $t 10 funcref)) (func $f)'
OWN = '(import "" "g" (global $g i32)) (memory 1) (table $t 300 funcref) (func $f)'
ONES = "\\01\\01\\01"

STARTS = {
    "nothing": IMPORTS,
    "start": OWN + "(start $f)",
    "start that traps": OWN + "(func $u (drop (i32.const 1)) (unreachable)) (start $u)",
    "start of the host": '(import "" "note" (func $n (param i32))) (func $s (call $n (i32.const 1))) (start $s)',
    "numbers": OWN + "(global i32 (i32.const 3)) (global (mut f64) (f64.const 1))",
    "imported number": IMPORTS + "(global i32 (global.get $g))",
    "computed number": IMPORTS + "(global i32 (i32.add (global.get $g) (i32.const 1))) (global i32 (i32.mul (i32.const 1) (i32.const 2)))",
    "references": OWN + "(global funcref (ref.func $f)) (global externref (ref.null extern))",
    "data": IMPORTS + f'(data (i32.const 1) "{ONES}")',
    "data at an import": IMPORTS + f'(data (global.get $g) "{ONES}") (data (i32.const 1) "{ONES}")',
    "data outside": IMPORTS + f'(data (i32.const 1) "{ONES}") (data (i32.const 65535) "{ONES}")',
    "passive data": IMPORTS + f'(data "{ONES}")',
    "own data": OWN + f'(data (i32.const 1) "{ONES}")',
    "own data at an import": OWN + f'(data (i32.const 1) "{ONES}") (data (global.get $g) "{ONES}")',
    "own data outside": OWN + f'(data (i32.const 65535) "{ONES}")',
    "own data behind values": OWN + f'(data (i32.const 1) "{ONES}") (elem funcref (ref.func $f))',
    "own data behind values, start": OWN + f'(data (i32.const 1) "{ONES}") (elem funcref (ref.func $f)) (start $f)',
    "own zeros behind values": OWN + '(data (i32.const 1) "\\00") (elem funcref (ref.func $f))',
    "own nothing behind values": OWN + '(data (i32.const 1) "") (elem funcref (ref.func $f))',
    "elements": IMPORTS + "(elem (i32.const 1) $f $f $f)",
    "elements at an import": IMPORTS + "(elem (global.get $g) $f $f $f)",
    "elements outside": IMPORTS + "(elem (i32.const 1) $f $f $f) (elem (i32.const 9) $f $f)",
    "expressions": IMPORTS + "(elem (i32.const 1) funcref (ref.func $f) (ref.null func))",
    "passive elements": OWN + "(elem func $f $f $f)",
    "passive expressions": OWN + "(elem funcref (ref.func $f) (ref.null func))",
    "declared elements": OWN + "(elem declare func $f $f $f)",
    "elements, data and start": IMPORTS + f'(elem (i32.const 1) $f $f) (data (i32.const 1) "{ONES}") (start $f)',
    "own elements": OWN + "(elem (i32.const 1) $f $f $f)",
    "own elements, then at an import": OWN + "(elem (i32.const 1) $f $f) (elem (global.get $g) $f $f)",
    "own elements at an import, then not": OWN + "(elem (global.get $g) $f $f) (elem (i32.const 1) $f $f)",
    "own elements outside": OWN + "(elem (i32.const 299) $f $f)",
    "own expressions": OWN + "(elem (i32.const 1) funcref (ref.func $f) (ref.null func))",
    "own externrefs": "(table 3 externref) (elem (i32.const 1) externref (ref.null extern))",
}  # fmt: skip


def same_for_all_starts(text: str, amounts: list[int]) -> None:
    runs = []
    for api, engine in engines()[:2]:
        module = api.Module(engine, f"(module {text})")
        run = []
        for fuel in amounts:
            subject = Subject(api, engine, module)
            run.append((fuel, subject.start(fuel), subject.store.get_fuel()))
        runs.append(run)
    assert runs[0] == runs[1]


@pytest.mark.parametrize("text", STARTS.values(), ids=STARTS)
def test_instantiation(text: str) -> None:
    same_for_all_starts(text, [*range(24), ENOUGH])


@pytest.mark.parametrize("count", [128, 129])
def test_instantiation_with_many_elements(count: int) -> None:
    segment = f"(elem (global.get $g) {'$f ' * count})"
    same_for_all_starts(OWN + segment, [*range(count, count + 6), ENOUGH])
    same_for_all_starts(OWN + segment * 2, [*range(2 * count, 2 * count + 8), ENOUGH])


@pytest.mark.parametrize("place", [16777213, 16777214, 17000000])
def test_instantiation_with_sparse_data(place: int) -> None:
    same_for_all_starts(f'(memory 400) (data (i32.const 0) "ab") (data (i32.const {place}) "ab")', [*range(10), ENOUGH])


def test_instantiation_from_a_copy_of_the_module() -> None:
    """What Wasmtime would do ahead of time is known of deserialised modules too."""
    engine = fueled(brolga)
    module = Module(engine, "(module (func $f) (start $f) (global funcref (ref.func $f)) (elem func $f))")
    for copy in (module, Module.deserialize(engine, module.serialize())):
        store = Store(engine)
        store.set_fuel(100)
        Instance(store, copy, [])
        assert store.get_fuel() == 100 - 1 - 1 - 1 - 1


# The API


def test_amounts() -> None:
    values = [0, 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 5, -1, -(2**63), True]
    results = []
    for api in (wasmtime, brolga):
        store = api.Store(fueled(api))
        left = [store.get_fuel()]
        for value in values:
            store.set_fuel(value)
            left.append(store.get_fuel())
        results.append(left)
    assert results[0] == results[1]
    store = Store(fueled(brolga))
    for wrong in ("1", 1.0, None):
        with pytest.raises(TypeError):
            store.set_fuel(wrong)  # type: ignore[arg-type]


def test_large_amounts_are_used_up_too() -> None:
    left = []
    for api in (wasmtime, brolga):
        engine = fueled(api)
        store = api.Store(engine)
        store.set_fuel(2**64 - 1)
        text = '(module (func (export "f") (drop (i32.const 1))))'
        api.Instance(store, api.Module(engine, text), []).exports(store)["f"](store)
        left.append(store.get_fuel())
    assert left[0] == left[1] == 2**64 - 3


def test_without_the_option() -> None:
    for api in (wasmtime, brolga):
        store = api.Store(api.Engine())
        with pytest.raises(api.WasmtimeError, match="^fuel is not configured in this store$"):
            store.get_fuel()
        with pytest.raises(api.WasmtimeError, match="^fuel is not configured in this store$"):
            store.set_fuel(1)


def test_closed_store() -> None:
    store = Store(fueled(brolga))
    store.close()
    with pytest.raises(ValueError, match="already closed"):
        store.get_fuel()
    with pytest.raises(ValueError, match="already closed"):
        store.set_fuel(1)


def test_the_option_is_a_bool() -> None:
    for api in (wasmtime, brolga):
        with pytest.raises(TypeError, match="^expected an bool$"):
            api.Config().consume_fuel = 1


def test_trap() -> None:
    engine = fueled(brolga)
    store = Store(engine)
    store.set_fuel(50)
    module = Module(engine, '(module (func $spin (export "f") (loop (br 0))))')
    spin = Instance(store, module, []).exports(store)["f"]
    assert isinstance(spin, Func)
    with pytest.raises(Trap) as caught:
        spin(store)
    assert caught.value.trap_code == TrapCode.OUT_OF_FUEL
    assert "wasm trap: all fuel consumed by WebAssembly" in str(caught.value)
    assert [frame.func_name for frame in caught.value.frames] == ["spin"]
    assert store.get_fuel() == 0


def test_calls_across_instances_of_a_store_share_its_fuel() -> None:
    engine = fueled(brolga)
    store = Store(engine)
    store.set_fuel(100)
    inner = Instance(store, Module(engine, '(module (func (export "f") (drop (i32.const 1))))'), []).exports(store)["f"]
    text = '(module (import "" "f" (func $f)) (func (export "g") (call $f) (call $f)))'
    outer = Instance(store, Module(engine, text), [inner]).exports(store)["g"]
    assert isinstance(outer, Func)
    outer(store)
    assert store.get_fuel() == 100 - 1 - 2 * (1 + 2)


def test_stores_have_their_own_fuel() -> None:
    engine = fueled(brolga)
    module = Module(engine, '(module (func (export "f")))')
    stores = [Store(engine), Store(engine)]
    for store in stores:
        store.set_fuel(10)
    f = Instance(stores[0], module, []).exports(stores[0])["f"]
    assert isinstance(f, Func)
    f(stores[0])
    assert [store.get_fuel() for store in stores] == [9, 10]


def test_reentry() -> None:
    """wasm calls the host, which calls wasm: all of it counts."""
    engine = fueled(brolga)
    store = Store(engine)
    store.set_fuel(100)
    exports: dict[str, Any] = {}
    back = Func(store, FuncType([], [ValType.i32()]), lambda: exports["leaf"](store) and store.get_fuel())
    text = """(module (import "" "f" (func $f (result i32)))
        (func (export "leaf") (result i32) (i32.const 1)) (func (export "g") (result i32) (call $f)))"""
    instance = Instance(store, Module(engine, text), [back]).exports(store)
    exports["leaf"] = instance["leaf"]
    g = instance["g"]
    assert isinstance(g, Func)
    assert g(store) == 100 - 2 - 2
    assert store.get_fuel() == 96


def test_code_with_and_without_fuel_is_not_mixed_up() -> None:
    engine, other = fueled(brolga), Engine(Config())
    text = '(module (func (export "f")))'
    with pytest.raises(WasmtimeError, match="compiled with other settings"):
        Module.deserialize(other, Module(engine, text).serialize())
    with pytest.raises(WasmtimeError, match="compiled with other settings"):
        Module.deserialize(engine, Module(other, text).serialize())
