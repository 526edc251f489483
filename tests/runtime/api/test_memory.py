from __future__ import annotations

import ctypes

import pytest

from brolga import Engine, Instance, Limits, Memory, MemoryType, Module, Store, WasmtimeError

PAGE = 65536


def test_sizes_and_growth(store: Store) -> None:
    memory = Memory(store, MemoryType(Limits(1, 3)))
    assert (memory.size(store), memory.data_len(store)) == (1, PAGE)
    assert (memory.page_size(store), memory.page_size_log2(store)) == (PAGE, 16)
    memory.write(store, b"mark", PAGE - 4)
    assert memory.grow(store, 1) == 1
    assert memory.grow(store, 0) == 2
    assert memory.size(store) == 2
    assert memory.read(store, PAGE - 4, PAGE + 4) == b"mark" + bytes(4)
    assert memory.type(store) == MemoryType(Limits(1, 3))
    for delta in (2, 1 << 40):
        with pytest.raises(WasmtimeError, match=f"failed to grow memory by `{delta}`"):
            memory.grow(store, delta)
    with pytest.raises(WasmtimeError, match="negative"):
        memory.grow(store, -1)
    assert memory.size(store) == 2


def test_reading_and_writing_as_slices(store: Store) -> None:
    memory = Memory(store, MemoryType(Limits(1, None)))
    assert memory.write(store, b"abcdef", 10) == 6
    assert memory.read(store, 10, 16) == bytearray(b"abcdef")
    assert memory.read(store, 12, 10) == bytearray()
    assert memory.write(store, bytearray(b"end"), -3) == 3
    assert memory.read(store, -3) == bytearray(b"end")
    assert len(memory.read(store)) == PAGE
    assert memory.write(store, memoryview(b"xy"), 0) == 2 and memory.read(store, 0, 2) == b"xy"
    for start in (PAGE, PAGE - 2, PAGE + 5):
        with pytest.raises(IndexError, match="out of range"):
            memory.write(store, b"long", start)


def test_pointers(store: Store) -> None:
    memory = Memory(store, MemoryType(Limits(1, None)))
    memory.data_ptr(store)[5] = 77
    buffer = memory.get_buffer_ptr(store)
    assert len(buffer) == PAGE and buffer[5] == 77
    window = memory.get_buffer_ptr(store, 4, 5)
    window[1] = 78
    assert memory.read(store, 5, 7) == bytes([77, 78])
    assert ctypes.sizeof(window) == 4


def test_wasm_and_host_see_the_same_bytes(store: Store) -> None:
    module = Module(
        store.engine,
        """(module (memory (export "memory") 1 4)
            (func (export "get") (param i32) (result i32) local.get 0 i32.load8_u)
            (func (export "put") (param i32 i32) local.get 0 local.get 1 i32.store8)
            (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
            (func (export "size") (result i32) memory.size))""",
    )
    exports = Instance(store, module, []).exports(store)
    memory = exports["memory"]
    assert isinstance(memory, Memory)
    memory.write(store, b"\x2a", 9)
    assert exports["get"](store, 9) == 42
    exports["put"](store, 100, 7)
    assert memory.read(store, 100, 101) == b"\7"
    assert exports["grow"](store, 1) == 1 and memory.size(store) == 2
    assert memory.grow(store, 1) == 2 and exports["size"](store) == 3
    exports["put"](store, 3 * PAGE - 1, 9)
    assert memory.read(store, -1) == b"\x09"
    assert exports["grow"](store, 2) == -1 and exports["size"](store) == 3
    assert exports["get"](store, 9) == 42


def test_other_stores_are_refused(engine: Engine) -> None:
    memory = Memory(Store(engine), MemoryType(Limits(1, None)))
    with pytest.raises(WasmtimeError, match="wrong store"):
        memory.size(Store(engine))
    with pytest.raises(TypeError, match="expected a Store"):
        memory.size(None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a MemoryType"):
        Memory(Store(engine), Limits(1, None))  # type: ignore[arg-type]


def test_limits_of_a_store(engine: Engine) -> None:
    store = Store(engine)
    store.set_limits(memory_size=2 * PAGE)
    with pytest.raises(WasmtimeError, match="exceeds memory limits"):
        Memory(store, MemoryType(Limits(3, None)))
    memory = Memory(store, MemoryType(Limits(1, None)))
    assert memory.grow(store, 1) == 1
    with pytest.raises(WasmtimeError, match="failed to grow"):
        memory.grow(store, 1)
