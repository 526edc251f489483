"""What a WASI descriptor number stands for: a standard stream, an open file, or a directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, final

from .abi import (
    FILETYPE_CHARACTER_DEVICE,
    FILETYPE_UNKNOWN,
    IO,
    WasiError,
)

Sink = Callable[[bytes], int | None]  # takes bytes written; returns how many it took, None for all


class _Stream:
    """A standard stream: its host descriptor `fd`, or -1; `owned`: that is closed with it."""

    __slots__ = ("_owned", "fd")

    def __init__(self, fd: int, owned: bool) -> None:
        self.fd = fd
        self._owned = owned

    def filetype(self) -> int:
        return FILETYPE_CHARACTER_DEVICE if self.fd >= 0 and os.isatty(self.fd) else FILETYPE_UNKNOWN

    def close(self) -> None:
        if self._owned:
            self._owned = False
            fd, self.fd = self.fd, -1
            os.close(fd)

    def __del__(self) -> None:
        self.close()


@final
class InputStream(_Stream):
    """Standard input: a host descriptor (`fd`), or else the bytes `data`."""

    __slots__ = ("_position", "data")

    def __init__(self, fd: int = -1, data: bytes = b"", owned: bool = False) -> None:
        super().__init__(fd, owned)
        self.data = data
        self._position = 0

    def read_into(self, buffers: list[memoryview]) -> int:
        if self.fd >= 0:
            return os.readv(self.fd, buffers) if buffers else 0
        total = 0
        for buffer in buffers:
            part = self.data[self._position : self._position + len(buffer)]
            buffer[: len(part)] = part
            self._position += len(part)
            total += len(part)
        return total


@final
class OutputStream(_Stream):
    """Standard output or error: a host descriptor (`fd`), a callable (`sink`), or nowhere."""

    __slots__ = ("sink",)

    def __init__(self, fd: int = -1, sink: Sink | None = None, owned: bool = False) -> None:
        super().__init__(fd, owned)
        self.sink = sink

    def write_from(self, buffers: list[memoryview]) -> int:
        if self.fd >= 0:
            return os.writev(self.fd, buffers) if buffers else 0
        data = b"".join(buffers)
        if self.sink is None:
            return len(data)
        taken = self.sink(data)
        if taken is None:
            return len(data)
        if taken < 0:
            raise WasiError(IO)
        return taken


class _Opened:
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
    """An open file. `readable` and `writable` say what the guest may do, `append` and `nonblock` are its fdflags."""

    __slots__ = ("append", "nonblock", "readable", "writable")

    def __init__(self, fd: int, readable: bool, writable: bool, append: bool, nonblock: bool) -> None:
        super().__init__(fd)
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

    def within(self, fd: int) -> Directory:
        """A directory opened below this one, with the same limits."""
        return Directory(fd, None, self.readable, self.mutable, self.files_readable, self.files_writable)


Descriptor = InputStream | OutputStream | File | Directory

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2
