"""Objects that are made twice, not at all, by copies, or by classes of somebody else; names of what is internal."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any, Final

import pytest

import brolga
from brolga import (
    ArgumentTypeError,
    BrolgaError,
    Config,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Tag,
    TagType,
    Val,
    ValType,
    WasmtimeError,
)
from brolga.runtime.bound import BoundFunc, BoundGlobal, BoundInstance, BoundMemory, BoundTable
from tests.fuzz.surface.operations import surface

I32: Final = ValType.i32()
TEXT: Final = '(module (func (export "f") (param i32) (result i32) local.get 0) (memory (export "m") 1) (table (export "t") 1 funcref) (global (export "g") i32 (i32.const 1)))'

MAKERS: Final[dict[str, Callable[[Engine, Store], tuple[Any, tuple[Any, ...]]]]] = {
    "Config": lambda engine, store: (Config(), ()),
    "Engine": lambda engine, store: (engine, ()),
    "Func": lambda engine, store: (Func(store, FuncType([], [ValType.i64()]), lambda: 5), (store, FuncType([], []), print)),
    "Global": lambda engine, store: (Global(store, GlobalType(I32, True), 1), (store, GlobalType(I32, True), 2)),
    "Instance": lambda engine, store: (Instance(store, Module(engine, TEXT), []), (store, Module(engine, TEXT), [])),
    "Linker": lambda engine, store: (Linker(engine), (engine,)),
    "Memory": lambda engine, store: (Memory(store, MemoryType(Limits(1, 2))), (store, MemoryType(Limits(1, 2)))),
    "Module": lambda engine, store: (Module(engine, TEXT), (engine, "(module)")),
    "Store": lambda engine, store: (store, (engine,)),
    "Table": lambda engine, store: (
        Table(store, TableType(ValType.funcref(), Limits(1, 2)), None), (store, TableType(ValType.funcref(), Limits(1, 2)), None)
    ),
    "Tag": lambda engine, store: (Tag(store, TagType(FuncType([], []))), (store, TagType(FuncType([], [])))),
}  # fmt: skip


@pytest.mark.parametrize("name", MAKERS)
def test_init_again(engine: Engine, store: Store, name: str) -> None:
    made, arguments = MAKERS[name](engine, store)
    for _ in range(3):
        with pytest.raises(WasmtimeError, match="has been made already"):
            made.__init__(*arguments)
    if isinstance(made, Func):
        assert made(store) == 5
    assert Instance(store, Module(engine, TEXT), []).exports(store)["f"](store, 5) == 5  # type: ignore[operator]


def test_init_again_in_a_call(engine: Engine, store: Store) -> None:
    """What a call gives is of the type that it had when it began."""

    def evil() -> int:
        with pytest.raises(WasmtimeError):
            func.__init__(store, FuncType([], [ValType.funcref()]), print)  # type: ignore[misc]
        with pytest.raises(WasmtimeError):
            store.__init__(engine)  # type: ignore[misc]
        return 0x414141414140

    func = Func(store, FuncType([], [ValType.i64()]), evil)
    for _ in range(15):
        assert func(store) == 0x414141414140
        assert func(store, timeout=60) == 0x414141414140


def test_init_again_of_what_load_gives(engine: Engine) -> None:
    it, other = brolga.load(TEXT, engine=engine), brolga.load(TEXT, engine=engine)
    for made, arguments in (
        (it, (other.store, other.store._instances[0])),
        (it.t, (other.store, other.t._table)),
        (it.g, (other.store, other.g._global)),
        (it.m, ()),
    ):
        with pytest.raises(BrolgaError):
            made.__init__(*arguments)
    assert it.f(5) == 5 and it.g.value == 1 and len(it.m) == 65536


@pytest.mark.parametrize(
    "cls",
    [
        BoundFunc,
        BoundGlobal,
        BoundInstance,
        BoundMemory,
        BoundTable,
        Func,
        Global,
        Instance,
        Memory,
        Table,
        Tag,
        Val,
        Limits,
    ],
)
def test_nothing_comes_of_new_alone(cls: Any) -> None:
    for _ in range(3):
        with pytest.raises(ArgumentTypeError):
            cls.__new__(cls)


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, cls in surface().items()
        if not issubclass(cls, (BaseException, brolga.DirPerms, brolga.FilePerms, brolga.TrapCode))
    ],
)
def test_what_is_only_allocated_reads_no_address(name: str) -> None:
    """Whatever is called: an exception, and the process is still there."""
    cls = surface()[name]
    try:
        thing = object.__new__(cls)
    except TypeError:
        return
    store = Store()
    for attribute in [*dir(cls), "__call__"]:
        if attribute in ("__class__", "__init_subclass__", "__subclasshook__", "__del__"):
            continue
        for arguments in ((), (store,), (store, 1), (0,), ("f",)):
            try:
                done = getattr(thing, attribute)(*arguments)
                if hasattr(done, "close") and hasattr(done, "cr_frame"):
                    done.close()  # a coroutine that nobody awaits
            except Exception:  # noqa: BLE001, S110 - any but a crash
                pass
    for use in (repr, len, bytes, memoryview, iter, hash, bool):
        try:
            use(thing)  # type: ignore[operator]
        except Exception:  # noqa: BLE001, S110
            pass


def test_a_store_that_was_only_allocated_is_closed() -> None:
    store = Store.__new__(Store)
    for use in (
        store.data,
        store.gc,
        store.get_fuel,
        store.ptr,
        lambda: store.set_fuel(5),
        lambda: Func(store, FuncType([], []), print),
    ):
        with pytest.raises(brolga.ClosedError):
            use()
    store.close()
    store.interrupt()


def test_calls_of_functions_that_were_only_allocated() -> None:
    for cls in (Func, BoundFunc):
        func: Any = object.__new__(cls)
        for call in (func, lambda f=func: f(1, timeout=1)):
            with pytest.raises(TypeError):
                call()
        with pytest.raises(ArgumentTypeError):
            func.call_async(1).send(None)


def test_copies(engine: Engine, store: Store) -> None:
    """Of what owns something there are none; of values there are."""
    for name in ("Func", "Store", "Instance", "Memory", "Table", "Global", "Tag"):
        made, _ = MAKERS[name](engine, store)
        for function in (copy.deepcopy, pickle.dumps):
            with pytest.raises((TypeError, pickle.PicklingError, BrolgaError)):
                pickle.loads(function(made)) if function is pickle.dumps else function(made)
        with pytest.raises(TypeError):
            copy.copy(made)
    for value in (
        Val.i32(5),
        Val.f64(1.5),
        Val.externref("x"),
        Limits(1, 2),
        FuncType([I32], []),
        I32,
        MemoryType(Limits(1, 2)),
    ):
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(value, protocol)) == value
        assert copy.copy(value) == value == copy.deepcopy(value)
    limits = Limits(1, 2)
    copy.copy(limits).min = 2
    assert limits.min == 1


def test_derived_classes(engine: Engine, store: Store) -> None:
    class Own(Func):  # type: ignore[misc]
        def __init__(self, store: Store) -> None:
            super().__init__(store, FuncType([I32], [I32]), lambda x: x + 1)
            self.name = "own"

    own = Own(store)
    for _ in range(15):
        assert own(store, 1) == 2
    table = Table(store, TableType(ValType.funcref(), Limits(1, None)), own)
    assert table.get(store, 0) is own

    class OwnStore(Store):  # type: ignore[misc]
        pass

    mine = OwnStore(engine)
    assert Func(mine, FuncType([], [I32]), lambda: 3)(mine) == 3


def test_what_is_internal_has_an_underscore() -> None:
    """`bind` and `bind_method` would lead calls to any address."""
    for cls in (Func, BoundFunc):
        assert {name for name in dir(cls) if not name.startswith("_")} == {"call_async", "type"}
