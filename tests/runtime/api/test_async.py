"""Async host functions: calls that are suspended while a coroutine runs."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock, Mock, call

import pytest

import brolga
from brolga import (
    Config,
    Engine,
    Func,
    FuncType,
    Instance,
    Linker,
    Module,
    Store,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
)
from brolga.runtime.bound import BoundInstance

from .waiting import TEXT, Gate, Load, Pause, double, finish, loader, native_engine, pause

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


# --- Values and state over a suspension ------------------------------------------------------------------------------------


def test_result_of_coroutine_is_result_of_import(load: Load) -> None:
    instance = load()
    for _ in range(30):  # with the routine for all signatures, and with that of this one
        assert asyncio.run(instance.twice.call_async(5)) == 20
    assert asyncio.run(instance.sum.call_async(100)) == 2 * 5050


def test_wasmtime_style(engine: Engine, module: Module) -> None:
    linker, store = Linker(engine), Store(engine)
    linker.define_func("host", "wait", FuncType([I32], [I32]), double)
    exports = linker.instantiate(store, module).exports(store)
    twice, plain = exports["twice"], exports["plain"]
    assert isinstance(twice, Func) and isinstance(plain, Func)
    assert asyncio.run(twice.call_async(store, 21)) == 84
    assert asyncio.run(plain.call_async(store, 5)) == 15
    assert plain(store, 5) == 15

    func = Func(store, FuncType([I32], [I32]), double)
    twice = Instance(store, module, [func]).exports(store)["twice"]
    assert isinstance(twice, Func)
    assert asyncio.run(twice.call_async(store, 21)) == 84
    assert asyncio.run(func.call_async(store, 4)) == 8  # no wasm at all


SIGNATURES: list[tuple[list[ValType], list[ValType], list[Any], list[Any]]] = [
    ([], [], [], []),
    ([I64], [I64], [-(2**63)], [2**63 - 1]),
    ([I32], [I32], [-1], [-1]),
    ([F32], [F32], [1.5], [-0.25]),
    ([F64], [F64], [1e300], [-1e-300]),
    ([I32, F64] * 12, [I64], [1, 2.5] * 12, [12]),
    (
        [I32],
        [I32, F64, I64, F32, I32, I32, I32, F64, F64, F64, F64, F64],
        [9],
        [1, 2.0, 3, 4.0, 5, 6, 7, 8.0, 9.0, 0.5, 1.5, 2.5],
    ),
    ([I32], [F32], [3], [7.0]),
]


@pytest.mark.parametrize("params, results, args, values", SIGNATURES)
def test_signatures(
    engine: Engine, params: list[ValType], results: list[ValType], args: list[Any], values: list[Any]
) -> None:
    given = []

    async def host(*arguments: Any) -> Any:
        given.append(list(arguments))
        await asyncio.sleep(0)
        return None if not values else values[0] if len(values) == 1 else values

    def text(name: str, types: list[ValType]) -> str:
        return f"({name} {' '.join(map(str, types))})" if types else ""

    get = " ".join(f"(local.get {i})" for i in range(len(params)))
    type = f"{text('param', params)} {text('result', results)}"
    module = Module(
        engine, f'(module (import "" "" (func $host {type})) (func (export "f") {type} (call $host {get})))'
    )
    store = Store(engine)
    func = Instance(store, module, [Func(store, FuncType(params, results), host)]).exports(store)["f"]
    assert isinstance(func, Func)
    expected = None if not values else values[0] if len(values) == 1 else values
    for _ in range(15):
        assert asyncio.run(func.call_async(store, *args)) == expected
    assert given == [args] * 15


def test_references(engine: Engine) -> None:
    module = Module(
        engine,
        """(module (import "" "fetch" (func $fetch (param externref) (result externref)))
             (import "" "which" (func $which (result funcref)))
             (table 1 funcref) (type $binary (func (param i32 i32) (result i32)))
             (func $add (export "add") (type $binary) (i32.add (local.get 0) (local.get 1)))
             (func (export "echo") (param externref) (result externref) (call $fetch (local.get 0)))
             (func (export "apply") (result i32)
               (table.set (i32.const 0) (call $which))
               (call_indirect (type $binary) (i32.const 40) (i32.const 2) (i32.const 0))))""",
    )
    store = Store(engine)
    thing = object()

    async def fetch(value: object) -> object:
        await asyncio.sleep(0)
        store.gc()  # must not take references that only the suspended call holds
        gc.collect()
        return value

    async def which() -> object:
        await asyncio.sleep(0)
        return exports["add"]

    reference = ValType.externref()
    imports = [
        Func(store, FuncType([reference], [reference]), fetch),
        Func(store, FuncType([], [ValType.funcref()]), which),
    ]
    exports = Instance(store, module, imports).exports(store)
    echo, apply = exports["echo"], exports["apply"]
    assert isinstance(echo, Func) and isinstance(apply, Func)
    assert asyncio.run(echo.call_async(store, thing)) is thing
    assert asyncio.run(echo.call_async(store, None)) is None
    assert asyncio.run(apply.call_async(store)) == 42


def test_externref_that_could_be_awaited_is_a_value(engine: Engine) -> None:
    """A function that is not async may return any object as a reference."""
    reference = ValType.externref()
    text = '(module (import "" "" (func $f (result externref))) (func (export "f") (result externref) (call $f)))'
    pending = Pause(1)
    store = Store(engine)
    func = Instance(store, Module(engine, text), [Func(store, FuncType([], [reference]), lambda: pending)])
    f = func.exports(store)["f"]
    assert isinstance(f, Func)
    assert f(store) is pending
    assert asyncio.run(f.call_async(store)) is pending


def test_registers_live_over_suspension(engine: Engine) -> None:
    """Many integers and floats are alive at the call: all of them come back."""
    count = 40
    ints = " ".join(f"(local.set $i{n} (i64.mul (local.get $x) (i64.const {n + 3})))" for n in range(count))
    floats = " ".join(f"(local.set $f{n} (f64.mul (local.get $y) (f64.const {n + 3})))" for n in range(count))
    sum_ints = "(local.get $i0) " + " ".join(f"(local.get $i{n}) i64.add" for n in range(1, count))
    sum_floats = "(local.get $f0) " + " ".join(f"(local.get $f{n}) f64.add" for n in range(1, count))
    text = f"""(module (import "" "" (func $wait (result i32)))
      (func (export "f") (param $x i64) (param $y f64) (result i64 f64)
        {" ".join(f"(local $i{n} i64) (local $f{n} f64)" for n in range(count))}
        {ints} {floats} (drop (call $wait)) {sum_ints} {sum_floats}))"""

    async def wait() -> int:
        await asyncio.sleep(0)
        return 0

    instance = brolga.load(text, {"": {"": wait}}, engine=engine)
    factor = sum(range(3, count + 3))
    assert asyncio.run(instance.f.call_async(11, 0.5)) == [11 * factor, 0.5 * factor]


def test_stack_depth(load: Load) -> None:
    assert asyncio.run(load().deep.call_async(5000)) == 5014


# --- Concurrency ------------------------------------------------------------------------------------------------------------


def test_other_tasks_go_on(load: Load) -> None:
    async def main() -> None:
        gate = Gate()
        first, second = load(gate), load()
        task = asyncio.create_task(first.twice.call_async(1))
        await gate.entered.wait()
        assert await second.twice.call_async(10) == 40
        assert second.plain(4) == 12  # a plain call, while another store's call is suspended
        assert not task.done()
        gate.open.set()
        assert await task == 4

    asyncio.run(main())


def test_a_thousand_suspended_calls(load: Load) -> None:
    """All suspended at once, resumed in another order, each with its own memory."""
    count = 1000

    async def main() -> None:
        events = [asyncio.Event() for _ in range(count)]
        waiting = 0

        async def wait(value: int) -> int:
            nonlocal waiting
            waiting += 1
            await events[value].wait()
            return value

        instances = [load(wait) for _ in range(count)]
        tasks = [asyncio.create_task(instance.twice.call_async(i)) for i, instance in enumerate(instances)]
        while waiting < count:
            await asyncio.sleep(0)
        for i in range(count):
            events[i * 377 % count].set()
        assert await asyncio.gather(*tasks) == [2 * i for i in range(count)]
        assert waiting == 2 * count

    asyncio.run(main())


def test_gc_stress(load: Load) -> None:
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:

        async def wait(value: int) -> int:
            await asyncio.sleep(0)
            gc.collect(0)
            return value

        async def main() -> Any:
            return await asyncio.gather(*(load(wait).sum.call_async(n) for n in range(1, 30)))

        assert asyncio.run(main()) == [n * (n + 1) // 2 for n in range(1, 30)]
    finally:
        gc.set_threshold(*before)


def test_async_host_function_calls_another_store(load: Load) -> None:
    async def main() -> Any:
        inner = load()
        for _ in range(10):

            async def wait(value: int, inner: BoundInstance = inner) -> int:
                result: int = await inner.once.call_async(value)
                return result + 1

            inner = load(wait)
        result: int = await inner.twice.call_async(5)
        return result

    assert asyncio.run(main()) == 2 * (10 + 10)


def test_event_loops_in_threads(load: Load) -> None:
    results: list[int] = []

    def work() -> None:
        async def main() -> Any:
            return await asyncio.gather(*(load().sum.call_async(40) for _ in range(5)))

        results.extend(asyncio.run(main()))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [40 * 41] * 20


def test_goes_on_in_another_thread(load: Load) -> None:
    instance = load(pause)
    coroutine = instance.twice.call_async(6)
    thread = threading.Thread(target=coroutine.send, args=(None,))
    thread.start()
    thread.join()  # its own stack is gone
    assert finish(coroutine) == 24
    assert instance.plain(2) == 6


def test_many_threads_pass_one_call_on(load: Load) -> None:
    coroutine = load(pause).sum.call_async(20)
    results: list[int] = []

    def step() -> None:
        try:
            coroutine.send(None)
        except StopIteration as stop:
            results.append(stop.value)

    while not results:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert results == [20 * 21]


def test_sync_host_function_runs_event_loop_of_another_store(load: Load) -> None:
    """A fiber that runs on a thread whose stack holds an ordinary call, and the other way round."""
    inner = load()
    outer = load(lambda value: asyncio.run(inner.twice.call_async(value)))
    assert outer.twice(3) == 2 * 12

    def drive(value: int) -> int:
        result: int = finish(paused.twice.call_async(value))
        return result

    paused = load(pause)
    middle = load(drive)
    assert asyncio.run(middle.twice.call_async(3)) == 24
    with pytest.raises(Trap) as caught:  # the bounds of this thread's stack are its own again
        middle.recurse(0)
    assert caught.value.trap_code == TrapCode.STACK_OVERFLOW


def test_context_variables(load: Load) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def wait(value: int) -> int:
        await asyncio.sleep(0)
        return value + variable.get()

    async def call(number: int) -> int:
        variable.set(number)
        result: int = await load(wait).once.call_async(1)
        return result

    async def main() -> Any:
        return await asyncio.gather(call(10), call(20))

    assert asyncio.run(main()) == [11, 21]


# --- What cannot be suspended -----------------------------------------------------------------------------------------------

CANNOT_WAIT = "by a call that cannot wait: make it with `call_async`"


def test_plain_call_of_async_function(engine: Engine, load: Load) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        instance = load()
        for _ in range(15):
            with pytest.raises(WasmtimeError, match=CANNOT_WAIT):
                instance.once(1)
        store = Store(engine)
        with pytest.raises(WasmtimeError, match=CANNOT_WAIT):
            Func(store, FuncType([I32], [I32]), double)(store, 1)
        gc.collect()
    assert not warned  # of coroutines that were never awaited
    assert asyncio.run(instance.once.call_async(1)) == 2
    assert instance.plain(1) == 3


def test_start_function_cannot_wait(engine: Engine) -> None:
    text = '(module (import "" "" (func $f)) (func $start (call $f)) (start $start))'

    async def host() -> None: ...

    store = Store(engine)
    with pytest.raises(WasmtimeError, match=CANNOT_WAIT):
        Instance(store, Module(engine, text), [Func(store, FuncType([], []), host)])


def test_synchronous_call_between(engine: Engine) -> None:
    """call_async -> wasm -> sync host function -> wasm -> async host function."""
    text = """(module (import "" "sync" (func $sync (result i32))) (import "" "wait" (func $wait (result i32)))
      (func (export "outer") (result i32) (i32.add (call $sync) (call $wait))) (func (export "inner") (result i32) (call $wait)))"""
    errors: list[WasmtimeError] = []

    def sync() -> int:
        try:
            result: int = instance.inner()
        except WasmtimeError as error:
            errors.append(error)
            return 30
        return result

    async def wait() -> int:
        await asyncio.sleep(0)
        return 12

    instance = brolga.load(text, {"": {"sync": sync, "wait": wait}}, engine=engine)
    assert asyncio.run(instance.outer.call_async()) == 42  # the outer call can still be suspended
    assert "by a synchronous call, made by a host function that `call_async` called" in str(errors[0])


def test_no_stacks_no_suspension() -> None:
    config = Config()
    config.platform = "minimal"
    instance = brolga.load(TEXT, {"host": {"wait": double}}, engine=Engine(config))
    with pytest.raises(WasmtimeError, match="cannot be suspended on the platform `minimal`"):
        asyncio.run(instance.once.call_async(1))
    with pytest.raises(WasmtimeError, match=CANNOT_WAIT):
        instance.once(1)
    assert instance.plain(1) == 3


def test_store_is_busy(engine: Engine, module: Module, load: Load) -> None:
    busy = "the store is busy: one of its calls waits for an async host function"

    async def main() -> None:
        gate = Gate()
        instance = load(gate)
        task = asyncio.create_task(instance.once.call_async(1))
        await gate.entered.wait()
        with pytest.raises(WasmtimeError, match=busy):
            instance.plain(1)
        with pytest.raises(WasmtimeError, match=busy):
            await instance.plain.call_async(1)
        with pytest.raises(WasmtimeError, match=busy):
            brolga.load("(module (func $f) (start $f))", store=instance.store)
        instance.memory[0] = 7  # needs no wasm
        gate.open.set()
        assert await task == 2
        assert instance.plain(1) == 3

    asyncio.run(main())


def test_busy_for_its_own_host_function(load: Load) -> None:
    async def wait(value: int) -> int:
        instance.plain(value)
        return value

    instance = load(wait)
    with pytest.raises(WasmtimeError, match="busy"):
        asyncio.run(instance.once.call_async(1))
    assert instance.plain(1) == 3


def test_wrong_arguments(engine: Engine, load: Load) -> None:
    instance = load()
    with pytest.raises(WasmtimeError, match="too few parameters provided: given 0, expected 1"):
        asyncio.run(instance.once.call_async())
    with pytest.raises(TypeError, match="don't know how to convert 'x' to i32"):
        asyncio.run(instance.once.call_async("x"))
    func = Func(instance.store, FuncType([], []), lambda: None)
    with pytest.raises(WasmtimeError, match="wrong store"):
        asyncio.run(func.call_async(Store(engine)))
    with pytest.raises(TypeError, match="store"):
        asyncio.run(func.call_async())  # type: ignore[call-arg]


# --- What counts as async ---------------------------------------------------------------------------------------------------


class Doubler:
    async def __call__(self, value: int) -> int:
        return await pause(value)

    async def method(self, value: int) -> int:
        return await pause(value)


async def add_and_double(addend: int, value: int) -> int:
    return await pause(addend + value)


@functools.wraps(pause)
def decorated(*args: Any) -> Any:
    return pause(*args)


@pytest.mark.parametrize(
    "function",
    [Doubler(), Doubler().method, functools.partial(add_and_double, 0), decorated, lambda value: Pause(2 * value)],
    ids=["callable", "method", "partial", "decorated", "awaitable"],
)
def test_kinds_of_functions(load: Load, function: Callable[..., Any]) -> None:
    instance = load(function)
    for _ in range(8):
        assert finish(instance.twice.call_async(5)) == 20


@pytest.mark.parametrize("function", [Doubler(), Doubler().method, functools.partial(add_and_double, 0)])
def test_kinds_of_async_functions(engine: Engine, function: Callable[..., Any]) -> None:
    """Where any object is a result, the declaration tells."""
    text = """(module (import "" "" (func $f (param i32) (result externref)))
      (func (export "f") (result externref) (call $f (i32.const 21))))"""
    assert finish(brolga.load(text, {"": {"": function}}, engine=engine).f.call_async()) == 42


def test_mocks(load: Load) -> None:
    """They have any attribute that one asks for."""
    mock = Mock(return_value=5)
    assert load(mock).twice(1) == 10
    assert mock.call_args_list == [call(1), call(1)]
    mock = AsyncMock(return_value=5)
    assert asyncio.run(load(mock).twice.call_async(1)) == 10
    assert mock.await_count == 2


def test_caller_lasts_as_long_as_coroutine(engine: Engine, module: Module) -> None:
    callers = []

    async def wait(caller: brolga.Caller, value: int) -> int:
        callers.append(caller)
        await asyncio.sleep(0)
        memory = caller["memory"]
        assert isinstance(memory, brolga.Memory)
        result: int = memory.read(caller, 64, 65)[0] + caller.data()
        return result

    linker, store = Linker(engine), Store(engine, 100)
    linker.define_func("host", "wait", FuncType([I32], [I32]), wait, access_caller=True)
    twice = linker.instantiate(store, module).exports(store)["twice"]
    assert isinstance(twice, Func)
    assert asyncio.run(twice.call_async(store, 5)) == 2 * 105
    with pytest.raises(ValueError, match="caller is no longer valid"):
        callers[0].data()
    assert callers[0].get("memory") is None
