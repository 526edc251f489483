"""Operations into which something comes between any two steps: a signal handler that does the same, or an exception."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import pytest

import brolga
from brolga import (
    Engine,
    Global,
    GlobalType,
    Instance,
    Limits,
    Memory,
    MemoryType,
    Module,
    Store,
    Table,
    TableType,
    Val,
    ValType,
    WasmtimeError,
)

# An exception in a finaliser is printed, and lost.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
PAGE = 65536
_OURS: Final = str(Path(brolga.__file__).parent)
# CPython runs signal handlers and other threads behind these.
_BREAKS: Final = frozenset(dis.opmap[name] for name in ("CALL", "CALL_FUNCTION_EX", "JUMP_BACKWARD", "RESUME"))
_LATEST: Final = 3000  # no operation here has as many steps

TEXT: Final = """
(module
  (type $f (func (result i32)))
  (memory (export "memory") 1 600)
  (table (export "table") 2 funcref)
  (table (export "objects") 2 externref)
  (global (export "object") (mut externref) (ref.null extern))
  (global (export "number") (mut i32) (i32.const 1))
  (func $seven (export "seven") (result i32) i32.const 7)
  (func $eight (export "eight") (result i32) i32.const 8)
  (func (export "pages") (result i32) memory.size)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "last") (result i32) (i32.load8_u (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 1))))
  (func (export "length") (result i32) (table.size 0))
  (func (export "length_of_objects") (result i32) (table.size 1))
  (func (export "grow_table") (param i32) (result i32) (table.grow 0 (ref.func $seven) (local.get 0)))
  (func (export "fill") (param i32 i32) (table.fill 0 (local.get 0) (ref.func $eight) (local.get 1)))
  (func (export "call") (param i32) (result i32) (call_indirect (type $f) (local.get 0)))
  (func (export "get") (result externref) (global.get 0)))
"""


class Intruder(Exception):
    """What comes in between."""


class World:
    def __init__(self, engine: Engine, module: Module) -> None:
        self.store = Store(engine)
        self.instance = Instance(self.store, module, [])
        self.exports: Any = self.instance.exports(self.store)

    def __getattr__(self, name: str) -> Any:
        return self.exports[name]

    def call(self, name: str, *args: object) -> Any:
        return self.exports[name](self.store, *args)

    def check(self) -> None:
        """Everybody sees the same sizes, and can use all of it."""
        store, memory = self.store, self.memory
        pages = self.call("pages")
        assert memory.size(store) == pages and memory.data_len(store) == pages * PAGE
        assert len(memory.get_buffer_ptr(store)) == len(memory.read(store)) == pages * PAGE
        memory.write(store, b"\x07", pages * PAGE - 1)
        assert self.call("last") == 7
        length = self.call("length")
        assert self.table.size(store) == length
        assert [self.table.get(store, i) is None for i in range(length + 1)][-1]
        self.table.set(store, length - 1, self.seven)
        assert self.call("call", length - 1) == 7
        assert self.objects.size(store) == self.call("length_of_objects")
        assert not memory._memory.block.views or memory._memory._view is not None


def at_step(number: int, only_breaks: bool, intrude: Callable[[], object], operation: Callable[[], object]) -> bool:
    """Do it, and something else at the step of this number. False if there are no so many."""
    left = number
    busy = done = False
    before: dict[FrameType, int] = {}
    code_of: dict[CodeType, bytes] = {}

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal left, busy, done
        if busy or done or not frame.f_code.co_filename.startswith(_OURS):
            return None
        frame.f_trace_opcodes = True
        if event != "opcode":
            return trace
        last = before.get(frame, -1)
        before[frame] = frame.f_lasti
        code = code_of.setdefault(frame.f_code, frame.f_code.co_code)
        if only_breaks and (last < 0 or code[last] not in _BREAKS):
            return trace
        left -= 1
        if left < 0:
            done = busy = True
            try:
                intrude()
            finally:
                busy = False
        return trace

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        operation()
    finally:
        sys.settrace(outer)
        before.clear()
    return done


@pytest.fixture(scope="module", params=["linux", "minimal"])
def module(request: pytest.FixtureRequest) -> tuple[Engine, Module]:
    config = brolga.Config()
    config.platform = request.param
    engine = Engine(config)
    return engine, Module(engine, TEXT)


def fails(*_: object) -> None:
    raise Intruder


# What is done, and how much longer memory, table and table of objects are then.
GROWTHS: Final[dict[str, tuple[Callable[[World], object], tuple[int, int, int]]]] = {
    "memory": (lambda w: w.memory.grow(w.store, 2), (2, 0, 0)),
    "much memory": (lambda w: w.memory.grow(w.store, 270), (270, 0, 0)),  # more than what is there without reservations
    "memory from wasm": (lambda w: w.call("grow", 3), (3, 0, 0)),
    "table": (lambda w: w.table.grow(w.store, 5, w.seven), (0, 5, 0)),
    "table of nulls": (lambda w: w.table.grow(w.store, 5, None), (0, 5, 0)),
    "table from wasm": (lambda w: w.call("grow_table", 4), (0, 4, 0)),
    "objects": (lambda w: w.objects.grow(w.store, 3, "an object"), (0, 0, 3)),
}


@pytest.mark.parametrize("name", GROWTHS)
def test_growth_inside_growth(module: tuple[Engine, Module], name: str) -> None:
    operation, more = GROWTHS[name]
    inner, inner_more = GROWTHS[name if name != "much memory" else "memory"]
    for step in range(_LATEST):
        world = World(*module)
        world.call("pages"), world.call("length")
        came_in = at_step(step, True, lambda world=world: inner(world), lambda world=world: operation(world))
        world.check()
        pages, length, objects = (
            before + once + (twice if came_in else 0)
            for before, once, twice in zip((1, 2, 2), more, inner_more, strict=True)
        )
        assert (world.call("pages"), world.call("length"), world.call("length_of_objects")) == (pages, length, objects)
        if not came_in:
            assert step > 5
            return
    raise AssertionError


@pytest.mark.parametrize("name", GROWTHS)
def test_exceptions_inside_growth(module: tuple[Engine, Module], name: str) -> None:
    operation, more = GROWTHS[name]
    for step in range(_LATEST):
        world = World(*module)
        world.memory.write(world.store, b"content", 100)
        world.table.set(world.store, 1, world.eight)
        try:
            came_in = at_step(step, False, fails, lambda world=world: operation(world))
        except Intruder:
            came_in = True
        world.check()
        sizes = (world.call("pages"), world.call("length"), world.call("length_of_objects"))
        grown = tuple(a + b for a, b in zip((1, 2, 2), more, strict=True))
        assert sizes in ((1, 2, 2), grown)
        assert world.memory.read(world.store, 100, 107) == b"content"
        operation(world)
        world.check()
        if not came_in:
            assert step > 5
            return
    raise AssertionError


def test_writes_to_a_table_that_grows_meanwhile(module: tuple[Engine, Module]) -> None:
    for name in ("set", "fill"):
        for step in range(_LATEST):
            world = World(*module)

            def write(world: World = world, name: str = name) -> None:
                if name == "set":
                    world.table.set(world.store, 1, world.eight)
                else:
                    world.call("fill", 1, 1)

            came_in = at_step(step, True, lambda world=world: world.table.grow(world.store, 5000, None), write)
            assert world.call("call", 1) == 8
            if not came_in:
                break


# What can be done to a store; afterwards it works, whatever was raised at whatever step.
OPERATIONS: Final[dict[str, Callable[[World], object]]] = {
    "read": lambda w: w.memory.read(w.store, 3, 9),
    "write": lambda w: w.memory.write(w.store, [1, 2, 3], 5),
    "get_buffer_ptr": lambda w: w.memory.get_buffer_ptr(w.store, 5, 5),
    "table.get": lambda w: w.table.get(w.store, 0),
    "table.set": lambda w: w.table.set(w.store, 0, w.eight),
    "table.set of an object": lambda w: w.objects.set(w.store, 0, object()),
    "global": lambda w: w.number.set_value(w.store, 6),
    "global of an object": lambda w: w.object.set_value(w.store, object()),
    "gc": lambda w: w.store.gc(),
    "set_limits": lambda w: w.store.set_limits(memory_size=1 << 30),
    "new memory": lambda w: Memory(w.store, MemoryType(Limits(1, 2))),
    "new table": lambda w: Table(w.store, TableType(ValType.funcref(), Limits(1, 2)), None),
    "new global": lambda w: Global(w.store, GlobalType(ValType.i32(), True), Val.i32(3)),
    "instantiate": lambda w: Instance(w.store, w.plain, []),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_exceptions_inside_other_operations(module: tuple[Engine, Module], name: str) -> None:
    engine = module[0]
    plain = Module(
        engine, '(module (memory 1) (table 3 funcref) (func $f) (elem (i32.const 0) $f) (data (i32.const 0) "abc"))'
    )
    for step in range(_LATEST):
        world = World(*module)
        world.plain = plain
        world.object.set_value(world.store, "kept")
        try:
            came_in = at_step(step, False, fails, lambda world=world, name=name: OPERATIONS[name](world))
        except Intruder:
            came_in = True
        world.check()
        assert world.object.value(world.store) == world.call("get")
        OPERATIONS[name](world)
        world.store.close()
        if not came_in:
            assert step > 5
            return
    raise AssertionError


def test_exceptions_inside_close(module: tuple[Engine, Module]) -> None:
    for step in range(_LATEST):
        world = World(*module)
        try:
            came_in = at_step(step, False, fails, world.store.close)
        except Intruder:
            came_in = True
        world.store.close()
        with pytest.raises(ValueError, match="already closed"):
            world.call("pages")
        with pytest.raises(ValueError, match="already closed"):
            world.memory.read(world.store)
        assert world.memory._memory.length == 0
        if not came_in:
            return
    raise AssertionError


def test_objects_that_are_let_go_of_while_they_are_stored(module: tuple[Engine, Module]) -> None:
    """`Store.gc` between any two steps of what stores an object."""
    stores: tuple[Callable[[World, object], object], ...] = (
        lambda w, thing: w.objects.set(w.store, 1, thing),
        lambda w, thing: w.object.set_value(w.store, thing),
        lambda w, thing: w.objects.grow(w.store, 1, thing),
    )
    loads: tuple[Callable[[World], object], ...] = (
        lambda w: w.objects.get(w.store, 1),
        lambda w: w.object.value(w.store),
        lambda w: w.objects.get(w.store, 2),
    )
    for put, take in zip(stores, loads, strict=True):
        for step in range(_LATEST):
            world = World(*module)
            thing = object()
            came_in = at_step(
                step, True, lambda world=world: world.store.gc(), lambda w=world, thing=thing, put=put: put(w, thing)
            )
            assert take(world) is thing
            if not came_in:
                break


def test_gc_while_objects_are_stored(module: tuple[Engine, Module]) -> None:
    """The other way round."""
    for step in range(_LATEST):
        world = World(*module)
        thing = object()
        world.objects.set(world.store, 0, object())
        came_in = at_step(
            step, True, lambda w=world, thing=thing: w.objects.set(w.store, 1, thing), lambda w=world: w.store.gc()
        )
        if came_in:
            assert world.objects.get(world.store, 1) is thing
        else:
            return


def test_references_that_code_moves_while_others_are_let_go_of(module: tuple[Engine, Module]) -> None:
    """From a table that was not looked at yet to one that was, and back."""
    text = """(module
      (table (export "a") 2 externref) (table (export "b") 2 externref)
      (func (export "to") (table.copy 1 0 (i32.const 0) (i32.const 0) (i32.const 2)) (table.fill 0 (i32.const 0) (ref.null extern) (i32.const 2)))
      (func (export "from") (table.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 2)) (table.fill 1 (i32.const 0) (ref.null extern) (i32.const 2))))"""
    tables = Module(module[0], text)
    for there in (True, False):
        for step in range(_LATEST):
            store = Store(module[0])
            exports: Any = Instance(store, tables, []).exports(store)
            thing = object()
            source, target, move = ("a", "b", "to") if there else ("b", "a", "from")
            exports[source].set(store, 1, thing)
            came_in = at_step(step, True, lambda e=exports, s=store, move=move: e[move](s), store.gc)
            assert exports[target if came_in else source].get(store, 1) is thing
            if not came_in:
                break


def test_a_store_is_not_closed_while_a_module_is_instantiated(module: tuple[Engine, Module]) -> None:
    """A signal handler tries to."""
    engine = module[0]
    plain = Module(
        engine, '(module (memory 1) (func $f) (table 3 funcref) (elem (i32.const 0) $f) (data (i32.const 0) "abc"))'
    )
    refused = closed = 0
    for step in range(0, _LATEST, 7):
        store = Store(engine)

        def close(store: Store = store) -> None:
            nonlocal refused
            try:
                store.close()
            except WasmtimeError:
                refused += 1

        try:
            came_in = at_step(step, True, close, lambda store=store: Instance(store, plain, []))
        except ValueError:
            came_in = True
            closed += 1
        store.close()
        if not came_in:
            break
    assert refused and closed
