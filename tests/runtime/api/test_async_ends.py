"""How calls that wait for async host functions end: exceptions, traps, cancellation, closing."""

from __future__ import annotations

import asyncio
import functools
import gc
import traceback
import weakref
from typing import Any

import pytest

from brolga import Trap, TrapCode

from .waiting import Gate, Load, Pause, finish, free_stacks

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
