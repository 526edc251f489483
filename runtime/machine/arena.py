"""The code arena: one range of addresses for all machine code of a machine.

    start                     functions                                          end
      | routines and stubs      | pads and compiled functions, in whole pages     |

Hand-written code and compiled functions are kept apart, so that one range check on a pc tells whether a fault or an
interruption hit compiled code. Everything is within reach of a rel32.

No locks: a Python signal handler or finaliser may come in between any two steps and allocate or free here itself, on the same
thread. Shared state changes only by single dict and list operations, which are atomic under the GIL; an extent taken out of
the free ones belongs to nobody else.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Final

from ..platform.interface import CodeMemory, Platform, PlatformError
from .lifetime import keep_forever

PAGE: Final = 4096
STUB_ALIGN: Final = 64
LARGEST_STUB_AREA: Final = 8 << 20

_arenas: weakref.WeakSet[CodeArena] = weakref.WeakSet()


class CodeArena:
    """Code memory of `platform`, given out as stubs (never freed) and extents of pages."""

    def __init__(self, platform: Platform) -> None:
        self.platform: Final = platform
        self.memory: Final = platform.allocate_code()
        keep_forever(self.memory)
        self.start: Final = self.memory.executable
        self.end: Final = self.start + self.memory.size
        self.functions: Final = self.start + min(LARGEST_STUB_AREA, self.memory.size // 4)
        self._to_writable = self.memory.writable - self.memory.executable
        # Free extents, address -> size. The one of the stubs only ever shrinks from below.
        self._free_stubs: dict[int, int] = {self.start: self.functions - self.start}
        self._free: dict[int, int] = {self.functions: self.end - self.functions}
        self._copy: CodeMemory | None = None
        _arenas.add(self)

    def write(self, address: int, code: bytes | bytearray) -> None:
        """Copy bytes to the executable address."""
        ctypes.memmove(address + self._to_writable, bytes(code), len(code))

    def view(self, address: int, size: int) -> memoryview:
        """The bytes at the executable address, to be written before anything may run them."""
        return memoryview((ctypes.c_ubyte * size).from_address(address + self._to_writable)).cast("B")

    def write_word(self, address: int, word: int) -> None:
        """Replace eight aligned bytes of code in one store, while other threads may execute them."""
        ctypes.c_uint64.from_address(address + self._to_writable).value = word

    def read_word(self, address: int) -> int:
        return ctypes.c_uint64.from_address(address + self._to_writable).value

    def next_stub(self) -> int:
        """The address that `reserve_stub` will give next, if nobody comes in between."""
        return min(self._free_stubs, default=self.functions)

    # What is free changes by replacing the whole dictionary, if it is still the one that was looked at: other threads, signal
    # handlers and finalisers, which take and give back too, come in at calls and jumps back, so not between the comparison and
    # the assignment. Nobody sees a state in between, a child of fork included.

    def reserve_stub(self, size: int) -> int:
        """Address of `size` bytes among the stubs, for good."""
        while True:
            before = self._free_stubs
            address, after = _without(before, -(-size // STUB_ALIGN) * STUB_ALIGN)
            if self._free_stubs is before:
                self._free_stubs = after
                return address

    def allocate(self, size: int) -> int:
        """Executable address of an extent of `size` bytes rounded up to pages."""
        while True:
            before = self._free
            address, after = _without(before, -(-size // PAGE) * PAGE)
            if self._free is before:
                self._free = after
                return address

    def free(self, address: int, size: int) -> None:
        """Give an extent back."""
        size = -(-size // PAGE) * PAGE
        self.platform.discard_code(self.memory, address - self.start, size)
        while True:
            before = self._free
            after = _with(before, address, size)
            if self._free is before:
                self._free = after
                return

    def used(self) -> list[tuple[int, int]]:
        """(offset, size) of everything given out."""
        extents = [(0, self.next_stub() - self.start)]
        position = self.functions
        for address, room in sorted(self._free.items()):
            if address > position:
                extents.append((position - self.start, address - position))
            position = address + room
        if position < self.end:
            extents.append((position - self.start, self.end - position))
        return extents

    # A mapping of code that is shared between two views is shared with a forked child too: what one compiles would overwrite what
    # the other runs. The copy is made before the fork, because the parent may go on compiling right after it.

    def before_fork(self) -> None:
        self._copy = self.platform.copy_code(self.memory, self.used())

    def after_fork_in_parent(self) -> None:
        if self._copy is not None:
            self.platform.release_code(self._copy)
            self._copy = None

    def after_fork_in_child(self) -> None:
        if self._copy is not None:
            self.platform.adopt_code(self.memory, self._copy)
            self._copy = None


def _without(free: dict[int, int], size: int) -> tuple[int, dict[int, int]]:
    """The address of `size` bytes of the first free extent that has them, and what is left."""
    for address, room in sorted(free.items()):
        if room >= size:
            left = {**free}
            del left[address]
            if room > size:
                left[address + size] = room - size
            return address, left
    raise PlatformError("the area for machine code is full")


def _with(free: dict[int, int], address: int, size: int) -> dict[int, int]:
    """The free extents and one more, which becomes one with its neighbours."""
    more = {**free}
    size += more.pop(address + size, 0)
    for neighbour, room in free.items():
        if neighbour + room == address:
            address, size = neighbour, room + size
    more[address] = size
    return more


def _before_fork() -> None:
    for arena in list(_arenas):
        arena.before_fork()


def _after_fork_in_parent() -> None:
    for arena in list(_arenas):
        arena.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for arena in list(_arenas):
        arena.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
