from __future__ import annotations

from typing import Any

import pytest

from brolga import (
    Caller,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Linker,
    LinkError,
    Module,
    Store,
    Trap,
    ValType,
    WasmtimeError,
)

I32 = ValType.i32()
_USER = '(module (import "m" "f" (func $f (result i32))) (func (export "run") (result i32) call $f))'


def _run(store: Store, instance: Instance) -> Any:
    run: Any = instance.exports(store)["run"]
    return run(store)


def test_definitions(store: Store) -> None:
    linker = Linker(store.engine)
    module = Module(store.engine, _USER)
    with pytest.raises(LinkError, match="unknown import: `m::f` has not been defined"):
        linker.instantiate(store, module)
    linker.define(store, "m", "f", Func(store, FuncType([], [I32]), lambda: 1))
    assert _run(store, linker.instantiate(store, module)) == 1
    with pytest.raises(WasmtimeError, match="defined twice"):
        linker.define_func("m", "f", FuncType([], [I32]), lambda: 2)
    linker.allow_shadowing = True
    linker.define_func("m", "f", FuncType([], [I32]), lambda: 2)
    assert _run(store, linker.instantiate(store, module)) == 2
    with pytest.raises(TypeError, match="expected a Func"):
        linker.define(store, "m", "g", 5)  # type: ignore[arg-type]


def test_one_definition_serves_many_stores(engine: Engine) -> None:
    linker = Linker(engine)
    linker.define_func("m", "f", FuncType([], [I32]), lambda: 7)
    module = Module(engine, _USER)
    pre = linker.instantiate_pre(module)
    assert pre.module.decoded is module.decoded
    for _ in range(3):
        store = Store(engine)
        assert _run(store, linker.instantiate(store, module)) == 7
        assert _run(store, pre.instantiate(store)) == 7


def test_callers_of_defined_functions(engine: Engine) -> None:
    linker = Linker(engine)

    def peek(caller: Caller) -> int:
        memory: Any = caller["memory"]
        return int(memory.read(caller, 0, 1)[0])

    linker.define_func("m", "f", FuncType([], [I32]), peek, access_caller=True)
    text = """(module (import "m" "f" (func $f (result i32))) (memory (export "memory") 1) (data (i32.const 0) "{}")
        (func (export "run") (result i32) call $f))"""
    modules = [Module(engine, text.format(byte)) for byte in ("\\01", "\\02")]
    store = Store(engine)
    instances = [linker.instantiate(store, module) for module in modules]
    assert [_run(store, instance) for instance in instances] == [1, 2]


def test_instances_and_modules_as_definitions(store: Store) -> None:
    engine = store.engine
    provider = Module(
        engine,
        """(module (global $n (mut i32) (i32.const 0))
            (func (export "f") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))""",
    )
    linker = Linker(engine)
    linker.define_instance(store, "m", Instance(store, provider, []))
    user = linker.instantiate(store, Module(engine, _USER))
    assert [_run(store, user) for _ in range(2)] == [1, 2]

    reactor = Module(
        engine,
        """(module (global $n (mut i32) (i32.const 0)) (func (export "_initialize") (global.set $n (i32.const 50)))
            (func (export "f") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))""",
    )
    linker = Linker(engine)
    linker.define_module(store, "m", reactor)
    user = linker.instantiate(store, Module(engine, _USER))
    assert [_run(store, user) for _ in range(2)] == [51, 52]

    command = Module(
        engine,
        """(module (global $n (mut i32) (i32.const 0)) (func (export "_start"))
            (func (export "f") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n)))""",
    )
    linker = Linker(engine)
    linker.define_module(store, "m", command)
    user = linker.instantiate(store, Module(engine, _USER))
    assert [_run(store, user) for _ in range(2)] == [1, 1], "each call of a command's function has a new instance"
    assert linker.get_default(store, "m")(store) is None


def test_looking_up(store: Store) -> None:
    linker = Linker(store.engine)
    item = Global(store, GlobalType(I32, False), 4)
    linker.define(store, "m", "g", item)
    linker.define_func("m", "f", FuncType([], [I32]), lambda: 3)
    found: Any = linker.get(store, "m", "g")
    assert found.value(store) == 4
    found = linker.get(store, "m", "f")
    assert found(store) == 3
    with pytest.raises(WasmtimeError, match="item not defined in linker"):
        linker.get(store, "m", "nothing")
    assert linker.get_default(store, "nothing")(store) is None
    linker.define_wasi()
    with pytest.raises(WasmtimeError, match="WASI"):
        linker.get(store, "wasi_snapshot_preview1", "fd_write")


def test_unknown_imports(store: Store) -> None:
    module = Module(
        store.engine,
        """(module (import "m" "f" (func $f (param i32) (result i32 f64 externref))) (import "m" "m" (memory 2))
            (import "m" "t" (table 3 externref)) (import "m" "g" (global (mut i64))) (import "m" "h" (global funcref))
            (func (export "run") (result i32 f64 externref) i32.const 1 call $f) (export "g" (global 0)) (export "m" (memory 0)))""",
    )
    linker = Linker(store.engine)
    linker.define_unknown_imports_as_default_values(store, module)
    instance = linker.instantiate(store, module)
    assert _run(store, instance) == [0, 0.0, None]
    exports: Any = instance.exports(store)
    assert exports["g"].value(store) == 0 and exports["m"].size(store) == 2

    linker = Linker(store.engine)
    only_function = Module(store.engine, _USER)
    linker.define_unknown_imports_as_traps(only_function)
    with pytest.raises(Trap, match="unknown import: `m::f`"):
        _run(store, linker.instantiate(store, only_function))


def test_wasi_must_be_configured(store: Store) -> None:
    linker = Linker(store.engine)
    linker.define_wasi()
    text = """(module (import "wasi_snapshot_preview1" "sched_yield" (func $f (result i32))) {}
        (func (export "run") (result i32) call $f))"""
    with pytest.raises(WasmtimeError, match="set_wasi"):
        _run(store, linker.instantiate(store, Module(store.engine, text.format('(memory (export "memory") 1)'))))
    from brolga import WasiConfig

    config = WasiConfig()
    store.set_wasi(config)
    with pytest.raises(WasmtimeError, match="missing required memory export"):
        _run(store, linker.instantiate(store, Module(store.engine, text.format(""))))
    assert (
        _run(store, linker.instantiate(store, Module(store.engine, text.format('(memory (export "memory") 1)')))) == 0
    )
    with pytest.raises(ValueError, match="already closed"):
        store.set_wasi(config)
    with pytest.raises(TypeError, match="expected a WasiConfig"):
        store.set_wasi(None)  # type: ignore[arg-type]
    with pytest.raises(LinkError, match="incompatible import type for `wasi_snapshot_preview1::fd_write`"):
        linker.instantiate(store, Module(store.engine, '(module (import "wasi_snapshot_preview1" "fd_write" (func)))'))
