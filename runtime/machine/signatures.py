"""The numbers of function types, which indirect calls compare.

A type has a number as long as a module or a function of the host uses it; then it may go. No number is given to a second type, ever:
whatever is left of the first one somewhere could pass for it.

No locks, as in `arena`: between looking at an entry and changing it nothing is called, so that nobody comes in.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final, final

from brolga.ir.errors import LimitError
from brolga.jit.wasm.types import FuncType

from .lifetime import Hold, hold

MOST_SIGNATURES: Final = (1 << 32) - 1  # records have 32 bits for them

_Key = tuple[tuple[int, ...], tuple[int, ...]]  # compared without running Python code


@final
class _Signature:
    """A type and its number, and how often it is held."""

    __slots__ = ("number", "type", "users")

    def __init__(self, number: int, type: FuncType) -> None:
        self.number = number
        self.type = type
        self.users = 0


_signatures: Final[dict[_Key, _Signature]] = {}
_types: Final[dict[int, FuncType]] = {}  # by number
_next_number: Final = count(1)


def signature_numbers(types: Iterable[FuncType]) -> tuple[list[int], Hold]:
    """The process-wide canonical numbers of function types, from 1: equal types have equal numbers as long as somebody has what comes
    with them, which whatever contains these numbers must have."""
    numbers: list[int] = []
    keys: list[_Key] = []
    owner = hold(_release, keys)
    for type in types:
        key = type.params, type.results
        while True:
            try:
                signature = _signatures[key]
                signature.users += 1
                break
            except KeyError:
                pass
            _signatures.setdefault(key, _new(type))
        keys.append(key)
        numbers.append(signature.number)
    return numbers, owner


def signature_number(type: FuncType) -> tuple[int, Hold]:
    """The same for one type."""
    key = type.params, type.results
    while True:
        try:
            signature = _signatures[key]
            signature.users += 1
            break
        except KeyError:
            pass
        _signatures.setdefault(key, _new(type))
    return signature.number, hold(_release_one, key)


def _new(type: FuncType) -> _Signature:
    number = next(_next_number)
    if number > MOST_SIGNATURES:
        raise LimitError("too many different function types in one process")
    _types[number] = type
    return _Signature(number, type)


def _release(keys: list[_Key]) -> None:
    for key in keys:
        _release_one(key)


def _release_one(key: _Key) -> None:
    signature = _signatures[key]
    signature.users -= 1
    if signature.users == 0:
        del _signatures[key]
        _types.pop(signature.number, None)


def signature_type(number: int) -> FuncType:
    """The function type of a number that somebody holds."""
    return _types[number]
