"""Indexes, sizes and data that are objects with methods of their own: they are asked once, before any address is computed, and may do
anything to the store meanwhile."""

from __future__ import annotations

import array
import ctypes
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import numpy
import pytest

from brolga import BrolgaError, Engine, Instance, Module, Store, WasmtimeError, load

PAGE: Final = 65536
TEXT: Final = """
(module
  (memory (export "memory") 1 100)
  (table (export "table") 4 40 funcref)
  (table (export "objects") 4 40 externref)
  (global (export "number") (mut i32) (i32.const 1))
  (global (export "real") (mut f64) (f64.const 1))
  (func $f (export "f") (result i32) i32.const 6)
  (elem (i32.const 0) $f)
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0))))
"""


class Quarter:
    """Compares and multiplies like a number, and is none."""

    __le__ = __lt__ = __ge__ = __gt__ = lambda self, other: True
    __mul__ = __rmul__ = __floordiv__ = __mod__ = __rmod__ = lambda self, other: other // 4
    __add__ = __radd__ = __sub__ = __rsub__ = lambda self, other: self


class Lying(int):
    """An int with operators of its own."""

    __le__ = __lt__ = __ge__ = __gt__ = lambda self, other: True
    __mul__ = __rmul__ = __add__ = __radd__ = lambda self, other: 1 << 40


class Named:
    """An object that says that its class is another one."""

    @property
    def __class__(self) -> Any:
        return int

    __le__ = __lt__ = __ge__ = __gt__ = lambda self, other: True
    __mul__ = __rmul__ = __add__ = __radd__ = lambda self, other: 1 << 40


class Short(bytes):
    """Bytes that say that they are less."""

    def __len__(self) -> int:
        return 2


# What takes an index or size, as (store, exports, index).
USES: Final[dict[str, Callable[[Store, Any, Any], object]]] = {
    "table.get": lambda s, it, i: it["table"].get(s, i),
    "table.set": lambda s, it, i: it["table"].set(s, i, it["f"]),
    "objects.get": lambda s, it, i: it["objects"].get(s, i),
    "objects.set": lambda s, it, i: it["objects"].set(s, i, "an object"),
    "table.grow": lambda s, it, i: it["table"].grow(s, i, None),
    "memory.grow": lambda s, it, i: it["memory"].grow(s, i),
    "read from": lambda s, it, i: it["memory"].read(s, i, 10),
    "read to": lambda s, it, i: it["memory"].read(s, 0, i),
    "write": lambda s, it, i: it["memory"].write(s, b"abc", i),
    "buffer of size": lambda s, it, i: it["memory"].get_buffer_ptr(s, i),
    "buffer from": lambda s, it, i: it["memory"].get_buffer_ptr(s, 5, i),
    "number": lambda s, it, i: it["number"].set_value(s, i),
}


class World:
    def __init__(self, engine: Engine) -> None:
        self.store = Store(engine)
        self.it: Any = Instance(self.store, Module(engine, TEXT), []).exports(self.store)

    def works(self) -> None:
        store, it = self.store, self.it
        assert it["call"](store, 0) == 6
        assert it["table"].get(store, 0) is it["f"]
        it["memory"].write(store, b"end", it["memory"].data_len(store) - 3)


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize(
    "value",
    [Quarter(), Fraction(1, 4), 0.25, "0", b"1", Named(), [1], numpy.float64(1)],
    ids=["quarter", "fraction", "float", "str", "bytes", "named", "list", "numpy"],
)
def test_what_is_no_integer(engine: Engine, name: str, value: object) -> None:
    world = World(engine)
    for _ in range(3):
        with pytest.raises(TypeError):
            USES[name](world.store, world.it, value)
    world.works()


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("value", [Lying(1), True, numpy.int8(1)], ids=["lying", "bool", "numpy"])
def test_what_is_an_integer(engine: Engine, name: str, value: Any) -> None:
    """Its value counts, not its operators."""
    worlds = [World(engine) for _ in range(2)]
    results = [
        USES[name](world.store, world.it, index) for world, index in zip(worlds, (value, int.__index__(int(value))))
    ]
    for result in results:
        if isinstance(result, ctypes.Array):
            assert len(result) in (1, 5)
    if not isinstance(results[0], ctypes.Array):
        assert results[0] == results[1]
    for world in worlds:
        world.works()


@pytest.mark.parametrize("name", USES)
@pytest.mark.parametrize("value", [-1, -(2**31), 2**32, 2**63, -(2**63), 2**64, 10**30, -(10**30)])
def test_numbers_out_of_range(engine: Engine, name: str, value: int) -> None:
    world = World(engine)
    try:
        USES[name](world.store, world.it, value)
    except (BrolgaError, IndexError, OverflowError):
        pass
    world.works()


class Acting:
    """Asked for its value, it does something first, once."""

    def __init__(self, value: int, act: Callable[[], object]) -> None:
        self.value = value
        self.act = act
        self.asked = 0

    def __index__(self) -> int:
        self.asked += 1
        self.act()
        return self.value


@pytest.mark.parametrize("name", USES)
def test_indexes_that_close_the_store(engine: Engine, name: str) -> None:
    world = World(engine)
    index = Acting(1, world.store.close)
    try:
        USES[name](world.store, world.it, index)
    except ValueError as error:
        assert "already closed" in str(error)
    assert index.asked == 1
    with pytest.raises(ValueError, match="already closed"):
        USES[name](world.store, world.it, 1)


@pytest.mark.parametrize("name", USES)
def test_indexes_that_let_everything_grow(engine: Engine, name: str) -> None:
    world = World(engine)
    store, it = world.store, world.it

    def grow() -> None:
        it["memory"].grow(store, 20)
        it["table"].grow(store, 20, it["f"])
        it["objects"].grow(store, 20, "more")

    index = Acting(1, grow)
    USES[name](store, it, index)
    assert index.asked == 1
    assert it["memory"].size(store) == 21 + (name == "memory.grow")
    assert it["table"].size(store) == 24 + (name == "table.grow")
    assert it["call"](store, 23) == 6
    world.works()


class Items:
    """An iterable of bytes that acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.act = act

    def __iter__(self) -> Any:
        yield 1
        self.act()
        yield 2


def test_data_that_acts(engine: Engine) -> None:
    world = World(engine)
    store, memory = world.store, world.it["memory"]
    assert memory.write(store, Items(lambda: memory.grow(store, 30)), -2) == 2
    assert memory.read(store, 31 * PAGE - 2) == bytearray([1, 2])
    world.works()
    with pytest.raises(ValueError, match="already closed"):
        memory.write(store, Items(store.close), 0)


def test_data_of_another_length_than_it_says(engine: Engine) -> None:
    world = World(engine)
    store, memory = world.store, world.it["memory"]
    assert memory.write(store, Short(b"abcdef"), 10) == 6
    assert memory.read(store, 8, 18) == b"\0\0abcdef\0\0"
    with pytest.raises(IndexError):
        memory.write(store, Short(b"abcdef"), PAGE - 4)
    assert memory.write(store, array.array("I", [1, 2]), 0) == 8
    assert memory.write(store, numpy.arange(8, dtype=numpy.uint8)[::2], 0) == 4
    assert memory.read(store, 0, 5) == bytes([0, 2, 4, 6, 2])
    for wrong in (5, None, "abc", 1.5):
        with pytest.raises(TypeError):
            memory.write(store, wrong, 0)
    world.works()


def test_views_inside_the_memory(engine: Engine) -> None:
    """No address outside of it by a wrong size or offset."""
    world = World(engine)
    store, memory = world.store, world.it["memory"]
    assert len(memory.get_buffer_ptr(store)) == PAGE
    assert len(memory.get_buffer_ptr(store, offset=PAGE - 3)) == 3
    assert len(memory.get_buffer_ptr(store, 0, PAGE)) == 0
    for size, offset in ((PAGE + 1, 0), (1, PAGE), (None, PAGE + 1), (-1, 0), (5, -1), (1, -1), (2**62, 2**62)):
        with pytest.raises(IndexError):
            memory.get_buffer_ptr(store, size, offset)


def test_bound_objects() -> None:
    it = load(TEXT)
    memory, table = it.memory, it.table
    for wrong in (Quarter(), Named(), 0.5, "1"):
        for use in (
            lambda wrong=wrong: memory[wrong],
            lambda wrong=wrong: memory.__setitem__(wrong, 5),
            lambda wrong=wrong: memory.read(wrong),
            lambda wrong=wrong: memory.write(wrong, b"x"),
            lambda wrong=wrong: memory.grow(wrong),
            lambda wrong=wrong: table[wrong],
            lambda wrong=wrong: table.__setitem__(wrong, None),
            lambda wrong=wrong: table.grow(wrong),
        ):
            with pytest.raises(TypeError):
                use()
    assert memory[Lying(-1)] == 0 and table[Lying(1)] is None
    with pytest.raises(TypeError):
        memory[...]
    with pytest.raises(IndexError):
        memory.write(PAGE - 1, b"ab")
    memory.write(Acting(5, lambda: memory.grow(3)), numpy.arange(6, dtype=numpy.uint16)[::2])
    assert memory.read(5, 11) == bytes([0, 0, 2, 0, 4, 0])
    assert memory.pages == 4
    with pytest.raises(ValueError, match="already closed"):
        memory[Acting(1, it.close)] = 5
    with pytest.raises(ValueError, match="already closed"):
        memory.read(1)
    with pytest.raises((ValueError, WasmtimeError)):
        table.grow(1)
