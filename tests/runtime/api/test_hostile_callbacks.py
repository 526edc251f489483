"""Callbacks that misuse the API: each gets a typed error, the process lives, store and engine work afterwards."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy
import pytest

from brolga import (
    Engine,
    Func,
    FuncType,
    Instance,
    Module,
    Store,
    Trap,
    ValType,
    WasmtimeError,
)

from .subject import SUBJECT, Indexed, World

I32 = ValType.i32()


@pytest.fixture
def world(engine: Engine) -> World:
    return World(engine)


class Liar(list):  # type: ignore[type-arg]
    """A sequence that has another length than it says."""

    def __len__(self) -> int:
        return 2


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
            with pytest.raises(WasmtimeError, match="wrong number of results"):
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
