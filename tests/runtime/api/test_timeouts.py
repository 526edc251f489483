"""`timeout=` of calls, and `store.interrupt()`."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from brolga import Func, FuncType, Instance, Module, Store, Trap, TrapCode, ValType, WasmTimeout

WAT = """(module
    (import "" "host" (func $host))
    (func (export "loop") (loop br 0))
    (func (export "one") (param i32) (result i32) local.get 0)
    (func (export "host") call $host)
    (func (export "host_and_more") (result i32) call $host i32.const 7))"""


def exports(store: Store, host: Any = lambda: None) -> Any:
    return Instance(store, Module(store.engine, WAT), [Func(store, FuncType([], []), host)]).exports(store)


def test_a_call_that_takes_too_long(store: Store) -> None:
    funcs = exports(store)
    for _ in range(2):
        with pytest.raises(TimeoutError) as caught:
            funcs["loop"](store, timeout=0.05)
        error = caught.value
        assert isinstance(error, WasmTimeout) and isinstance(error, Trap)
        assert error.trap_code == TrapCode.INTERRUPT
    assert funcs["one"](store, 5) == 5


def test_calls_in_time(store: Store) -> None:
    funcs = exports(store)
    assert [funcs["one"](store, i, timeout=60) for i in range(300)] == list(range(300))
    with pytest.raises(TypeError):
        funcs["one"](store, 1, timeout="x")


def test_the_earliest_deadline_counts(store: Store) -> None:
    inner_store = Store(store.engine)
    inner = exports(inner_store)
    reached = []

    def host() -> None:
        with pytest.raises(WasmTimeout):
            inner["loop"](inner_store, timeout=0.05)
        reached.append(1)

    exports(store, host)["host"](store, timeout=60)
    assert reached == [1]


def test_the_timeout_of_an_inner_call_does_not_end_the_outer_one(store: Store) -> None:
    funcs: Any = None

    def host() -> None:
        with pytest.raises(WasmTimeout):
            funcs["loop"](store, timeout=0.05)

    funcs = exports(store, host)
    assert funcs["host_and_more"](store) == 7


def test_the_timeout_of_an_outer_call_ends_the_inner_one(store: Store) -> None:
    funcs: Any = None
    seen = []

    def host() -> None:
        try:
            funcs["loop"](store)
        except BaseException as error:
            seen.append(type(error))
            raise

    funcs = exports(store, host)
    with pytest.raises(WasmTimeout):
        funcs["host"](store, timeout=0.05)
    assert seen == [WasmTimeout]


def test_time_that_runs_out_in_a_host_function(store: Store) -> None:
    funcs = exports(store, lambda: time.sleep(0.1))
    with pytest.raises(WasmTimeout):
        funcs["host_and_more"](store, timeout=0.01)
    assert funcs["host_and_more"](store) == 7


def test_interrupt_is_no_timeout(store: Store) -> None:
    funcs = exports(store)
    timer = threading.Timer(0.05, store.interrupt)
    timer.start()
    with pytest.raises(Trap) as caught:
        funcs["loop"](store, timeout=60)
    assert not isinstance(caught.value, TimeoutError) and caught.value.trap_code == TrapCode.INTERRUPT
    timer.join()


def test_timeouts_of_host_functions(store: Store) -> None:
    double = Func(store, FuncType([ValType.i32()], [ValType.i32()]), lambda x: 2 * x)
    assert double(store, 4, timeout=1) == 8
