"""Hosts and guests that misuse the API: each gets a typed error, the process lives, store and engine work afterwards."""

from __future__ import annotations

import copy
import gc
import math
import threading
from collections.abc import Callable
from typing import Any

import numpy
import pytest

from brolga import (
    BrolgaError,
    Engine,
    Func,
    FuncType,
    Global,
    GlobalType,
    Instance,
    LimitError,
    Limits,
    Linker,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Trap,
    TrapCode,
    Val,
    ValType,
    WasmtimeError,
)
from brolga.runtime import builtins

from .subject import SUBJECT, Indexed, World

I32, I64, FUNC = ValType.i32(), ValType.i64(), ValType.funcref()


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


class Odd(int):
    """An int that says it is another one."""

    def __index__(self) -> int:
        return 99

    def __int__(self) -> int:
        return 99


# --- Arguments ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args", "error"),
    [
        ("i32", (), WasmtimeError),
        ("i32", (1, 2), WasmtimeError),
        ("seven", (1,), WasmtimeError),
        ("seven", tuple(range(100_000)), WasmtimeError),
        ("two", (1,), WasmtimeError),
        ("host", (), WasmtimeError),
        ("i32", ("1",), TypeError),
        ("i32", (b"1",), TypeError),
        ("i32", (None,), TypeError),
        ("i32", (1.0,), TypeError),
        ("i32", (1j,), TypeError),
        ("i32", ([1],), TypeError),
        ("i32", (object(),), TypeError),
        ("i32", (numpy.float64(1),), TypeError),
        ("i32", (numpy.array([1, 2]),), TypeError),
        ("i32", (Indexed("x"),), TypeError),
        ("i32", (Indexed(KeyError("odd")),), KeyError),
        ("i32", (Indexed(SystemExit()),), SystemExit),
        ("i32", (Val.i64(1),), TypeError),
        ("i64", ("1",), TypeError),
        ("f32", ("1",), TypeError),
        ("f64", ("nan",), TypeError),
        ("f64", (None,), TypeError),
        ("function", (5,), TypeError),
        ("function", (print,), TypeError),
        ("two", (1, "2"), TypeError),
    ],
)
def test_wrong_arguments(world: World, name: str, args: tuple[object, ...], error: type[BaseException]) -> None:
    for _ in range(5):  # slow and fast calls
        with pytest.raises(error):
            world.call(name, *args)
    assert world.works()


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("i32", True, 1),
        ("i32", 2**32 + 3, 3),
        ("i32", -(2**31), -(2**31)),
        ("i32", 10**40, (10**40 & 0xFFFFFFFF) - (1 << 32) * (10**40 >> 31 & 1)),
        ("i32", numpy.int8(-1), -1),
        ("i32", numpy.uint64(2**64 - 1), -1),
        ("i32", numpy.bool_(True).item(), 1),
        ("i32", Indexed(42), 42),
        ("i64", 2**64 - 1, -1),
        ("i64", -(10**30), -(10**30) % 2**64 - (1 << 64) * (-(10**30) >> 63 & 1)),
        ("i64", numpy.int64(-5), -5),
        ("f32", 10**30, float(numpy.float32(10**30))),
        ("f32", 1e300, math.inf),
        ("f64", numpy.float32(0.5), 0.5),
        ("f64", True, 1.0),
        ("object", None, None),
    ],
)
def test_odd_values(world: World, name: str, value: object, result: object) -> None:
    for _ in range(5):
        assert world.call(name, value) == result
    assert world.works()


def test_a_subclass_of_int_counts_as_the_int_that_it_is(world: World) -> None:
    for _ in range(5):
        assert world.call("i32", Odd(5)) == world.call("i64", Odd(5)) == 5


def test_wrong_stores(world: World) -> None:
    other = World(world.engine)
    closed = Store(world.engine)
    closed.close()
    func = world.exports["seven"]
    for storelike, error in (
        (other.store, WasmtimeError),
        (closed, (WasmtimeError, ValueError)),
        (None, TypeError),
        (5, TypeError),
    ):
        for _ in range(5):
            with pytest.raises(error):
                func(storelike)
    with pytest.raises(TypeError):
        func()
    with pytest.raises(TypeError):
        func(world.store, x=1)
    with pytest.raises((TypeError, WasmtimeError)):
        func(world.store, **{f"k{i}": i for i in range(3000)}, timeout=1)
    assert world.works() and other.works()


def test_things_of_other_stores(world: World) -> None:
    other = World(world.engine)
    theirs = other.exports
    ours = world.exports
    refusals: list[Callable[[], object]] = [
        lambda: ours["table"].set(world.store, 0, theirs["seven"]),
        lambda: ours["table"].grow(world.store, 1, theirs["seven"]),
        lambda: ours["function"](world.store, theirs["seven"]),
        lambda: theirs["memory"].read(world.store),
        lambda: theirs["memory"].write(world.store, b"x"),
        lambda: theirs["memory"].grow(world.store, 1),
        lambda: theirs["memory"].data_ptr(world.store),
        lambda: theirs["table"].get(world.store, 0),
        lambda: theirs["table"].size(world.store),
        lambda: theirs["variable"].value(world.store),
        lambda: theirs["variable"].set_value(world.store, 1),
        lambda: other.instance.exports(world.store),
        lambda: Instance(world.store, Module(world.engine, SUBJECT), [other.host]),
        lambda: Instance(world.store, Module(world.engine, '(module (import "" "" (memory 1)))'), [theirs["memory"]]),
        lambda: Instance(
            world.store, Module(world.engine, '(module (import "" "" (table 1 8 funcref)))'), [theirs["table"]]
        ),
        lambda: Instance(
            world.store, Module(world.engine, '(module (import "" "" (global i32)))'), [theirs["constant"]]
        ),
        lambda: Global(world.store, GlobalType(FUNC, True), theirs["seven"]),
        lambda: Table(world.store, TableType(FUNC, Limits(1, None)), theirs["seven"]),
    ]
    for refused in refusals:
        with pytest.raises(WasmtimeError):
            refused()
    world.callback = lambda value: theirs["seven"]  # as an i32
    with pytest.raises(TypeError):
        world.call("host", 1)
    assert world.works() and other.works()


@pytest.mark.parametrize(
    "make",
    [
        lambda world: Memory(world.store, MemoryType(Limits(2**70, None))),
        lambda world: Memory(world.store, MemoryType(Limits(-1, None))),
        lambda world: Memory(world.store, MemoryType(Limits("1", None))),
        lambda world: Memory(world.store, MemoryType(Limits(1.5, None))),
        lambda world: Memory(world.store, 5),
        lambda world: Memory(5, MemoryType(Limits(1, None))),
        lambda world: Table(world.store, TableType(FUNC, Limits(2**32, None)), None),
        lambda world: Table(world.store, TableType(FUNC, Limits(2**31, None)), None),
        lambda world: Table(world.store, TableType(FUNC, Limits(-1, None)), None),
        lambda world: Table(world.store, TableType(FUNC, Limits(None, None)), None),
        lambda world: Table(world.store, TableType(FUNC, Limits(1, None)), 5),
        lambda world: Table(world.store, TableType(I32, Limits(1, None)), 5),
        lambda world: Global(world.store, GlobalType(I32, True), "5"),
        lambda world: Global(world.store, GlobalType(FUNC, True), 5),
        lambda world: Func(world.store, FuncType([], []), 5),
        lambda world: Func(world.store, 5, print),
        lambda world: Func(5, FuncType([], []), print),
        lambda world: FuncType([5], []),
        lambda world: FuncType(5, []),
        lambda world: world.exports["memory"].read(world.store, "a", "b"),
        lambda world: world.exports["memory"].write(world.store, b"x" * 65537),
        lambda world: world.exports["memory"].write(world.store, b"xy", 65535),
        lambda world: world.exports["memory"].write(world.store, "text"),
        lambda world: world.exports["memory"].write(world.store, [1, 256]),
        lambda world: world.exports["memory"].grow(world.store, -1),
        lambda world: world.exports["memory"].grow(world.store, 2**70),
        lambda world: world.exports["memory"].grow(world.store, "1"),
        lambda world: world.exports["table"].grow(world.store, -1, None),
        lambda world: world.exports["table"].grow(world.store, 2**70, None),
        lambda world: world.exports["table"].grow(world.store, 1, "f"),
        lambda world: world.exports["table"].get(world.store, "0"),
        lambda world: world.exports["table"].set(world.store, 4, None),
        lambda world: world.exports["table"].set(world.store, -1, None),
        lambda world: world.exports["table"].set(world.store, 2**70, None),
        lambda world: world.exports["table"].set(world.store, 0.5, None),
        lambda world: world.exports["constant"].set_value(world.store, 1),
        lambda world: world.exports["variable"].set_value(world.store, None),
        lambda world: world.exports["nothing"],
        lambda world: Instance(world.store, Module(world.engine, SUBJECT), []),
        lambda world: Instance(world.store, Module(world.engine, SUBJECT), [None]),
        lambda world: Instance(world.store, Module(world.engine, SUBJECT), [world.exports["memory"]]),
        lambda world: Instance(world.store, 5, []),
        lambda world: Linker(world.engine).instantiate(world.store, Module(world.engine, SUBJECT)),
        lambda world: Linker(world.engine).define(world.store, "", "", 5),
        lambda world: Linker(5),
        lambda world: Module(world.engine, None),
        lambda world: Module(world.engine, b"\0asm\1\0\0"),
        lambda world: Module(world.engine, "(" * 100_000),
        lambda world: Module(world.engine, "\ud800"),
        lambda world: Module(5, b""),
        lambda world: Module.deserialize(world.engine, b"x" * 1000),
        lambda world: Store(5),
        lambda world: copy.deepcopy(world.store),
        lambda world: copy.deepcopy(world.exports["memory"]),
        lambda world: copy.deepcopy(world.exports["table"]),
        lambda world: copy.deepcopy(world.exports["variable"]),
        lambda world: copy.deepcopy(world.instance),
        lambda world: copy.copy(world.exports["seven"]),
        lambda world: Func.__new__(Func)(world.store),
        lambda world: Val.i32("x"),
        lambda world: world.exports["seven"](world.store, timeout=math.nan),
        lambda world: world.exports["seven"](world.store, timeout="soon"),
    ],
)
def test_misuse_is_refused(world: World, make: Callable[[World], object]) -> None:
    with pytest.raises((BrolgaError, TypeError, ValueError, OverflowError, LookupError, AttributeError)):
        make(world)
    gc.collect()
    assert world.works()


def test_host_functions_have_as_few_values_as_functions_in_modules(world: World) -> None:
    most = FuncType([I64] * 1000, [I64])
    assert Func(world.store, most, lambda *args: sum(args))(world.store, *range(1000)) == 499500
    for type in (FuncType([I64] * 1001, []), FuncType([], [I64] * 1001), FuncType([I32] * 1_000_000, [])):
        with pytest.raises(LimitError):
            Func(world.store, type, print)
        with pytest.raises(LimitError):
            Linker(world.engine).define_func("", "", type, print)


# --- Limits of guests ---------------------------------------------------------------------------------------------------


def test_a_module_that_takes_all_that_it_can_get(engine: Engine) -> None:
    store = Store(engine)
    store.set_limits(memory_size=4 << 20, table_elements=1000)
    module = Module(
        engine,
        """(module (memory (export "m") 1) (table 0 funcref) (func $f)
        (func (export "f") (result i32) (local $n i32)
          (loop $again (br_if $again (i32.ne (i32.const -1) (memory.grow (i32.const 1)))))
          (loop $again (br_if $again (i32.ne (i32.const -1) (table.grow (ref.null func) (i32.const 1)))))
          (loop $again
            (i32.store (local.get $n) (i32.const -1))
            (local.set $n (i32.add (local.get $n) (i32.const 4096)))
            (br $again))
          unreachable))""",
    )
    exports: Any = Instance(store, module, []).exports(store)
    for _ in range(2):
        with pytest.raises(Trap) as info:
            exports["f"](store)
        assert info.value.trap_code is TrapCode.MEMORY_OUT_OF_BOUNDS
        assert exports["m"].size(store) == 64


def test_endless_recursion_of_a_guest(world: World) -> None:
    module = Module(world.engine, '(module (func (export "f") (param i64) (local.get 0) (call 0)))')
    exports: Any = Instance(world.store, module, []).exports(world.store)
    for _ in range(20):
        with pytest.raises(Trap) as info:
            exports["f"](world.store, 1)
        assert info.value.trap_code is TrapCode.STACK_OVERFLOW
    assert world.works()


def test_endless_recursion_through_the_host(world: World) -> None:
    world.callback = lambda value: world.call("host", value)
    for _ in range(3):
        with pytest.raises((RecursionError, Trap)):
            world.call("host", 1)
    assert world.works()


def test_threads_that_instantiate_for_the_first_time_share_one_table_of_builtins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(builtins, "_tables", {})
    together = threading.Barrier(2)

    class Slow:
        name = "slow"

        def new_builtins(self, functions: object) -> object:
            together.wait(10)
            return object()

    machine: Any = Slow()
    tables: list[object] = []
    threads = [threading.Thread(target=lambda: tables.append(builtins.builtin_table(machine))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tables) == 2 and tables[0] is tables[1]
