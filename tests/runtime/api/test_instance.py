"""Linking and initialisation of instances."""

from __future__ import annotations

from typing import Any

import pytest

from brolga import (
    Config,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    LinkError,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)

I32, I64, F32 = ValType.i32(), ValType.i64(), ValType.f32()
FUNCREF, EXTERNREF = ValType.funcref(), ValType.externref()


def _memory(store: Store, *limits: int) -> Memory:
    return Memory(store, MemoryType(Limits(limits[0], limits[1] if len(limits) > 1 else None)))


def _table(store: Store, type: ValType, *limits: int) -> Table:
    return Table(store, TableType(type, Limits(limits[0], limits[1] if len(limits) > 1 else None)), None)


@pytest.mark.parametrize(
    ("wanted", "given", "fits"),
    [
        ("(func (param i32))", lambda s: Func(s, FuncType([I32], []), print), True),
        ("(func (param i64))", lambda s: Func(s, FuncType([I32], []), print), False),
        ("(func (param i32) (result i32))", lambda s: Func(s, FuncType([I32], []), print), False),
        ("(func)", lambda s: _memory(s, 1), False),
        ("(memory 1)", lambda s: _memory(s, 1), True),
        ("(memory 1)", lambda s: _memory(s, 2, 3), True),
        ("(memory 2)", lambda s: _memory(s, 1), False),
        ("(memory 1 3)", lambda s: _memory(s, 1, 3), True),
        ("(memory 1 3)", lambda s: _memory(s, 1, 2), True),
        ("(memory 1 3)", lambda s: _memory(s, 1, 4), False),
        ("(memory 1 3)", lambda s: _memory(s, 1), False),
        ("(memory 1)", lambda s: _table(s, FUNCREF, 1), False),
        ("(table 1 funcref)", lambda s: _table(s, FUNCREF, 1), True),
        ("(table 1 funcref)", lambda s: _table(s, EXTERNREF, 1), False),
        ("(table 2 funcref)", lambda s: _table(s, FUNCREF, 1), False),
        ("(table 0 2 funcref)", lambda s: _table(s, FUNCREF, 1, 2), True),
        ("(table 0 2 funcref)", lambda s: _table(s, FUNCREF, 1, 3), False),
        ("(table 0 2 funcref)", lambda s: _table(s, FUNCREF, 1), False),
        ("(global i32)", lambda s: Global(s, GlobalType(I32, False), 0), True),
        ("(global i32)", lambda s: Global(s, GlobalType(I32, True), 0), False),
        ("(global (mut i32))", lambda s: Global(s, GlobalType(I32, False), 0), False),
        ("(global (mut i32))", lambda s: Global(s, GlobalType(I32, True), 0), True),
        ("(global i64)", lambda s: Global(s, GlobalType(I32, False), 0), False),
        ("(global i32)", lambda s: Func(s, FuncType([], []), print), False),
    ],
)
def test_types_of_imports_match_exactly(store: Store, wanted: str, given: Any, fits: bool) -> None:
    module = Module(store.engine, f'(module (import "m" "n" {wanted}))')
    item = given(store)
    if fits:
        Instance(store, module, [item])
    else:
        with pytest.raises(LinkError, match="incompatible import type for `m::n`"):
            Instance(store, module, [item])


def test_sizes_that_have_grown_count(store: Store) -> None:
    memory, table = _memory(store, 1), _table(store, FUNCREF, 1)
    memory.grow(store, 2)
    table.grow(store, 4, None)
    Instance(
        store,
        Module(store.engine, '(module (import "" "" (memory 3)) (import "" "" (table 5 funcref)))'),
        [memory, table],
    )


def test_wrong_imports(store: Store, engine: Engine) -> None:
    module = Module(engine, '(module (import "" "" (func)))')
    with pytest.raises(LinkError, match="expected 1 imports, found 0"):
        Instance(store, module, [])
    with pytest.raises(TypeError, match="expected a Func"):
        Instance(store, module, [print])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="expected a `Module`"):
        Instance(store, b"", [])  # type: ignore[arg-type]
    for item in (
        _memory(Store(engine), 1),
        _table(Store(engine), FUNCREF, 1),
        Global(Store(engine), GlobalType(I32, False), 0),
    ):
        kind = {Memory: "memory 1", Table: "table 1 funcref", Global: "global i32"}[type(item)]
        with pytest.raises(WasmtimeError, match="cross-`Store`"):
            Instance(store, Module(engine, f'(module (import "" "" ({kind})))'), [item])


def test_exports_by_name_and_number(store: Store) -> None:
    module = Module(
        store.engine, '(module (func (export "f")) (memory (export "m") 1) (global (export "g") i32 (i32.const 3)))'
    )
    instance = Instance(store, module, [])
    exports = instance.exports(store)
    assert list(exports) == ["f", "m", "g"] and len(exports) == 3
    assert [type(item) for item in exports.by_index] == [Func, Memory, Global]
    assert exports.by_index[2] is exports["g"]
    assert exports.get("nothing") is None and "f" in exports
    with pytest.raises(KeyError):
        exports["nothing"]
    assert instance.exports(store) is exports


def test_instances_share_what_they_export(store: Store) -> None:
    first = Instance(
        store,
        Module(
            store.engine,
            """(module (memory (export "memory") 1) (table (export "table") 2 funcref)
                (global $g (export "global") (mut i32) (i32.const 0))
                (func $f (export "get") (param i32) (result i32)
                    (i32.add (global.get $g) (i32.load8_u (local.get 0)))))""",
        ),
        [],
    ).exports(store)
    second = Instance(
        store,
        Module(
            store.engine,
            """(module (import "" "m" (memory 1)) (import "" "t" (table 2 funcref))
                (import "" "g" (global $g (mut i32))) (import "" "f" (func $f (param i32) (result i32)))
                (elem (i32.const 1) func $f)
                (func (export "run") (param i32 i32) (result i32)
                    (i32.store8 (local.get 0) (local.get 1)) (global.set $g (i32.const 1000))
                    (i32.add (call $f (local.get 0)) (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1)))))""",
        ),
        [first["memory"], first["table"], first["global"], first["get"]],
    ).exports(store)
    assert second["run"](store, 5, 34) == 2068
    assert first["memory"].read(store, 5, 6) == bytes([34])
    assert first["table"].get(store, 1)(store, 5) == 1034


def test_memory_zero_differs_between_instances(store: Store) -> None:
    """A call into another instance works on that instance's memory, and the caller goes on with its own."""
    text = """(module (memory 1) (data (i32.const 0) "{byte}") {imports}
        (func (export "own") (result i32) (i32.load8_u (i32.const 0))) {functions})"""
    first = Instance(store, Module(store.engine, text.format(byte="\\01", imports="", functions="")), []).exports(store)
    second = Instance(
        store,
        Module(
            store.engine,
            """(module (import "" "own" (func $f (result i32))) (memory 1) (data (i32.const 0) "\\0a") (table funcref (elem $f))
                (func (export "both") (result i32)
                    (i32.add (i32.add (i32.load8_u (i32.const 0)) (i32.mul (i32.const 100) (call $f)))
                        (i32.add (i32.mul (i32.const 100) (call_indirect (result i32) (i32.const 0)))
                            (i32.load8_u (i32.const 0))))))""",
        ),
        [first["own"]],
    ).exports(store)
    assert second["both"](store) == 220
    assert first["own"](store) == 1


def test_active_segments_are_applied_in_order_until_one_traps(store: Store) -> None:
    memory, table = _memory(store, 1), _table(store, FUNCREF, 4)
    func = Func(store, FuncType([], [I32]), lambda: 3)
    module = Module(
        store.engine,
        """(module (import "" "m" (memory 1)) (import "" "t" (table 4 funcref)) (import "" "f" (func $f (result i32)))
            (elem (i32.const 0) func $f) (data (i32.const 0) "one") (data (i32.const 65534) "two") (data (i32.const 10) "three")
            (elem (i32.const 2) func $f $f))""",
    )
    with pytest.raises(Trap) as caught:
        Instance(store, module, [memory, table, func])
    assert caught.value.trap_code == TrapCode.MEMORY_OUT_OF_BOUNDS
    assert (
        memory.read(store, 0, 3) == b"one"
        and memory.read(store, 65534) == bytes(2)
        and memory.read(store, 10, 15) == bytes(5)
    )
    assert [table.get(store, index) is not None for index in range(4)] == [True, False, True, True]

    module = Module(
        store.engine,
        """(module (import "" "m" (memory 1)) (import "" "t" (table 4 funcref)) (import "" "f" (func $f (result i32)))
            (func $own (result i32) i32.const 55)
            (elem (i32.const 1) func $own) (elem (i32.const 3) func $own $own) (data (i32.const 0) "new"))""",
    )
    with pytest.raises(Trap) as caught:
        Instance(store, module, [memory, table, func])
    assert caught.value.trap_code == TrapCode.TABLE_OUT_OF_BOUNDS
    assert memory.read(store, 0, 3) == b"one"
    assert table.get(store, 1)(store) == 55, "a function of an instance that failed lives on in the table"


def test_offsets_are_unsigned_and_may_be_globals(store: Store) -> None:
    text = '(module (import "" "" (global $g i32)) (memory (export "m") 1) (data (global.get $g) "x"))'
    module = Module(store.engine, text)
    exports = Instance(store, module, [Global(store, GlobalType(I32, False), 65535)]).exports(store)
    assert exports["m"].read(store, -1) == b"x"
    with pytest.raises(Trap, match="out of bounds memory access"):
        Instance(store, module, [Global(store, GlobalType(I32, False), -1)])


def test_passive_data_segments(store: Store) -> None:
    module = Module(
        store.engine,
        """(module (memory (export "m") 1) (data $p "passive") (data $a (i32.const 0) "act")
            (func (export "init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $p)
            (func (export "init_active") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $a)
            (func (export "drop") data.drop $p))""",
    )
    exports = Instance(store, module, []).exports(store)
    exports["init"](store, 100, 1, 3)
    assert exports["m"].read(store, 99, 105) == b"\0ass\0\0"
    for args in [(0, 7, 1), (0, 0, 8), (65536, 0, 1), (-1, 0, 0)]:
        with pytest.raises(Trap, match="out of bounds memory access"):
            exports["init"](store, *args)
    exports["init"](store, 65536, 7, 0)
    with pytest.raises(Trap, match="out of bounds memory access"):
        exports["init_active"](store, 0, 0, 1)
    exports["drop"](store)
    exports["drop"](store)
    with pytest.raises(Trap, match="out of bounds memory access"):
        exports["init"](store, 0, 0, 1)
    exports["init"](store, 0, 0, 0)
    other = Instance(store, module, []).exports(store)
    other["init"](store, 0, 0, 7)
    assert other["m"].read(store, 0, 7) == b"passive", "dropping concerns one instance"


def test_start_functions(store: Store) -> None:
    seen: list[int] = []
    host = Func(store, FuncType([I32], []), seen.append)
    Instance(
        store,
        Module(
            store.engine, '(module (import "" "" (func $f (param i32))) (func $s (call $f (i32.const 4))) (start $s))'
        ),
        [host],
    )
    none = Func(store, FuncType([], []), lambda: seen.append(5))
    Instance(store, Module(store.engine, '(module (import "" "" (func $f)) (start $f))'), [none])
    assert seen == [4, 5]
    with pytest.raises(Trap) as caught:
        Instance(store, Module(store.engine, "(module (func $s unreachable) (start $s))"), [])
    assert caught.value.trap_code == TrapCode.UNREACHABLE and caught.value.frames[0].func_name == "s"


def test_instance_limit(engine: Engine) -> None:
    store = Store(engine)
    store.set_limits(instances=1)
    module = Module(engine, "(module)")
    Instance(store, module, [])
    with pytest.raises(WasmtimeError, match="instance count too high"):
        Instance(store, module, [])


def test_engines_of_other_platforms_are_refused() -> None:
    configs = [Config(), Config()]
    for config, name in zip(configs, ("linux", "minimal"), strict=True):
        config.platform = name
    with pytest.raises(WasmtimeError, match="cross-`Engine`"):
        Instance(Store(Engine(configs[0])), Module(Engine(configs[1]), "(module)"), [])
