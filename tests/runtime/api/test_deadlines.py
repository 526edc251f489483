"""What a timeout leaves behind: nothing, whether its call is refused, ends by an exception or never begins."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

import brolga
from brolga import BrolgaError, Config, Engine, Func, FuncType, Instance, Module, Store, Trap, WasmTimeout
from brolga.runtime.machine import helper_threads, timeouts

from ..bytecodes import call_at_each_switch, raise_at_each_bytecode
from .waiting import Gate, Load, pause

WAT = """(module
    (import "" "host" (func $host))
    (func (export "one") (result i32) i32.const 1)
    (func (export "loop") (loop br 0))
    (func (export "host") call $host)
    (func (export "host_and_more") (result i32) call $host i32.const 7)
    (func (export "host_and_loop") call $host (loop br 0)))"""


def exports(store: Store, host: Any = lambda: None) -> Any:
    return Instance(store, Module(store.engine, WAT), [Func(store, FuncType([], []), host)]).exports(store)


def wait_until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def interrupt_when_it_runs(store: Store, later: float = 0.05) -> threading.Thread:
    def work() -> None:
        wait_until(lambda: store._state.running)
        time.sleep(later)  # for what may have been left
        store.interrupt()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def end_of_wasm(call: Callable[[], object]) -> str:
    with pytest.raises((Trap, RuntimeError)) as caught:
        call()
    return type(caught.value).__name__


# --- Calls that are refused


def test_a_call_that_is_refused_ends_no_other(store: Store) -> None:
    funcs = exports(store)
    assert funcs["one"](store) == 1
    refusals = []

    def call_while_it_runs() -> None:
        wait_until(lambda: store._state.running)
        for _ in range(100):
            with pytest.raises(RuntimeError):
                funcs["one"](store, timeout=1e-6)
            refusals.append(1)
        time.sleep(0.05)  # for what may have been left
        store.interrupt()

    thread = threading.Thread(target=call_while_it_runs)
    thread.start()
    assert end_of_wasm(lambda: funcs["loop"](store, timeout=60)) == "Trap"
    thread.join()
    assert len(refusals) == 100
    assert funcs["one"](store) == 1 and not store._state.expired


def test_a_call_that_is_refused_withdraws_no_request(store: Store) -> None:
    """The thread in the host function is asked to end, then another's call is refused."""
    refused = []

    def host() -> None:
        store.interrupt()
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()

    def call() -> None:
        with pytest.raises(RuntimeError):
            funcs["one"](store, timeout=1e-6)
        refused.append(1)

    funcs = exports(store, host)
    assert end_of_wasm(lambda: funcs["host_and_loop"](store)) == "Trap"
    assert refused


def test_refused_by_the_store(engine: Engine) -> None:
    config = Config()
    config.platform = engine.machine.name
    config.epoch_interruption = True
    store = Store(Engine(config))
    funcs = exports(store)
    for _ in range(3):
        with pytest.raises(Trap):  # a store begins with its deadline passed
            funcs["one"](store, timeout=0.001)
    store.set_epoch_deadline(1)
    time.sleep(0.05)
    assert funcs["one"](store) == 1
    store.close()
    with pytest.raises(ValueError):
        funcs["one"](store, timeout=0.001)
    assert not store._state.expired


# --- Calls inside of calls


def test_the_end_of_an_inner_timeout_leaves_what_others_asked_for(store: Store) -> None:
    funcs: Any = None

    def inner_host() -> None:
        wait_until(lambda: store._state.timed_out)
        store.interrupt()  # all that run

    inner = exports(store, inner_host)

    def host() -> None:
        assert end_of_wasm(lambda: inner["host"](store, timeout=0.01)) == "WasmTimeout"

    funcs = exports(store, host)
    assert end_of_wasm(lambda: funcs["host_and_more"](store)) == "Trap"
    assert funcs["one"](store) == 1


def test_the_end_of_an_inner_timeout_leaves_the_outer_one(store: Store) -> None:
    """The outer time is over while the inner call is about to end."""
    funcs: Any = None
    inner = exports(store, lambda: time.sleep(0.2))

    def host() -> None:
        assert end_of_wasm(lambda: inner["host"](store, timeout=0.01)) == "WasmTimeout"

    funcs = exports(store, host)
    assert end_of_wasm(lambda: funcs["host_and_loop"](store, timeout=0.05)) == "WasmTimeout"
    assert funcs["one"](store) == 1


def test_a_call_made_when_the_outer_time_is_over_has_its_own(store: Store) -> None:
    funcs: Any = None
    ends = []

    def host() -> None:
        wait_until(lambda: store._state.timed_out)
        ends.append(end_of_wasm(lambda: inner["loop"](store, timeout=0.01)))
        ends.append(inner["one"](store, timeout=60))

    inner = exports(store)
    funcs = exports(store, host)
    assert end_of_wasm(lambda: funcs["host_and_more"](store, timeout=0.01)) == "WasmTimeout"
    assert ends == ["WasmTimeout", 1]
    assert funcs["one"](store) == 1 and not store._state.expired


def test_a_start_function_that_loops(store: Store) -> None:
    """Instantiation has no timeout of its own, but a timeout around it ends it."""
    module = Module(store.engine, "(module (func $loop (loop br 0)) (start $loop))")

    def host() -> None:
        Instance(store, module, [])

    funcs = exports(store, host)
    assert end_of_wasm(lambda: funcs["host"](store, timeout=0.05)) == "WasmTimeout"
    assert funcs["one"](store) == 1


# --- Exceptions and calls in the middle


def assert_nothing_is_left(store: Store, one: Any) -> None:
    state = store._state
    assert not state.running and state.suspended is None and gc.isenabled()
    assert one(store) == 1
    assert not any(not deadline.ended for deadline in state.expired)


def test_an_exception_at_each_bytecode_of_a_call_with_a_timeout(store: Store) -> None:
    funcs = exports(store)
    assert funcs["one"](store, timeout=60) == 1
    tries = 0

    def call() -> None:
        with suppress(WasmTimeout):  # on a slow machine
            funcs["one"](store, timeout=0.0005)

    for _ in raise_at_each_bytecode(call):
        tries += 1
        assert_nothing_is_left(store, funcs["one"])
    assert tries > 100
    time.sleep(0.05)  # all times are over
    interrupting = interrupt_when_it_runs(store)
    assert end_of_wasm(lambda: funcs["loop"](store)) == "Trap"  # not WasmTimeout
    interrupting.join()
    assert end_of_wasm(lambda: funcs["loop"](store, timeout=0.01)) == "WasmTimeout"


def test_an_exception_at_each_bytecode_around_an_inner_timeout(store: Store) -> None:
    """The outer call goes on: what the inner one's timeout asked for was withdrawn, wherever the exception came."""
    inner = exports(store)

    def call() -> object:
        return inner["loop"](store, timeout=1e-6)

    assert end_of_wasm(call) == "WasmTimeout"
    numbers = raise_at_each_bytecode(lambda: end_of_wasm(call))

    def host() -> None:
        next(numbers)

    funcs = exports(store, host)
    tries = 0
    with pytest.raises(StopIteration):
        while True:
            assert funcs["host_and_more"](store) == 7
            tries += 1
    assert tries > 100
    assert_nothing_is_left(store, funcs["one"])


def test_calls_with_timeouts_in_the_middle_of_one(store: Store) -> None:
    """As a signal handler makes them. No lock that is taken is needed again."""
    funcs = exports(store)
    other_store = Store(store.engine)
    other = exports(other_store)
    assert funcs["one"](store, timeout=60) == other["one"](other_store, timeout=60) == 1
    results: list[object] = []

    def come() -> None:
        results.append(other["one"](other_store, timeout=60))
        results.append(end_of_wasm(lambda: other["loop"](other_store, timeout=1e-6)))

    tries = 0
    for _ in call_at_each_switch(lambda: results.append(funcs["one"](store, timeout=60)), come):
        tries += 1
    assert results.count(1) == 2 * tries + 1 and results.count("WasmTimeout") == tries > 20


@pytest.mark.filterwarnings("ignore:coroutine")  # was never awaited
def test_an_exception_at_each_bytecode_of_a_call_that_waits(load: Load) -> None:
    instance = load(pause)
    state = instance.store._state

    def call() -> None:
        coroutine = instance.once.call_async(1, timeout=0.0005)
        try:
            while True:
                coroutine.send(None)
        except StopIteration:
            pass
        except WasmTimeout:
            pass

    call()
    for _ in raise_at_each_bytecode(call):
        gc.collect(0)
        assert state.suspended is None and not state.running
        assert instance.plain(1) == 3
    time.sleep(0.05)
    assert not any(not deadline.ended for deadline in state.expired)


# --- What the system refuses


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The system has no thread, and none of ours runs yet."""

    def refuse(*args: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading, "_start_new_thread", refuse)
    monkeypatch.setattr(timeouts, "_queue", timeouts._Queue())
    return monkeypatch


def test_no_thread_for_timeouts(store: Store, no_threads: pytest.MonkeyPatch) -> None:
    funcs = exports(store)
    for _ in range(3):
        with pytest.raises(BrolgaError, match="refuses a thread"):
            funcs["one"](store, timeout=1)
    assert funcs["one"](store) == 1
    no_threads.undo()
    assert end_of_wasm(lambda: funcs["loop"](store, timeout=0.05)) == "WasmTimeout"


def test_no_memory_for_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise MemoryError

    monkeypatch.setattr(threading, "_start_new_thread", refuse)
    with pytest.raises(BrolgaError, match="refuses a thread"):
        helper_threads.start_thread(lambda: None)


def test_no_thread_for_a_call_that_waits(load: Load, no_threads: pytest.MonkeyPatch) -> None:
    instance = load()
    for _ in range(2):
        with pytest.raises(BrolgaError, match="refuses a thread"):
            asyncio.run(instance.once.call_async(1, timeout=1))
    assert instance.plain(1) == 3
    no_threads.undo()
    with pytest.raises(WasmTimeout):
        asyncio.run(instance.forever.call_async(1, timeout=0.05))


# --- What timeouts may be


class Float:
    """A number, which does something first."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work

    def __float__(self) -> float:
        self.work()
        return 60.0


class Index:
    def __index__(self) -> int:
        return 60


def test_a_time_that_is_over_before_the_call_begins(store: Store) -> None:
    """The function is not called, not even if another thread uses the store."""
    calls: list[int] = []
    funcs = exports(store, lambda: calls.append(1))
    for timeout in (0, -1):
        assert end_of_wasm(lambda timeout=timeout: funcs["host"](store, timeout=timeout)) == "WasmTimeout"  # type: ignore[misc]
    assert not calls
    with pytest.raises(TypeError):
        funcs["host"](1, timeout=0)
    store.close()
    with pytest.raises(ValueError):
        funcs["host"](store, timeout=0)


def test_kinds_of_timeouts(store: Store) -> None:
    funcs = exports(store)
    one: Any = funcs["one"]
    for timeout in (60, 60.0, True, 1e300, float("inf"), 10**400, Index(), Float(lambda: None)):
        assert one(store, timeout=timeout) == 1
    for timeout in (0, 0.0, -1, -1e300, float("-inf"), -(10**400), False):
        assert end_of_wasm(lambda timeout=timeout: funcs["loop"](store, timeout=timeout)) == "WasmTimeout"  # type: ignore[misc]
    for timeout in ("1", b"1", [], {}, object(), 1j, float):
        with pytest.raises(TypeError, match="a timeout is a number of seconds"):
            one(store, timeout=timeout)
    with pytest.raises(ValueError):
        one(store, timeout=float("nan"))
    with pytest.raises(KeyError):
        one(store, timeout=Float(lambda: {}[1]))
    with pytest.raises(ValueError):
        one(store, timeout=Float(store.close))


def test_kinds_of_timeouts_of_calls_that_wait(load: Load) -> None:
    instance: Any = load()
    for timeout in (60, Index(), float("inf"), 10**400, 1e300):
        assert asyncio.run(instance.once.call_async(1, timeout=timeout)) == 2
    for timeout in (0, -1, float("-inf"), -(10**400)):
        with pytest.raises(WasmTimeout):
            asyncio.run(instance.forever.call_async(1, timeout=timeout))
    for timeout in ("1", [], 1j):
        with pytest.raises(TypeError):
            asyncio.run(instance.once.call_async(1, timeout=timeout))
    with pytest.raises(ValueError):
        asyncio.run(instance.once.call_async(1, timeout=float("nan")))
    assert instance.plain(1) == 3


# --- Many


def test_deadlines_of_finished_calls_are_forgotten(store: Store) -> None:
    """Those of nested calls end in the right order; those of suspended calls in any."""
    funcs = exports(store)
    for _ in range(5000):
        funcs["one"](store, timeout=3600)
    queue = timeouts._queue
    for _ in range(10):
        deadlines = [timeouts.Deadline(store._state, 3600) for _ in range(10_000)]
        for deadline in deadlines:
            deadline.start()
        for deadline in deadlines:
            deadline.finish()
        wait_until(lambda: len(queue._new) <= timeouts.MOST_NEW)
    assert len(queue._heap) < 50_000
    assert end_of_wasm(lambda: funcs["loop"](store, timeout=0.01)) == "WasmTimeout"


def test_many_calls_wait_with_timeouts(load: Load) -> None:
    async def call(number: int) -> str:
        gate = Gate()
        instance = load(gate)
        if number % 2:
            gate.open.set()
        try:
            await instance.once.call_async(1, timeout=60 if number % 2 else 0.05)
        except WasmTimeout:
            return "over"
        return "done"

    async def main() -> list[str]:
        return await asyncio.gather(*[call(number) for number in range(200)])

    assert asyncio.run(main()) == ["over", "done"] * 100


def test_a_thread_that_ends_while_its_deadline_is_pending(store: Store) -> None:
    held: list[BaseException] = []

    def call() -> None:
        try:
            funcs["host"](store, timeout=0.5)
        except KeyError as error:
            held.append(error)  # and with it the frames

    def host() -> None:
        raise KeyError

    funcs = exports(store, host)
    with pytest.raises(KeyError):
        funcs["host"](store)  # it is compiled now
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    interrupting = interrupt_when_it_runs(store, 0.6)
    assert end_of_wasm(lambda: funcs["loop"](store)) == "Trap"
    assert held
    interrupting.join()


def test_brolga_run_refuses_times_that_are_too_long() -> None:
    from brolga.runtime.cli_options import parse_time

    for text in ("99999999999999999999s", "9" * 400, "1" + "0" * 400 + "h"):
        with pytest.raises(brolga.WasmtimeError, match="too long"):
            parse_time(text)
    assert parse_time("1000000h") == 3.6e9
