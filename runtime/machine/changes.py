"""Changes that nobody sees half-done.

The length of a memory or table is in its record, where machine code reads it, and as Python ints and views in slots of the object that
stands for it. Between two steps of Python, signal handlers, finalisers and other threads may come in, use what is about to change,
change it themselves, or raise. So all of it changes in one call of a machine routine, which holds the GIL and comes first to
what the system must do: the routine looks whether the record is what the caller has seen, asks the system or copies, writes the record
and the slots, and only then lets go of what the slots held.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Final

from . import layout as L

# What is done before the record is written.
NOTHING: Final = 0
COMMIT: Final = 1  # mprotect what is between the old length and the new one
REMAP: Final = (
    2  # mremap the area of CHANGE_CAPACITY bytes; it moves only if CHANGE_MAY_MOVE is set and nobody has a view
)
COPY: Final = 3  # copy the bytes to the new base, if nobody has a view

# What comes of it.
DONE: Final = 0
CHANGED: Final = 1  # the record is not what the caller has seen: nothing was done
REFUSED: Final = 2  # by the system, or because there are views

Change = ctypes.Array[ctypes.c_uint64]
# Of the routine.
Apply = Callable[[Change], int]

_HEAD: Final = L.CHANGE_SLOTS // 8
_MEMBER: Final = 40  # of the type of member descriptors: address of the PyMemberDef
_OFFSET: Final = 16  # of a PyMemberDef


def slot_offset(cls: type[object], name: str) -> int:
    """Where instances have the pointer of a name in `__slots__`."""
    member: int = ctypes.c_uint64.from_address(id(cls.__dict__[name]) + _MEMBER).value
    return ctypes.c_int64.from_address(member + _OFFSET).value


def change(
    record: int, kind: int, before: tuple[int, int], after: tuple[int, int], slots: Sequence[tuple[int, int]]
) -> Change:
    """A change for the routine: of the record at this address, from base and length `before` to those `after`, and of slots: addresses
    of the pointers, and of the objects that they shall refer to, which the caller keeps alive."""
    request: Change = (ctypes.c_uint64 * (_HEAD + 2 * len(slots)))(
        record, kind, *before, *after, 0, 0, 0, 0, 0, len(slots)
    )
    place = _HEAD
    for slot, thing in slots:
        request[place] = slot
        request[place + 1] = thing
        place += 2
    return request
