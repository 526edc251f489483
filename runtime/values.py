"""Values as users give and get them, and the references among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, FUNCREF, I32, I64

from .machine import from_bits, set_typed_values, to_bits
from .types import ValType

if TYPE_CHECKING:
    from .functions import Func
    from .store import Store


@final
class Val:
    """A value together with its type. Wherever a value is asked for, a plain Python one will do as well."""

    __slots__ = ("_code", "_value")

    def __init__(self, type: ValType, value: object) -> None:
        self._code = type._code
        self._value = value

    @classmethod
    def i32(cls, val: int) -> Val:
        """A 32-bit integer; taken modulo 2**32."""
        return cls(ValType.i32(), from_bits(I32, _int(val) & 0xFFFF_FFFF))

    @classmethod
    def i64(cls, val: int) -> Val:
        """A 64-bit integer; taken modulo 2**64."""
        return cls(ValType.i64(), from_bits(I64, _int(val) & 0xFFFF_FFFF_FFFF_FFFF))

    @classmethod
    def f32(cls, val: float) -> Val:
        """A 32-bit float, rounded to nearest."""
        return cls(ValType.f32(), from_bits(F32, to_bits(F32, _float(val))))

    @classmethod
    def f64(cls, val: float) -> Val:
        """A 64-bit float."""
        return cls(ValType.f64(), _float(val))

    @classmethod
    def externref(cls, extern: object) -> Val:
        """A reference to a Python object; None is the null reference."""
        return cls(ValType.externref(), extern)

    @classmethod
    def funcref(cls, f: Func | None) -> Val:
        """A reference to a function; None is the null reference."""
        return cls(ValType.funcref(), f)

    @classmethod
    def ref_null(cls, ty: ValType) -> Val:
        """The null reference of a reference type."""
        if ty._code not in (EXTERNREF, FUNCREF):
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

    def of_type(self, code: int) -> object:
        """The plain value for a place of type `code`, or TypeError if this is of another type."""
        if self._code != code:
            raise TypeError("wrong type of `Val` provided")
        return self._value

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Val):
            return self._code == other._code and self._value == other._value
        return self._value == other

    def __repr__(self) -> str:
        return f"Val({self.type}, {self._value!r})"


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("expected an integer")
    return value


def _float(value: object) -> float:
    if not isinstance(value, float):
        raise TypeError("expected a float")
    return value


def value_to_bits(store: Store, code: int, value: object) -> int:
    """The raw bits for a place of type `code` (a global, a table element), given a Val or a plain value."""
    return to_bits(code, value, store)


set_typed_values(Val)


@final
class ExternRefs:
    """The Python objects that a store's externrefs refer to. A reference is the object's number here, from 1."""

    __slots__ = ("_last", "_numbers", "_objects")

    def __init__(self) -> None:
        self._last = 0
        self._objects: dict[int, object] = {}
        self._numbers: dict[int, int] = {}  # by id of the object

    def number(self, value: object) -> int:
        """The object's number; the same object always has the same one. None is 0."""
        if value is None:
            return 0
        number = self._numbers.get(id(value))
        if number is None:
            number = self._last = self._last + 1
            self._numbers[id(value)] = number
            self._objects[number] = value
        return number

    def object(self, number: int) -> object:
        """The object with this number."""
        return self._objects[number] if number else None

    def keep(self, numbers: set[int]) -> None:
        """Forget all objects but these."""
        for number in self._objects.keys() - numbers:
            del self._numbers[id(self._objects.pop(number))]
