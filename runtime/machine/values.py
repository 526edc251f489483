"""Values between Python and wasm.

A raw value is a non-negative int that holds the value's bits: i32 and f32 below 2**32, i64, f64 and references below 2**64.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import inf, ldexp
from operator import index
from typing import TYPE_CHECKING, Any, Final, Protocol

from brolga.ir.errors import ArgumentTypeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, FUNCREF, I32, I64, VALUE_TYPE_NAMES

from ..arguments import described

if TYPE_CHECKING:

    class TypedValue(Protocol):
        """A value that knows its type."""

        def of_type(self, code: int) -> object:
            """The plain value, or TypeError if it is of another type."""


# Given (store object, raw bits, value type): the Python object of a reference.
ReferenceToPython = Callable[[object, int, int], object]
# Given (store object, Python object, value type): the raw bits of a reference; raises TypeError if it does not fit.
ReferenceFromPython = Callable[[object, object, int], int]

_F32: Final = struct.Struct("<f")
_F64: Final = struct.Struct("<d")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


_class_of: Final = type


def _raw_reference_to_python(store: object, bits: int, type: int) -> object:
    return bits


def _raw_reference_from_python(store: object, value: Any, type: int) -> int:
    return index(value)


_reference_to_python: ReferenceToPython = _raw_reference_to_python
_reference_from_python: ReferenceFromPython = _raw_reference_from_python


def set_reference_converters(to_python: ReferenceToPython, from_python: ReferenceFromPython) -> None:
    """Set, for the whole process, how funcref and externref values are made from and of Python objects.

    Until then references are raw 64-bit ints on both sides.
    """
    global _reference_to_python, _reference_from_python
    _reference_to_python = to_python
    _reference_from_python = from_python


_typed_value: type[TypedValue] | None = None


def set_typed_values(cls: type[TypedValue]) -> None:
    """Set, for the whole process, the class of values that know their type."""
    global _typed_value
    _typed_value = cls


def from_bits(type: int, bits: int, store: object = None) -> object:
    """The Python value of raw `bits`: signed int, float, or what the reference converter gives."""
    if type == FUNCREF or type == EXTERNREF:
        return _reference_to_python(store, bits, type)
    if type == I32:
        return bits - (bits >> 31 << 32)
    if type == I64:
        return bits - (bits >> 63 << 64)
    if type == F32:
        value: float = _F32.unpack(_U32.pack(bits))[0]
        return value
    if type == F64:
        value = _F64.unpack(_U64.pack(bits))[0]
        return value
    raise _impassable(type)


def to_bits(type: int, value: Any, store: object = None) -> int:
    """The raw bits of a Python value, or TypeError.

    Integers are taken modulo 2**32 or 2**64; floats from anything with `__float__` (f32 rounds to nearest, overflow gives
    infinity).
    """
    if _class_of(value) is _typed_value:  # what it really is, whatever its `__class__` says
        value = value.of_type(type)
    if type == FUNCREF or type == EXTERNREF:
        return _reference_from_python(store, value, type)
    if type == I32 or type == I64:
        try:
            number = index(value)
        except TypeError:
            raise _inconvertible(type, value) from None
        return number & (0xFFFF_FFFF if type == I32 else 0xFFFF_FFFF_FFFF_FFFF)
    if type == F32 or type == F64:
        try:
            number_f = ldexp(value, 0)  # as `float`, but no text
        except TypeError:
            raise _inconvertible(type, value) from None
        except OverflowError:  # an int, or a fraction
            number_f = inf if value > 0 else -inf
        if type == F64:
            wide: int = _U64.unpack(_F64.pack(number_f))[0]
            return wide
        try:
            packed = _F32.pack(number_f)
        except OverflowError:
            packed = _F32.pack(float("-inf") if number_f < 0 else float("inf"))
        narrow: int = _U32.unpack(packed)[0]
        return narrow
    raise _impassable(type)


def _impassable(type: int) -> ArgumentTypeError:
    return ArgumentTypeError(f"values of type {VALUE_TYPE_NAMES.get(type, hex(type))} cannot be passed")


def _inconvertible(type: int, value: object) -> ArgumentTypeError:
    return ArgumentTypeError(f"don't know how to convert {described(value)} to {VALUE_TYPE_NAMES[type]}")
