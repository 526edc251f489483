"""Host functions that switch greenlets: calls give right results, or end by a WasmtimeError if they are not the innermost of the thread."""

from __future__ import annotations

import random
import signal
from typing import Any

import pytest

from brolga import Engine, Func, FuncType, Instance, Module, Store, Trap, WasmtimeError

greenlet = pytest.importorskip("greenlet")

TEXT = """(module
  (import "" "switch" (func $switch))
  (func $sum (export "sum") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (local.get 0) (call $sum (i32.sub (local.get 0) (i32.const 1)))))
      (else (call $switch) (i32.const 0))))
  (func $plain (export "plain") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (local.get 0) (call $plain (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.const 0))))
  (func (export "forever") (loop (br 0)))
  (func (export "trap") (unreachable)))"""


class World:
    def __init__(self, engine: Engine, stores: int = 2) -> None:
        self.hub = greenlet.getcurrent()
        self.results: dict[int, object] = {}
        self.instances: list[tuple[Store, Any]] = []
        module = Module(engine, TEXT)
        for _ in range(stores):
            store = Store(engine)
            switch = Func(store, FuncType([], []), self.switch)
            self.instances.append((store, Instance(store, module, [switch]).exports(store)))

    def switch(self) -> None:
        self.hub.switch()

    def start(self, number: int, depth: int) -> Any:
        """A greenlet that calls a function which switches back."""
        store, exports = self.instances[number % len(self.instances)]

        def call() -> None:
            try:
                self.results[number] = exports["sum"](store, depth)
            except WasmtimeError as error:
                assert "another greenlet" in str(error)
                self.results[number] = error

        new = greenlet.greenlet(call)
        new.switch()
        return new

    def check(self) -> None:
        """All is usable."""
        for store, exports in self.instances:
            for depth in (3, 1000):
                assert exports["plain"](store, depth) == depth * (depth + 1) // 2
            with pytest.raises(Trap, match="unreachable"):
                exports["trap"](store)


def test_calls_that_end_in_order(engine: Engine) -> None:
    world = World(engine)
    greenlets = [world.start(i, 10 + i) for i in range(5)]
    for each in reversed(greenlets):
        each.switch()
    assert world.results == {i: sum(range(11 + i)) for i in range(5)}
    world.check()


def test_a_call_that_goes_on_out_of_order(engine: Engine) -> None:
    """The other one goes on as if nothing had been, though a third enters in between."""
    world = World(engine)
    first, second = world.start(0, 10), world.start(1, 30)
    first.switch()
    third = world.start(2, 60)
    third.switch()
    second.switch()
    assert world.results[1] == 465 and world.results[2] == 1830
    assert world.results[0] == 55 or isinstance(world.results[0], WasmtimeError)
    world.check()


@pytest.mark.parametrize("stores", [1, 2, 5])
def test_any_order(engine: Engine, stores: int) -> None:
    """Also of greenlets that are killed in a host function."""
    rnd = random.Random(stores)
    refused = 0
    for _ in range(20):
        world = World(engine, stores)
        waiting: dict[int, Any] = {}
        depths: dict[int, int] = {}
        for number in range(12):
            while waiting and rnd.random() < 0.4:
                chosen = waiting.pop(rnd.choice(list(waiting)))
                if rnd.random() < 0.2:
                    chosen.throw(greenlet.GreenletExit)
                else:
                    chosen.switch()
            depths[number] = rnd.randrange(200)
            waiting[number] = world.start(number, depths[number])
            store, exports = world.instances[rnd.randrange(stores)]
            try:
                assert exports["plain"](store, 500) == 125250
            except WasmtimeError as error:
                assert "another greenlet" in str(error)
        for each in rnd.sample(list(waiting.values()), len(waiting)):
            each.switch()
        for number, result in world.results.items():
            if isinstance(result, WasmtimeError):
                refused += 1
            else:
                assert result == sum(range(depths[number] + 1))
        world.check()
        for store, _ in world.instances:
            assert not store._state.running
            store.close()
    assert refused


def test_the_stack_is_whole_again(engine: Engine) -> None:
    """What calls out of order had of it is not lost for later ones."""
    world = World(engine)
    for _ in range(200):
        first, second = world.start(0, 300), world.start(1, 300)
        first.switch()
        second.switch()
    world.check()


def test_a_signal_handler_that_switches(engine: Engine) -> None:
    """It leaves a call in the middle, and others begin before that goes on."""
    world = World(engine)
    store, exports = world.instances[0]
    main = greenlet.getcurrent()
    switched: list[int] = []

    def call() -> None:
        try:
            exports["forever"](store)
        except (WasmtimeError, Trap) as error:
            world.results[0] = error

    def handler(number: int, frame: object) -> None:
        if greenlet.getcurrent() is interrupted:
            if not switched:
                switched.append(number)
                main.switch()
            store.interrupt()

    before = signal.signal(signal.SIGALRM, handler)
    try:
        interrupted = greenlet.greenlet(call)
        exports["plain"](store, 1)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        interrupted.switch()
        other = world.start(1, 100)
        interrupted.switch()
        other.switch()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert isinstance(world.results[0], (WasmtimeError, Trap))
    assert world.results[1] == 5050
    world.check()
