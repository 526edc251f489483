"""How much address space a process may still take, where the system says so."""

from __future__ import annotations

import ctypes
from typing import Final

from .c_calls import typed

UNLIMITED: Final = 1 << 62
PAGE: Final = 4096
RLIMIT_AS: Final = 9

_limit: Final = (ctypes.c_ulong * 2)()
_function = ctypes.CDLL(None).getrlimit
_function.argtypes = [ctypes.c_int, ctypes.c_void_p]
_getrlimit: Final = typed(_function)


def address_space_left() -> int:
    """Bytes that `ulimit -v` leaves, UNLIMITED if there is no such limit."""
    if _getrlimit(RLIMIT_AS, _limit) != 0 or _limit[0] >= UNLIMITED:
        return UNLIMITED
    return max(_limit[0] - _used(), 0)


def _used() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[0]) * PAGE
    except (OSError, ValueError, IndexError):
        return 0
