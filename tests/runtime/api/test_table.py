from __future__ import annotations

import pytest

from brolga import (
    Engine,
    Func,
    FuncType,
    Instance,
    Limits,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)

FUNCREF, EXTERNREF, I32 = ValType.funcref(), ValType.externref(), ValType.i32()


def test_externrefs(store: Store) -> None:
    table = Table(store, TableType(EXTERNREF, Limits(2, 4)), "init")
    assert [table.get(store, index) for index in range(-1, 3)] == [None, "init", "init", None]
    table.set(store, 0, None)
    value = object()
    table.set(store, 1, value)
    assert table.get(store, 0) is None and table.get(store, 1) is value
    assert table.grow(store, 2, 5) == 2
    assert [table.get(store, index) for index in range(4)] == [None, value, 5, 5]
    with pytest.raises(WasmtimeError, match="failed to grow table by `1`"):
        table.grow(store, 1, None)
    assert table.size(store) == 4
    for index in (4, -1):
        with pytest.raises(WasmtimeError, match="out of bounds table access"):
            table.set(store, index, None)
    assert table.type(store) == TableType(EXTERNREF, Limits(2, 4))


def test_funcrefs(store: Store) -> None:
    func = Func(store, FuncType([], [I32]), lambda: 5)
    table = Table(store, TableType(FUNCREF, Limits(2, None)), None)
    assert table.get(store, 0) is None
    table.set(store, 1, func)
    found = table.get(store, 1)
    assert isinstance(found, Func) and found(store) == 5
    with pytest.raises(TypeError):
        table.set(store, 0, 5)
    with pytest.raises(TypeError):
        Table(store, TableType(FUNCREF, Limits(1, None)), "f")


def test_growth_by_small_steps_keeps_elements(store: Store) -> None:
    table = Table(store, TableType(EXTERNREF, Limits(0, None)), None)
    for index in range(300):
        assert table.grow(store, 1, index) == index
    assert [table.get(store, index) for index in range(300)] == list(range(300))


def test_operators(store: Store) -> None:
    module = Module(
        store.engine,
        """(module
            (table $e (export "e") 4 externref) (table $f (export "f") 4 8 funcref)
            (type $t (func (result i32)))
            (elem $s func $one $two $one)
            (func $one (result i32) i32.const 1) (func $two (result i32) i32.const 2)
            (func (export "get") (param i32) (result externref) local.get 0 table.get $e)
            (func (export "set") (param i32 externref) local.get 0 local.get 1 table.set $e)
            (func (export "fill") (param i32 externref i32) local.get 0 local.get 1 local.get 2 table.fill $e)
            (func (export "grow") (param externref i32) (result i32) local.get 0 local.get 1 table.grow $e)
            (func (export "size") (result i32) table.size $e)
            (func (export "copy") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 table.copy $e $e)
            (func (export "growf") (param i32) (result i32) ref.null func local.get 0 table.grow $f)
            (func (export "init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 table.init $f $s)
            (func (export "drop") elem.drop $s)
            (func (export "call") (param i32) (result i32) local.get 0 call_indirect $f (type $t)))""",
    )
    exports = Instance(store, module, []).exports(store)

    def content() -> list[object]:
        return [exports["get"](store, index) for index in range(exports["size"](store))]

    exports["set"](store, 1, "a")
    exports["fill"](store, 2, "b", 2)
    assert content() == [None, "a", "b", "b"]
    assert exports["grow"](store, "c", 2) == 4
    exports["copy"](store, 0, 1, 3)
    assert content() == ["a", "b", "b", "b", "c", "c"]
    exports["copy"](store, 2, 0, 4)
    assert content() == ["a", "b", "a", "b", "b", "b"]
    for name, args in [
        ("get", (6,)), ("get", (-1,)), ("set", (6, None)), ("fill", (5, None, 2)), ("copy", (4, 0, 3)), ("copy", (0, 4, 3)),
        ("init", (0, 2, 2)), ("init", (3, 0, 2)),
    ]:  # fmt: skip
        with pytest.raises(Trap) as caught:
            exports[name](store, *args)
        assert caught.value.trap_code == TrapCode.TABLE_OUT_OF_BOUNDS
        assert caught.value.frames[0].func_index >= 2
    assert exports["growf"](store, 5) == -1 and exports["growf"](store, 4) == 4
    exports["init"](store, 5, 1, 2)
    assert [exports["call"](store, index) for index in (5, 6)] == [2, 1]
    exports["init"](store, 0, 3, 0)
    exports["drop"](store)
    exports["init"](store, 0, 0, 0)
    with pytest.raises(Trap, match="out of bounds table access"):
        exports["init"](store, 0, 0, 1)
    for index, message in [(0, "uninitialized element"), (8, "undefined element"), (-1, "undefined element")]:
        with pytest.raises(Trap, match=message):
            exports["call"](store, index)


def test_limits(engine: Engine) -> None:
    store = Store(engine)
    with pytest.raises(WasmtimeError, match="exceeds table limits"):
        Table(store, TableType(FUNCREF, Limits(1 << 31, None)), None)
    with pytest.raises(WasmtimeError, match="invalid table limits"):
        Table(store, TableType(FUNCREF, Limits(2, 1)), None)
    store.set_limits(table_elements=10)
    table = Table(store, TableType(FUNCREF, Limits(9, None)), None)
    assert table.grow(store, 1, None) == 9
    with pytest.raises(WasmtimeError, match="failed to grow"):
        table.grow(store, 1, None)
