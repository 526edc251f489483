"""Arguments of public methods, converted once and exactly before anything is computed or changed.

What these return is of just the class that they say: an `int` whose operators are not those of a class derived from it, a `list` whose
length does not change. Classes are those that objects really have, not those that their attribute `__class__` names. What is not of the
wanted type raises ArgumentTypeError; what methods of the argument itself raise (`__index__`, `__iter__`, `__fspath__`) goes on as it is,
unless that is a TypeError.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, SupportsIndex, TypeVar, cast

from brolga.ir.errors import ArgumentTypeError, ClosedError, WasmtimeError

T = TypeVar("T")


def instance_of(cls: type[T], value: Any, wanted: str) -> T:
    """The value, which must be of the class or of one derived from it."""
    if not issubclass(type(value), cls):
        raise ArgumentTypeError(f"expected {wanted}")
    found: T = value  # no `cast`, which is a call
    return found


def described(value: object) -> str:
    """The value for messages: its `__repr__` may raise, or give megabytes."""
    if value is None or type(value) in _SHORT or (type(value) is int and value.bit_length() < _MOST_SHOWN):
        text = repr(value)
        if len(text) <= _MOST_SHOWN:
            return text
    return object.__repr__(value)


_SHORT: Final = frozenset((bool, float, str, bytes))
_MOST_SHOWN: Final = 60


def index_of(value: object) -> int:
    """An integer, of anything that has `__index__`."""
    try:
        return operator.index(cast(int, value))
    except TypeError as error:
        raise ArgumentTypeError(str(error)) from error


def int_of(value: object) -> int:
    """An integer, of an int only."""
    if not issubclass(type(value), int):
        raise ArgumentTypeError("expected an int")
    return operator.index(cast(int, value))


def bool_of(value: object, wanted: str = "a bool") -> bool:
    if type(value) is not bool:
        raise ArgumentTypeError(f"expected {wanted}")
    return value


def text_of(value: object, wanted: str = "a str") -> str:
    if type(value) is str:
        return value
    if not issubclass(type(value), str):
        raise ArgumentTypeError(f"expected {wanted}")
    return str.__str__(cast(str, value))


def encoded(text: str, what: str) -> bytes:
    """The text as UTF-8. WasmtimeError if it has halves of surrogate pairs."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise WasmtimeError(f"{what} cannot be written as UTF-8: {error.reason} at {error.start}") from None


def bytes_of(value: object, wanted: str = "bytes") -> bytes:
    """The bytes of a bytes or bytearray object, as they are now."""
    if type(value) is bytes:
        return value
    if not issubclass(type(value), (bytes, bytearray)):
        raise ArgumentTypeError(f"expected {wanted}")
    with memoryview(cast(bytes, value)) as view:
        return view.tobytes()


def buffer_of(value: object) -> memoryview:
    """A view of the bytes of anything that has the buffer protocol."""
    try:
        return memoryview(cast(bytes, value))
    except TypeError as error:
        raise ArgumentTypeError("expected bytes") from error


def path_of(value: object) -> str | bytes:
    """A path of a file: never a number, which would be a descriptor that belongs to somebody."""
    try:
        path = os.fspath(cast(str, value))
    except TypeError as error:
        raise ArgumentTypeError("expected a path") from error
    return str.__str__(path) if isinstance(path, str) else bytes_of(path)


def read_file(path: str | bytes) -> bytes:
    """The contents of a file. OSError as `open` raises it, WasmtimeError if no file can have that name."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except ValueError as error:
        raise WasmtimeError(f"no file has the name {path!r}: {error}") from error


def callable_of(value: object) -> Callable[..., Any]:
    if not callable(value):
        raise ArgumentTypeError("expected a callable")
    return value


def list_of(value: object, wanted: str) -> list[Any]:
    """The items of an iterable, which is asked for them once."""
    if type(value) is list:
        return value[:]
    try:
        iterator = iter(cast("Iterable[Any]", value))
    except TypeError as error:
        raise ArgumentTypeError(f"expected {wanted}") from error
    return list(iterator)


def refuse_second_init(made: object, slot: str) -> None:
    """What `__init__` of an object begins with that others refer to by address: WasmtimeError if this slot is filled already."""
    try:
        if not hasattr(made, slot):  # sooner done than catching an AttributeError
            return
    except ClosedError:  # what has been closed has no attributes
        return
    raise WasmtimeError(f"this {type(made).__name__} has been made already")


def unmade(thing: object) -> ArgumentTypeError:
    """The error of what has only been allocated."""
    return ArgumentTypeError(f"this {type(thing).__name__} has not been made: its `__init__` has not run")


class MadeWithArguments:
    """Base of classes whose objects mean nothing before `__init__` has run: none comes of `cls.__new__(cls)`, nor by a copy, unless the
    class says how. What makes them inside of the package begins with `object.__new__`."""

    __slots__ = ()

    def __new__(cls, *args: object, **named: object) -> Self:
        if not args and not named:
            raise ArgumentTypeError(f"a {cls.__name__} is made with arguments")
        return object.__new__(cls)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if type(self).__reduce__ is not object.__reduce__:
            return self.__reduce__()
        raise ArgumentTypeError(f"cannot copy or pickle {type(self).__name__!r} object")
