"""What a WASI descriptor number stands for: a standard stream, an open file, or a directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, final

from brolga.ir.errors import ArgumentTypeError, WasmtimeError

from ..arguments import described, int_of
from ..machine.lifetime import Unique
from .abi import (
    BADF,
    FILETYPE_CHARACTER_DEVICE,
    FILETYPE_UNKNOWN,
    IO,
    WasiError,
)
from .transfer import MOST_BYTES, Ended, may_wait, read_into, write_from

MOST_OF_SINK: Final = 64 << 10  # bytes that a callable is given at once

Sink = Callable[[bytes], int | None]  # takes bytes written; returns how many it took, None for all


class _Stream(Unique):
    """A standard stream: its host descriptor `fd`, or -1; `owned`: that is closed with it. `closed`: the process was started without it, so
    that every use of it fails. `waits`: a read or write may have to wait, as for pipes and terminals."""

    __slots__ = ("_owned", "_waits", "closed", "fd")

    def __init__(self, fd: int, owned: bool, closed: bool = False) -> None:
        self.fd = fd
        self._owned = owned
        self.closed = closed
        self._waits: bool | None = None  # not yet known

    @property
    def waits(self) -> bool:
        if self._waits is None:
            self._waits = may_wait(os.fstat(self.fd).st_mode)
        return self._waits

    def filetype(self) -> int:
        self.check()
        return FILETYPE_CHARACTER_DEVICE if self.fd >= 0 and os.isatty(self.fd) else FILETYPE_UNKNOWN

    def check(self) -> None:
        """That it is open."""
        if self.closed:
            raise WasiError(BADF)

    def close(self) -> None:
        if getattr(self, "_owned", False):  # it may be that there was no memory for all of it
            self._owned = False
            fd, self.fd = self.fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@final
class InputStream(_Stream):
    """Standard input: a host descriptor (`fd`), or else the bytes `data`."""

    __slots__ = ("_position", "data")

    def __init__(self, fd: int = -1, data: bytes = b"", owned: bool = False, closed: bool = False) -> None:
        super().__init__(fd, owned, closed)
        self.data = data
        self._position = 0

    def read_into(self, buffers: list[memoryview], ended: Ended) -> int:
        self.check()
        if self.fd >= 0:
            return read_into(self.fd, buffers, self.waits, ended)
        total = 0
        for buffer in buffers:
            part = self.data[self._position : self._position + len(buffer)]
            buffer[: len(part)] = part
            self._position += len(part)
            total += len(part)
            if len(part) < len(buffer):
                break
        return total


@final
class OutputStream(_Stream):
    """Standard output or error: a host descriptor (`fd`), a callable (`sink`), or nowhere."""

    __slots__ = ("sink",)

    def __init__(self, fd: int = -1, sink: Sink | None = None, owned: bool = False, closed: bool = False) -> None:
        super().__init__(fd, owned, closed)
        self.sink = sink

    def write_from(self, buffers: list[memoryview], ended: Ended) -> int:
        self.check()
        if self.fd >= 0:
            return write_from(self.fd, buffers, self.waits, ended)
        if self.sink is None:
            return min(sum(len(buffer) for buffer in buffers), MOST_BYTES)
        data = _first_bytes(buffers)
        return _taken(self.sink(data), len(data)) if data else 0


def _first_bytes(buffers: list[memoryview]) -> bytes:
    """What a callable is given at once: not more than MOST_OF_SINK bytes, however many buffers name the same ones."""
    data = bytearray()
    for buffer in buffers:
        data += buffer[: MOST_OF_SINK - len(data)]
        if len(data) == MOST_OF_SINK:
            break
    return bytes(data)


def _taken(answer: object, size: int) -> int:
    """How many bytes a callable says that it took, of so many."""
    if answer is None:
        return size
    try:
        count = int_of(answer)
    except ArgumentTypeError:
        raise WasmtimeError(f"a callback for output must return an int or None, not {described(answer)}") from None
    if count < 0:
        raise WasiError(IO)
    if count > size:
        raise WasmtimeError(f"a callback for output says that it took {count} bytes, and got {size}")
    return count


class _Opened(Unique):
    """What was opened for the guest as host descriptor `fd`, and is closed with this object."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@final
class File(_Opened):
    """An open file. `readable` and `writable` say how it was opened, `append` and `nonblock` are its fdflags. `mutable`: its directory
    allows that files are changed, however they were opened. `waits`: a read or write may have to wait."""

    __slots__ = ("append", "mutable", "nonblock", "readable", "waits", "writable")

    def __init__(
        self, fd: int, readable: bool, writable: bool, append: bool, nonblock: bool, mutable: bool, waits: bool
    ) -> None:
        super().__init__(fd)
        self.mutable = mutable
        self.waits = waits
        self.readable = readable
        self.writable = writable
        self.append = append
        self.nonblock = nonblock


@final
class Directory(_Opened):
    """An open directory. `guest_path` is the name of a preopened one, else None.

    `mutable`: entries may be made, renamed and removed; `readable`: they may be listed; `files_readable` and
    `files_writable` limit what may be done with the files in it. They pass on to directories opened in it.
    `listing` is what fd_readdir's cookies count in: (name, inode, filetype) each.
    """

    __slots__ = ("files_readable", "files_writable", "guest_path", "listing", "mutable", "readable")

    def __init__(
        self,
        fd: int,
        guest_path: bytes | None = None,
        readable: bool = True,
        mutable: bool = True,
        files_readable: bool = True,
        files_writable: bool = True,
    ) -> None:
        super().__init__(fd)
        self.guest_path = guest_path
        self.readable = readable
        self.mutable = mutable
        self.files_readable = files_readable
        self.files_writable = files_writable
        self.listing: list[tuple[bytes, int, int]] = []

    @property
    def limits(self) -> tuple[bool, bool, bool, bool]:
        """What may be done with it and in it."""
        return self.readable, self.mutable, self.files_readable, self.files_writable

    def within(self, fd: int) -> Directory:
        """A directory opened below this one, with the same limits."""
        return Directory(fd, None, self.readable, self.mutable, self.files_readable, self.files_writable)


Descriptor = InputStream | OutputStream | File | Directory

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
