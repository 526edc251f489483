"""Exceptions: shown, pickled, copied, raised in processes of a pool, derived from."""

from __future__ import annotations

import concurrent.futures
import copy
import importlib
import multiprocessing
import pickle
import pkgutil
import traceback
from collections.abc import Iterator
from typing import Final, Self

import pytest

import brolga
from brolga import BrolgaError, Engine, Trap, WasmtimeError, WasmTimeout

LOOP: Final = '(module (func (export "f") (loop (br 0))) (func (export "g") unreachable))'
# What the classes take that take no message alone.
ARGUMENTS: Final[dict[str, tuple[object, ...]]] = {
    "ParseError": ("message", 3),
    "VerifierError": ([("v1", "text", "message")],),
    "InterpreterTrap": (0,),
    "WasiError": (8,),
    "StepLimitExceeded": (),
    "DecodeError": ("message", 7, 2),
    "ExitTrap": ("message", 3),
}


def _modules() -> None:
    """Load all of the package, so that all classes are there."""
    for root in ("ir", "jit", "runtime"):
        package = importlib.import_module(f"brolga.{root}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


def _derived(cls: type[BaseException]) -> Iterator[type[BaseException]]:
    for derived in cls.__subclasses__():
        if derived.__module__.startswith("brolga."):
            yield derived
            yield from _derived(derived)


_modules()
CLASSES: Final = [BrolgaError, *sorted(set(_derived(BrolgaError)), key=lambda cls: cls.__name__)]


def _made(cls: type[BaseException]) -> BaseException:
    try:
        return cls(*ARGUMENTS.get(cls.__name__, ("message",)))
    except TypeError:
        return cls()


def _copies(exception: BaseException) -> Iterator[BaseException]:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(exception, protocol))
    yield copy.copy(exception)
    yield copy.deepcopy(exception)


def _check_copies(exception: BaseException) -> None:
    for other in _copies(exception):
        assert type(other) is type(exception)
        assert other.args == exception.args
        assert str(other) == str(exception) and repr(other) == repr(exception)
        before = {name: value for name, value in vars(exception).items() if not name.startswith("_")}
        assert before == {name: value for name, value in vars(other).items() if not name.startswith("_")}
        assert getattr(other, "__notes__", None) == getattr(exception, "__notes__", None)


def _timeout(name: str = "linux") -> WasmTimeout:
    config = brolga.Config()
    config.platform = name
    with pytest.raises(WasmTimeout) as caught:
        brolga.load(LOOP, engine=Engine(config)).f(timeout=0.02)
    return caught.value


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_class_is_shown_and_copied(cls: type[BaseException]) -> None:
    exception = _made(cls)
    assert isinstance(exception, BrolgaError)
    if cls.__name__ not in ("StepLimitExceeded", "BrolgaError"):
        assert exception.args and str(exception)
    assert repr(exception).startswith(cls.__name__)
    exception.add_note("a note")
    _check_copies(exception)
    assert "a note" in "".join(traceback.format_exception(pickle.loads(pickle.dumps(exception))))


@pytest.mark.parametrize("platform", ["linux", "minimal"])
def test_a_timeout_is_shown_as_other_traps_are(platform: str) -> None:
    timeout = _timeout(platform)
    assert timeout.args == ("interrupt",) and timeout.reason == "interrupt"
    assert repr(timeout) == "WasmTimeout('interrupt')"
    assert "wasm trap: interrupt" in str(timeout) and timeout.message == str(timeout)
    assert "wasm trap: interrupt" in "".join(traceback.format_exception(timeout))
    assert timeout.errno is None and timeout.strerror is None
    _check_copies(timeout)
    for other in _copies(timeout):
        assert isinstance(other, WasmTimeout)
        assert other.trap_code is brolga.TrapCode.INTERRUPT
        assert [frame.func_index for frame in other.frames] == [0]


def test_the_backtrace_of_a_trap_goes_with_it(engine: Engine) -> None:
    with pytest.raises(Trap) as caught:
        brolga.load(LOOP, engine=engine).g()
    _check_copies(caught.value)
    for other in _copies(caught.value):
        assert isinstance(other, Trap)
        assert [str(frame) for frame in other.frames] == [str(frame) for frame in caught.value.frames] != []


def test_a_timeout_without_wasm_is_made_of_its_message() -> None:
    assert str(WasmTimeout("later")) == WasmTimeout("later").reason == "later"
    with pytest.raises(brolga.ArgumentTypeError):
        WasmTimeout(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        WasmTimeout(5, "no errno")  # type: ignore[call-arg, arg-type]


class OwnTimeout(WasmTimeout):
    def __init__(self, number: int, text: str) -> None:
        super().__init__(f"{text} {number}")
        self.number = number


class OwnError(WasmtimeError, KeyError):
    def __new__(cls, *args: object) -> Self:
        return super().__new__(cls)

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.sum = one + two


def test_derived_classes_have_the_message_that_they_give() -> None:
    timeout, error = OwnTimeout(5, "beyond"), OwnError(1, 2)
    assert timeout.reason == str(timeout) == "beyond 5" and timeout.args == ("beyond 5",)
    assert error.args == ("1 and 2",)
    _check_copies(timeout)
    _check_copies(error)


def test_an_exception_whose_arguments_were_taken_is_shown() -> None:
    timeout = _timeout()
    for args in ((), (5,), (None, None)):
        timeout.args = args
        assert str(timeout) and isinstance(timeout.reason, str) and isinstance(repr(timeout), str)
        _check_copies(timeout)


def test_a_closed_exception_is_shown() -> None:
    """It may end the program after all."""
    timeout = _timeout()
    timeout.close()
    assert "interrupt" in str(timeout)
    for other in _copies(timeout):
        with pytest.raises(brolga.ClosedError):
            other.ptr()  # type: ignore[attr-defined]


def test_chains_and_notes_stay() -> None:
    try:
        try:
            raise _timeout()
        except WasmTimeout as timeout:
            timeout.add_note("in a job")
            raise WasmtimeError("the job failed") from timeout
    except WasmtimeError as error:
        text = "".join(traceback.format_exception(error))
    assert "interrupt" in text and "in a job" in text and "the job failed" in text


def _raise(kind: str) -> None:
    if kind == "timeout":
        brolga.load(LOOP).f(timeout=0.02)
    if kind == "trap":
        brolga.load(LOOP).g()
    raise _made(next(cls for cls in CLASSES if cls.__name__ == kind))


KINDS: Final = ["timeout", "trap", "VerifierError", "ParseError", "InterpreterTrap", "DecodeError", "PlatformError"]


def test_they_leave_workers_of_a_pool_of_futures() -> None:
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for kind in KINDS:
            with pytest.raises(BrolgaError) as caught:
                pool.submit(_raise, kind).result(60)
            assert str(caught.value)
        assert pool.submit(int, "5").result(60) == 5  # the pool is still there


def test_they_leave_workers_of_multiprocessing() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool:
        for kind in KINDS:
            with pytest.raises(BrolgaError) as caught:
                pool.apply_async(_raise, (kind,)).get(60)
            assert str(caught.value)
        assert pool.apply_async(int, ("5",)).get(60) == 5


def test_errors_that_were_of_pythons_own_classes_are_of_ours_too() -> None:
    """What the documentation says of all that is raised on purpose."""
    assert issubclass(brolga.ArgumentTypeError, TypeError) and issubclass(brolga.ArgumentTypeError, AttributeError)
    assert issubclass(brolga.ArgumentValueError, ValueError)
    assert issubclass(brolga.ClosedError, ValueError)
    assert issubclass(brolga.StoreInUseError, RuntimeError)
    instance = brolga.load('(module (memory (export "m") 1) (func (export "f")))')
    instance.close()
    for use in (lambda: instance.m[0], lambda: memoryview(instance.m), instance.f, instance.store.data):
        with pytest.raises(brolga.ClosedError):
            use()
