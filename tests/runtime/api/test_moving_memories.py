"""Memories that move when they grow: where there are no guard areas, and the system has little address space."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from typing import Any

import numpy
import pytest

import brolga
from brolga import Engine, Func, FuncType, Instance, Limits, Memory, MemoryType, Module, Store, WasmtimeError
from brolga.runtime.machine import Machine, memory
from brolga.runtime.machine.memory import CopiedMemory, MappedMemory
from brolga.runtime.platform.linux import LinuxPlatform

PAGE = 65536


@pytest.fixture(params=["mapped", "copied"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """Memories of the platform `minimal`, which takes no more address space than they need now."""
    config = brolga.Config()
    config.platform = "minimal"
    engine = Engine(config)
    monkeypatch.setattr(memory, "SHARE", 1 << 62)
    if request.param == "mapped":
        linux = LinuxPlatform()

        def new_memory(machine: Machine, length: int, maximum: int) -> MappedMemory:
            return MappedMemory(linux, machine.apply, length, maximum)

        monkeypatch.setattr(Machine, "new_memory", new_memory)
    yield engine


def moves(store: Store, made: Memory) -> bool:
    """Let it grow by a page; whether the bytes are elsewhere then."""
    before = made._memory.block.base
    made.grow(store, 1)
    return made._memory.block.base != before


def test_bytes_move_with_the_memory(engine: Engine) -> None:
    store = Store(engine)
    made = Memory(store, MemoryType(Limits(1, None)))
    assert isinstance(made._memory.block, (MappedMemory, CopiedMemory))
    moved = 0
    in_the_way = []
    for pages in range(1, 40):
        made.write(store, bytes([pages]) * 10, pages * PAGE - 10)
        moved += moves(store, made)
        in_the_way.append(Memory(store, MemoryType(Limits(1, 1))))
        for page in range(1, pages + 1):
            assert made.read(store, page * PAGE - 10, page * PAGE) == bytes([page]) * 10
        assert not any(made.read(store, pages * PAGE))
    assert moved


@pytest.mark.parametrize("kind", ["memoryview", "buffer", "pointer", "numpy", "slice of a view"])
def test_views_are_live_or_growth_fails(engine: Engine, kind: str) -> None:
    store = Store(engine)
    made = Memory(store, MemoryType(Limits(1, None)))
    block = made._memory.block
    views: dict[str, Any] = {
        "memoryview": lambda: memoryview(block),
        "buffer": lambda: made.get_buffer_ptr(store),
        "pointer": lambda: made.data_ptr(store),
        "numpy": lambda: numpy.frombuffer(made.get_buffer_ptr(store), dtype=numpy.uint8),
        "slice of a view": lambda: memoryview(block)[100:],
    }
    view = views[kind]()
    place = 0 if kind == "slice of a view" else 100
    refused = 0
    in_the_way = []
    for turn in range(1, 30):
        try:
            made.grow(store, 1)
        except WasmtimeError:
            refused += 1
        in_the_way.append(Memory(store, MemoryType(Limits(1, 1))))
        made.write(store, bytes([turn]), 100)
        assert ctypes.c_ubyte(view[place]).value == turn
        view[place] = turn + 100
        assert made.read(store, 100, 101) == bytes([turn + 100])
    assert refused
    assert block.views
    del view, views
    gc.collect()
    size = made.size(store)
    assert made.grow(store, 100) == size
    assert made.read(store, 100, 101) == bytes([129])


def test_views_that_the_runtime_keeps_do_not_count(engine: Engine) -> None:
    store = Store(engine)
    made = Memory(store, MemoryType(Limits(1, None)))
    for turn in range(1, 20):
        made.write(store, b"x" * 1000, PAGE - 1000)
        assert made.read(store, PAGE - 1, PAGE) == b"x"
        assert made.grow(store, turn) > 0


def test_wasi_functions_do_not_keep_a_memory_from_growing(engine: Engine) -> None:
    store = Store(engine)
    store.set_wasi(brolga.WasiConfig())
    linker = brolga.Linker(engine)
    linker.define_wasi()
    text = """(module
      (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "go") (result i32)
        (drop (call $random (i32.const 0) (i32.const 100)))
        (drop (memory.grow (i32.const 50)))
        (call $random (i32.const 0x10000) (i32.const 0x10000))))"""
    exports: Any = linker.instantiate(store, Module(engine, text)).exports(store)
    for turn in range(1, 10):
        assert exports["go"](store) == 0
        assert exports["memory"].size(store) == 1 + 50 * turn


CALLEE = """(module
  (import "" "host" (func $host))
  (memory (export "memory") 1)
  (func (export "call") (result i32)
    (i32.store (i32.const 40) (i32.const 4))
    call $host
    (i32.add (i32.load (i32.const 40)) (i32.load (i32.const 48)))))"""
CALLER = """(module
  (import "callee" "memory" (memory 1))
  (import "callee" "call" (func $call (result i32)))
  (type $t (func (result i32)))
  (table funcref (elem $call))
  (func (export "direct") (param i32) (result i32)
    (i32.store (i32.const 44) (i32.const 100))
    (i32.add (i32.add (i32.load (i32.const 44)) (call $call)) (i32.load (i32.const 44))))
  (func (export "indirect") (param i32) (result i32)
    (i32.store (local.get 0) (i32.const 100))
    (i32.add (call_indirect (type $t) (i32.const 0)) (i32.load (i32.const 44)))))"""


def test_code_finds_the_bytes_after_calls_in_which_they_moved(engine: Engine) -> None:
    """Of the callee, and of its callers in other instances, and in host functions in between."""
    store = Store(engine)
    moved = deep = 0
    in_the_way: list[Memory] = []

    def host() -> None:
        nonlocal moved, deep
        memory: Memory = callee["memory"]
        base = memory._memory.block.base
        memory.grow(store, 1)
        in_the_way.append(Memory(store, MemoryType(Limits(1, 1))))
        moved += memory._memory.block.base != base
        memory.write(store, (1000).to_bytes(4, "little"), 44)
        memory.write(store, (7).to_bytes(4, "little"), 48)
        if deep < 3:
            deep += 1
            assert caller["direct"](store, 44) == 100 + 11 + 1000
            deep -= 1

    callee: Any = Instance(store, Module(engine, CALLEE), [Func(store, FuncType([], []), host)]).exports(store)
    imports = [callee["memory"], callee["call"]]
    caller: Any = Instance(store, Module(engine, CALLER), imports).exports(store)
    for _ in range(5):
        assert caller["direct"](store, 44) == 100 + 11 + 1000
        assert caller["indirect"](store, 44) == 11 + 1000
    assert moved
