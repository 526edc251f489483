"""Deadlines in epochs."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode

WAT = """(module
    (import "" "host" (func $host))
    (func (export "one") (result i32) i32.const 1)
    (func (export "loop") (loop br 0))
    (func (export "host") call $host call $host))"""


def epoch_engine(platform: str) -> Engine:
    config = Config()
    config.platform = platform
    config.epoch_interruption = True
    return Engine(config)


@pytest.fixture(params=["linux", "minimal"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return epoch_engine(request.param)


def exports(store: Store, host: Any = lambda: None) -> Any:
    return Instance(store, Module(store.engine, WAT), [Func(store, FuncType([], []), host)]).exports(store)


def is_interrupted(call: Any, *args: Any) -> bool:
    try:
        call(*args)
    except Trap as trap:
        assert trap.trap_code == TrapCode.INTERRUPT
        return True
    return False


def test_deadlines(engine: Engine) -> None:
    store, other = Store(engine), Store(engine)
    one = exports(store)["one"]
    assert is_interrupted(one, store)  # a store begins with its deadline passed
    store.set_epoch_deadline(2)
    assert one(store) == 1
    engine.increment_epoch()
    assert one(store) == 1
    engine.increment_epoch()
    assert is_interrupted(one, store) and is_interrupted(one, store)
    other.set_epoch_deadline(1)
    assert exports(other)["one"](other) == 1 and is_interrupted(one, store)
    store.set_epoch_deadline(1)
    assert one(store) == 1


def test_a_loop_ends_when_another_thread_begins_the_next_epoch(engine: Engine) -> None:
    store = Store(engine)
    funcs = exports(store)
    store.set_epoch_deadline(2)

    def tick() -> None:
        for _ in range(2):
            time.sleep(0.05)
            engine.increment_epoch()

    thread = threading.Thread(target=tick)
    thread.start()
    assert is_interrupted(funcs["loop"], store)
    thread.join()
    assert is_interrupted(funcs["one"], store)
    store.set_epoch_deadline(1)
    assert funcs["one"](store) == 1


def test_an_epoch_that_begins_in_a_host_function(engine: Engine) -> None:
    calls = []

    def host() -> None:
        calls.append(1)
        engine.increment_epoch()

    store = Store(engine)
    funcs = exports(store, host)
    store.set_epoch_deadline(1)
    assert is_interrupted(funcs["host"], store)
    assert len(calls) == 1
    store.set_epoch_deadline(9)
    funcs["host"](store)
    assert len(calls) == 3


def test_engines_without_epochs() -> None:
    engine = Engine()
    store = Store(engine)
    store.set_epoch_deadline(0)
    engine.increment_epoch()
    assert exports(store)["one"](store) == 1


def test_dropped_stores_are_forgotten(engine: Engine) -> None:
    for _ in range(3):
        Store(engine).set_epoch_deadline(5)
    engine.increment_epoch()
    assert engine.epoch is not None and len(engine.epoch._deadlines) == 0
