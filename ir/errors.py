"""Exceptions of the whole project, declared in the lowest package, and what they have in common with objects of the embedding API.

    BrolgaError
    ├── WasmtimeError          everything but traps, under the name that users of the embedding API catch
    │   ├── DecodeError        the bytes are malformed (offset)
    │   ├── ValidationError    the module is invalid (function, offset)
    │   ├── UnsupportedError   a proposal or feature that is not implemented, named (offset)
    │   ├── LimitError         a documented implementation limit is exceeded (offset)
    │   ├── ParseError         the text of an IR function is wrong (line)
    │   ├── CompileError       a bug of the compiler, with the function's name and the pass
    │   ├── VerifierError      the IR breaks an invariant (a list of findings)
    │   ├── RegAllocError      the allocator failed, or the checker refuted its result
    │   ├── CodeFormatError    serialised code cannot be used: damaged, or of another version, CPU or configuration
    │   ├── LinkError          imports do not match (spec word: unlinkable)
    │   └── ExitTrap           raised by runtime, defined there
    ├── ArgumentTypeError      an argument of a wrong type (a TypeError, and an AttributeError)
    ├── ArgumentValueError     an argument of a right type that cannot be meant (a ValueError)
    ├── ClosedError            what is used has been closed (a ValueError)
    ├── StoreInUseError        the store is in use on another thread (a RuntimeError)
    ├── InterpreterTrap        raised by the IR interpreter and by integer and float arithmetic that traps
    └── Trap                   raised by runtime, defined there

Messages of the first three leaves use the words of the WebAssembly test suite.
"""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias
from typing import TYPE_CHECKING, Any, ClassVar, Self

from .trap_codes import TRAP_MESSAGES


class Managed:
    """Base of what has `close`."""

    __slots__ = ()

    __class_getitem__: ClassVar[Any] = classmethod(GenericAlias)

    def close(self) -> None:
        """Give up what this object holds. Closing it again is harmless, any other use raises ValueError."""
        raise NotImplementedError

    def ptr(self) -> Any:
        """This object, if it is not closed: there is nothing behind it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class SlottedManaged(Managed):
    """Base of classes whose closed objects have lost their attributes, so that every use of these raises ValueError.

    A class with `__getattr__` finds all its attributes slowly (CPython 3.11 does not specialize their look-up), so this is not for what
    programs use in their loops.
    """

    __slots__ = ()

    def close(self) -> None:
        """Give up what this object holds. Closing it again is harmless, any other use raises ValueError."""
        for cls in type(self).__mro__:
            for name in cls.__dict__.get("__slots__", ()):
                if not name.startswith("__"):
                    try:
                        delattr(self, name)
                    except AttributeError:
                        pass

    def ptr(self) -> Any:
        """This object, if it is not closed: there is nothing behind it."""
        for cls in type(self).__mro__:
            for name in cls.__dict__.get("__slots__", ()):
                if not name.startswith("__"):
                    getattr(self, name)
        return self

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if any(name in cls.__dict__.get("__slots__", ()) for cls in type(self).__mro__):
                raise ClosedError("already closed")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class BrolgaError(Exception, Managed):
    """Base of all exceptions that Brolga raises on purpose. There is nothing behind them to give up: `close` says that the
    exception has been dealt with."""

    _closed = False

    def close(self) -> None:
        """From now on `ptr` raises ValueError."""
        self._closed = True

    def ptr(self) -> Self:
        """This exception, if it is not closed."""
        if self._closed:
            raise ClosedError("already closed")
        return self

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...], dict[str, object]]:
        """Pickled and copied by its contents: what `__init__` takes is another matter for each class, and none of `args`."""
        return _restore, (type(self), self.args), self._contents()

    def _contents(self) -> dict[str, object]:
        """The attributes that a copy gets."""
        return dict(vars(self))


def _restore(cls: type[BaseException], args: tuple[object, ...]) -> BaseException:
    """An exception of this class as it was before it got its attributes. Its own `__new__` and `__init__` do not run: an error in
    what cannot be unpickled ends pools of processes."""
    base: type[BaseException] = cls
    while base.__module__ != "builtins":
        base = base.__base__  # type: ignore[assignment]  # the one whose layout it has
    exception: BaseException = base.__new__(cls)
    exception.args = args
    return exception


class ArgumentTypeError(BrolgaError, TypeError, AttributeError):
    """An argument is of a wrong type. An AttributeError too, since that is what the PyPI package `wasmtime` raises for many."""


class ArgumentValueError(BrolgaError, ValueError):
    """An argument is of a right type, and has a value that cannot be meant."""


class ClosedError(BrolgaError, ValueError):
    """What is used has been closed."""


class StoreInUseError(BrolgaError, RuntimeError):
    """A store is for one thread at a time, and is in use on another one."""


class WasmtimeError(BrolgaError):
    """Any failure that is not a trap, under the name by which users of the PyPI package `wasmtime` catch it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class _LocatedError(WasmtimeError):
    """An error in a module: `message`, byte `offset` in the module, and `func` index where known (-1 otherwise)."""

    def __init__(self, message: str, offset: int = -1, func: int = -1) -> None:
        self.message = message
        self.offset = offset
        self.func = func
        where = f" (at offset 0x{offset:x})" if offset >= 0 else ""
        if func >= 0:
            where = f" in function {func}{where}"
        super().__init__(message + where)


class DecodeError(_LocatedError):
    """The module is malformed."""


class ValidationError(_LocatedError):
    """The module is well formed and invalid."""


class UnsupportedError(_LocatedError):
    """The module needs a proposal or feature that Brolga does not implement; the message names it."""


class LimitError(_LocatedError):
    """The module exceeds a documented implementation limit; the message names it."""


class ParseError(WasmtimeError):
    """Text that is not an IR function: message and 1-based line."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(f"line {line}: {message}")


class CompileError(WasmtimeError):
    """The compiler failed on a valid function: a bug. The message names pass and function."""


class VerifierError(WasmtimeError):
    """The IR breaks invariants; `findings` has one (entity, text, message) each."""

    def __init__(self, findings: list[tuple[str, str, str]]) -> None:
        self.findings = findings
        super().__init__("\n".join(f"{entity}: {text}: {message}" for entity, text, message in findings))


class RegAllocError(WasmtimeError):
    """Register allocation failed or its result was refuted: a bug."""


class CodeFormatError(WasmtimeError):
    """Serialised code that cannot be used; the message names the reason."""


class LinkError(WasmtimeError):
    """Imports do not fit what was given for them (unlinkable)."""


class InterpreterTrap(BrolgaError):
    """Execution of IR in the interpreter trapped: `code` is one of `trap_codes`."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(TRAP_MESSAGES[code])
