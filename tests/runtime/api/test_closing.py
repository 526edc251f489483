"""`close`: of stores with memories, views and running code; of other objects."""

from __future__ import annotations

import ctypes
import gc
import weakref
from pathlib import Path

import pytest

from brolga import (
    Engine,
    Func,
    FuncType,
    Instance,
    Limits,
    Linker,
    Managed,
    Memory,
    MemoryType,
    Module,
    SharedMemory,
    Store,
    ValType,
    WasiConfig,
    WasmtimeError,
)
from brolga.runtime.machine import MemoryBlock


def test_a_store_in_a_with_statement(engine: Engine) -> None:
    with Store(engine, "data") as store:
        memory = Memory(store, MemoryType(Limits(1, None)))
        assert memory.write(store, b"abc") == 3
    for use in (store.data, store.gc, lambda: memory.read(store), lambda: store.set_limits(), store.ptr):
        with pytest.raises(ValueError, match="already closed"):
            use()
    store.close()


def test_closing_gives_memories_back_when_no_view_is_left(engine: Engine) -> None:
    store = Store(engine)
    module = Module(engine, '(module (memory (export "m") 1) (func (export "f")))')
    exports = Instance(store, module, []).exports(store)
    memory = exports["m"]
    assert isinstance(memory, Memory)
    memory.write(store, b"abc", 10)
    view: ctypes.Array[ctypes.c_ubyte] | None = memory.get_buffer_ptr(store)
    block: weakref.ref[MemoryBlock] = weakref.ref(memory._memory.block)
    assert view is not None
    store.close()
    with pytest.raises(ValueError, match="already closed"):
        exports["f"](store)  # type: ignore[operator]
    assert bytes(view[10:13]) == b"abc"
    view[10] = 0x7A
    assert bytes(view[10:13]) == b"zbc"
    view = None
    gc.collect()
    assert block() is None


def test_views_outlive_growth(engine: Engine) -> None:
    store = Store(engine)
    memory = Memory(store, MemoryType(Limits(1, None)))
    view = memory.get_buffer_ptr(store)
    for _ in range(20):
        memory.grow(store, 3)
    view[65535] = 9
    assert len(view) == 65536 and view[65535] == 9


def test_a_store_is_not_closed_from_within(engine: Engine) -> None:
    store = Store(engine)
    func = Func(store, FuncType([], []), store.close)
    module = Module(engine, '(module (import "" "" (func)) (export "f" (func 0)) (func (export "g") call 0))')
    g = Instance(store, module, [func]).exports(store)["g"]
    assert isinstance(g, Func)
    with pytest.raises(WasmtimeError, match="while its code is running"):
        g(store)
    store.close()


def test_files_of_a_closed_store_are_closed(engine: Engine, tmp_path: Path) -> None:
    with Store(engine) as store:
        config = WasiConfig()
        config.preopen_dir(str(tmp_path), "/")
        store.set_wasi(config)
        before = len(list(Path("/proc/self/fd").iterdir()))
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1


def test_handles_are_closed_and_what_was_made_with_them_lives(engine: Engine) -> None:
    store = Store(engine)
    linker = Linker(engine)
    module = Module(engine, '(module (func (export "f") (result i32) i32.const 3))')
    pre = linker.instantiate_pre(module)
    shared = SharedMemory
    module.close()
    linker.close()
    engine.close()
    f = pre.instantiate(store).exports(store)["f"]
    assert isinstance(f, Func) and f(store) == 3
    assert [export.name for export in pre.module.exports] == ["f"]
    pre.close()
    for use in (lambda: pre.instantiate(store), lambda: module.serialize(), lambda: Store(engine), linker.define_wasi):
        with pytest.raises(ValueError, match="already closed"):
            use()
    assert issubclass(shared, Managed) and issubclass(Store, Managed)


def test_types_are_managed() -> None:
    with FuncType([ValType.i32()], []) as type:
        assert type.ptr() is type and type.params == [ValType.i32()]
    with pytest.raises(ValueError, match="already closed"):
        type.params  # noqa: B018
    with pytest.raises(ValueError, match="already closed"):
        type.ptr()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        type.nothing  # type: ignore[attr-defined] # noqa: B018
    ValType.i32().close()
    assert str(ValType.i32()) == "i32"
