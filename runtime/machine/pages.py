"""What has pages of memory exports them by the buffer protocol, and counts the views that there are: it cannot move as long as there is one.

Each request reads base and length from the memory record in one step, so that views made after the memory has grown are longer, and none
is ever copied.

The type is made with PyType_FromSpec, whose members have places that machine code knows. Classes derived from it are there before a
machine is, and with it the routines: `enable_views` puts these into them.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from .heap_types import (
    PY_TP_MEMBERS,
    READONLY,
    T_PYSSIZET,
    TPFLAGS_BASETYPE,
    TPFLAGS_DEFAULT,
    member_table,
    type_from_spec,
)

_u64 = ctypes.c_uint64.from_address

TP_AS_BUFFER: Final = 160  # address of the two routines, in PyTypeObject

PAGES_VIEWS: Final = 16  # how many there are
PAGES_RECORD: Final = 24  # address of the memory record, 0 if there are no bytes
PAGES_SIZE: Final = 32

CLOSED_MESSAGE: Final = ctypes.create_string_buffer(b"already closed")

if TYPE_CHECKING:

    class Pages:
        """Base of what has pages, exports them, and is kept by their views. `record` is the address of its memory record, which must live as
        long, 0 if there are no pages any more; `views` says how many views there are."""

        __slots__ = ("record", "views")
        views: int
        record: int

        def __buffer__(self, flags: int, /) -> memoryview: ...

else:
    _members = member_table((b"views", T_PYSSIZET, PAGES_VIEWS, READONLY), (b"record", T_PYSSIZET, PAGES_RECORD, 0))
    Pages = type_from_spec(
        b"brolga.runtime.machine.buffers.Pages",
        PAGES_SIZE,
        TPFLAGS_DEFAULT | TPFLAGS_BASETYPE,
        [(PY_TP_MEMBERS, _members)],
    )


def enable_views(classes: tuple[type[Pages], ...], getbuffer: int, releasebuffer: int) -> None:
    """Let instances of these classes export their pages, through these routines."""
    for cls in classes:
        slots = _u64(id(cls) + TP_AS_BUFFER).value
        _u64(slots).value = getbuffer
        _u64(slots + 8).value = releasebuffer
