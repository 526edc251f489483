"""Deadlines in epochs."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest

from brolga import Config, Engine, Func, FuncType, Instance, Module, Store, Trap, TrapCode

from ..bytecodes import call_at_each_switch, raise_at_each_bytecode

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
    assert engine.epoch is not None and len(engine.epoch._states) == 0


# --- Epochs and deadlines in signal handlers


def test_epochs_in_the_middle_of_setting_a_deadline(engine: Engine) -> None:
    """None is lost, and no lock is taken that a handler needs."""
    store = Store(engine)
    one = exports(store)["one"]
    tries = 0
    for _ in call_at_each_switch(lambda: store.set_epoch_deadline(1), engine.increment_epoch):
        tries += 1
        now = engine.epoch.now if engine.epoch is not None else 0
        late = store._state.epoch_deadline <= now
        assert is_interrupted(one, store) == late
    assert tries > 3


def test_deadlines_in_the_middle_of_beginning_an_epoch(engine: Engine) -> None:
    """The handler's deadline counts from the epoch that it sees."""
    stores = [Store(engine) for _ in range(3)]
    ones = [exports(store)["one"] for store in stores]

    def come() -> None:
        for store in stores:
            store.set_epoch_deadline(2)
        Store(engine).set_epoch_deadline(1)

    for _ in call_at_each_switch(engine.increment_epoch, come):
        assert [one(store) for one, store in zip(ones, stores)] == [1, 1, 1]
        for _ in range(2):
            engine.increment_epoch()
        assert all(is_interrupted(one, store) for one, store in zip(ones, stores))


def test_deadlines_in_the_middle_of_setting_one(engine: Engine) -> None:
    """The later one counts."""
    store = Store(engine)
    one = exports(store)["one"]
    for _ in call_at_each_switch(lambda: store.set_epoch_deadline(2), lambda: store.set_epoch_deadline(0)):
        late = engine.epoch is not None and store._state.epoch_deadline <= engine.epoch.now
        assert is_interrupted(one, store) == late


def test_a_store_that_is_closed_meanwhile_stays_closed(engine: Engine) -> None:
    stores: list[Store] = []

    def call() -> None:
        stores.append(Store(engine))
        funcs.append(exports(stores[-1])["one"])
        with contextlib.suppress(ValueError):  # closed before
            stores[-1].set_epoch_deadline(1)

    def come() -> None:
        if stores and len(funcs) == len(stores):
            stores[-1].close()

    funcs: list[Any] = []
    closed = 0
    for _ in call_at_each_switch(call, come, 7):
        store, one = stores.pop(), funcs.pop()
        if store._closed:
            closed += 1
            with pytest.raises(ValueError):
                one(store)
        elif engine.epoch is not None:
            engine.increment_epoch()
            assert is_interrupted(one, store)
    assert closed


@pytest.mark.parametrize("ticks", ["1", 1.5, None, [], object()])
def test_ticks_that_are_no_numbers(engine: Engine, ticks: Any) -> None:
    store = Store(engine)
    with pytest.raises(TypeError):
        store.set_epoch_deadline(ticks)
    assert is_interrupted(exports(store)["one"], store)


def test_an_exception_at_each_bytecode(engine: Engine) -> None:
    store = Store(engine)
    one = exports(store)["one"]
    for _ in raise_at_each_bytecode(lambda: store.set_epoch_deadline(1)):
        engine.increment_epoch()
        engine.increment_epoch()
        assert is_interrupted(one, store)
    for _ in raise_at_each_bytecode(engine.increment_epoch):
        store.set_epoch_deadline(1)
        assert one(store) == 1
    engine.increment_epoch()
    assert is_interrupted(one, store)
