"""`Global`: global variables. A global's cell of eight bytes is in the context of the instance that defines it, or its own."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import EXTERNREF

from .machine import from_bits
from .store import StoreData, Storelike, same_store
from .types import GlobalType, ValType
from .values import value_to_bits


@final
class GlobalData:
    """A global: type, and the address of its cell, which `memory` keeps alive."""

    __slots__ = ("__weakref__", "_cell", "_memory", "address", "code", "mutable", "store_data")

    def __init__(self, store_data: StoreData, code: int, mutable: bool, address: int, memory: object) -> None:
        self.store_data = store_data
        self.code = code
        self.mutable = mutable
        self.address = address
        self._memory = memory
        self._cell = ctypes.c_uint64.from_address(address)
        if code == EXTERNREF:
            store_data.holders.append(weakref.ref(self))

    @property
    def bits(self) -> int:
        return self._cell.value

    @bits.setter
    def bits(self, bits: int) -> None:
        self._cell.value = bits

    def extern_numbers(self) -> list[int]:
        return [self.bits]


@final
class Global:
    """A global variable. Every method takes the store that it belongs to."""

    __slots__ = ("_global",)

    def __init__(self, store: Storelike, ty: GlobalType, val: Any) -> None:
        if not isinstance(ty, GlobalType):
            raise TypeError("expected a GlobalType")
        owner = store._store
        bits = value_to_bits(owner, ty.content._code, val)
        cell = ctypes.c_uint64(bits)
        self._global = GlobalData(owner._data, ty.content._code, ty.mutable, ctypes.addressof(cell), cell)

    @classmethod
    def _wrap(cls, data: GlobalData) -> Global:
        wrapper = cls.__new__(cls)
        wrapper._global = data
        return wrapper

    def type(self, store: Storelike) -> GlobalType:
        same_store(store, self._global.store_data)
        return GlobalType(ValType._of(self._global.code), self._global.mutable)

    def value(self, store: Storelike) -> Any:
        """Its value as a plain Python value."""
        owner = same_store(store, self._global.store_data)
        return from_bits(self._global.code, self._global.bits, owner)

    def set_value(self, store: Storelike, val: Any) -> None:
        """Set it, if it is mutable."""
        owner = same_store(store, self._global.store_data)
        bits = value_to_bits(owner, self._global.code, val)
        if not self._global.mutable:
            raise WasmtimeError("immutable global cannot be set")
        self._global.bits = bits
