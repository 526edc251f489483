"""`Table`: tables of references, over bytes that machine code reads (layout: `brolga.jit.vmctx`)."""

from __future__ import annotations

import ctypes
import operator
import weakref
from struct import Struct
from typing import Any, Final, final

from brolga.ir import trap_codes
from brolga.ir.errors import WasmtimeError
from brolga.jit.vmctx import EXTERNREF_SIZE, FUNC_RECORD_SIZE, FUNC_SELF
from brolga.jit.wasm.types import EXTERNREF, FUNCREF

from .functions import reference_from_python, reference_to_python
from .machine.memory import address_of
from .store import StoreData, Storelike, same_store
from .trap import Trap
from .types import Limits, TableType, ValType
from .values import Val, value_to_bits

MAX_ELEMENTS: Final = 10_000_000
_MAX_SIZE: Final = 0xFFFF_FFFF
_RECORD: Final = Struct("<QQ")  # base, length
_U64: Final = Struct("<Q")
_FuncRecord: Final = ctypes.c_char * FUNC_RECORD_SIZE
_ELEMENT: Final = Struct(f"{FUNC_RECORD_SIZE}s")
_NULL: Final = bytes(FUNC_RECORD_SIZE)


@final
class TableData:
    """A table, owned by the instances that use it. `maximum` is -1 if its type has none.

    References are raw bits. All accesses are checked and raise a trap when they are out of bounds.
    """

    __slots__ = (
        "__weakref__",
        "_bytes",
        "_exports",
        "_place",
        "_record",
        "_stride",
        "_words",
        "element",
        "length",
        "maximum",
        "minimum",
        "record",
        "size",
        "store_data",
    )

    def __init__(self, store_data: StoreData, element: int, minimum: int, maximum: int, init: int = 0) -> None:
        limit = store_data.limits.table_elements
        if 0 <= limit < minimum or minimum > MAX_ELEMENTS:
            raise WasmtimeError(f"table minimum size of {minimum} elements exceeds table limits")
        self.store_data = store_data
        self.element = element
        self.minimum = minimum
        self.maximum = maximum
        self.size = FUNC_RECORD_SIZE if element == FUNCREF else EXTERNREF_SIZE  # of an element, in bytes
        self.length = 0
        self._record = bytearray(_RECORD.size)
        self.record, record_export = address_of(self._record)
        self._stride = self.size // 8  # words of an element, and the one of them that is the reference
        self._place = FUNC_SELF // 8 if element == FUNCREF else 0
        self._bytes = bytearray(0)
        self._exports: tuple[object, object] = (record_export, None)
        self._resize(minimum, init)
        if element == EXTERNREF:
            store_data.holders.append(weakref.ref(self))

    def _resize(self, length: int, init: int) -> None:
        """Make it longer; what is new is `init`."""
        needed = length * self.size
        if needed > len(self._bytes) or not self._bytes:
            # Code finds the bytes through the record at each access, so that they may move. The old ones go with their
            # export. Doubling keeps growth by small steps linear.
            grown = bytearray(max(needed, min(2 * len(self._bytes), MAX_ELEMENTS * self.size), self.size))
            grown[: len(self._bytes)] = self._bytes
            base, export = address_of(grown)
            exports = (self._exports[0], export)
        else:
            grown, exports = self._bytes, self._exports
            base = _RECORD.unpack(self._record)[0]
        if init:
            grown[self.length * self.size : needed] = self._packed(init) * (length - self.length)
        # Another thread may enter code that uses the table between any two of these: the old bytes go last.
        _RECORD.pack_into(self._record, 0, base, length)
        self._bytes = grown
        self._words = memoryview(grown).cast("Q")
        self.length = length
        self._exports = exports

    def _packed(self, bits: int) -> bytes:
        """An element as it stands in the table."""
        if self.element == EXTERNREF:
            return _U64.pack(bits)
        return _FuncRecord.from_address(bits).raw if bits else _NULL

    def _check(self, index: int, count: int) -> None:
        if index + count > self.length:
            raise Trap._of(trap_codes.TABLE_OUT_OF_BOUNDS)

    def get(self, index: int) -> int:
        if index >= self.length:
            self._check(index, 1)
        return self._words[index * self._stride + self._place]

    def set(self, index: int, bits: int) -> None:
        if index >= self.length:
            self._check(index, 1)
        if self.element == EXTERNREF:
            self._words[index] = bits
        else:  # sooner done than the assignment of a slice
            record = _FuncRecord.from_address(bits).raw if bits else _NULL
            _ELEMENT.pack_into(self._bytes, index * FUNC_RECORD_SIZE, record)

    def grow(self, delta: int, init: int) -> int:
        """Add `delta` elements. Returns the length before, or -1."""
        before = self.length
        limit = self.store_data.limits.table_elements
        most = MAX_ELEMENTS if self.maximum < 0 else min(self.maximum, MAX_ELEMENTS)
        if before + delta > (most if limit < 0 else min(most, limit)):
            return -1
        try:
            self._resize(before + delta, init)
        except MemoryError:
            return -1
        return before

    def fill(self, index: int, bits: int, count: int) -> None:
        self._check(index, count)
        self._bytes[index * self.size : (index + count) * self.size] = self._packed(bits) * count

    def copy(self, index: int, source: TableData, source_index: int, count: int) -> None:
        """Copy elements, which may overlap, from a table of the same type."""
        source._check(source_index, count)
        self._check(index, count)
        size = self.size
        self._bytes[index * size : (index + count) * size] = source._bytes[
            source_index * size : (source_index + count) * size
        ]

    def init(self, index: int, references: list[int]) -> None:
        """Put references from `index` on."""
        self._check(index, len(references))
        packed = b"".join(map(self._packed, references))
        self._bytes[index * self.size : index * self.size + len(packed)] = packed

    def extern_numbers(self) -> tuple[int, ...]:
        return Struct(f"<{self.length}Q").unpack_from(self._bytes)


@final
class Table:
    """A table of references. Every method takes the store that it belongs to."""

    __slots__ = ("_table",)

    def __init__(self, store: Storelike, ty: TableType, init: Any) -> None:
        if not isinstance(ty, TableType):
            raise TypeError("expected a TableType")
        owner = store._store
        bits = value_to_bits(owner, ty.element._code, init)
        limits = ty.limits
        if not 0 <= limits.min <= _MAX_SIZE or (limits.max is not None and not limits.min <= limits.max <= _MAX_SIZE):
            raise WasmtimeError(f"invalid table limits: {limits}")
        maximum = -1 if limits.max is None else limits.max
        self._table = TableData(owner._data, ty.element._code, limits.min, maximum, bits)

    @classmethod
    def _wrap(cls, table: TableData) -> Table:
        wrapper = cls.__new__(cls)
        wrapper._table = table
        return wrapper

    def type(self, store: Storelike) -> TableType:
        """Its type as it was made."""
        same_store(store, self._table.store_data)
        table = self._table
        return TableType(
            ValType._of(table.element), Limits(table.minimum, None if table.maximum < 0 else table.maximum)
        )

    def size(self, store: Storelike) -> int:
        """Length in elements."""
        table = self._table
        try:
            if store._data is table.store_data:
                return table.length
        except AttributeError:  # no store
            pass
        same_store(store, table.store_data)
        return table.length

    def grow(self, store: Storelike, amt: int, init: Any) -> int:
        """Add `amt` elements with the value `init`; returns the length before."""
        amt = operator.index(amt)  # first: it may be an object that closes the store
        owner = same_store(store, self._table.store_data)
        bits = value_to_bits(owner, self._table.element, init)
        self._table.store_data.check_thread()
        before = self._table.grow(amt, bits) if amt >= 0 else -1
        if before < 0:
            raise WasmtimeError(f"failed to grow table by `{amt}`")
        return before

    def get(self, store: Storelike, idx: int) -> Any:
        """The element: None for null or out of bounds, a Func, or the object that an externref is of."""
        table = self._table
        try:
            if store._data is not table.store_data:
                same_store(store, table.store_data)
        except AttributeError:  # no store
            same_store(store, table.store_data)
        if not 0 <= idx < table.length:
            return None
        return reference_to_python(store, table._words[idx * table._stride + table._place], table.element)

    def set(self, store: Storelike, idx: int, val: Any) -> None:
        """Set an element."""
        table = self._table
        try:
            if store._data is not table.store_data:
                same_store(store, table.store_data)
        except AttributeError:  # no store
            same_store(store, table.store_data)
        if type(val) is Val:
            val = val.of_type(table.element)
        bits = reference_from_python(store, val, table.element)
        if not 0 <= idx < table.length:
            raise WasmtimeError("wasm trap: undefined element: out of bounds table access")
        table.store_data.check_thread()
        table.set(idx, bits)
