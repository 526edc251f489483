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
import threading
import weakref
from collections.abc import Callable
from ctypes import memmove
from os import getpid
from typing import Final, final

from ..platform.c_calls import copy_bytes, read_bytes, refused
from ..platform.interface import Platform, PlatformError, SavedCode
from .lifetime import keep_forever

PAGE: Final = 4096
STUB_ALIGN: Final = 64
LARGEST_STUB_AREA: Final = 8 << 20

ATTEMPTS: Final = 3
MOST_CHANGES: Final = 100_000  # that are noted while a fork is prepared

_arenas: weakref.WeakSet[CodeArena] = weakref.WeakSet()


@final
class _Fork:
    """A fork that a thread prepares: what was saved, and what other threads write meanwhile."""

    __slots__ = ("changes", "complete", "saved", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.saved = SavedCode()
        self.complete = False
        self.changes: list[tuple[int, bytes]] = []  # address, bytes


class CodeArena:
    """Code memory of `platform`, given out as stubs (never freed) and extents of pages."""

    def __init__(self, platform: Platform) -> None:
        self.platform: Final = platform
        self.memory: Final = platform.allocate_code()
        self.start: Final = self.memory.executable
        self.end: Final = self.start + self.memory.size
        self.functions: Final = self.start + min(LARGEST_STUB_AREA, self.memory.size // 4)
        self._to_writable = self.memory.writable - self.memory.executable
        # Free extents, address -> size. The one of the stubs only ever shrinks from below.
        self._free_stubs: dict[int, int] = {self.start: self.functions - self.start}
        self._free: dict[int, int] = {self.functions: self.end - self.functions}
        self._process = os.getpid()  # whose memory it is
        self._forks: tuple[_Fork, ...] = ()  # that are being prepared
        _arenas.add(self)

    def keep(self) -> None:
        """From now on something may lead here as long as the process lives."""
        keep_forever(self.memory)

    def give_up(self) -> None:
        """Nothing leads here, or will."""
        _arenas.discard(self)
        self.platform.release_code(self.memory)

    def check_process(self) -> None:
        """PlatformError in a child of fork that has the memory of its parent still, which changes what is there."""
        if self._process != os.getpid():
            raise PlatformError(
                "this process has no machine code of its own: it could not be copied when it was forked"
            )

    def write(self, address: int, code: bytes | bytearray) -> None:
        """Copy bytes to the executable address."""
        if self._process != getpid():
            self.check_process()
        code = bytes(code)
        if self._forks:
            self._note(address, code)
        try:
            memmove(address + self._to_writable, code, len(code))
        except ctypes.ArgumentError as error:
            raise refused(error) from error
        if self._forks:
            self._note(address, code)

    def view(self, address: int, size: int) -> memoryview:
        """The bytes at the executable address, to be written before anything may run them; then call `written`."""
        self.check_process()
        return memoryview((ctypes.c_ubyte * size).from_address(address + self._to_writable)).cast("B")

    def written(self, address: int, size: int) -> None:
        """What a view showed is complete."""
        if self._forks:
            self._note(address, read_bytes(address + self._to_writable, size))

    def write_word(self, address: int, word: int) -> None:
        """Replace eight aligned bytes of code in one store, while other threads may execute them."""
        if self._process != getpid():
            self.check_process()
        if self._forks:
            self._note(address, word.to_bytes(8, "little"))
        ctypes.c_uint64.from_address(address + self._to_writable).value = word
        if self._forks:
            self._note(address, word.to_bytes(8, "little"))

    def read_word(self, address: int) -> int:
        return ctypes.c_uint64.from_address(address + self._to_writable).value

    def next_stub(self) -> int:
        """The address that `reserve_stub` will give next, if nobody comes in between."""
        return min(self._free_stubs, default=self.functions)

    def stub_room(self) -> int:
        """How many bytes of stubs are free."""
        return sum(self._free_stubs.values())

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
        if self._process == getpid():
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

    # Code is saved before the fork, because the parent may go on compiling right after it. Other threads may do so until then: what they
    # write is noted, before and after, from the moment when saving begins. The child writes it again: the bytes are those that its
    # Python objects tell of. Several threads may fork at once, and so may a signal handler that comes in here; each takes back
    # what it began. If anything fails, the child finds nothing that is complete, and has no code.

    def _note(self, address: int, code: bytes) -> None:
        for fork in self._forks:
            if len(fork.changes) < MOST_CHANGES:
                fork.changes.append((address, code))
            else:
                self._end(fork)

    def before_fork(self) -> None:
        if not self.platform.shares_code or self._process != os.getpid():
            return
        fork = _Fork()
        self._forks += (fork,)
        try:
            self.platform.save_code(self.memory, self.used(), fork.saved)
            fork.complete = True
        except BaseException:
            self._end(fork)
            raise

    def _end(self, fork: _Fork) -> None:
        """Without `fork`."""
        while fork in (before := self._forks):
            after = tuple(other for other in before if other is not fork)
            if self._forks is before:
                self._forks = after
        fork.saved.close()

    def _prepared(self) -> _Fork | None:
        """What this thread has prepared last."""
        thread = threading.get_ident()
        own = [fork for fork in self._forks if fork.thread == thread and fork.complete]
        return own[-1] if own else None

    def after_fork_in_parent(self) -> None:
        fork = self._prepared()
        if fork is not None:
            self._end(fork)

    def after_fork_in_child(self) -> None:
        """Have code of its own, if that was prepared."""
        if not self.platform.shares_code:
            self._process = os.getpid()
        elif (fork := self._prepared()) is not None:
            self.platform.replace_code(self.memory, fork.saved, self.functions - self.start)
            for address, code in fork.changes:
                copy_bytes(address + self._to_writable, code, len(code))
            self._process = os.getpid()

    def forget_forks(self) -> None:
        """In the child: but for one that a handler has interrupted."""
        for fork in self._forks:
            if fork.complete or fork.thread != threading.get_ident():
                self._end(fork)


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


# What these raise, CPython prints and forgets. There may be memory again the next time.


def _insist(step: Callable[[CodeArena], None]) -> None:
    done: set[CodeArena] = set()
    for _ in range(ATTEMPTS):
        try:
            for arena in list(_arenas):
                if arena not in done:
                    step(arena)
                    done.add(arena)
            return
        except (MemoryError, OSError):
            pass  # in the end the child will say so, by `check_process`


def _before_fork() -> None:
    _insist(CodeArena.before_fork)


def _after_fork_in_parent() -> None:
    _insist(CodeArena.after_fork_in_parent)


def _after_fork_in_child() -> None:
    _insist(CodeArena.after_fork_in_child)
    _insist(CodeArena.forget_forks)


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
