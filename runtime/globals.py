"""`Global`: global variables. A global's cell of eight bytes is in the context of the instance that defines it, or its own."""

from __future__ import annotations

import ctypes
from typing import Any, Final, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, I32, I64

from .arguments import MadeWithArguments, instance_of, refuse_second_init
from .machine import from_bits
from .store import EXTERN_HOLDER, Store, StoreData, Storelike, enter, same_store, store_of
from .types import GlobalType, ValType
from .values import value_to_bits

_Number = ctypes.c_int32 | ctypes.c_int64 | ctypes.c_float | ctypes.c_double
_NUMBERS: Final[dict[int, type[_Number]]] = {
    I32: ctypes.c_int32,
    I64: ctypes.c_int64,
    F32: ctypes.c_float,
    F64: ctypes.c_double,
}


@final
class GlobalData:
    """A global: type, and the address of its cell, which `memory` keeps alive."""

    __slots__ = ("__weakref__", "_cell", "_memory", "_number", "address", "code", "integer", "mutable", "store_data")

    def __init__(self, store_data: StoreData, code: int, mutable: bool, address: int, memory: object) -> None:
        self.store_data = store_data
        self.code = code
        self.mutable = mutable
        self.address = address
        self._memory = memory
        self._cell = ctypes.c_uint64.from_address(address)
        kind = _NUMBERS.get(code)
        self._number = None if kind is None else kind.from_address(address)  # the cell, as a number of its type
        self.integer: Any = self._number if code == I32 or code == I64 else None
        if code == EXTERNREF:
            store_data.note(EXTERN_HOLDER, self)

    @property
    def bits(self) -> int:
        return self._cell.value

    @bits.setter
    def bits(self, bits: int) -> None:
        self._cell.value = bits

    def extern_numbers(self) -> list[int]:
        return [self.bits]


def set_global(store: Store, data: GlobalData, value: object) -> None:
    """Set a global of the store, if it is mutable."""
    claim = None
    try:
        if data.code == EXTERNREF:
            claim = store._state.claim()  # `Store.gc` does not know the number yet
        # This may run code that closes the store, or lets another thread enter it.
        bits = value_to_bits(store, data.code, value)
        enter(store, data.store_data)
        if not data.mutable:
            raise WasmtimeError("immutable global cannot be set")
        data.bits = bits
    finally:
        if claim:
            claim.clear()


@final
class Global(MadeWithArguments):
    """A global variable. Every method takes the store that it belongs to."""

    __slots__ = ("_global",)

    def __init__(self, store: Storelike, ty: GlobalType, val: Any) -> None:
        refuse_second_init(self, "_global")
        ty = instance_of(GlobalType, ty, "a GlobalType")
        owner = store_of(store)
        bits = value_to_bits(owner, ty.content._code, val)
        cell = ctypes.c_uint64(bits)
        self._global = GlobalData(owner._data, ty.content._code, ty.mutable, ctypes.addressof(cell), cell)

    @classmethod
    def _wrap(cls, data: GlobalData) -> Global:
        wrapper = object.__new__(cls)
        wrapper._global = data
        return wrapper

    def type(self, store: Storelike) -> GlobalType:
        same_store(store, self._global.store_data)
        return GlobalType(ValType._of(self._global.code), self._global.mutable)

    def value(self, store: Storelike) -> Any:
        """Its value as a plain Python value."""
        data = self._global
        try:
            if store._data is not data.store_data:
                same_store(store, data.store_data)
        except AttributeError:  # no store
            same_store(store, data.store_data)
        number = data._number
        return number.value if number is not None else from_bits(data.code, data.bits, store)

    def set_value(self, store: Storelike, val: Any) -> None:
        """Set it, if it is mutable."""
        data = self._global
        try:
            if store._data is not data.store_data:
                same_store(store, data.store_data)
        except AttributeError:  # no store
            same_store(store, data.store_data)
        if type(val) is int and data.integer is not None and data.mutable:
            if data.store_data.running:
                enter(store, data.store_data)
            data.integer.value = val  # its lowest bits
            return
        set_global(store_of(store), data, val)
