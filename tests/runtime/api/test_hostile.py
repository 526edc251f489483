"""Hosts and guests that misuse the API: each gets a typed error, the process lives, store and engine work afterwards.

What may end the process if it goes wrong runs in one of its own: `RISKY`.
"""

from __future__ import annotations

import copy
import gc
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

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

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()
EXTERN, FUNC = ValType.externref(), ValType.funcref()

SUBJECT: Final = """
(module
  (import "" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (table (export "table") 4 8 funcref)
  (table (export "objects") 2 8 externref)
  (global (export "constant") i32 (i32.const 5))
  (global (export "variable") (mut i32) (i32.const 6))
  (elem (i32.const 0) func $seven)
  (func $seven (export "seven") (result i32) i32.const 7)
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "two") (param i32 i64) (result i64 i32) local.get 1 local.get 0)
  (func (export "object") (param externref) (result externref) local.get 0)
  (func (export "function") (param funcref) (result funcref) local.get 0)
  (func (export "host") (param i32) (result i32) local.get 0 call $host)
  (func (export "indirect") (param i32) (result i32) local.get 0 call_indirect (result i32))
  (func (export "load") (param i32) (result i32) local.get 0 i32.load)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "grow_table") (param i32) (result i32) ref.null func local.get 0 table.grow 0))
"""


class World:
    """An instance of SUBJECT whose host function calls `callback`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.store = Store(engine)
        self.callback: Callable[[int], Any] = lambda value: value + 1
        self.host = Func(self.store, FuncType([I32], [I32]), lambda value: self.callback(value))
        self.instance = Instance(self.store, Module(engine, SUBJECT), [self.host])
        self.exports: Any = self.instance.exports(self.store)

    def call(self, name: str, *args: object) -> Any:
        return self.exports[name](self.store, *args)

    def works(self) -> bool:
        """Whether everything is as usual."""
        self.callback = lambda value: value + 1
        return bool(
            self.call("host", 1) == 2
            and self.call("seven") == self.call("indirect", 0) == 7
            and self.call("load", 65532) == 0
            and Instance(self.store, Module(self.engine, "(module)"), [])
        )


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


class Indexed:
    def __init__(self, value: object) -> None:
        self.value = value

    def __index__(self) -> int:
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value  # type: ignore[return-value]


class Odd(int):
    """An int that says it is another one."""

    def __index__(self) -> int:
        return 99

    def __int__(self) -> int:
        return 99


class Liar(list):  # type: ignore[type-arg]
    """A sequence that has another length than it says."""

    def __len__(self) -> int:
        return 2


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
        ("f64", (10**400,), OverflowError),
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


# --- Callbacks ----------------------------------------------------------------------------------------------------------


def _raises(error: BaseException) -> Callable[[World, int], Any]:
    def callback(world: World, value: int) -> Any:
        raise error

    return callback


def _closed_trap(world: World, value: int) -> Any:
    trap = Trap("closed")
    trap.close()
    raise trap


def _without_traceback(world: World, value: int) -> Any:
    try:
        world.call("indirect", 100)
    except Trap as trap:
        trap.__traceback__ = None
        trap.__context__ = trap.__cause__ = None
        raise trap from None


def _generator(world: World, value: int) -> Any:
    yield value


# What a callback does, and what then comes out of wasm: an exception's class, or a result.
CALLBACKS: Final[dict[str, tuple[Callable[[World, int], Any], Any]]] = {
    "raises": (_raises(KeyError("x")), KeyError),
    "raises SystemExit": (_raises(SystemExit(3)), SystemExit),
    "raises KeyboardInterrupt": (_raises(KeyboardInterrupt()), KeyboardInterrupt),
    "raises StopIteration": (_raises(StopIteration(5)), StopIteration),
    "raises GeneratorExit": (_raises(GeneratorExit()), GeneratorExit),
    "raises MemoryError": (_raises(MemoryError()), MemoryError),
    "raises a trap": (_raises(Trap("own")), Trap),
    "raises a closed trap": (_closed_trap, Trap),
    "raises without traceback": (_without_traceback, Trap),
    "divides by zero": (lambda world, value: 1 // 0, ZeroDivisionError),
    "traps": (lambda world, value: world.call("load", -1), Trap),
    "is a generator": (_generator, TypeError),
    "closes a generator in which wasm ran": (
        lambda world, value: next(world.call("i32", n) for n in range(3)) or 4,
        4,
    ),
    "returns None": (lambda world, value: None, TypeError),
    "returns text": (lambda world, value: "1", TypeError),
    "returns a float": (lambda world, value: 1.5, TypeError),
    "returns a list": (lambda world, value: [1], TypeError),
    "returns too large an int": (lambda world, value: 2**40 + 7, 7),
    "returns True": (lambda world, value: True, 1),
    "returns a numpy int": (lambda world, value: numpy.int16(-3), -3),
    "returns what re-enters when it is converted": (
        lambda world, value: type("R", (), {"__index__": lambda self: world.call("seven") + world.call("grow", 1)})(),
        8,
    ),
    "returns what fails when it is converted": (lambda world, value: Indexed(KeyError("x")), KeyError),
    "re-enters": (lambda world, value: world.call("host", value + 1) if value < 20 else value, 20),
    "re-enters and catches a trap": (
        lambda world, value: pytest.raises(Trap, world.call, "load", -1) and world.call("seven"),
        7,
    ),
    "closes the store": (lambda world, value: world.store.close(), WasmtimeError),
    "closes the store and goes on": (
        lambda world, value: 3 if pytest.raises(WasmtimeError, world.store.close) else 0,
        3,
    ),
    "enters another store": (lambda world, value: World(world.engine).call("seven"), 7),
    "closes another store": (lambda world, value: World(world.engine).store.close() or 1, 1),
    "uses a function with another store": (
        lambda world, value: world.exports["seven"](Store(world.engine)),
        WasmtimeError,
    ),
    "grows the memory": (lambda world, value: world.exports["memory"].grow(world.store, 2), 1),
    "grows the memory beyond its limit": (
        lambda world, value: world.exports["memory"].grow(world.store, 9),
        WasmtimeError,
    ),
    "replaces table entries": (
        lambda world, value: (
            [world.exports["table"].set(world.store, n, None) for n in range(4)]
            and world.exports["table"].set(world.store, 0, world.exports["seven"])
            or world.call("indirect", 0)
        ),
        7,
    ),
    "grows the table": (lambda world, value: world.exports["table"].grow(world.store, 4, world.exports["seven"]), 4),
    "collects garbage": (lambda world, value: gc.collect() and 0, 0),
    "interrupts its own store": (lambda world, value: world.store.interrupt() or 1, Trap),
    "instantiates": (lambda world, value: World(world.engine).works() and 6, 6),
    "makes modules": (lambda world, value: len(Module(world.engine, SUBJECT).exports), 18),
    "lets go of what called it": (lambda world, value: (world.exports, setattr(world, "exports", None))[0] and 2, 2),
}


@pytest.mark.parametrize("repeat", [1, 30], ids=["generic", "fast"])
@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(world: World, name: str, repeat: int) -> None:
    do, expected = CALLBACKS[name]
    func, exports = world.exports["host"], world.exports
    for _ in range(repeat - 1):
        func(world.store, 1)
    world.callback = lambda value: do(world, value)
    if isinstance(expected, type):
        with pytest.raises(expected) as info:
            func(world.store, 1)
        del info
    else:
        assert func(world.store, 1) == expected
    world.exports = exports
    gc.collect()
    assert world.works()


def test_the_instance_is_dropped_by_what_it_calls(engine: Engine) -> None:
    store = Store(engine)
    held: list[Any] = []

    def drop() -> None:
        held.clear()
        gc.collect()

    host = Func(store, FuncType([], []), drop)
    module = Module(
        engine, '(module (import "" "" (func)) (memory 1) (func (export "f") (result i32) call 0 i32.const 0 i32.load))'
    )
    held.append(Instance(store, module, [host]))
    held.append(held[0].exports(store)["f"])
    del module, host
    assert held[-1](store) == 0
    assert not held


def test_callbacks_under_trace_and_profile_functions(world: World) -> None:
    seen: list[str] = []

    def trace(frame: Any, event: str, arg: object) -> Any:
        seen.append(event)
        return trace

    for install in (sys.settrace, sys.setprofile):
        before = sys.gettrace() if install is sys.settrace else sys.getprofile()
        seen.clear()
        install(trace)
        try:
            for _ in range(30):
                world.call("host", 1)
            world.callback = lambda value: 1 // 0
            with pytest.raises(ZeroDivisionError):
                world.call("host", 1)
        finally:
            install(before)
        assert seen.count("call") >= 30
        assert world.works()


def test_a_trace_function_that_raises(world: World) -> None:
    def trace(frame: Any, event: str, arg: object) -> Any:
        raise KeyError("trace")

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        world.call("host", 1)
    except KeyError:
        pass
    finally:
        sys.settrace(before)
    assert world.works()


def test_sequences_that_lie_about_their_length(world: World) -> None:
    func = Func(world.store, FuncType([], [I32, I32]), lambda: Liar([1]))
    module = Module(
        world.engine, '(module (import "" "" (func (result i32 i32))) (func (export "f") (result i32 i32) call 0))'
    )
    for call in (func, Instance(world.store, module, [func]).exports(world.store)["f"]):
        for _ in range(15):
            with pytest.raises(ValueError):
                call(world.store)  # type: ignore[operator]
    assert world.works()


def test_writing_what_lets_the_memory_move_while_it_is_read(world: World) -> None:
    memory = world.exports["memory"]
    memory.write(world.store, b"abcdef")

    class Growing:
        def __iter__(self) -> Any:
            memory.grow(world.store, 3)
            return iter(b"xy")

    assert memory.write(world.store, Growing(), 1) == 2
    assert memory.read(world.store, 0, 6) == b"axydef"
    assert world.call("load", 0) == int.from_bytes(b"axyd", "little")


def test_bounds_that_close_the_store_while_they_are_read(world: World) -> None:
    memory = world.exports["memory"]
    memory.write(world.store, b"abcdef")
    memory.read(world.store)

    class Closing:
        def __index__(self) -> int:
            world.store.close()
            gc.collect()
            return 3

    assert memory.read(world.store, Closing(), 6) == b"def"  # of pages that live as long as this takes


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


# --- In processes of their own ------------------------------------------------------------------------------------------

_PRELUDE: Final = """
import faulthandler, gc, os, signal, sys, threading, time
from brolga import *
store = Store()
engine = store.engine
I32 = ValType.i32()

def instance(text, imports=()):
    return Instance(store, Module(engine, text), list(imports)).exports(store)

def outcome(function, *args, **keywords):
    try:
        return function(*args, **keywords)
    except Exception as error:
        return type(error).__name__

callback = lambda: None
host = Func(store, FuncType([], []), lambda: callback())
CALLS = instance('(module (import "" "" (func)) (memory 1) (func (export "f") call 0) (func (export "t") (drop (i32.load (i32.const -1)))) (func (export "s") call 2))', [host])
call = lambda: CALLS["f"](store)
trap = lambda: CALLS["t"](store)
LOOP = load('(module (func (export "f") loop br 0 end) (func (export "g")))')
"""
# The thread stands in the middle of an import until the process has forked. (Not in the finder: that holds the lock that fork takes.)
_IMPORTING = """
from importlib.machinery import PathFinder
begun, forked = threading.Event(), threading.Event()
class Slow:
    def find_spec(name, path=None, target=None):
        if name == "NAME" and threading.current_thread() is thread:
            spec = PathFinder.find_spec(name, path, target)
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: (begun.set(), forked.wait(10), execute(module))
            return spec
sys.meta_path.insert(0, Slow)
thread = threading.Thread(target=lambda: LOOP.g())
thread.start()
assert begun.wait(10), "it was imported before"
pid = os.fork()
if not pid:
    signal.alarm(20)
    result = outcome(LOOP.g)
    if result is not None:
        print(result, file=sys.stderr, flush=True)
    os._exit(7 if result is None else 1)
forked.set()
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

RISKY: Final[dict[str, tuple[str, str]]] = {
    "recursion without Python's limit": (
        """
sys.setrecursionlimit(10**6)
callback = call
print(outcome(call), outcome(call))
callback = lambda: None
print(call())
""",
        "Trap Trap\nNone",
    ),
    "recursion on a thread with a small stack": (
        """
if not store._machine.platform.stacks:
    print("Trap Trap")  # there a native stack has at least a MiB
else:
    threading.stack_size(256 << 10)
    callback = call
    thread = threading.Thread(target=lambda: print(outcome(call), outcome(call)))
    thread.start()
    thread.join()
""",
        "Trap Trap",
    ),
    "recursion of wasm on a thread with a small stack": (
        """
threading.stack_size(2 << 20)
thread = threading.Thread(target=lambda: print(outcome(CALLS["s"], store), outcome(trap)))
thread.start()
thread.join()
""",
        "Trap Trap",
    ),
    "timeouts that are no times": (
        """
print([outcome(LOOP.g, timeout=seconds) for seconds in (float("nan"), float("inf"), 1e300, 10**400, "1", 1)])
print([outcome(LOOP.f, timeout=seconds) for seconds in (-1, 0, -float("inf"), 1e-9, 0.01)])
print(all(outcome(LOOP.f, timeout=0) == "WasmTimeout" for _ in range(200)))
""",
        (
            "['ValueError', None, None, 'OverflowError', 'TypeError', None]\n"
            "['WasmTimeout', 'WasmTimeout', 'WasmTimeout', 'WasmTimeout', 'WasmTimeout']\nTrue"
        ),
    ),
    "faulthandler comes and goes": (
        """
null = open(os.devnull, "w")
seen = []
def toggle():
    (faulthandler.disable if faulthandler.is_enabled() else lambda: faulthandler.enable(null))()
for n in range(50):
    toggle()
    instance("(module)")
    callback = [toggle, lambda: None, trap][n % 3]
    seen += [outcome(call), outcome(trap), outcome(CALLS["s"], store)]
print(sorted(set(map(str, seen))))
""",
        "['None', 'Trap']",
    ),
    "tracebacks are dumped while wasm runs": (
        """
null = open(os.devnull, "w")
faulthandler.dump_traceback_later(0.01, repeat=True, file=null)
callback = lambda: faulthandler.dump_traceback(null)
for _ in range(20):
    call()
    outcome(trap)
print(outcome(LOOP.f, timeout=0.2))
faulthandler.cancel_dump_traceback_later()
faulthandler.register(signal.SIGUSR1, null, chain=False)
threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
print(outcome(LOOP.f, timeout=0.2))
""",
        "WasmTimeout\nWasmTimeout",
    ),
    "signals in callbacks": (
        """
seen = []
signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(outcome(trap)))
def callback():
    for _ in range(5):
        os.kill(os.getpid(), signal.SIGUSR1)
for _ in range(50):
    call()
print(set(seen))
class Stop(BaseException): pass
def stop(number, frame): raise Stop
signal.signal(signal.SIGUSR1, stop)
for _ in range(50):
    try:
        call()
        print("no")
    except Stop:
        pass
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
print(call())
""",
        "{'Trap'}\nNone",
    ),
    "fork in callbacks": (
        """
def fork():
    pid = os.fork()
    if not pid:
        outcome(trap)
        os._exit(7 if outcome(LOOP.f, timeout=0.05) == "WasmTimeout" else 1)
    seen.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
seen = []
callback = fork
for _ in range(12):
    call()
print(seen == [7] * 12, outcome(trap))
""",
        "True Trap",
    ),
    "fork while another thread imports the compiler": (_IMPORTING.replace("NAME", "brolga.jit.compile"), "7"),
    "fork while another thread imports what the compiler needs": (_IMPORTING.replace("NAME", "json.scanner"), "7"),
    "a store used from two threads": (
        """
it = load('(module (memory (export "m") 1 100) (table (export "t") 10 10000 funcref) (elem (i32.const 0) func $k) (func $k (result i32) i32.const 1)'
          '(func (export "f") loop (drop (call_indirect (result i32) (i32.const 0))) (drop (i32.load (i32.const 65532))) br 0 end) (func (export "g")))')
thread = threading.Thread(target=lambda: print(outcome(it.f)))
thread.start()
while not it.store._state.running:
    time.sleep(0.001)
seen = {outcome(action) for _ in range(100) for action in (
    lambda: it.m.grow(1), lambda: it.t.grow(10), lambda: it.t.__setitem__(0, None), it.g, it.store.close,
    lambda: Instance(it.store, Module(it.store.engine, "(module)"), []),
    lambda: Memory._wrap(it.m._memory).grow(it.store, 1), lambda: Table._wrap(it.t._table).set(it.store, 0, None))}
it.store.interrupt()
thread.join()
print(sorted(seen), it.m.grow(1), it.t.grow(10))
""",
        "Trap\n['RuntimeError', 'WasmtimeError'] 1 10",
    ),
    "closing while others try to enter": (
        """
for _ in range(200):
    it = load('(module (memory (export "m") 1) (func (export "f") (result i32) (i32.load (i32.const 8))))')
    results = set()
    threads = [threading.Thread(target=lambda: [results.add(outcome(it.f)) for _ in range(20)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while outcome(it.store.close):
        pass
    for thread in threads:
        thread.join()
    assert results <= {0, "ValueError", "RuntimeError"}, results
print("done")
""",
        "done",
    ),
    "copies": (
        """
import copy, pickle
it = load('(module (memory (export "m") 1) (table (export "t") 1 funcref) (global (export "g") i32 (i32.const 4)) (func (export "f")))')
seen = set()
for thing in (it, it.m, it.t, it.g, it.f, it.store, CALLS, engine):
    for function in (copy.copy, copy.deepcopy, pickle.dumps):
        result = outcome(function, thing)
        seen.add("TypeError" if result == "PicklingError" else result if isinstance(result, str) else None)
        if type(result).__name__ == "BoundMemory":
            assert outcome(bytes, result) == "ValueError"
        del result
        gc.collect()
print(sorted(map(str, seen)), len(bytes(it.m)), it.f())
""",
        "['None', 'TypeError'] 65536 None",
    ),
}


@pytest.mark.parametrize("name", RISKY)
@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_in_a_process_of_its_own(platform: str, name: str) -> None:
    code, expected = RISKY[name]
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + code],
        env={**os.environ, "BROLGA_PLATFORM": platform},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


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
