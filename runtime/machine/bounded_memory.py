"""Memories without a reservation for all that an index can reach: code that uses them compares bounds."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import partial
from typing import Final

from ..platform.address_space import UNLIMITED
from ..platform.interface import Platform, PlatformError
from .changes import COMMIT, Apply, Change, change
from .lifetime import hold
from .memory import _BASE, _CAPACITY, _LENGTH, SHARE, WASM_PAGE, MemoryBlock, Slots

MARGIN: Final = 16 << 20  # what it leaves in every case
LARGEST: Final = 4 << 30  # that any index can reach


class BoundedMemory(MemoryBlock):
    """In a reservation of its maximum or of its share of the address space that is left: it never moves, as memories with guard areas
    do not, and does not grow beyond that."""

    __slots__ = ("_hold", "_platform")

    def __init__(self, platform: Platform, apply: Apply, length: int, maximum: int) -> None:
        super().__init__(maximum, apply)
        self._platform = platform
        self._hold = hold(partial(_give_back, platform), self._record)
        self._record[_BASE], self._record[_CAPACITY] = _reserve(platform, length, maximum)
        if not self.grow(length):
            raise PlatformError(f"no memory for {length} bytes")

    def _changes(self, before: int, length: int, may_move: bool, slots: Slots) -> Iterator[tuple[Change, object]]:
        base, _, capacity = self._record
        if length <= capacity:
            yield change(self.record, COMMIT, (base, before), (base, length), slots), None

    def release(self) -> None:
        _give_back(self._platform, self._record)


def _give_back(platform: Platform, record: ctypes.Array[ctypes.c_uint64]) -> None:
    address, _, size = record
    record[_BASE] = record[_LENGTH] = record[_CAPACITY] = 0
    if address:
        platform.unreserve(address, size)


def _reserve(platform: Platform, length: int, maximum: int) -> tuple[int, int]:
    """Address and size of a reservation."""
    least = max(length, WASM_PAGE)
    left = platform.address_space_left()
    if left >= UNLIMITED:
        left = _largest(platform, least)
    if left < least + MARGIN:
        raise PlatformError(f"no address space for {least} bytes")
    size = max(min(maximum, left // SHARE // WASM_PAGE * WASM_PAGE), least)
    while True:
        try:
            return platform.reserve(size), size
        except PlatformError:
            if size == least:
                raise
            size = max(size // 2 // WASM_PAGE * WASM_PAGE, least)


def _largest(platform: Platform, least: int) -> int:
    """About as much as can be reserved at once, where the system does not say how much that is."""
    size = LARGEST + MARGIN
    while size >= least + MARGIN:
        try:
            platform.unreserve(platform.reserve(size), size)
            return size
        except PlatformError:
            size //= 2
    return 0
