"""Calls that wait for async host functions: time limits, interrupts, signals, forks, the end of the process."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import brolga
from brolga import (
    Config,
    Engine,
    Trap,
    TrapCode,
    WasmtimeError,
)
from brolga.runtime.bound import BoundInstance

from .waiting import TEXT, Gate, Load, Pause, double, finish, pause


class Oops(Exception):
    pass


def test_timeout_of_wasm_after_resumption(load: Load) -> None:
    instance = load()
    with pytest.raises(brolga.WasmTimeout):
        asyncio.run(instance.forever.call_async(1, timeout=2))  # it must be compiled first
    with pytest.raises(brolga.WasmTimeout) as caught:
        asyncio.run(instance.forever.call_async(1, timeout=0.05))
    assert [frame.func_name for frame in caught.value.frames] == ["forever"]
    assert instance.plain(1) == 3
    assert asyncio.run(instance.twice.call_async(1, timeout=60)) == 4


@pytest.fixture
def compiled(load: Load) -> None:
    """What these tests call is compiled: their time is not spent on that."""
    with pytest.raises(Trap):
        asyncio.run(load().trap.call_async(1))


def test_timeout_while_suspended(load: Load, compiled: None) -> None:
    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        with pytest.raises(brolga.WasmTimeout) as caught:
            await instance.trap.call_async(1, timeout=0.1)  # which nobody lets go on
        assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
        assert instance.plain(1) == 3
        await asyncio.sleep(0)  # the task itself is not cancelled

    asyncio.run(main())


def test_timeout_without_asyncio(load: Load, compiled: None) -> None:
    instance = load(pause)
    coroutine = instance.trap.call_async(1, timeout=0.1)
    coroutine.send(None)
    while not instance.store._state.timed_out:
        time.sleep(0.01)
    with pytest.raises(brolga.WasmTimeout):
        coroutine.send(None)
    assert instance.plain(1) == 3


def test_timeout_error_of_host_function(load: Load) -> None:
    async def wait(value: int) -> int:
        await asyncio.wait_for(asyncio.sleep(60), 0.01)
        return value

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(load(wait).once.call_async(1, timeout=60))
    assert not isinstance(caught.value, brolga.WasmTimeout)


def test_interrupt_while_suspended(load: Load) -> None:
    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        task = asyncio.create_task(instance.trap.call_async(1))
        await gate.entered.wait()
        instance.store.interrupt()
        gate.open.set()
        with pytest.raises(Trap) as caught:
            await task
        assert caught.value.trap_code == TrapCode.INTERRUPT
        assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
        assert await instance.once.call_async(1) == 2  # later calls are not affected

    asyncio.run(main())


def test_interrupt_after_resumption(load: Load) -> None:
    timers = []

    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        timers.append(threading.Timer(0.02, instance.store.interrupt))
        timers[0].start()
        return value

    instance = load(wait)
    with pytest.raises(Trap) as caught:
        asyncio.run(instance.forever.call_async(1))
    timers[0].join()
    assert caught.value.trap_code == TrapCode.INTERRUPT


def test_epochs() -> None:
    config = Config()
    config.platform = "linux"
    config.epoch_interruption = True
    engine = Engine(config)

    async def main() -> None:
        gate = Gate()
        instance = brolga.load(TEXT, {"host": {"wait": gate}}, engine=engine)
        instance.store.set_epoch_deadline(1)
        task = asyncio.create_task(instance.trap.call_async(1))
        await gate.entered.wait()
        engine.increment_epoch()
        gate.open.set()
        with pytest.raises(Trap) as caught:
            await task
        assert caught.value.trap_code == TrapCode.INTERRUPT
        assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
        instance.store.set_epoch_deadline(1)
        timer = threading.Timer(0.05, engine.increment_epoch)
        timer.start()
        with pytest.raises(Trap) as caught:
            await instance.forever.call_async(1)
        assert caught.value.trap_code == TrapCode.INTERRUPT
        timer.join()

    asyncio.run(main())


@contextmanager
def alarms(handler: Callable[..., Any], seconds: float) -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signals(load: Load) -> None:
    """Safepoints on a fiber's stack, before and after suspensions."""
    count = 0

    def handler(number: int, frame: object) -> None:
        nonlocal count
        count += 1

    text = """(module (import "" "" (func $wait (param i32) (result i32)))
      (func (export "work") (param $n i32) (result i32) (local $sum i32) (local $k i32)
        (loop $next
          (local.set $k (i32.const 300000))
          (loop $spin (local.set $sum (i32.add (local.get $sum) (i32.and (local.get $k) (i32.const 1))))
            (br_if $spin (local.tee $k (i32.sub (local.get $k) (i32.const 1)))))
          (local.set $sum (i32.add (local.get $sum) (call $wait (local.get $n))))
          (br_if $next (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $sum)))"""

    async def main() -> Any:
        return await asyncio.gather(*(brolga.load(text, {"": {"": double}}).work.call_async(30) for _ in range(3)))

    with alarms(handler, 0.0003):
        results = asyncio.run(main())
    assert results == [30 * 150000 + 30 * 31] * 3
    assert count > 10


def test_exception_of_signal_handler(load: Load) -> None:
    def handler(number: int, frame: object) -> None:
        raise Oops("signal")

    async def wait(value: int) -> int:
        await Pause(value)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        return value

    instance = load(wait)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Oops, match="signal"):
            finish(instance.forever.call_async(1))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert instance.plain(1) == 3


def test_other_threads_run(load: Load) -> None:
    """A call that has been resumed gives the GIL away like any other: to the thread that ends it, after a hundred turns."""
    running = threading.Event()

    async def wait(value: int) -> int:
        running.set()
        return value

    def end() -> None:
        running.wait()
        for _ in range(100):
            time.sleep(0.0001)
        instance.store.interrupt()

    instance = load(wait)
    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(Trap) as caught:
        asyncio.run(instance.forever.call_async(1))
    thread.join()
    assert caught.value.trap_code == TrapCode.INTERRUPT


def test_fork_while_suspended(load: Load) -> None:
    instance = load(pause)
    coroutine = instance.twice.call_async(3)
    coroutine.send(None)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if finish(coroutine) == 12 and instance.plain(1) == 3 else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert finish(coroutine) == 12


def test_call_around_goes_on_while_inner_is_suspended(load: Load) -> None:
    """A suspended call may outlive the synchronous call whose host function began it, in the same store."""
    inner: list[Any] = []

    def wait(value: int) -> Any:
        if value == 1:
            inner.append(instance.once.call_async(2))
            inner[0].send(None)
            return 10
        return Pause(20)

    instance = load(wait)
    assert instance.once(1) == 10
    with pytest.raises(WasmtimeError, match="busy"):
        instance.plain(1)
    assert finish(inner[0]) == 20
    assert instance.plain(1) == 3


def test_fuel() -> None:
    """A suspension costs none, and a call without any left ends after it too."""
    config = Config()
    config.platform = "linux"
    config.consume_fuel = True
    engine = Engine(config)

    def used(call: Callable[[BoundInstance], Any], wait: Callable[..., Any]) -> int:
        instance = brolga.load(TEXT, {"host": {"wait": wait}}, engine=engine)
        instance.store.set_fuel(10_000)
        call(instance)
        return 10_000 - instance.store.get_fuel()

    plain = used(lambda instance: instance.sum(20), lambda value: 2 * value)
    assert plain > 100
    assert used(lambda instance: asyncio.run(instance.sum.call_async(20)), double) == plain
    with pytest.raises(Trap) as caught:
        used(lambda instance: asyncio.run(instance.forever.call_async(1)), double)
    assert caught.value.trap_code == TrapCode.OUT_OF_FUEL
    assert [frame.func_name for frame in caught.value.frames] == ["forever"]


def test_timeout_when_the_call_no_longer_waits(load: Load) -> None:
    """The time is over while the coroutine ends; a host function that wasm calls next says that the task is cancelled."""

    def wait(value: int) -> Any:
        if value == 2:
            return ends_late()
        raise asyncio.CancelledError

    async def ends_late() -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 1
        return 0

    instance = load(wait)
    with pytest.raises(brolga.WasmTimeout):
        asyncio.run(instance.sum.call_async(2, timeout=0.02))
    assert instance.plain(1) == 3


@pytest.mark.parametrize("seconds", [0, -1, 1e-9])
def test_timeouts_that_are_over_at_once(load: Load, seconds: float) -> None:
    async def wait(value: int) -> int:
        await asyncio.sleep(60)
        return value

    instance = load(wait)
    for func in (instance.once, instance.forever):
        with pytest.raises(brolga.WasmTimeout):
            asyncio.run(func.call_async(1, timeout=seconds))
    assert asyncio.run(instance.plain.call_async(1, timeout=1e9)) == 3
    assert asyncio.run(instance.plain.call_async(1, timeout=float("inf"))) == 3
    with pytest.raises(ValueError, match="not a number"):
        asyncio.run(instance.plain.call_async(1, timeout=float("nan")))
    assert instance.plain(1) == 3


EXIT = """
import asyncio, sys, threading, brolga
class Pause:
    def __await__(self):
        yield
async def wait(value):
    await Pause()
    return value
def begin():
    instance = brolga.load(TEXT, {"host": {"wait": wait}})
    coroutine = instance.twice.call_async(1)
    coroutine.send(None)
    return coroutine
class Late:
    # Goes on when modules are torn down.
    def __init__(self):
        self.coroutine = begin()
    def __del__(self):
        try:
            self.coroutine.send(None)
            self.coroutine.send(None)
        except (StopIteration, RuntimeError):
            print("late")
calls = [begin() for _ in range(5)]
late = Late()
print("end")
"""


DAEMON = """
def run():
    async def sleep(value):
        await asyncio.sleep(60)
        return value
    asyncio.run(brolga.load(TEXT, {"host": {"wait": sleep}}).twice.call_async(1))
threading.Thread(target=run, daemon=True).start()
"""


@pytest.mark.parametrize("more, end", [("", ["end", "late"]), (DAEMON, ["end"])])  # a thread's frames keep `late` alive
def test_exit_with_suspended_calls(more: str, end: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"TEXT = {TEXT!r}\n{EXIT}{more}"],
        env={**os.environ, "BROLGA_PLATFORM": "linux"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.split()) == (0, end), done.stderr


def test_coroutine_closed_by_its_own_host_function(load: Load) -> None:
    errors: list[str] = []

    def wait(value: int) -> int:
        for misuse in (coroutine.close, lambda: coroutine.send(None), lambda: coroutine.throw(Oops())):
            try:
                misuse()
            except (ValueError, RuntimeError) as error:
                errors.append(str(error))
        return value

    instance = load(wait)
    coroutine = instance.once.call_async(5)
    assert finish(coroutine) == 5
    assert errors == ["coroutine already executing"] * 3


def test_thrown_into_a_suspended_call(load: Load) -> None:
    instance = load(pause)
    coroutine = instance.twice.call_async(5)
    coroutine.send(None)
    with pytest.raises(Oops):
        coroutine.throw(Oops())
    assert instance.plain(1) == 3


def test_rounding_is_that_of_wasm_after_resumption() -> None:
    """Whatever the coroutine leaves in the control register; the caller finds what it had."""
    library = ctypes.CDLL(None)
    nearest, upward = 0, 0x800
    text = """(module (import "" "" (func $wait))
      (func (export "add") (param f64 f64) (result f64) (call $wait) (f64.add (local.get 0) (local.get 1))))"""

    async def wait() -> None:
        await Pause(0)
        library.fesetround(upward)

    config = Config()
    config.platform = "linux"
    instance = brolga.load(text, {"": {"": wait}}, engine=Engine(config))
    coroutine = instance.add.call_async(1.0, 1e-30)
    coroutine.send(None)
    try:
        result = finish(coroutine)
        assert library.fegetround() == upward
    finally:
        library.fesetround(nearest)
    assert result == 1.0
