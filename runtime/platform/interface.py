"""What the runtime asks of the operating system, and what it does where the answer is no.

Each operation is a method of `Platform`. A platform says by its flags which groups it has:

    code memory    always needed: bytes that the CPU may execute. Two views of the same pages (one writable, one executable)
                   where pages must never be both; a plain read/write/execute area will do.
    plain memory   always needed: zeroed bytes, for linear memories.
    reservations   address space without memory behind it. Without: linear memories move when they grow, and each access compares its
                   bounds.
    remap          mappings that the system moves without a copy (`reserve` and `commit` make them). Without: memory that moves is plain
                   memory, and copied.
    stacks         areas with a guard below them. Without: wasm runs on the native stack, function entries compare rsp
                   with a limit.
    signals        handlers for faults, a signal to a thread, alternate stacks. Without: bounds, divisors and the like are
                   compared in the code; loop heads and function entries poll a flag.
    threads        a native thread that watches over long calls. Without: the GIL is released on each entry, and a Python
                   thread sets the poll flag.
    gs base        the instructions rdgsbase and wrgsbase. Without: a general register holds the base of memory 0.
"""

from __future__ import annotations

import os
from typing import final

from brolga.ir.errors import BrolgaError

from .address_space import address_space_left


class PlatformError(BrolgaError, MemoryError):
    """The system refused memory, address space or executable pages; the message says which."""


@final
class CodeMemory:
    """`size` bytes of code: written at address `writable`, executed at address `executable` (the same where pages may be
    both). `keep` is whatever must live as long."""

    __slots__ = ("executable", "keep", "size", "writable")

    def __init__(self, writable: int, executable: int, size: int, keep: object = None) -> None:
        self.writable = writable
        self.executable = executable
        self.size = size
        self.keep = keep


@final
class SavedCode:
    """Code as it was before a fork, for the child: a file in memory that is like the whole area, or else (file -1) the (offset,
    bytes) that were in use."""

    __slots__ = ("extents", "file")

    def __init__(self) -> None:
        self.file = -1
        self.extents: list[tuple[int, bytes]] = []

    def close(self) -> None:
        """Give up file and bytes."""
        file, self.file = self.file, -1
        self.extents = []
        if file >= 0:
            os.close(file)


class Platform:
    """The interface. The methods of a group are called only where its flag is set."""

    name = ""
    reservations = False
    remap = False
    stacks = False
    signals = False
    threads = False
    gs_base = False
    shares_code = False  # with a forked child

    # Code memory.

    def allocate_code(self) -> CodeMemory:
        """The area for all code of the process, as large as a quarter of the address space that is left allows (pages are used
        when written)."""
        raise NotImplementedError

    def discard_code(self, memory: CodeMemory, offset: int, size: int) -> None:
        """The pages `offset` .. `offset + size` are not needed now: the system may have them. They read as anything later."""

    def release_code(self, memory: CodeMemory) -> None:
        """Nothing uses the area, or will."""

    # A mapping of code that is shared between two views is shared with a forked child too: what one compiles would overwrite what
    # the other runs.

    def save_code(self, memory: CodeMemory, extents: list[tuple[int, int]], saved: SavedCode) -> None:
        """Before a fork: save what the (offset, size) extents contain. Called if `shares_code`. Raises MemoryError."""
        raise NotImplementedError

    def replace_code(self, memory: CodeMemory, saved: SavedCode, lasting: int) -> None:
        """In the child: memory of its own at the addresses of `memory`, with the contents that were saved. Signal handlers in the
        first `lasting` bytes can run all the time. Raises PlatformError; then the memory may still be the parent's."""
        raise NotImplementedError

    # Address space.

    def address_space_left(self) -> int:
        """How much more of it the process may take, a very large number if there is no limit. The rest of the program needs some."""
        return address_space_left()

    # Plain memory.

    def allocate(self, size: int) -> tuple[int, object]:
        """Address of `size` zero bytes, and the object that owns them. Raises PlatformError."""
        raise NotImplementedError

    # Reservations.

    def reserve(self, size: int) -> int:
        """Address of `size` bytes of address space that fault on any access. Raises PlatformError."""
        raise NotImplementedError

    def commit(self, address: int, size: int) -> bool:
        """Make pages of a reservation readable and writable; they read as zero. False if the system refuses."""
        raise NotImplementedError

    def decommit(self, address: int, size: int) -> None:
        """Give the memory of committed pages back; they fault again, and read as zero when committed next."""
        raise NotImplementedError

    def discard(self, address: int, size: int) -> None:
        """Give the memory of committed pages back; they stay accessible and read as zero."""
        raise NotImplementedError

    def unreserve(self, address: int, size: int) -> None:
        raise NotImplementedError

    # Stacks.

    def native_stack(self) -> tuple[int, int]:
        """Lowest address and end of the calling thread's own stack."""
        raise NotImplementedError

    # Signals.

    def handler(self, signal: int) -> tuple[int, int]:
        """Address (0: default, 1: ignored) and flags of the handler of a signal."""
        raise NotImplementedError

    def set_handler(self, signal: int, address: int, flags: int) -> None:
        raise NotImplementedError

    def signal_thread(self, thread: int, signal: int) -> None:
        """Send a signal to a thread of this process, by its native id. It may have ended."""
        raise NotImplementedError

    def alternate_stack(self) -> tuple[int, int]:
        """Address and size of the calling thread's alternate signal stack; (0, 0) if it has none."""
        raise NotImplementedError

    def set_alternate_stack(self, address: int, size: int) -> None:
        raise NotImplementedError

    def clear_alternate_stack(self) -> None:
        """The calling thread has none any more."""
        raise NotImplementedError

    def alternate_stack_size(self) -> int:
        """Bytes that an alternate stack must have for our handlers and those that we chain to."""
        raise NotImplementedError

    # Threads.

    def start_thread(self, code: int) -> None:
        """Run the C function at address `code` in a new native thread which takes no signals."""
        raise NotImplementedError
