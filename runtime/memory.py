"""`Memory`: linear memories as users see them, over the machine's pages."""

from __future__ import annotations

import ctypes
import operator
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import MAX_PAGES, PAGE_SIZE

from .machine import ClosedMemory, MemoryBlock
from .store import StoreData, Storelike, same_store
from .types import Limits, MemoryType

if TYPE_CHECKING:
    from .bound import BoundMemory

_NO_BYTES: Final = bytearray()  # a sum is made sooner than a bytearray of one argument


@final
class MemoryData:
    """A memory, owned by the instances that use it. `maximum` is -1 if its type has none; sizes in pages."""

    __slots__ = ("__weakref__", "_view", "block", "exporter", "length", "maximum", "minimum", "pages", "store_data")

    def __init__(self, store_data: StoreData, minimum: int, maximum: int) -> None:
        limit = store_data.limits.memory_size
        if 0 <= limit < minimum * PAGE_SIZE:
            raise WasmtimeError(f"memory minimum size of {minimum} pages exceeds memory limits")
        self.store_data = store_data
        self.minimum = minimum
        self.maximum = maximum
        pages = MAX_PAGES if maximum < 0 else min(maximum, MAX_PAGES)
        machine = store_data.owner()._machine
        try:
            self.block: MemoryBlock = machine.new_memory(minimum * PAGE_SIZE, pages * PAGE_SIZE)
        except MemoryError as error:
            raise WasmtimeError(f"failed to allocate a memory of {minimum} pages: {error}") from error
        self.exporter: weakref.ref[BoundMemory] | None = None
        self.length = self.block.length  # in bytes; only `grow` and `close` change it and the pages
        self.pages = minimum
        self._view: memoryview | None = None

    def grow(self, delta: int) -> int:
        """Add `delta` pages. Returns the size before, or -1."""
        before = self.length
        length = before + delta * PAGE_SIZE
        limit = self.store_data.limits.memory_size
        if 0 <= self.maximum * PAGE_SIZE < length or 0 <= limit < length or length > MAX_PAGES * PAGE_SIZE:
            return -1
        if delta:
            if not self.block.grow(length):
                return -1
            self._view = None
            self.length = length
            self.pages = length // PAGE_SIZE
        return before // PAGE_SIZE

    def close(self) -> None:
        """The store is closed: no code runs any more that uses these pages. Views that are alive keep them."""
        self._view = None
        self.block = ClosedMemory()
        self.length = self.pages = 0
        exporter = self.exporter() if self.exporter is not None else None
        if exporter is not None:
            exporter._detach()

    def view(self) -> memoryview:
        """The bytes as they are now, writable. Good until the memory grows."""
        view = self._view
        if view is None:
            array = (ctypes.c_char * self.length).from_address(self.block.base)
            array.__dict__["keeper"] = self.block.pin()  # an index may be an object that closes the store
            view = self._view = memoryview(array).cast("B")
        return view


@final
class Memory:
    """A linear memory. Every method takes the store that it belongs to; those that programs call in loops look for the usual
    case themselves."""

    __slots__ = ("_memory",)

    def __init__(self, store: Storelike, ty: MemoryType) -> None:
        if not isinstance(ty, MemoryType):
            raise TypeError("expected a MemoryType")
        limits = ty.limits
        if not 0 <= limits.min <= MAX_PAGES:
            raise WasmtimeError("memory minimum size exceeds memory limits")
        if ty.is_shared:
            raise WasmtimeError("shared memories must be created through `SharedMemory`")
        if ty.is_64 or ty.page_size != PAGE_SIZE:
            raise WasmtimeError("memories with 64-bit indices or pages of one byte are not supported")
        data = store._store._data
        self._memory = MemoryData(data, limits.min, -1 if limits.max is None else limits.max)
        data.memories.append(weakref.ref(self._memory))

    @classmethod
    def _wrap(cls, memory: MemoryData) -> Memory:
        wrapper = cls.__new__(cls)
        wrapper._memory = memory
        return wrapper

    def _checked(self, store: Storelike) -> MemoryData:
        memory = self._memory
        same_store(store, memory.store_data)
        return memory

    def type(self, store: Storelike) -> MemoryType:
        """Its type as it was made."""
        memory = self._checked(store)
        return MemoryType(Limits(memory.minimum, None if memory.maximum < 0 else memory.maximum))

    def grow(self, store: Storelike, delta: int) -> int:
        """Add `delta` pages; returns the size before, in pages."""
        delta = operator.index(delta)  # first: it may be an object that closes the store
        if delta < 0:
            raise WasmtimeError("cannot grow by negative amount")
        memory = self._checked(store)
        memory.store_data.check_thread()
        before = memory.grow(delta)
        if before < 0:
            raise WasmtimeError(f"failed to grow memory by `{delta}`")
        return before

    def size(self, store: Storelike) -> int:
        """Size in pages."""
        memory = self._memory
        try:
            if store._data is memory.store_data:
                return memory.pages
        except AttributeError:  # no store
            pass
        same_store(store, memory.store_data)
        return memory.pages

    def page_size(self, store: Storelike) -> int:
        """Bytes in a page."""
        self._checked(store)
        return PAGE_SIZE

    def page_size_log2(self, store: Storelike) -> int:
        self._checked(store)
        return 16

    def data_len(self, store: Storelike) -> int:
        """Size in bytes."""
        memory = self._memory
        try:
            if store._data is memory.store_data:
                return memory.length
        except AttributeError:  # no store
            pass
        same_store(store, memory.store_data)
        return memory.length

    def data_ptr(self, store: Storelike) -> ctypes._Pointer[ctypes.c_ubyte]:
        """Pointer to the first byte. Accesses through it are not checked."""
        return ctypes.cast(self._checked(store).block.base, ctypes.POINTER(ctypes.c_ubyte))

    def get_buffer_ptr(
        self, store: Storelike, size: int | None = None, offset: int = 0
    ) -> ctypes.Array[ctypes.c_ubyte]:
        """A ctypes array over `size` bytes from `offset` on, for `numpy.frombuffer` and the like; not checked."""
        memory = self._checked(store)
        if size is None:
            size = memory.length
        array = (ctypes.c_ubyte * size).from_address(memory.block.base + offset)
        array.__dict__["keeper"] = memory.block.pin()
        return array

    def read(self, store: Storelike, start: int | None = 0, stop: int | None = None) -> bytearray:
        """A copy of the bytes [start:stop], as a slice of a list would give them."""
        memory = self._memory
        try:
            if store._data is not memory.store_data:
                same_store(store, memory.store_data)
        except AttributeError:  # no store
            same_store(store, memory.store_data)
        view = memory._view
        if view is None:
            view = memory.view()
        return _NO_BYTES + view[start:stop]

    def write(
        self, store: Storelike, value: bytes | bytearray | memoryview | Iterable[int], start: int | None = None
    ) -> int:
        """Put bytes at `start`, which may count from the end. Returns how many; IndexError if they do not fit."""
        memory = self._memory
        try:
            if store._data is not memory.store_data:
                same_store(store, memory.store_data)
        except AttributeError:  # no store
            same_store(store, memory.store_data)
        data = value if isinstance(value, (bytes, bytearray)) else bytearray(value)
        size, length = len(data), memory.length
        first = 0 if start is None else start if start >= 0 else max(start + length, 0)
        view = memory._view  # now, since an iterable may have run code that let the memory grow
        if view is None:
            view = memory.view()
        if first >= length or first + size > length:
            raise IndexError("index out of range")
        view[first : first + size] = data
        return size
