"""Pages of linear memories, and the addresses of other bytes."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from brolga.jit.vmctx import MEMORY_BASE, MEMORY_LENGTH

from ..platform.c_calls import refused
from ..platform.interface import Platform, PlatformError
from . import layout as L
from .changes import CHANGED, COMMIT, COPY, DONE, NOTHING, REFUSED, REMAP, Apply, Change, change, slot_offset
from .lifetime import Unique, exiting, hold, keep_forever
from .pages import PAGES_VIEWS, Pages
from .state import in_use

if TYPE_CHECKING:
    from .state import StoreState

Slots = Sequence[tuple[int, int]]  # addresses of pointers, and of the objects that they shall refer to
_Record: Final = ctypes.c_uint64 * (L.BLOCK_SIZE // 8)
_BASE: Final = MEMORY_BASE // 8
_LENGTH: Final = MEMORY_LENGTH // 8
_CAPACITY: Final = L.BLOCK_CAPACITY // 8
_CHANGE_CAPACITY: Final = L.CHANGE_CAPACITY // 8
_CHANGE_NEW_CAPACITY: Final = L.CHANGE_NEW_CAPACITY // 8
_CHANGE_MAY_MOVE: Final = L.CHANGE_MAY_MOVE // 8
_CHANGE_VIEWS: Final = L.CHANGE_VIEWS // 8
_CHANGE_COPIED: Final = L.CHANGE_COPIED // 8
_MREMAP_MAYMOVE: Final = 1

PAGE: Final = 4096  # of the system
WASM_PAGE: Final = 65536
# A 32-bit index plus a 32-bit static offset plus the access itself.
RESERVATION: Final = (8 << 30) + WASM_PAGE
MOST_POOLED: Final = 64
MOST_POOLED_BYTES: Final = 1 << 20  # larger ones are unmapped, which gives their page tables back too
# Without reservations a memory takes all address space that it may need, if the system has it, so that it never moves; or at least so
# much. What is not used is never touched.
SMALLEST_CAPACITY: Final = 16 << 20
SHARE: Final = 8  # but not more than one part in so many of the address space that is left, unless it needs it at once


def address_of(buffer: bytearray) -> tuple[int, object]:
    """The address of a bytearray's bytes, and what keeps them there."""
    export = ctypes.c_char.from_buffer(buffer)
    return ctypes.addressof(export), export


class MemoryBlock(Pages, Unique):
    """One linear memory: its bytes, and its memory record {base, length} for machine code.

    Made by `Machine.new_memory`. Where reservations are, the base never changes; otherwise growth may move the bytes, unless there
    are views of them, which `memoryview(block)` gives.
    """

    __slots__ = ("__weakref__", "_apply", "_record", "maximum")
    guarded = False  # whether code need not compare bounds

    def __init__(self, maximum: int, apply: Apply) -> None:
        self.maximum: Final = maximum
        self._apply: Final = apply
        self._record = _Record()
        self.record = ctypes.addressof(self._record)

    @property
    def base(self) -> int:
        return self._record[_BASE]

    @property
    def length(self) -> int:
        """Bytes accessible now."""
        return self._record[_LENGTH]

    def grow(self, length: int) -> bool:
        """Make it `length` bytes (new ones zero). False if the system refuses, `length` exceeds the maximum, or the bytes would have to
        move and there are views of them."""
        while (outcome := self.grow_from(self.length, length)) == CHANGED:
            pass
        return outcome == DONE

    def grow_from(self, before: int, length: int, state: StoreState | None = None, slots: Slots = ()) -> int:
        """The same if it has `before` bytes now, and a change of slots with it (see `changes`), in one step: DONE, CHANGED or REFUSED.
        RuntimeError if code of the store with this `state` runs on another thread."""
        if not before <= length <= self.maximum:
            return REFUSED
        thread = 0 if state is None else state.threads.known()
        apply = self._apply
        for request, _ in self._changes(before, length, state is None or not state.at_safepoint, slots):
            # From here on nothing is called before the routine: behind each call another thread may enter wasm.
            if state is not None and state.activation and state.thread.value != thread:
                raise in_use()
            try:
                outcome = apply(request)
            except ctypes.ArgumentError as error:
                raise refused(error) from error
            if outcome != REFUSED:
                return outcome
        return REFUSED

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        """The ways to grow it, to be tried in turn, and what must live until that is done."""
        raise NotImplementedError

    def release(self) -> None:
        """Give the pages back. The record's length becomes 0. Must not be called while code may still use it; happens by itself
        otherwise when the block goes."""
        raise NotImplementedError


class ReservationPool:
    """Reservations of one platform, all of one size; released ones are kept for the next memory, which has often the same length:
    their bytes are wiped and remain accessible."""

    def __init__(self, platform: Platform) -> None:
        self.platform: Final = platform
        self._pool: deque[tuple[int, int]] = deque()  # address, bytes accessible

    def reserve(self) -> int:
        """The address of a new reservation. PlatformError if it would take more than half of the address space that is left."""
        if self.platform.address_space_left() < 2 * RESERVATION:
            raise PlatformError(f"too little address space for {RESERVATION} bytes")
        return self.platform.reserve(RESERVATION)

    def take(self, record: ctypes.Array[ctypes.c_uint64], length: int) -> None:
        """Give this memory record a reservation, of which at most `length` bytes are accessible already; these are zero."""
        try:
            record[_BASE], record[_LENGTH] = self._pool.pop()
        except IndexError:
            record[_BASE] = self.reserve()
            return
        accessible = record[_LENGTH]
        if accessible > length:
            record[_LENGTH] = MOST_POOLED_BYTES + 1  # it is not pooled if this is not finished
            self.platform.decommit(record[_BASE] + length, accessible - length)
            record[_LENGTH] = length

    def give(self, record: ctypes.Array[ctypes.c_uint64]) -> None:
        """Take back what this memory record describes, which describes nothing then."""
        address, length, _ = record
        record[_BASE] = record[_LENGTH] = 0
        if not address:
            return
        if len(self._pool) < MOST_POOLED and length <= MOST_POOLED_BYTES:
            self.platform.discard(address, length)
            self._pool.append((address, length))
        else:
            self.platform.unreserve(address, RESERVATION)


class ReservedMemory(MemoryBlock):
    """In a reservation: accesses outside fault, growing commits pages in place."""

    __slots__ = ("_hold", "_pool")
    guarded = True

    def __init__(self, pool: ReservationPool, apply: Apply, length: int, maximum: int) -> None:
        super().__init__(maximum, apply)
        self._pool = pool
        self._hold = hold(pool.give, self._record)
        pool.take(self._record, length)
        if self._record[_LENGTH] < length and not self.grow(length):
            raise PlatformError(f"no memory for {length} bytes")

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        base = self._record[_BASE]
        yield change(self.record, COMMIT, (base, before), (base, length), slots), None

    def release(self) -> None:
        self._pool.give(self._record)


class ClosedMemory(MemoryBlock):
    """What is left of a memory when its store is closed: no bytes. Views are refused with ValueError."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0, _refuse)
        self.record = 0

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        return iter(())

    def release(self) -> None:
        pass


def _refuse(change: Change) -> int:
    return REFUSED


class PlainMemory(MemoryBlock):
    """Without a reservation: accesses compare with the record. It has a capacity, beyond which growing may move it."""

    __slots__ = ("_platform",)

    def __init__(self, platform: Platform, apply: Apply, maximum: int) -> None:
        super().__init__(maximum, apply)
        self._platform = platform

    def _within(self, before: int, length: int, slots: Slots) -> Change | None:
        """What grows it in place, if the capacity allows."""
        base, _, capacity = self._record
        if length > capacity:
            return None
        return change(self.record, NOTHING, (base, before), (base, length), slots)

    def _beyond(self, kind: int, before: int, new_base: int, length: int, capacity: int, slots: Slots) -> Change:
        """What lets it have another capacity."""
        base, _, now = self._record
        request = change(self.record, kind, (base, before), (new_base, length), slots)
        request[_CHANGE_CAPACITY] = now
        request[_CHANGE_NEW_CAPACITY] = capacity
        request[_CHANGE_VIEWS] = id(self) + PAGES_VIEWS
        request[_CHANGE_COPIED] = before
        return request


class MappedMemory(PlainMemory):
    """A mapping of its own, which the system moves without a copy."""

    __slots__ = ("_hold",)

    def __init__(self, platform: Platform, apply: Apply, length: int, maximum: int) -> None:
        super().__init__(platform, apply, maximum)
        self._hold = hold(partial(_unmap, platform), self._record)
        for capacity in _capacities(platform, length, maximum):
            try:
                base = platform.reserve(capacity)
            except PlatformError:
                continue
            self._record[_BASE], self._record[_CAPACITY] = base, capacity
            if platform.commit(base, capacity):
                self._record[_LENGTH] = length
                return
            self.release()
        raise PlatformError(f"no memory for {length} bytes")

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        request = self._within(before, length, slots)
        if request is not None:
            yield request, None
            return
        for capacity in _capacities(self._platform, length, self.maximum):
            request = self._beyond(REMAP, before, 0, length, capacity, slots)
            request[_CHANGE_MAY_MOVE] = _MREMAP_MAYMOVE if may_move else 0
            yield request, None

    def release(self) -> None:
        _unmap(self._platform, self._record)


def _unmap(platform: Platform, record: ctypes.Array[ctypes.c_uint64]) -> None:
    base, _, capacity = record
    record[_BASE] = record[_LENGTH] = record[_CAPACITY] = 0
    if base:
        platform.unreserve(base, capacity)


class CopiedMemory(PlainMemory):
    """Plain memory, which is copied when it moves."""

    __slots__ = ("_keep",)

    def __init__(self, platform: Platform, apply: Apply, length: int, maximum: int) -> None:
        super().__init__(platform, apply, maximum)
        self._keep: object = None
        made = self._allocate(length)
        if made is None:
            raise PlatformError(f"no memory for {length} bytes")
        self._record[_BASE], self._record[_CAPACITY], self._keep = made
        self._record[_LENGTH] = length

    def _allocate(self, length: int) -> tuple[int, int, object] | None:
        """Address and size of zero bytes, of which there may be more, and what owns them."""
        for capacity in _capacities(self._platform, length, self.maximum):
            try:
                base, keep = self._platform.allocate(capacity)
            except PlatformError:
                continue
            return base, capacity, keep
        return None

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        request = self._within(before, length, slots)
        if request is not None:
            yield request, None
            return
        made = self._allocate(length) if may_move and not self.views else None
        if made is not None:
            base, capacity, keep = made
            slots = (*slots, (id(self) + _keep_offset, id(keep)))
            yield self._beyond(COPY, before, base, length, capacity, slots), keep

    def release(self) -> None:
        self._record[_BASE] = self._record[_LENGTH] = self._record[_CAPACITY] = 0
        self._keep = None

    def __del__(self) -> None:
        if exiting():
            keep_forever(self._record)
            keep_forever(self._keep)


_keep_offset: Final = slot_offset(CopiedMemory, "_keep")


def _capacities(platform: Platform, length: int, maximum: int) -> list[int]:
    """How many bytes a memory of this length should have room for, the best first, and in the end what will do."""
    least = max(-(-length // PAGE) * PAGE, PAGE)
    most = max(platform.address_space_left() // SHARE // PAGE * PAGE, least)
    found = [least]
    for wanted in (max(length * 3 // 2, SMALLEST_CAPACITY), maximum):
        capacity = -(-min(wanted, maximum, most) // PAGE) * PAGE
        if capacity > found[0]:
            found.insert(0, capacity)
    return found
