"""What host functions raise goes to the caller as it is, however odd: classes that lie, attributes that cannot be set, ends of programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import brolga
from brolga import Engine, Trap, WasmTimeout

TEXT = '(module (import "h" "f" (func $f (param i32) (result i32))) (func (export "f") (param i32) (result i32) (call $f (local.get 0))))'


class NoAttributes(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise KeyError(name)

    def __str__(self) -> str:
        raise ZeroDivisionError

    def add_note(self, note: str) -> None:
        raise ZeroDivisionError


class Liar(Exception):
    @property
    def __class__(self) -> Any:
        raise ZeroDivisionError

    @__class__.setter
    def __class__(self, value: Any) -> None: ...


class LyingTrap(Exception):
    __class__ = Trap  # type: ignore[assignment]


class OwnTrap(Trap):
    def __setattr__(self, name: str, value: object) -> None:
        raise KeyError(name)

    def __init__(self) -> None:
        pass


MAKERS: dict[str, Callable[[], BaseException]] = {
    "no attributes": NoAttributes,
    "a liar": Liar,
    "a lying trap": LyingTrap,
    "a trap of its own": OwnTrap,
    "stop": lambda: StopIteration(5),
    "async stop": StopAsyncIteration,
    "generator exit": GeneratorExit,
    "system exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "memory": MemoryError,
    "recursion": RecursionError,
    "timeout": lambda: WasmTimeout("own"),
    "exit": lambda: brolga.ExitTrap("x", 3),
    "base": BaseException,
    "group": lambda: ExceptionGroup("several", [ValueError(), Trap("x")]),
}


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_raised_arrives(engine: Engine, name: str) -> None:
    exception = MAKERS[name]()

    def f(x: int) -> int:
        if x:
            raise exception
        return 7

    it = brolga.load(TEXT, {"h": {"f": f}}, engine=engine)
    for _ in range(15):
        assert it.f(0) == 7
        try:
            it.f(1)
        except BaseException as caught:  # noqa: BLE001 - it may be any
            assert caught is exception
        else:
            pytest.fail("nothing was raised")
    assert it.f(0) == 7


def test_calls_through_wasm_and_host_functions_end_when_python_says(engine: Engine) -> None:
    def f(x: int) -> int:
        return it.f(x + 1)  # type: ignore[no-any-return]

    it: Any = brolga.load(TEXT, {"h": {"f": f}}, engine=engine)
    for _ in range(3):
        with pytest.raises((RecursionError, Trap)):
            it.f(0)


@pytest.mark.parametrize(
    "given", [(item for item in (1, 2)), {1, 2}, {1: 2}, "12", b"12", 5, object(), None, [1], [1, 2, 3]]
)
def test_results_that_are_no_pair(engine: Engine, given: object) -> None:
    text = '(module (import "h" "f" (func $f (result i32 i32))) (func (export "f") (result i32 i32) (call $f)))'
    it = brolga.load(text, {"h": {"f": lambda: given}}, engine=engine)
    for _ in range(15):
        with pytest.raises(brolga.BrolgaError):
            it.f()
    it = brolga.load(text, {"h": {"f": lambda: (1, 2)}}, engine=engine)
    assert it.f() == [1, 2]
