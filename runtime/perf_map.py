"""Names of compiled functions for `perf`: the file /tmp/perf-PID.map, to which each function is added when it is installed.

The format is that of tools/perf/Documentation/jit-interface.txt of the Linux sources: address and size in hexadecimal, name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from brolga.jit.wasm import types as wasm


def path() -> str:
    """Where perf looks for the names of this process."""
    return f"/tmp/perf-{os.getpid()}.map"


def add(decoded: wasm.Module, installed: Iterable[tuple[int, int, int]]) -> None:
    """Add functions of a module, given as (address, size, index). Lines are appended in one piece, whatever other threads do."""
    lines = [f"{address:x} {size:x} wasm[{index}]::{decoded.func_name(index)}\n" for address, size, index in installed]
    file = os.open(path(), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, "".join(lines).encode())
    finally:
        os.close(file)
