"""How calls that wait for async host functions end: exceptions, traps, cancellation, interruption."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import brolga
from brolga import (
    Config,
    Engine,
    Module,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)
from brolga.runtime.bound import BoundInstance

from .waiting import TEXT, Gate, Load, Pause, double, finish, free_stacks, loader, native_engine, pause

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()


@pytest.fixture(scope="module")
def engine() -> Engine:
    return native_engine()


@pytest.fixture(scope="module")
def module(engine: Engine) -> Module:
    return Module(engine, TEXT)


@pytest.fixture
def load(module: Module) -> Load:
    return loader(module)


# --- Exceptions -------------------------------------------------------------------------------------------------------------


class Oops(Exception):
    pass


def test_exception_of_coroutine(load: Load) -> None:
    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        if value == 3:
            raise Oops("three")
        return value

    instance = load(wait)
    free = -1
    for _ in range(15):
        with pytest.raises(Oops, match="three") as caught:
            asyncio.run(instance.sum.call_async(5))
        assert "wait" in [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
        assert free in (-1, free_stacks(instance))  # the stack is given back
        free = free_stacks(instance)
    assert instance.plain(1) == 3
    assert asyncio.run(instance.once.call_async(9)) == 9


def test_exception_before_the_coroutine(load: Load) -> None:
    def wait(value: int) -> Any:
        raise Oops("early")

    with pytest.raises(Oops, match="early"):
        asyncio.run(load(wait).once.call_async(1))


@pytest.mark.parametrize("result", ["text", None, 1.5, [1]])
def test_wrong_result_of_coroutine(load: Load, result: object) -> None:
    async def wait(value: int) -> object:
        await asyncio.sleep(0)
        return result

    instance = load(wait)
    with pytest.raises(TypeError, match="don't know how to convert"):
        asyncio.run(instance.once.call_async(1))
    assert instance.plain(1) == 3


def test_trap_of_coroutine_has_frames(load: Load) -> None:
    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        raise Trap("from the host")

    with pytest.raises(Trap) as caught:
        asyncio.run(load(wait).trap.call_async(1))
    assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
    assert caught.value.trap_code is None


def test_trap_after_resumption(load: Load) -> None:
    instance = load()
    for _ in range(3):
        with pytest.raises(Trap) as caught:
            asyncio.run(instance.trap.call_async(1))
        assert caught.value.trap_code == TrapCode.UNREACHABLE
        assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
        assert caught.value.frames[0].module_name == "waiting"
        with pytest.raises(Trap) as caught:
            asyncio.run(instance.out_of_bounds.call_async(1))
        assert caught.value.trap_code == TrapCode.MEMORY_OUT_OF_BOUNDS
    assert asyncio.run(instance.twice.call_async(1)) == 4


def test_stack_overflow_after_resumption(load: Load) -> None:
    instance = load()
    instance.depth.value = 0
    with pytest.raises(Trap) as caught:
        asyncio.run(instance.recurse.call_async(1))
    assert caught.value.trap_code == TrapCode.STACK_OVERFLOW
    depth, instance.depth.value = instance.depth.value, 0
    with pytest.raises(Trap) as caught:  # this thread's own stack has the same size
        instance.recurse(0)
    assert caught.value.trap_code == TrapCode.STACK_OVERFLOW
    assert depth == pytest.approx(instance.depth.value, rel=0.01)


def test_stack_overflow_through_host_functions(load: Load) -> None:
    """Nested synchronous calls go on on the fiber's stack, and find its end."""
    depth = 0

    def wait(value: int) -> int:
        nonlocal depth
        depth += 1
        result: int = instance.deep(2500) if depth < 100 else 0
        return result

    instance = load(wait)
    with pytest.raises(Trap) as caught:
        asyncio.run(instance.deep.call_async(1000))
    assert caught.value.trap_code == TrapCode.STACK_OVERFLOW
    assert 3 < depth < 100
    assert asyncio.run(instance.plain.call_async(1)) == 3


def test_host_function_catches_nothing_of_another_call(load: Load) -> None:
    """An exception in one suspended call leaves the others alone."""

    async def wait(value: int) -> int:
        await asyncio.sleep(0.001 * value)
        if value == 5:
            raise Oops
        return value

    async def main() -> Any:
        return await asyncio.gather(
            *(load(wait).twice.call_async(value) for value in range(10)), return_exceptions=True
        )

    results = asyncio.run(main())
    assert isinstance(results.pop(5), Oops)
    assert results == [2 * value for value in range(10) if value != 5]


# --- Cancellation, closing, dropping ----------------------------------------------------------------------------------------


def test_cancellation(load: Load) -> None:
    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        assert await load().once.call_async(1) == 2
        free = free_stacks(instance)
        for _ in range(5):
            gate.entered.clear()
            task = asyncio.create_task(instance.twice.call_async(1))
            await gate.entered.wait()
            assert free_stacks(instance) == free - 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert free_stacks(instance) == free
            assert instance.plain(1) == 3
        gate.open.set()
        assert await instance.twice.call_async(1) == 4

    asyncio.run(main())


def test_cancelled_host_function_cleans_up(load: Load) -> None:
    steps: list[str] = []

    async def wait(value: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            steps.append("cancelled")
            raise
        finally:
            steps.append("cleaned")
        return value

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(load(wait).twice.call_async(1), 0.02)

    asyncio.run(main())
    assert steps == ["cancelled", "cleaned"]


def test_host_function_survives_cancellation(load: Load) -> None:
    async def wait(value: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return 100
        return value

    async def main() -> Any:
        task = asyncio.create_task(load(wait).once.call_async(1))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    assert asyncio.run(main()) == 100


def test_cancelled_before_it_begins(load: Load) -> None:
    async def main() -> None:
        instance = load()
        task = asyncio.create_task(instance.once.call_async(1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert instance.plain(1) == 3

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:.*was never awaited:RuntimeWarning")
def test_dropped_without_await(load: Load) -> None:
    instance = load()
    store = weakref.ref(instance.store)
    coroutine = instance.once.call_async(1)
    assert instance.plain(1) == 3
    del coroutine, instance
    gc.collect()
    assert store() is None


def test_dropped_while_suspended(load: Load) -> None:
    closed: list[bool] = []

    async def wait(value: int) -> int:
        try:
            return await Pause(value)
        finally:
            closed.append(True)

    instance = load(wait)
    assert finish(instance.once.call_async(1)) == 1
    free = free_stacks(instance)
    closed.clear()
    coroutine = instance.once.call_async(1)
    coroutine.send(None)
    assert free_stacks(instance) == free - 1
    del coroutine
    assert closed == [True]
    assert free_stacks(instance) == free
    assert instance.plain(1) == 3

    coroutine = instance.once.call_async(1)
    coroutine.send(None)
    store = weakref.ref(instance.store)
    del instance, coroutine
    gc.collect()
    assert store() is None


def test_dropped_in_a_cycle(load: Load) -> None:
    class Box:
        call: Any

    box = Box()

    def wait(box: Box, value: int) -> Any:
        return Pause(value)

    box.call = load(functools.partial(wait, box)).once.call_async(1)
    box.call.send(None)
    reference = weakref.ref(box)
    del box
    gc.collect()
    assert reference() is None


def test_closed_while_suspended(load: Load) -> None:
    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        view = memoryview(instance.memory)
        task = asyncio.create_task(instance.twice.call_async(1))
        await gate.entered.wait()
        instance.close()
        gate.open.set()
        with pytest.raises(ValueError, match="already closed"):
            await task
        assert len(view) == 65536
        with pytest.raises(ValueError, match="already closed"):
            await instance.plain.call_async(1)

    asyncio.run(main())


def test_closed_from_the_coroutine(load: Load) -> None:
    async def wait(value: int) -> int:
        instance.close()
        return value

    instance = load(wait)
    with pytest.raises(ValueError, match="already closed"):
        asyncio.run(instance.twice.call_async(1))


def test_loop_ends_with_suspended_calls(load: Load) -> None:
    """asyncio.run cancels what is left."""
    tasks = []

    async def main() -> None:
        gate = Gate()
        for _ in range(20):
            tasks.append(asyncio.create_task(load(gate).twice.call_async(1)))
        await gate.entered.wait()

    asyncio.run(main())
    assert all(task.cancelled() for task in tasks)


# --- Interruption -----------------------------------------------------------------------------------------------------------


def test_timeout_of_wasm_after_resumption(load: Load) -> None:
    instance = load()
    with pytest.raises(brolga.WasmTimeout) as caught:
        asyncio.run(instance.forever.call_async(1, timeout=0.05))
    assert [frame.func_name for frame in caught.value.frames] == ["forever"]
    assert instance.plain(1) == 3
    assert asyncio.run(instance.twice.call_async(1, timeout=60)) == 4


def test_timeout_while_suspended(load: Load) -> None:
    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        with pytest.raises(brolga.WasmTimeout) as caught:
            await instance.trap.call_async(1, timeout=0.03)  # which nobody lets go on
        assert [frame.func_name for frame in caught.value.frames] == ["inner", "outer"]
        assert instance.plain(1) == 3
        await asyncio.sleep(0)  # the task itself is not cancelled

    asyncio.run(main())


def test_timeout_without_asyncio(load: Load) -> None:
    instance = load(pause)
    coroutine = instance.trap.call_async(1, timeout=0.02)
    coroutine.send(None)
    time.sleep(0.05)
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
    instance = load()
    timer = threading.Timer(0.05, instance.store.interrupt)
    timer.start()
    with pytest.raises(Trap) as caught:
        asyncio.run(instance.forever.call_async(1))
    timer.join()
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
    instance = load()

    def handler(number: int, frame: object) -> None:
        raise Oops("signal")

    with alarms(handler, 0.05), pytest.raises(Oops, match="signal"):
        coroutine = instance.forever.call_async(1)
        finish(coroutine)
    assert instance.plain(1) == 3


def test_other_threads_run(load: Load) -> None:
    """A call that has been resumed gives the GIL away like any other."""
    stop = threading.Event()
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while not stop.is_set():
            ticks += 1
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    with pytest.raises(brolga.WasmTimeout):
        asyncio.run(load().forever.call_async(1, timeout=0.2))
    stop.set()
    thread.join()
    assert ticks > 5


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
