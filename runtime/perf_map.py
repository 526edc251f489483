"""Names of compiled functions for `perf`: the file /tmp/perf-PID.map, to which each function is added when it is installed.

The format is that of tools/perf/Documentation/jit-interface.txt of the Linux sources: address and size in hexadecimal, name.

The folder is everybody's, and numbers of processes come again: what is there may be a link, a pipe, or somebody else's file. Only a
regular file of this user with that one name is written to. Calls never fail for want of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from brolga.jit.wasm import types as wasm


def path() -> str:
    """Where perf looks for the names of this process."""
    return f"/tmp/perf-{os.getpid()}.map"


def add(decoded: wasm.Module, installed: Iterable[tuple[int, int, int]]) -> None:
    """Add functions of a module, given as (address, size, index). Lines are appended in one piece, whatever other threads do. Without
    effect where the file cannot be written."""
    lines = [f"{address:x} {size:x} wasm[{index}]::{decoded.func_name(index)}\n" for address, size, index in installed]
    try:
        _append("".join(lines).encode())
    except OSError:
        pass


def _append(data: bytes) -> None:
    # Opened each time: a program that closes all descriptors would have the next file that it opens written to.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(path(), flags, 0o600)
    try:
        status = os.fstat(file)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid():
            os.write(file, data)
    finally:
        os.close(file)
