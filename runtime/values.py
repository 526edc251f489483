"""Values as users give and get them, and the references among them."""

from __future__ import annotations

from ctypes import c_uint64
from typing import TYPE_CHECKING, Self, final

from brolga.ir.errors import ArgumentTypeError, WasmtimeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, FUNCREF, I32, I64

from .arguments import MadeWithArguments, index_of, instance_of
from .machine import from_bits, set_typed_values, to_bits
from .types import ValType

if TYPE_CHECKING:
    from .functions import Func
    from .store import Store


@final
class Val(MadeWithArguments):
    """A value together with its type. Wherever a value is asked for, a plain Python one will do as well."""

    __slots__ = ("_code", "_value")

    def __init__(self, type: ValType, value: object) -> None:
        self._code = instance_of(ValType, type, "a ValType")._code
        self._value = value

    @classmethod
    def _of(cls, code: int, value: object) -> Self:
        val = object.__new__(cls)
        val._code = code
        val._value = value
        return val

    @classmethod
    def i32(cls, val: int) -> Val:
        """A 32-bit integer; taken modulo 2**32."""
        return cls._of(I32, from_bits(I32, _int(val) & 0xFFFF_FFFF))

    @classmethod
    def i64(cls, val: int) -> Val:
        """A 64-bit integer; taken modulo 2**64."""
        return cls._of(I64, from_bits(I64, _int(val) & 0xFFFF_FFFF_FFFF_FFFF))

    @classmethod
    def f32(cls, val: float) -> Val:
        """A 32-bit float, rounded to nearest."""
        return cls._of(F32, from_bits(F32, to_bits(F32, _float(val))))

    @classmethod
    def f64(cls, val: float) -> Val:
        """A 64-bit float."""
        return cls._of(F64, _float(val))

    @classmethod
    def externref(cls, extern: object) -> Val:
        """A reference to a Python object; None is the null reference."""
        return cls._of(EXTERNREF, extern)

    @classmethod
    def funcref(cls, f: Func | None) -> Val:
        """A reference to a function; None is the null reference."""
        return cls._of(FUNCREF, f)

    @classmethod
    def ref_null(cls, ty: ValType) -> Val:
        """The null reference of a reference type."""
        if instance_of(ValType, ty, "a ValType")._code not in (EXTERNREF, FUNCREF):
            raise WasmtimeError(f"Invalid reference type for `ref_null`: {ty}")
        return cls(ty, None)

    @property
    def value(self) -> object:
        """The plain Python value."""
        return self._value

    @property
    def type(self) -> ValType:
        return ValType._of(self._code)

    def as_i32(self) -> int | None:
        """The value if this is an i32, else None; likewise below."""
        return self._value if self._code == I32 and isinstance(self._value, int) else None

    def as_i64(self) -> int | None:
        return self._value if self._code == I64 and isinstance(self._value, int) else None

    def as_f32(self) -> float | None:
        return self._value if self._code == F32 and isinstance(self._value, float) else None

    def as_f64(self) -> float | None:
        return self._value if self._code == F64 and isinstance(self._value, float) else None

    def as_externref(self) -> object:
        return self._value if self._code == EXTERNREF else None

    def as_funcref(self) -> Func | None:
        from .functions import Func  # which imports this module

        return self._value if self._code == FUNCREF and isinstance(self._value, Func) else None

    def __reduce__(self) -> tuple[object, ...]:
        return Val, (self.type, self._value)

    def of_type(self, code: int) -> object:
        """The plain value for a place of type `code`, or TypeError if this is of another type."""
        if self._code != code:
            raise ArgumentTypeError("wrong type of `Val` provided")
        return self._value

    def __eq__(self, other: object) -> bool:
        if type(other) is Val:
            return self._code == other._code and self._value == other._value
        return self._value == other

    def __repr__(self) -> str:
        return f"Val({self.type}, {self._value!r})"


def _int(value: object) -> int:
    return value if type(value) is int else index_of(instance_of(int, value, "an integer"))


def _float(value: object) -> float:
    return value if type(value) is float else float.__float__(instance_of(float, value, "a float"))


def value_to_bits(store: Store, code: int, value: object) -> int:
    """The raw bits for a place of type `code` (a global, a table element), given a Val or a plain value."""
    return to_bits(code, value, store)


set_typed_values(Val)


@final
class ExternRefs:
    """The Python objects that a store's externrefs refer to. A reference is the object's number here, from 1.

    Signal handlers and finalisers may ask for numbers between any two steps: what is forgotten goes in one step, if nothing was asked for
    since it was found that nobody refers to it.
    """

    __slots__ = ("_last", "_maps", "asked")

    def __init__(self) -> None:
        self._last = 0
        # Objects by number, numbers by id of the object.
        self._maps: tuple[dict[int, object], dict[int, int]] = ({}, {})
        self.asked = 0  # how often a number was asked for

    def number(self, value: object) -> int:
        """The object's number; the same object always has the same one. None is 0."""
        if value is None:
            return 0
        self.asked += 1
        name = id(value)
        while True:
            maps = self._maps
            objects, numbers = maps
            number = numbers.get(name)
            # From here on nothing is called.
            if number is None and self._maps is maps:
                number = self._last = self._last + 1
                objects[number] = value
                numbers[name] = number
            if self._maps is maps:
                assert number is not None
                return number

    def object(self, number: int) -> object:
        """The object with this number."""
        if not number:
            return None
        try:
            return self._maps[0][number]
        except KeyError:
            raise WasmtimeError("the store has let go of the object that this externref refers to") from None

    def keep(self, numbers: set[int], asked: int, counter: c_uint64, entries: int) -> bool:
        """Forget all objects but these. False, and nothing is done, if numbers were asked for since `asked` was what it is, or code was
        entered since the counter was `entries`."""
        before = self._maps
        objects = {number: thing for number, thing in list(before[0].items()) if number in numbers}
        names = {id(thing): number for number, thing in objects.items()}
        if self.asked != asked or counter.value != entries or self._maps is not before:
            return False
        self._maps = objects, names
        return True

    def forget(self) -> None:
        """Forget all objects."""
        self._maps = {}, {}
