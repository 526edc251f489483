"""A user's program with `brolga.load` and async host functions: checked by mypy and pyright, and run."""

from __future__ import annotations

import asyncio
import pickle
import threading
from collections.abc import Awaitable, Callable
from typing import Any, assert_type

import brolga
from brolga import Engine, Func, FuncType, Linker, Module, Store, Trap, ValType, WasmtimeError, WasmTimeout
from brolga.runtime.bound import BoundFunc, BoundInstance, BoundMemory

COUNTER = """(module
  (import "host" "fetch" (func $fetch (param i32) (result i32)))
  (memory (export "memory") 1)
  (global (export "total") (mut i64) (i64.const 0))
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "sum") (param $n i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (call $add (local.get $sum) (call $fetch (local.get $n))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  (func (export "forever") (loop (br 0))))"""

Fetch = Callable[[int], int] | Callable[[int], Awaitable[int]]


def load(fetch: Fetch, engine: Engine | None = None) -> BoundInstance:
    instance = brolga.load(COUNTER, {"host": {"fetch": fetch}}, engine=engine)
    assert_type(instance, BoundInstance)
    return instance


def synchronous() -> None:
    with load(lambda value: value * value) as instance:
        total: int = instance.sum(3)
        assert total == 14
        add = instance["add"]
        assert isinstance(add, BoundFunc)
        assert_type(add.type, FuncType)
        assert add(1, 2, timeout=1.0) == 3

        memory = instance.memory
        assert isinstance(memory, BoundMemory)
        with memoryview(memory) as view:
            view[0:5] = b"hello"
        assert_type(memory.read(0, 5), bytes)
        assert memory.read(0, 5) == b"hello"
        assert_type(memory.grow(1), int)
        assert len(memory) == 2 << 16
        instance.total.value = 5

        try:
            instance.forever(timeout=0.01)
        except WasmTimeout as error:
            assert isinstance(error, Trap)
            assert isinstance(error, TimeoutError)
        timer = threading.Timer(0.01, instance.store.interrupt)
        timer.start()
        try:
            instance.forever()
        except Trap as trap:
            assert trap.trap_code is brolga.TrapCode.INTERRUPT


async def slow_square(value: int) -> int:
    await asyncio.sleep(0.001)
    return value * value


async def asynchronous() -> None:
    instances = [load(slow_square) for _ in range(3)]
    results: list[int] = await asyncio.gather(*(instance.sum.call_async(4, timeout=10.0) for instance in instances))
    assert results == [30, 30, 30]

    sum = instances[0].sum
    assert isinstance(sum, BoundFunc)
    try:
        sum(1)
    except WasmtimeError as error:
        assert "call_async" in str(error)


async def asynchronous_in_the_style_of_wasmtime() -> None:
    engine = Engine()
    store, linker = Store(engine), Linker(engine)
    linker.define_func("host", "fetch", FuncType([ValType.i32()], [ValType.i32()]), slow_square)
    sum = linker.instantiate(store, Module(engine, COUNTER)).exports(store)["sum"]
    assert isinstance(sum, Func)
    result: Any = await sum.call_async(store, 4, timeout=10.0)
    assert result == 30


def main() -> None:
    synchronous()
    asyncio.run(asynchronous())
    asyncio.run(asynchronous_in_the_style_of_wasmtime())
    module = pickle.loads(pickle.dumps(Module(Engine(), COUNTER)))
    assert isinstance(module, Module)


if __name__ == "__main__":
    main()
