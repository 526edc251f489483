"""Pages of linear memories, and the addresses of other bytes."""

from __future__ import annotations

import ctypes
from collections import deque
from typing import Final

from brolga.jit.vmctx import MEMORY_BASE, MEMORY_LENGTH

from ..platform.interface import Platform, PlatformError
from .lifetime import Unique, exiting, hold, keep_forever

_Record: Final = ctypes.c_uint64 * 2
_BASE: Final = MEMORY_BASE // 8
_LENGTH: Final = MEMORY_LENGTH // 8

WASM_PAGE: Final = 65536
# A 32-bit index plus a 32-bit static offset plus the access itself.
RESERVATION: Final = (8 << 30) + WASM_PAGE
MOST_POOLED: Final = 64
MOST_POOLED_BYTES: Final = 1 << 20  # larger ones are unmapped, which gives their page tables back too


def address_of(buffer: bytearray) -> tuple[int, object]:
    """The address of a bytearray's bytes, and what keeps them there."""
    export = ctypes.c_char.from_buffer(buffer)
    return ctypes.addressof(export), export


class MemoryBlock(Unique):
    """One linear memory: its bytes, and its memory record {base, length} for machine code.

    Made by `Machine.new_memory`. On platforms with reservations the base never changes; otherwise `grow` may move it.
    """

    __slots__ = ("__weakref__", "_record", "maximum", "record")
    guarded = False  # whether code need not compare bounds

    def __init__(self, maximum: int, base: int = 0, length: int = 0) -> None:
        self.maximum: Final = maximum
        self._record = _Record(base, length)
        self.record: Final = ctypes.addressof(self._record)  # address of the memory record

    @property
    def base(self) -> int:
        return self._record[_BASE]

    @property
    def length(self) -> int:
        """Bytes accessible now."""
        return self._record[_LENGTH]

    def _set(self, base: int, length: int) -> None:
        self._record[_BASE] = base
        self._record[_LENGTH] = length

    def grow(self, length: int) -> bool:
        """Make it `length` bytes (new ones zero). False if the system refuses or `length` exceeds the maximum."""
        raise NotImplementedError

    def pin(self) -> MemoryBlock:
        """This block, as the owner of the bytes of a view: they stay where they are as long as it lives, also when the memory
        moves on growing."""
        return self

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

    def take(self, length: int) -> tuple[int, int]:
        """The address of a reservation, and how many bytes, at most `length`, are accessible already; these are zero."""
        try:
            address, accessible = self._pool.pop()
        except IndexError:
            return self.reserve(), 0
        if accessible > length:
            self.platform.decommit(address + length, accessible - length)
            accessible = length
        return address, accessible

    def give(self, record: ctypes.Array[ctypes.c_uint64]) -> None:
        """Take back what this memory record describes, which describes nothing then."""
        address, length = record
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

    def __init__(self, pool: ReservationPool, length: int, maximum: int) -> None:
        self._pool = pool
        super().__init__(maximum, *pool.take(length))
        self._hold = hold(pool.give, self._record)
        if self.length < length and not self.grow(length):
            raise PlatformError(f"no memory for {length} bytes")

    def grow(self, length: int) -> bool:
        base, now = self._record
        if length > self.maximum or not self._pool.platform.commit(base + now, length - now):
            return False
        self._set(base, length)
        return True

    def release(self) -> None:
        self._pool.give(self._record)


class ClosedMemory(MemoryBlock):
    """What is left of a memory when its store is closed: no bytes."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(0)

    def grow(self, length: int) -> bool:
        return False

    def release(self) -> None:
        pass


class PlainMemory(MemoryBlock):
    """A plain allocation, which moves when it grows beyond what was allocated: accesses compare with the record."""

    __slots__ = ("_capacity", "_keep", "_outgrown", "_pinned", "_platform")

    def __init__(self, platform: Platform, length: int, maximum: int) -> None:
        super().__init__(maximum)
        self._platform = platform
        self._capacity = 0
        self._keep: object = None
        self._pinned = False
        self._outgrown: list[object] = []  # allocations that views may refer to
        if not self.grow(length):
            raise PlatformError(f"no memory for {length} bytes")

    def grow(self, length: int) -> bool:
        now = self.length
        if length > self.maximum:
            return False
        base = self.base
        if length > self._capacity or not base:
            capacity = min(max(length, self._capacity * 3 // 2), max(self.maximum, length))
            try:
                new_base, keep = self._platform.allocate(capacity)
            except PlatformError:
                return False
            ctypes.memmove(new_base, base, now)
            if self._pinned:
                self._outgrown.append(self._keep)
            self._keep, self._capacity, base = keep, capacity, new_base
        self._set(base, length)
        return True

    def pin(self) -> MemoryBlock:
        self._pinned = True
        return self

    def release(self) -> None:
        self._set(0, 0)
        self._keep = None
        self._outgrown.clear()
        self._capacity = 0

    def __del__(self) -> None:
        if exiting():
            keep_forever(self._record)
            keep_forever(self._keep)
