"""`Memory`: linear memories as users see them, over the machine's pages."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, final

from brolga.ir.errors import ArgumentTypeError, ArgumentValueError, WasmtimeError
from brolga.jit.wasm.types import MAX_PAGES, PAGE_SIZE

from .arguments import MadeWithArguments, buffer_of, index_of, instance_of, list_of, refuse_second_init
from .machine import ClosedMemory, MemoryBlock
from .machine.changes import DONE, REFUSED, slot_offset
from .store import HOST_MEMORY, StoreData, Storelike, enter, same_store, store_of
from .types import Limits, MemoryType

if TYPE_CHECKING:
    from .bound import BoundMemory

_NO_BYTES: Final = bytearray()  # a sum is made sooner than a bytearray of one argument
_NONE: Final = id(None)


@final
class MemoryData:
    """A memory, owned by the instances that use it. `maximum` is -1 if its type has none; sizes in pages.

    What follows from the record of its pages is kept here too, and changes together with that (`machine.changes`): `length` in bytes,
    `pages`, and what was made for the bytes as they are, which is None until it is wanted, and after growth.
    """

    __slots__ = (
        "__weakref__",
        "_view",
        "block",
        "exporter",
        "guest",
        "length",
        "maximum",
        "minimum",
        "pages",
        "store_data",
    )

    def __init__(self, store_data: StoreData, minimum: int, maximum: int) -> None:
        limit = store_data.limits.memory_size
        if 0 <= limit < minimum * PAGE_SIZE:
            raise WasmtimeError(f"memory minimum size of {minimum} pages exceeds memory limits")
        self.store_data = store_data
        self.minimum = minimum
        self.maximum = maximum
        pages = MAX_PAGES if maximum < 0 else min(maximum, MAX_PAGES)
        machine = store_data.state.machine
        try:
            self.block: MemoryBlock = machine.new_memory(minimum * PAGE_SIZE, pages * PAGE_SIZE)
        except MemoryError as error:
            raise WasmtimeError(f"failed to allocate a memory of {minimum} pages: {error}") from error
        self.exporter: weakref.ref[BoundMemory] | None = None
        self.length = minimum * PAGE_SIZE
        self.pages = minimum
        self._view: memoryview | None = None
        self.guest: object = None  # the view as WASI functions see it

    def grow(self, delta: int) -> int:
        """Add `delta` pages. Returns the size before, or -1. RuntimeError if code of the store runs on another thread."""
        limit = self.store_data.limits.memory_size
        while True:
            before = self.length
            length = before + delta * PAGE_SIZE
            if 0 <= self.maximum * PAGE_SIZE < length or 0 <= limit < length or length > MAX_PAGES * PAGE_SIZE:
                return -1
            if not delta:
                return before // PAGE_SIZE
            self.guest = self._view = None  # they would keep the bytes from moving
            pages = length // PAGE_SIZE
            here = id(self)
            slots = (
                (here + _LENGTH, id(length)),
                (here + _PAGES, id(pages)),
                (here + _VIEW, _NONE),
                (here + _GUEST, _NONE),
            )
            outcome = self.block.grow_from(before, length, self.store_data.state, slots)
            if outcome == DONE:
                return before // PAGE_SIZE
            if outcome == REFUSED:
                return -1

    def close(self) -> None:
        """The store is closed: no code runs any more that uses these pages. Views that are alive keep them."""
        self.block = ClosedMemory()
        self.guest = self._view = None
        self.length = self.pages = 0
        exporter = self.exporter() if self.exporter is not None else None
        if exporter is not None:
            exporter._detach()

    def view(self) -> memoryview:
        """The bytes as they are now, writable. Whoever holds it keeps the memory from moving: it is not to be kept."""
        view = self._view
        if view is None:
            length = self.length
            view = memoryview(self.block)
            if length is self.length:  # else it has grown or was closed meanwhile
                self._view = view
        return view


# The slots that change when the memory grows.
_LENGTH: Final = slot_offset(MemoryData, "length")
_PAGES: Final = slot_offset(MemoryData, "pages")
_VIEW: Final = slot_offset(MemoryData, "_view")
_GUEST: Final = slot_offset(MemoryData, "guest")


@final
class Memory(MadeWithArguments):
    """A linear memory. Every method takes the store that it belongs to; those that programs call in loops look for the usual
    case themselves."""

    __slots__ = ("_memory",)

    def __init__(self, store: Storelike, ty: MemoryType) -> None:
        refuse_second_init(self, "_memory")
        ty = instance_of(MemoryType, ty, "a MemoryType")
        limits = ty.limits
        if not 0 <= limits.min <= MAX_PAGES:
            raise WasmtimeError("memory minimum size exceeds memory limits")
        if ty.is_shared:
            raise WasmtimeError("shared memories must be created through `SharedMemory`")
        if ty.is_64 or ty.page_size != PAGE_SIZE:
            raise WasmtimeError("memories with 64-bit indices or pages of one byte are not supported")
        data = store_of(store)._data
        self._memory = MemoryData(data, limits.min, -1 if limits.max is None else limits.max)
        data.note(HOST_MEMORY, self._memory)

    @classmethod
    def _wrap(cls, memory: MemoryData) -> Memory:
        wrapper = object.__new__(cls)
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
        delta = index_of(delta)  # first: it may be an object that closes the store
        if delta < 0:
            raise WasmtimeError("cannot grow by negative amount")
        memory = self._memory
        enter(store, memory.store_data)
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
        """Pointer to the first byte. Accesses through it are not checked; it keeps the bytes where they are as long as it lives."""
        return ctypes.cast(self.get_buffer_ptr(store), ctypes.POINTER(ctypes.c_ubyte))

    def get_buffer_ptr(
        self, store: Storelike, size: int | None = None, offset: int = 0
    ) -> ctypes.Array[ctypes.c_ubyte]:
        """A ctypes array over `size` bytes from `offset` on, for `numpy.frombuffer` and the like; all that follow if there is no size.
        IndexError if the memory does not have them."""
        offset = index_of(offset)
        if size is not None:
            size = index_of(size)
        memory = self._memory
        enter(store, memory.store_data)
        block = memory.block
        keeper = memoryview(block)  # from here on they do not move
        if size is None:
            size = len(keeper) - offset
        if offset < 0 or size < 0 or offset + size > len(keeper):
            raise IndexError("index out of range")
        array = (ctypes.c_ubyte * size).from_address(block.base + offset)
        array.__dict__["keeper"] = keeper
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
        try:
            return (
                _NO_BYTES + view[start:stop]
            )  # the ends may be objects that close the store: the view keeps the bytes
        except TypeError as error:
            raise ArgumentTypeError(str(error)) from error

    def write(
        self, store: Storelike, value: bytes | bytearray | memoryview | Iterable[int], start: int | None = None
    ) -> int:
        """Put bytes at `start`, which may count from the end. Returns how many; IndexError if they do not fit."""
        memory = self._memory
        if type(value) is bytes or type(value) is bytearray:
            source: bytes | bytearray = value
        else:
            source = _bytes(value)  # which may run code that lets the memory grow
        if start is None:
            start = 0
        elif type(start) is not int:
            start = index_of(start)
        data = memory.store_data
        try:
            if store._data is not data or data.running:
                enter(store, data)
        except AttributeError:  # no store
            enter(store, data)
        view = memory._view
        if view is None:
            view = memory.view()
        size, length = len(source), memory.length
        first = start if start >= 0 else max(start + length, 0)
        if first >= length or first + size > length:
            raise IndexError("index out of range")
        view[first : first + size] = source
        return size


def _bytes(value: memoryview | Iterable[int]) -> bytes | bytearray:
    """What is to be written: the bytes of a buffer, in order, or those that an iterable gives."""
    try:
        with buffer_of(value) as view:
            return view.tobytes()
    except ArgumentTypeError:  # no buffer
        pass
    if issubclass(type(value), str):
        raise ArgumentTypeError("expected bytes")
    items = list_of(value, "bytes")
    try:
        return bytearray(items)
    except TypeError as error:
        raise ArgumentTypeError("expected bytes") from error
    except ValueError as error:
        raise ArgumentValueError(str(error)) from error
