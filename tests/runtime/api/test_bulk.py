"""memory.copy, memory.fill and memory.init byte by byte: all small sizes, all ways to overlap, and what is around."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import pytest

from brolga import Config, Engine, Func, Instance, Memory, Module, Store, Trap
from brolga.runtime.machine.bulk import STRING_FILL, STRING_MOVE

SIZE: Final = 65536
SIZES: Final = [*range(200), 255, 256, 257, 383, 511, 512, 1000, 2000]
SEGMENT: Final = bytes(i * 7 & 0xFF or 1 for i in range(3000))
ESCAPED: Final = "".join(f"\\{byte:02x}" for byte in SEGMENT)
TEXT: Final = f"""
(module
  (memory (export "memory") 1)
  (data $d "{ESCAPED}")
  (func (export "copy") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.copy)
  (func (export "fill") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.fill)
  (func (export "init") (param i32 i32 i32) local.get 0 local.get 1 local.get 2 memory.init $d))
"""


class World:
    """An instance, and what its memory should be."""

    def __init__(self, platform: str) -> None:
        config = Config()
        config.platform = platform
        self.store = Store(Engine(config))
        self.exports = Instance(self.store, Module(self.store.engine, TEXT), []).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, Memory)
        self.memory = memory
        self.expected = bytearray(random.Random(1).randbytes(SIZE))
        memory.write(self.store, self.expected, 0)

    def function(self, name: str) -> Callable[[int, int, int], object]:
        function = self.exports[name]
        assert isinstance(function, Func)
        return lambda a, b, c: function(self.store, a, b, c)

    def check(self, what: object) -> None:
        assert self.memory.read(self.store) == self.expected, what


@pytest.fixture(params=["linux", "minimal"])
def world(request: pytest.FixtureRequest) -> World:
    return World(str(request.param))


def test_copy(world: World) -> None:
    copy = world.function("copy")
    choose = random.Random(2)
    for size in [*SIZES, STRING_MOVE - 1, STRING_MOVE, STRING_MOVE + 1, 10_000]:
        near = {0, 1, 2, 15, 16, 17, 63, 64, 65, size // 2, size - 1, size, size + 1, 20_000}
        for distance in sorted(d for d in near if d >= 0):
            for source in (choose.randrange(100), 20_000 + choose.randrange(100)):
                target = source + distance if choose.random() < 0.5 or source < distance else source - distance
                copy(target, source, size)
                world.expected[target : target + size] = world.expected[source : source + size]
                if size < 20 or choose.random() < 0.1:
                    world.check((size, source, target))
        world.check(size)


def test_copy_to_both_ends(world: World) -> None:
    copy = world.function("copy")
    for size in SIZES:
        copy(SIZE - size, 100, size)
        world.expected[SIZE - size :] = world.expected[100 : 100 + size]
        copy(0, SIZE - size, size)
        world.expected[:size] = world.expected[SIZE - size :]
        world.check(size)
        with pytest.raises(Trap, match="out of bounds memory access"):
            copy(SIZE - size + 1, 0, size)
        with pytest.raises(Trap, match="out of bounds memory access"):
            copy(0, SIZE - size + 1, size)
    world.check("nothing is written before a trap")


def test_fill(world: World) -> None:
    fill = world.function("fill")
    for size in [*SIZES, STRING_FILL - 1, STRING_FILL, STRING_FILL + 1, 10_000]:
        for start in (1000 + size % 7, SIZE - size):
            byte = size * 31 + start
            fill(start, byte, size)
            world.expected[start : start + size] = bytes([byte & 0xFF]) * size
        world.check(size)


def test_init(world: World) -> None:
    init = world.function("init")
    for size in SIZES:
        for start in (1000 + size % 7, SIZE - size):
            init(start, size % 50, size)
            world.expected[start : start + size] = SEGMENT[size % 50 : size % 50 + size]
        world.check(size)
