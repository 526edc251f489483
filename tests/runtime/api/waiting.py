"""A module whose functions call an async host function, and async functions for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from brolga import Config, Engine, Module
from brolga.runtime.bound import BoundInstance, bind_instance

# Every function calls `wait` between two pieces of its work.
TEXT = """(module $waiting
  (import "host" "wait" (func $wait (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $depth (export "depth") (mut i32) (i32.const 0))

  (func (export "once") (param i32) (result i32) (call $wait (local.get 0)))
  (func (export "twice") (param i32) (result i32)
    (i32.store (i32.const 64) (local.get 0))
    (i32.add (call $wait (local.get 0)) (call $wait (i32.load (i32.const 64)))))
  (func $sum (export "sum") (param $n i32) (result i32) (local $sum i32)
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (call $wait (local.get $n))))
      (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (call $wait (i32.const 7)))))
  (func $inner (param i32) (drop (call $wait (local.get 0))) unreachable)
  (func $outer (export "trap") (param i32) (call $inner (local.get 0)))
  (func (export "out_of_bounds") (param i32)
    (drop (i32.load (i32.sub (call $wait (local.get 0)) (i32.const 1000)))))
  (func $forever (export "forever") (param i32) (drop (call $wait (local.get 0))) (loop (br 0)))
  (func $recurse (export "recurse") (param i32)
    (if (local.get 0) (then (drop (call $wait (i32.const 0)))))
    (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
    (call $recurse (i32.const 0)))
  (func (export "plain") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3))))"""


async def double(value: int) -> int:
    await asyncio.sleep(0)
    return 2 * value


# Given an async function, an instance of the module that calls it.
Load = Callable[..., BoundInstance]


def native_engine() -> Engine:
    """An engine whose calls can be suspended."""
    config = Config()
    config.platform = "linux"
    return Engine(config)


def loader(module: Module) -> Load:
    def load(wait: Callable[..., Any] = double) -> BoundInstance:
        return bind_instance(module, None, {"host": {"wait": wait}}, None)

    return load


class Gate:
    """An async function that a test lets go on when it likes."""

    def __init__(self, result: Any = None) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.result = result

    async def __call__(self, value: int) -> Any:
        self.entered.set()
        await self.open.wait()
        return 2 * value if self.result is None else self.result


class Pause:
    """Something to await without an event loop: gives `value` back when the coroutine is sent on."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __await__(self) -> Generator[str, None, int]:
        yield "paused"
        return self.value


async def pause(value: int) -> int:
    return await Pause(2 * value)


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that has been started returns when it is sent on to its end."""
    while True:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value


def free_stacks(instance: BoundInstance) -> int:
    return len(instance.store.engine.machine.stacks._free)
