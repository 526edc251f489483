from __future__ import annotations

from typing import Any

import pytest

from brolga import Engine, Func, FuncType, Global, GlobalType, Instance, Module, Store, Val, ValType, WasmtimeError

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()


@pytest.mark.parametrize(
    ("type", "value", "other"),
    [(I32, -1, 5), (I64, -(1 << 63), 1), (F32, 0.5, -0.0), (F64, 1e300, 2.0), (ValType.externref(), "a", None)],
)
def test_values(store: Store, type: ValType, value: Any, other: Any) -> None:
    variable = Global(store, GlobalType(type, True), value)
    assert variable.value(store) == value
    variable.set_value(store, other)
    assert variable.value(store) == other
    assert variable.type(store) == GlobalType(type, True)
    constant = Global(store, GlobalType(type, False), value)
    with pytest.raises(WasmtimeError, match="immutable"):
        constant.set_value(store, other)
    assert constant.value(store) == value


def test_functions_as_values(store: Store) -> None:
    func = Func(store, FuncType([], [I32]), lambda: 9)
    variable = Global(store, GlobalType(ValType.funcref(), True), None)
    assert variable.value(store) is None
    variable.set_value(store, func)
    assert variable.value(store)(store) == 9


def test_val_objects(store: Store) -> None:
    variable = Global(store, GlobalType(I64, True), Val.i64(7))
    assert variable.value(store) == 7
    with pytest.raises(TypeError, match="wrong type"):
        variable.set_value(store, Val.i32(7))
    with pytest.raises(TypeError):
        variable.set_value(store, "7")
    with pytest.raises(TypeError, match="expected a GlobalType"):
        Global(store, I32, 5)  # type: ignore[arg-type]


def test_wasm_and_host_see_the_same_cell(store: Store) -> None:
    shared = Global(store, GlobalType(I32, True), 1)
    module = Module(
        store.engine,
        """(module (import "" "" (global $g (mut i32))) (global $own (export "own") (mut i64) (i64.const 5))
            (global (export "copy") externref (ref.null extern)) (export "again" (global $g))
            (func (export "bump") (global.set $g (i32.add (global.get $g) (i32.const 1)))
                (global.set $own (i64.extend_i32_s (global.get $g)))))""",
    )
    exports = Instance(store, module, [shared]).exports(store)
    exports["bump"](store)
    assert (shared.value(store), exports["own"].value(store), exports["again"].value(store)) == (2, 2, 2)
    exports["again"].set_value(store, 10)
    exports["bump"](store)
    assert (shared.value(store), exports["own"].value(store)) == (11, 11)
    assert exports["copy"].value(store) is None


def test_constant_expressions(store: Store) -> None:
    module = Module(
        store.engine,
        """(module (import "" "" (global $i i32)) (import "" "" (global $f funcref))
            (global (export "sum") i32 (i32.mul (i32.add (global.get $i) (i32.const 3)) (i32.const -2)))
            (global (export "wrap") i32 (i32.sub (i32.const -2147483648) (i32.const 1)))
            (global (export "long") i64 (i64.mul (i64.const 0x7fffffffffffffff) (i64.const 2)))
            (global (export "again") funcref (global.get $f))
            (global (export "func") funcref (ref.func 0))
            (func (result i32) i32.const 77))""",
    )
    func = Func(store, FuncType([], [I32]), lambda: 9)
    imports = [Global(store, GlobalType(I32, False), 4), Global(store, GlobalType(ValType.funcref(), False), func)]
    exports = Instance(store, module, imports).exports(store)
    values = {name: exports[name].value(store) for name in exports}
    assert (values["sum"], values["wrap"], values["long"]) == (-14, 0x7FFFFFFF, -2)
    assert (values["again"](store), values["func"](store)) == (9, 77)


def test_other_stores_are_refused(engine: Engine) -> None:
    variable = Global(Store(engine), GlobalType(I32, True), 0)
    with pytest.raises(WasmtimeError, match="wrong store"):
        variable.value(Store(engine))


def test_a_function_that_only_a_global_refers_to(store: Store) -> None:
    wat = """(module (global (export "g") funcref (ref.func 0))
      (func (param f32 i64 f32 f64) (result f64 f32 i32) f64.const 1 f32.const 2 i32.const 3))"""
    variable = Instance(store, Module(store.engine, wat), []).exports(store)["g"]
    assert variable.value(store)(store, 0.0, 0, 0.0, 0.0) == [1.0, 2.0, 3]
