"""What outlives the interpreter.

When CPython goes down it drops all modules while native threads still run: the watchdog, and daemon threads that are in wasm or
come back from a host function. What their machine code refers to by address must not be freed or unmapped then.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final, NoReturn, SupportsIndex

_increase = ctypes.pythonapi.Py_IncRef
_increase.argtypes = [ctypes.py_object]
_increase.restype = None


class Unique:
    """Base of what owns memory by address: a copy would free it a second time."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(f"cannot copy or pickle {type(self).__name__!r} object")


def keep_forever(thing: object) -> None:
    """Never free this object."""
    _increase(thing)


exiting: Final = sys.is_finalizing
"""Whether the interpreter is going down: nothing is given back then."""
