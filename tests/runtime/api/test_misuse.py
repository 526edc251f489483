"""Objects used with a store that is not theirs, and values that cannot cross the boundary: errors, where the PyPI package
`wasmtime` ends the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import brolga
from brolga import (
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
    UnsupportedError,
    Val,
    ValType,
    WasmtimeError,
)
from brolga.jit.wasm.types import V128

WAT = """(module
  (memory (export "memory") 1) (table (export "table") 2 4 funcref)
  (global (export "global") (mut i32) (i32.const 0)) (global (export "reference") (mut funcref) (ref.null func))
  (func (export "func") (param i32) (result i32) (local.get 0))
  (func (export "take") (param funcref))
  (func (export "store") (param externref)))"""


class World:
    """One store's objects, and another store of the same engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.module = Module(engine, WAT)
        self.store, self.other = Store(engine), Store(engine)
        self.instance = Instance(self.store, self.module, [])
        exports: Any = self.instance.exports(self.store)
        self.func, self.memory, self.table = exports["func"], exports["memory"], exports["table"]
        self.variable, self.reference = exports["global"], exports["reference"]
        others: Any = Instance(self.other, self.module, []).exports(self.other)
        self.others = others
        self.tag = Tag(self.store, TagType(FuncType([], [])))

    def link(self, text: str, item: Any) -> None:
        linker = Linker(self.engine)
        linker.define(self.store, "a", "b", item)
        linker.instantiate(self.other, Module(self.engine, f'(module (import "a" "b" {text}))'))

    def instantiate(self, text: str, item: Any) -> None:
        Instance(self.other, Module(self.engine, f'(module (import "a" "b" {text}))'), [item])


WRONG_STORE: dict[str, Callable[[World], object]] = {
    "func: call": lambda w: w.func(w.other, 1),
    "func: call_async": lambda w: asyncio.run(w.func.call_async(w.other, 1)),
    "func: type": lambda w: w.func.type(w.other),
    "memory: type": lambda w: w.memory.type(w.other),
    "memory: read": lambda w: w.memory.read(w.other, 0, 1),
    "memory: write": lambda w: w.memory.write(w.other, b"x"),
    "memory: grow": lambda w: w.memory.grow(w.other, 1),
    "memory: size": lambda w: w.memory.size(w.other),
    "memory: data_len": lambda w: w.memory.data_len(w.other),
    "memory: data_ptr": lambda w: w.memory.data_ptr(w.other),
    "memory: get_buffer_ptr": lambda w: w.memory.get_buffer_ptr(w.other),
    "memory: page_size": lambda w: w.memory.page_size(w.other),
    "memory: page_size_log2": lambda w: w.memory.page_size_log2(w.other),
    "table: type": lambda w: w.table.type(w.other),
    "table: size": lambda w: w.table.size(w.other),
    "table: grow": lambda w: w.table.grow(w.other, 1, None),
    "table: get": lambda w: w.table.get(w.other, 0),
    "table: set": lambda w: w.table.set(w.other, 0, None),
    "global: type": lambda w: w.variable.type(w.other),
    "global: value": lambda w: w.variable.value(w.other),
    "global: set_value": lambda w: w.variable.set_value(w.other, 1),
    "tag: type": lambda w: w.tag.type(w.other),
    "tag: eq": lambda w: w.tag.eq(w.other, w.tag),
    "instance: exports": lambda w: w.instance.exports(w.other),
    # A function of the one store as a value in the other.
    "argument": lambda w: w.others["take"](w.other, w.func),
    "argument, typed": lambda w: w.others["take"](w.other, Val.funcref(w.func)),
    "argument, async": lambda w: asyncio.run(w.others["take"].call_async(w.other, w.func)),
    "table element": lambda w: w.others["table"].set(w.other, 0, w.func),
    "table growth": lambda w: w.others["table"].grow(w.other, 1, w.func),
    "table of": lambda w: Table(w.other, TableType(ValType.funcref(), Limits(1, None)), w.func),
    "value of global": lambda w: w.others["reference"].set_value(w.other, w.func),
    "global of": lambda w: Global(w.other, GlobalType(ValType.funcref(), True), w.func),
    "result of host function": lambda w: Func(w.other, FuncType([], [ValType.funcref()]), lambda: w.func)(w.other),
    "define_instance": lambda w: Linker(w.engine).define_instance(w.other, "a", w.instance),
}

CROSS_STORE: dict[str, Callable[[World], object]] = {
    "link function": lambda w: w.link("(func (param i32) (result i32))", w.func),
    "link memory": lambda w: w.link("(memory 1)", w.memory),
    "link table": lambda w: w.link("(table 1 funcref)", w.table),
    "link global": lambda w: w.link("(global (mut i32))", w.variable),
    "link host function": lambda w: w.link("(func)", Func(w.store, FuncType([], []), lambda: None)),
    "import function": lambda w: w.instantiate("(func (param i32) (result i32))", w.func),
    "import memory": lambda w: w.instantiate("(memory 1)", w.memory),
    "import table": lambda w: w.instantiate("(table 1 funcref)", w.table),
    "import global": lambda w: w.instantiate("(global (mut i32))", w.variable),
}


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


def unharmed(world: World) -> None:
    """Both stores work as before."""
    for store, exports in ((world.store, world.instance.exports(world.store)), (world.other, world.others)):
        func: Any = exports["func"]
        memory: Any = exports["memory"]
        table: Any = exports["table"]
        variable: Any = exports["global"]
        assert func(store, 7) == 7
        assert memory.size(store) == 1 and memory.read(store, 0, 1) == b"\0"
        assert table.size(store) == 2 and table.get(store, 0) is None
        assert variable.value(store) == 0


@pytest.mark.parametrize("name", [name for name in WRONG_STORE if "async" not in name])
def test_wrong_store(world: World, name: str) -> None:
    for _ in range(5):  # by the slow ways and by the fast ones
        with pytest.raises(WasmtimeError, match="used with the wrong store"):
            WRONG_STORE[name](world)
    unharmed(world)


@pytest.mark.parametrize("name", [name for name in WRONG_STORE if "async" in name])
def test_wrong_store_of_async_calls(name: str) -> None:
    config = brolga.Config()
    config.platform = "linux"
    world = World(Engine(config))
    with pytest.raises(WasmtimeError, match="used with the wrong store"):
        WRONG_STORE[name](world)
    unharmed(world)


@pytest.mark.parametrize("name", CROSS_STORE)
def test_imports_of_another_store(world: World, name: str) -> None:
    with pytest.raises(WasmtimeError, match="cross-`Store` instantiation is not currently supported"):
        CROSS_STORE[name](world)
    unharmed(world)


def test_func_of_another_engine(engine: Engine, world: World) -> None:
    with pytest.raises(WasmtimeError, match="wrong store"):
        world.func(Store(), 1)
    unharmed(world)


def test_bound_objects_of_another_store(engine: Engine) -> None:
    first = brolga.load(WAT, engine=engine)
    second = Store(engine)
    for name, text in (
        ("func", "(func (param i32) (result i32))"),
        ("memory", "(memory 1)"),
        ("global", "(global (mut i32))"),
    ):
        with pytest.raises(WasmtimeError, match="cross-`Store`"):
            brolga.load(f'(module (import "a" "{name}" {text}))', {"a": first}, store=second)
    with pytest.raises(TypeError, match="funcref"):
        first.take(brolga.load(WAT, engine=engine).func)
    assert first.func(4) == 4


@pytest.mark.parametrize("store", [None, 1, "store", object()])
def test_no_store_at_all(world: World, store: Any) -> None:
    uses: list[Callable[[], object]] = [
        lambda: world.func(store, 1),
        lambda: world.memory.read(store),
        lambda: world.table.get(store, 0),
        lambda: world.variable.value(store),
    ]
    for use in uses:
        with pytest.raises(TypeError):
            use()
    unharmed(world)


@pytest.mark.parametrize("amount", [2.5, 1.0, "1", None])
def test_growth_by_what_is_no_integer(world: World, amount: Any) -> None:
    loaded = brolga.load(
        '(module (memory (export "memory") 1) (table (export "table") 1 funcref))', engine=world.engine
    )
    uses: list[Callable[[], object]] = [
        lambda: world.memory.grow(world.store, amount),
        lambda: world.table.grow(world.store, amount, None),
        lambda: loaded.memory.grow(amount),
        lambda: loaded.table.grow(amount),
    ]
    for grow in uses:
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            grow()
    unharmed(world)


# --- v128 ---------------------------------------------------------------------------------------------------------------------

VECTORS = [
    '(module (func (export "f") (param v128)))',
    '(module (func (export "f") (result v128) (v128.const i32x4 1 2 3 4)))',
    '(module (import "" "" (func (param v128))))',
    '(module (import "" "" (func (result v128))))',
    '(module (global (export "g") v128 (v128.const i32x4 1 2 3 4)))',
    '(module (import "" "" (global v128)))',
]


@pytest.mark.parametrize("text", VECTORS)
def test_modules_with_vectors_are_refused(engine: Engine, text: str) -> None:
    with pytest.raises(UnsupportedError, match="SIMD"):
        Module(engine, text)
    with pytest.raises(UnsupportedError, match="SIMD"):
        brolga.load(text, engine=engine)


def test_vectors_cannot_cross_the_boundary(store: Store) -> None:
    """Types that no module and no user can make."""
    vector = ValType._of(V128)
    message = "values of type v128 cannot be passed"
    with pytest.raises(TypeError, match=message):
        Func(store, FuncType([vector], []), lambda value: None)(store, 0)
    with pytest.raises(TypeError, match=message):
        Func(store, FuncType([], [vector]), lambda: 0)(store)
    with pytest.raises(TypeError, match=message):
        Global(store, GlobalType(vector, True), 0)


def test_memories_of_the_host_belong_to_one_store(engine: Engine) -> None:
    store, other = Store(engine), Store(engine)
    memory = Memory(store, MemoryType(Limits(1, 1)))
    with pytest.raises(WasmtimeError, match="wrong store"):
        memory.write(other, b"x")
    assert memory.read(store, 0, 1) == b"\0"
