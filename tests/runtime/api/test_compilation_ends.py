"""Compiling a large function for a call ends when the call is to end, lets signal handlers and other threads run, and leaves nothing."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

import pytest

from brolga import Engine, Func, Instance, Module, Store, Trap, TrapCode, WasmTimeout, wat2wasm
from brolga.ir import work
from brolga.jit.code import COMPILED
from brolga.runtime.machine import compiling

_OPERATORS: Final = 60_000
_STRAIGHT: Final = "local.get 0 i32.const 3 i32.mul local.get 1 i32.add local.tee 0 i32.const 7 i32.xor local.set 1 "
_BRANCHES: Final = "local.get 0 if local.get 1 i32.const 3 i32.mul local.set 0 else local.get 0 local.set 1 end "


def _large_module(step: str) -> bytearray:
    steps = step * (_OPERATORS // len(step.split()))
    return wat2wasm(f'(module (func (export "f") (param i32 i32) (result i32) {steps} local.get 0))')


class _Stop(BaseException):
    pass


@pytest.fixture
def module(engine: Engine) -> Module:
    return Module(engine, _large_module(_BRANCHES))


@pytest.fixture
def looks() -> Iterator[list[Any]]:
    """What is called when the compiler looks up, one by one: the rest of the time, what always is."""
    actions: list[Any] = []

    def look() -> None:
        if actions:
            actions.pop(0)()
        compiling.look_up()

    set_hook, compiling.set_hook = compiling.set_hook, lambda hook: None
    set_hook(look)
    yield actions
    compiling.set_hook = set_hook
    set_hook(None)


def _call(store: Store, module: Module, **options: Any) -> object:
    function = Instance(store, module, []).exports(store)["f"]
    assert isinstance(function, Func)
    return function(store, 1, 2, **options)


def _installed(module: Module) -> int:
    return module._loaded.space.installed()


def test_a_timeout_ends_it(store: Store, module: Module, looks: list[Any]) -> None:
    overdue = threading.Event()
    looks += [lambda: None, lambda: overdue.wait(1)]  # by then the time is over
    with pytest.raises(WasmTimeout) as caught:
        _call(store, module, timeout=0.01)
    assert caught.value.trap_code == TrapCode.INTERRUPT
    assert not _installed(module)
    _call(store, module)
    assert _installed(module) == 1


def test_interrupt_ends_it(store: Store, module: Module, looks: list[Any]) -> None:
    looks += [lambda: None, store.interrupt]
    with pytest.raises(Trap) as caught:
        _call(store, module)
    assert caught.value.trap_code == TrapCode.INTERRUPT and not isinstance(caught.value, WasmTimeout)
    assert not looks and not _installed(module)
    _call(store, module)


def test_interrupting_another_store_does_not(store: Store, module: Module, looks: list[Any]) -> None:
    other = Store(store.engine)
    looks += [other.interrupt]
    _call(store, module)
    assert not looks and _installed(module) == 1


def test_a_signal_handler_runs_meanwhile_and_may_raise(store: Store, module: Module, looks: list[Any]) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stop

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        looks += [lambda: None, lambda: signal.raise_signal(signal.SIGUSR1)]
        with pytest.raises(_Stop):
            _call(store, module)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not _installed(module)
    _call(store, module)


def test_what_runs_meanwhile_may_compile_too(store: Store, module: Module, looks: list[Any]) -> None:
    """Also the same function, and it may be ended without ending what it came into."""
    inner = Store(store.engine)

    def call_and_be_interrupted() -> None:
        looks.insert(0, inner.interrupt)
        with pytest.raises(Trap):
            _call(inner, module)

    looks += [call_and_be_interrupted, lambda: _call(inner, module)]
    _call(store, module)
    assert not looks and _installed(module) == 1


def test_modules_that_are_made_meanwhile_do_not_end_with_it(store: Store, module: Module, looks: list[Any]) -> None:
    """A handler of a signal makes one after it has interrupted the call that waits for the compiler."""
    data, made = _large_module(_STRAIGHT), []

    def make() -> None:
        store.interrupt()
        Module.validate(store.engine, data)
        other = Module(store.engine, data)
        other.serialize()
        made.append(other)

    looks += [lambda: None, make]
    with pytest.raises(Trap):
        _call(store, module)
    assert len(made) == 1 and _installed(made[0]) == 1
    _call(Store(store.engine), made[0])


def test_other_threads_run_meanwhile(store: Store, module: Module, looks: list[Any]) -> None:
    """The look that hands over is Python code, in a compiled compiler too."""
    turn, done = threading.Event(), threading.Event()

    def other() -> None:
        turn.wait()
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    looks += [turn.set, lambda: done.wait(60)]
    _call(store, module)
    thread.join()
    assert done.is_set() and not looks


@pytest.mark.skipif(COMPILED, reason="frames of compiled code cannot be seen")
@pytest.mark.parametrize("step", [_STRAIGHT, _BRANCHES])
def test_each_stage_looks_up(step: str) -> None:
    stages: set[str] = set()

    def look() -> None:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == work.__file__:
            frame = frame.f_back
        assert frame is not None
        stages.add(frame.f_code.co_filename.rpartition("/")[2].removesuffix(".py"))

    set_hook, compiling.set_hook = compiling.set_hook, lambda hook: None
    set_hook(look)
    try:
        module = Module(Engine(), _large_module(step))
        _call(Store(module.engine), module)
    finally:
        compiling.set_hook = set_hook
        set_hook(None)
    expected = {"validate_body", "live_locals", "translate", "dce", "compile", "lowering", "lower"}
    expected |= {"liveness", "allocate", "emit"}
    if step == _BRANCHES:
        expected |= {"branches", "jump_threading", "dominator_tree", "block_order"}
    assert expected <= stages
