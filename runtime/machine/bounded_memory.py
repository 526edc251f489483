"""Memories without a reservation for all that an index can reach: code that uses them compares bounds."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import Final

from ..platform.address_space import UNLIMITED
from ..platform.interface import Platform, PlatformError
from .lifetime import hold
from .memory import _BASE, _LENGTH, WASM_PAGE, MemoryBlock

SHARE: Final = 8  # a memory takes one part in so many of the address space that is left, unless it needs more at once
MARGIN: Final = 16 << 20  # what it leaves in every case
LARGEST: Final = 4 << 30  # that any index can reach


class BoundedMemory(MemoryBlock):
    """In a reservation of its maximum or of its share of the address space that is left: it never moves, as memories with guard areas
    do not, and does not grow beyond that."""

    __slots__ = ("_hold", "_platform", "_size")

    def __init__(self, platform: Platform, length: int, maximum: int) -> None:
        self._platform = platform
        address, self._size = _reserve(platform, length, maximum)
        super().__init__(maximum, address, 0)
        self._hold = hold(partial(_give_back, platform, self._size), self._record)
        if not self.grow(length):
            raise PlatformError(f"no memory for {length} bytes")

    def grow(self, length: int) -> bool:
        base, now = self._record
        if length > self.maximum or length > self._size or not self._platform.commit(base + now, length - now):
            return False
        self._set(base, length)
        return True

    def release(self) -> None:
        _give_back(self._platform, self._size, self._record)


def _give_back(platform: Platform, size: int, record: ctypes.Array[ctypes.c_uint64]) -> None:
    address = record[_BASE]
    record[_BASE] = record[_LENGTH] = 0
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
