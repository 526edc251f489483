"""`Table`: tables of references, over bytes that machine code reads (layout: `brolga.jit.vmctx`)."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, Final, final

from brolga.ir import trap_codes
from brolga.ir.errors import WasmtimeError
from brolga.jit.vmctx import EXTERNREF_SIZE, FUNC_RECORD_SIZE, FUNC_SELF
from brolga.jit.wasm.types import EXTERNREF, FUNCREF

from .arguments import MadeWithArguments, index_of, instance_of, refuse_second_init
from .functions import reference_from_python, reference_to_python
from .machine import layout as L
from .machine.changes import COPY, DONE, NOTHING, change, slot_offset
from .machine.lifetime import hold
from .machine.memory import address_of
from .machine.state import in_use
from .platform.c_calls import refused
from .platform.interface import Platform
from .store import EXTERN_HOLDER, Store, StoreData, Storelike, enter, same_store, store_of
from .trap import Trap
from .types import Limits, TableType, ValType
from .values import Val, value_to_bits

MAX_ELEMENTS: Final = 10_000_000
MAX_STORE_ELEMENTS: Final = 1 << 25  # of all tables of a store
_MAX_SIZE: Final = 0xFFFF_FFFF
_SMALL: Final = 1 << 16  # bytes of a table that is touched when it is made
_LARGEST_COPY: Final = 32 << 20  # bytes; a table that is longer gets room for all that it may have when it grows
_MOST_OUTGROWN: Final = 64 << 20  # bytes that are kept for code which is interrupted
_PIECE: Final = 1 << 15  # elements that are written in one step
_INIT_PIECE: Final = 1 << 12  # the same, where each is another one
_COPIED: Final = L.CHANGE_COPIED // 8

_Record: Final = ctypes.c_uint64 * (L.BLOCK_SIZE // 8)  # base, length
_U64: Final = Struct("<Q")
_FuncRecord: Final = ctypes.c_char * FUNC_RECORD_SIZE
_ELEMENT: Final = Struct(f"{FUNC_RECORD_SIZE}s")
_NULL: Final = bytes(FUNC_RECORD_SIZE)

_Counter = list[int]  # of one number


@final
class _Room:
    """Zero bytes for the elements of a table, which nobody touches before they are used."""

    __slots__ = ("_keep", "base", "raw", "size", "words")

    def __init__(self, platform: Platform, size: int) -> None:
        self.size: Final = size
        if size <= _SMALL:
            area = bytearray(size)
            self.base, self._keep = address_of(area)
            self.raw = memoryview(area)
        else:
            self.base, self._keep = platform.allocate(size)
            array = (ctypes.c_char * size).from_address(self.base)
            array.__dict__["keeper"] = self._keep
            self.raw = memoryview(array).cast("B")
        self.words = self.raw.cast("Q")


def _uncount(counters: tuple[_Counter, _Counter]) -> None:
    """A table is gone: its elements no longer count."""
    store, own = counters
    store[0] -= own[0]
    own[0] = 0


@final
class TableData:
    """A table, owned by the instances that use it. `maximum` is -1 if its type has none.

    References are raw bits. All accesses are checked and raise a trap when they are out of bounds. Code that runs on another thread, or was
    interrupted, never sees half of a change: what writes elements does so only while no other thread runs code of the store, and
    where code of this thread is interrupted, which may have read a part of an element, in other bytes than those that it reads.
    """

    __slots__ = (
        "__weakref__",
        "_counted",
        "_dirty",
        "_hold",
        "_outgrown",
        "_place",
        "_record",
        "_room",
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
        if store_data.table_elements[0] + minimum > MAX_STORE_ELEMENTS:
            raise WasmtimeError(f"the tables of a store have at most {MAX_STORE_ELEMENTS} elements in all")
        self.store_data = store_data
        self.element = element
        self.minimum = minimum
        self.maximum = maximum
        self.size = FUNC_RECORD_SIZE if element == FUNCREF else EXTERNREF_SIZE  # of an element, in bytes
        self._stride = self.size // 8  # words of an element, and the one of them that is the reference
        self._place = FUNC_SELF // 8 if element == FUNCREF else 0
        self._outgrown: tuple[_Room, ...] = ()  # what interrupted code may read
        self._dirty = 0  # elements from here on have never been written
        try:
            self._room = _Room(store_data.state.machine.platform, max(minimum, 1) * self.size)
        except MemoryError as error:
            raise WasmtimeError(f"failed to allocate a table of {minimum} elements: {error}") from error
        self._words = self._room.words
        self._record = _Record(self._room.base)
        self.record = ctypes.addressof(self._record)
        self.length = 0
        # How many elements count in the store.
        self._counted = [0]
        self._hold = hold(_uncount, (store_data.table_elements, self._counted))
        if init:
            self._fill_unused(self._room, 0, minimum, init)
        self._record[1] = self.length = minimum
        self._settle()
        if element == EXTERNREF:
            store_data.note(EXTERN_HOLDER, self)

    def _settle(self) -> None:
        """Count the elements that there are."""
        store, own = self.store_data.table_elements, self._counted
        length = self.length
        store[0] += length - own[0]
        own[0] = length

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
        self._write(index, self._packed(bits), None)

    # Writing.

    def _write(self, index: int, data: bytes | memoryview, room: _Room | None) -> _Room:
        """Write whole elements, which the table has, in one step. `room` is what this has returned for what was written just before as a
        part of the same, or None. RuntimeError if code of the store runs on another thread."""
        state = self.store_data.state
        thread = state.threads.known() if state.activation else 0
        start = index * self.size
        end = start + len(data)
        while True:
            if room is None or self._room is not room:
                room = self._writable()
            # From here on nothing is called: behind each call another thread may enter wasm, or a signal handler let the table grow.
            if state.activation and state.thread.value != thread:
                raise in_use()
            if self._room is room:
                room.raw[start:end] = data
                return room

    def _writable(self) -> _Room:
        """The elements, at a place where no code that is interrupted reads."""
        room = self._room
        if not self.store_data.state.at_safepoint:
            if self._outgrown:
                self._outgrown = ()
            return room
        if self.element == EXTERNREF:  # read as a whole, if ever
            return room
        length = self.length
        if sum(old.size for old in self._outgrown) + room.size > _MOST_OUTGROWN:
            raise WasmtimeError("a table cannot be changed as often while its code is interrupted")
        moved = self._new_room(room.size)
        if moved is None:
            raise WasmtimeError("no memory to change a table while its code is interrupted")
        self._publish(room, moved, length, length)
        return self._room

    def _new_room(self, *sizes: int) -> _Room | None:
        """Room of the first of these sizes that the system gives."""
        for size in sizes:
            try:
                return _Room(self.store_data.state.machine.platform, size)
            except MemoryError:
                pass
        return None

    def _publish(self, old: _Room, room: _Room, before: int, after: int) -> int:
        """Let the table have `after` elements in `room`, if it has `before` in `old` now: in one step, the copy of those included.
        RuntimeError if code of the store runs on another thread."""
        state = self.store_data.state
        thread = state.threads.known() if state.activation else 0
        apply = state.machine.apply
        here = id(self)
        slots = [(here + _LENGTH, id(after))]
        if room is not old:
            slots += [(here + _ROOM, id(room)), (here + _WORDS, id(room.words)), (here + _DIRTY, id(after))]
            if state.at_safepoint:
                self._outgrown = (*self._outgrown, old)
        request = change(self.record, NOTHING if room is old else COPY, (old.base, before), (room.base, after), slots)
        request[_COPIED] = before * self.size
        try:
            # From here on nothing is called before the routine.
            if state.activation and state.thread.value != thread:
                raise in_use()
            return apply(request)
        except ctypes.ArgumentError as error:
            raise refused(error) from error
        finally:
            self._settle()

    # Growth.

    def grow(self, delta: int, init: int) -> int:
        """Add `delta` elements. Returns the length before, or -1. RuntimeError if code of the store runs on another thread."""
        limit = self.store_data.limits.table_elements
        most = MAX_ELEMENTS if self.maximum < 0 else min(self.maximum, MAX_ELEMENTS)
        if limit >= 0:
            most = min(most, limit)
        while True:
            before = self.length
            after = before + delta
            if after > most or self.store_data.table_elements[0] + delta > MAX_STORE_ELEMENTS:
                return -1
            old: _Room = self._room
            room: _Room | None = old
            needed = after * self.size
            if needed > old.size:
                # Doubling keeps growth by small steps linear.
                best = most * self.size
                if old.size < _LARGEST_COPY:
                    best = min(best, max(needed, 2 * old.size))
                room = self._new_room(best, needed)
            if room is None:
                return -1
            if self._fill_unused(room, before, after, init) and self._publish(old, room, before, after) == DONE:
                return before
            if self.store_data.state.shall_end():
                return -1  # to code that ends before it sees that

    def _fill_unused(self, room: _Room, first: int, last: int, bits: int) -> bool:
        """Write elements that are not in use yet. False if that has changed meanwhile, or code waits for it which shall end."""
        state = self.store_data.state
        before = self.length
        private = room is not self._room
        if bits:
            if not private:
                self._dirty = max(self._dirty, last)
        else:  # what was never written is null
            last = first if private else min(last, self._dirty)
        piece = self._packed(bits) * min(last - first, _PIECE)
        for start, end, data in self._pieces(first, last, piece):
            if not private and (self.length != before or self._room is not room):
                return False
            room.raw[start:end] = data
            if len(piece) < last - first and state.shall_end():
                return False
        return True

    def _pieces(self, first: int, last: int, piece: bytes) -> Iterator[tuple[int, int, bytes]]:
        """What to write where to fill elements `first` .. `last` - 1."""
        size = self.size
        for start in range(first, last, _PIECE):
            count = min(_PIECE, last - start)
            yield start * size, (start + count) * size, piece if count == _PIECE else piece[: count * size]

    # What many elements take is done in pieces, between which other threads run, and code that waits for it can be ended: it does not
    # go on when the routine that it has called returns early.

    def fill(self, index: int, bits: int, count: int) -> None:
        self._check(index, count)
        piece = self._packed(bits) * min(count, _PIECE)
        room = None
        for start, _, data in self._pieces(index, index + count, piece):
            room = self._write(start // self.size, data, room)
            if count > _PIECE and self.store_data.state.shall_end():
                return

    def copy(self, index: int, source: TableData, source_index: int, count: int) -> None:
        """Copy elements, which may overlap, from a table of the same type."""
        source._check(source_index, count)
        self._check(index, count)
        size = self.size
        room = None
        starts: Iterable[int] = range(0, count, _PIECE)
        if index > source_index:
            starts = reversed(range(0, count, _PIECE))
        for start in starts:
            place = (source_index + start) * size
            data = source._room.raw[place : place + min(_PIECE, count - start) * size]
            if self is source:
                data = memoryview(bytes(data))
            room = self._write(index + start, data, room)
            if count > _PIECE and self.store_data.state.shall_end():
                return

    def init(self, index: int, references: Sequence[int], start: int, count: int) -> None:
        """Put `count` references, from number `start` on, from `index` on."""
        if start + count > len(references):
            raise Trap._of(trap_codes.TABLE_OUT_OF_BOUNDS)
        self._check(index, count)
        room = None
        for done in range(0, count, _INIT_PIECE):
            part = references[start + done : start + min(done + _INIT_PIECE, count)]
            room = self._write(index + done, b"".join(map(self._packed, part)), room)
            if count > _INIT_PIECE and self.store_data.state.shall_end():
                return

    def extern_numbers(self) -> Iterator[int]:
        for start in range(0, self.length, _PIECE):
            end = min(start + _PIECE, self.length)
            yield from self._words[start:end].tolist()


# The slots that change together with the record.
_LENGTH: Final = slot_offset(TableData, "length")
_ROOM: Final = slot_offset(TableData, "_room")
_WORDS: Final = slot_offset(TableData, "_words")
_DIRTY: Final = slot_offset(TableData, "_dirty")


def grow_table(store: Store, table: TableData, amount: int, init: Any) -> int:
    """Add elements with the value `init`. The length before."""
    claim = None
    try:
        if table.element == EXTERNREF:
            claim = store._state.claim()  # `Store.gc` does not know the number yet
        bits = value_to_bits(store, table.element, init)
        before = table.grow(amount, bits) if amount >= 0 else -1
    finally:
        if claim:
            claim.clear()
    if before < 0:
        raise WasmtimeError(f"failed to grow table by `{amount}`")
    return before


@final
class Table(MadeWithArguments):
    """A table of references. Every method takes the store that it belongs to."""

    __slots__ = ("_table",)

    def __init__(self, store: Storelike, ty: TableType, init: Any) -> None:
        refuse_second_init(self, "_table")
        ty = instance_of(TableType, ty, "a TableType")
        owner = store_of(store)
        bits = value_to_bits(owner, ty.element._code, init)
        limits = ty.limits
        if not 0 <= limits.min <= _MAX_SIZE or (limits.max is not None and not limits.min <= limits.max <= _MAX_SIZE):
            raise WasmtimeError(f"invalid table limits: {limits}")
        maximum = -1 if limits.max is None else limits.max
        self._table = TableData(owner._data, ty.element._code, limits.min, maximum, bits)

    @classmethod
    def _wrap(cls, table: TableData) -> Table:
        wrapper = object.__new__(cls)
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
        amt = index_of(amt)  # first: it may be an object that closes the store
        return grow_table(enter(store, self._table.store_data), self._table, amt, init)

    def get(self, store: Storelike, idx: int) -> Any:
        """The element: None for null or out of bounds, a Func, or the object that an externref is of."""
        if type(idx) is not int:
            idx = index_of(idx)
        table = self._table
        data = table.store_data
        try:
            if store._data is not data:
                same_store(store, data)
        except AttributeError:  # no store
            same_store(store, data)
        if not 0 <= idx < table.length:
            return None
        bits = table._words[idx * table._stride + table._place]
        if table.element == FUNCREF:  # most are functions that are known already
            known = data.funcs.get(bits)
            if known is not None and (func := known()) is not None:
                return func
        return reference_to_python(store, bits, table.element)

    def set(self, store: Storelike, idx: int, val: Any) -> None:
        """Set an element."""
        if type(idx) is not int:
            idx = index_of(idx)
        table = self._table
        data = table.store_data
        try:
            if store._data is not data or data.running:
                enter(store, data)
        except AttributeError:  # no store
            enter(store, data)
        if type(val) is Val:
            val = val.of_type(table.element)
        claim = None
        try:
            if table.element == EXTERNREF:
                claim = data.state.claim()  # `Store.gc` does not know the number yet
            bits = reference_from_python(store, val, table.element)
            if not 0 <= idx < table.length:
                raise WasmtimeError("wasm trap: undefined element: out of bounds table access")
            table.set(idx, bits)
        finally:
            if claim:
                claim.clear()
