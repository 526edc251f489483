"""Types of values, functions, memories, tables and globals, as users of the embedding API see them.

Each wraps a type of `brolga.jit.wasm.types`, which is what everything inside works with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast, final

from brolga.ir.errors import ArgumentTypeError, WasmtimeError
from brolga.jit.wasm import types as wasm

from .arguments import MadeWithArguments, bool_of, index_of, instance_of, list_of, text_of
from .managed import SlottedManaged

_MAX_SIZE_32: Final = 1 << 32
_MAX_SIZE_64: Final = 1 << 64


class _ByKey:
    """Equal to others of its class with an equal key."""

    __slots__ = ()

    def _key(self) -> object:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, _ByKey) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@final
class ValType(SlottedManaged):
    """The type of a value: made by `ValType.i32()` and its like."""

    __slots__ = ("_code",)
    _code: int

    def __init__(self) -> None:
        raise WasmtimeError("cannot construct directly")

    @classmethod
    def i32(cls) -> ValType:
        return _val_type(wasm.I32)

    @classmethod
    def i64(cls) -> ValType:
        return _val_type(wasm.I64)

    @classmethod
    def f32(cls) -> ValType:
        return _val_type(wasm.F32)

    @classmethod
    def f64(cls) -> ValType:
        return _val_type(wasm.F64)

    @classmethod
    def externref(cls) -> ValType:
        return _val_type(wasm.EXTERNREF)

    @classmethod
    def funcref(cls) -> ValType:
        return _val_type(wasm.FUNCREF)

    @classmethod
    def _of(cls, code: int) -> ValType:
        """The type for a binary code."""
        return _val_type(code)

    def __eq__(self, other: object) -> bool:
        return issubclass(type(other), ValType) and self._code == other._code  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._code)

    def __repr__(self) -> str:
        return wasm.VALUE_TYPE_NAMES[self._code]


def _val_type(code: int) -> ValType:
    type = object.__new__(ValType)
    type._code = code
    return type


def _code_of(type: ValType) -> int:
    return instance_of(ValType, type, "ValType")._code


def _codes_of(types: Sequence[ValType]) -> tuple[int, ...]:
    return tuple(map(_code_of, list_of(types, "a sequence of ValType")))


@final
class FuncType(_ByKey, SlottedManaged):
    """Parameter and result types of a function."""

    __slots__ = ("_type",)

    def __init__(self, params: Sequence[ValType], results: Sequence[ValType]) -> None:
        self._type = wasm.FuncType(_codes_of(params), _codes_of(results))

    @classmethod
    def _wrap(cls, type: wasm.FuncType) -> FuncType:
        wrapper = object.__new__(cls)
        wrapper._type = type
        return wrapper

    @property
    def params(self) -> list[ValType]:
        return [_val_type(code) for code in self._type.params]

    @property
    def results(self) -> list[ValType]:
        return [_val_type(code) for code in self._type.results]

    def __reduce__(self) -> tuple[type[FuncType], tuple[object, ...]]:
        return FuncType, (self.params, self.results)

    def _key(self) -> wasm.FuncType:
        return self._type

    def __repr__(self) -> str:
        return f"FuncType({self.params}, {self.results})"


@final
class GlobalType(_ByKey, SlottedManaged):
    """Type of a global's value, and whether it can be set."""

    __slots__ = ("_mutable", "_valtype")

    def __init__(self, valtype: ValType, mutable: bool) -> None:
        self._valtype = _val_type(_code_of(valtype))
        self._mutable = bool(mutable)

    @classmethod
    def _wrap(cls, type: wasm.GlobalType) -> GlobalType:
        return cls(_val_type(type.type), type.mutable)

    @property
    def content(self) -> ValType:
        return self._valtype

    @property
    def mutable(self) -> bool:
        return self._mutable

    def _key(self) -> tuple[ValType, bool]:
        return self._valtype, self._mutable

    def __repr__(self) -> str:
        return f"GlobalType({self._valtype}, mutable={self._mutable})"


@final
class Limits(_ByKey, MadeWithArguments):
    """Smallest and largest size; `max` is None if there is no largest."""

    __slots__ = ("max", "min")

    def __init__(self, min: int, max: int | None) -> None:
        self.min = index_of(min)
        self.max = None if max is None else index_of(max)

    def __reduce__(self) -> tuple[type[Limits], tuple[object, ...]]:
        return Limits, (self.min, self.max)

    def __copy__(self) -> Limits:  # which can be changed by itself
        return Limits(self.min, self.max)

    def _checked(self) -> Limits:
        """A copy, for what must not change: somebody may have set the attributes, to whatever it is."""
        copy = Limits(self.min, self.max)
        if copy.min < 0 or (copy.max is not None and copy.max < 0):
            raise WasmtimeError("sizes cannot be negative")
        return copy

    @classmethod
    def _wrap(cls, limits: wasm.Limits) -> Limits:
        return cls(limits.minimum, None if limits.maximum < 0 else limits.maximum)

    def _key(self) -> tuple[int, int | None]:
        return self.min, self.max

    def __repr__(self) -> str:
        return f"Limits({self.min}, {self.max})"


@final
class TableType(_ByKey, SlottedManaged):
    """Type of a table's elements, and its limits."""

    __slots__ = ("_element", "_limits")

    def __init__(self, valtype: ValType, limits: Limits) -> None:
        limits = instance_of(Limits, limits, "Limits")._checked()
        if _code_of(valtype) not in (wasm.FUNCREF, wasm.EXTERNREF):
            raise WasmtimeError(f"tables hold references, not {valtype}")
        self._element = _val_type(_code_of(valtype))
        self._limits = limits

    @classmethod
    def _wrap(cls, type: wasm.TableType) -> TableType:
        return cls(_val_type(type.element), Limits._wrap(type.limits))

    @property
    def element(self) -> ValType:
        return self._element

    @property
    def limits(self) -> Limits:
        return self._limits._checked()

    def _key(self) -> tuple[ValType, Limits]:
        return self._element, self._limits

    def __repr__(self) -> str:
        return f"TableType({self._element}, {self._limits})"


@final
class MemoryType(_ByKey, SlottedManaged):
    """Limits of a memory, in pages (of 64 KiB, or of one byte with `page_size_log2=0`)."""

    __slots__ = ("_is_64", "_limits", "_page_size_log2", "_shared")

    def __init__(self, limits: Limits, is_64: bool = False, shared: bool = False, page_size_log2: int = 16) -> None:
        limits = instance_of(Limits, limits, "Limits")._checked()
        is_64, shared = bool_of(is_64), bool_of(shared)
        page_size_log2 = index_of(page_size_log2)
        too_large = _MAX_SIZE_64 if is_64 else _MAX_SIZE_32
        if limits.min >= too_large:
            raise WasmtimeError("minimum size too large")
        if limits.max is not None and limits.max >= too_large:
            raise WasmtimeError("maximum size too large")
        if page_size_log2 not in (0, 16):
            raise WasmtimeError(
                f"page size must be 2**16 or 2**0, but was given 2**{page_size_log2}; note that future Wasm extensions "
                "might allow any power of two page size, but only 2**16 and 2**0 are currently valid"
            )
        if shared and limits.max is None:
            raise WasmtimeError("shared memories must have a maximum size")
        if limits.min << page_size_log2 > too_large:
            raise WasmtimeError("minimum size is too large for this memory type's index type")
        if limits.max is not None and limits.max < limits.min:
            raise WasmtimeError("maximum page size cannot be smaller than the minimum page size")
        self._limits = limits
        self._is_64 = is_64
        self._shared = shared
        self._page_size_log2 = page_size_log2

    @classmethod
    def _wrap(cls, type: wasm.MemoryType) -> MemoryType:
        return cls(Limits._wrap(type.limits))

    @property
    def limits(self) -> Limits:
        return self._limits._checked()

    @property
    def is_64(self) -> bool:
        return self._is_64

    @property
    def is_shared(self) -> bool:
        return self._shared

    @property
    def page_size(self) -> int:
        return 1 << self._page_size_log2

    @property
    def page_size_log2(self) -> int:
        return self._page_size_log2

    def _key(self) -> tuple[Limits, bool, bool, int]:
        return self._limits, self._is_64, self._shared, self._page_size_log2

    def __repr__(self) -> str:
        more = [
            f", {name}={value}"
            for name, value, usual in (
                ("is_64", self._is_64, False),
                ("shared", self._shared, False),
                ("page_size_log2", self._page_size_log2, 16),
            )
            if value != usual
        ]
        return f"MemoryType({self._limits}{''.join(more)})"


@final
class TagType(_ByKey, SlottedManaged):
    """Type of a tag: what an exception of it carries."""

    __slots__ = ("_functype",)

    def __init__(self, functype: FuncType) -> None:
        self._functype = FuncType._wrap(instance_of(FuncType, functype, "a FuncType")._type)

    @property
    def functype(self) -> FuncType:
        return self._functype

    def _key(self) -> FuncType:
        return self._functype

    def __repr__(self) -> str:
        return f"TagType({self._functype})"


AsExternType = FuncType | TableType | MemoryType | GlobalType | TagType


def _extern_type(given: object) -> AsExternType:
    if not issubclass(type(given), (FuncType, TableType, MemoryType, GlobalType, TagType)):
        raise ArgumentTypeError("expected a FuncType, TableType, MemoryType, GlobalType or TagType")
    return cast(AsExternType, given)


def wrap_extern_type(type: wasm.ExternType) -> AsExternType:
    """The public type for a decoded one."""
    if isinstance(type, wasm.FuncType):
        return FuncType._wrap(type)
    if isinstance(type, wasm.TableType):
        return TableType._wrap(type)
    if isinstance(type, wasm.MemoryType):
        return MemoryType._wrap(type)
    return GlobalType._wrap(type)


@final
class ImportType(SlottedManaged):
    """An import of a module: where it comes from, and its type."""

    __slots__ = ("_module", "_name", "_type")

    def __init__(self, module: str, name: str, type: AsExternType) -> None:
        self._module = text_of(module)
        self._name = text_of(name)
        self._type = _extern_type(type)

    @property
    def module(self) -> str:
        return self._module

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> AsExternType:
        return self._type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImportType) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str, AsExternType]:
        return self._module, self._name, self._type

    def __repr__(self) -> str:
        return f"ImportType({self._module!r}, {self._name!r}, {self._type})"


@final
class ExportType(SlottedManaged):
    """An export of a module: its name and type."""

    __slots__ = ("_name", "_type")

    def __init__(self, name: str, type: AsExternType) -> None:
        self._name = text_of(name)
        self._type = _extern_type(type)

    @property
    def name(self) -> str:
        return self._name

    @property
    def type(self) -> AsExternType:
        return self._type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExportType) and (self._name, self._type) == (other._name, other._type)

    def __hash__(self) -> int:
        return hash((self._name, self._type))

    def __repr__(self) -> str:
        return f"ExportType({self._name!r}, {self._type})"
