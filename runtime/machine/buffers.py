"""A memory as an exporter of the buffer protocol: for objects that stand for one.

The type is made with PyType_FromSpec, because before Python 3.12 a class statement gives no buffer slot. An instance begins with
the object that has the pages, to which views refer, not to the exporter: see `pages`.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from .heap_types import TPFLAGS_BASETYPE, TPFLAGS_DEFAULT, type_from_spec

if TYPE_CHECKING:
    from .machine import Machine
    from .pages import Pages

_u64 = ctypes.c_uint64.from_address

PY_BF_GETBUFFER: Final = 1
BUFFER_KEEPER: Final = 16  # PyObject*, borrowed: what has the pages; 0 if closed
BUFFER_SIZE: Final = 24

# getbuffer(exporter, view, flags)
GETBUFFER: Final = """
    mov rdi, [rdi + {BUFFER_KEEPER}]
    test rdi, rdi
    jnz {GETBUFFER_OF_BLOCK}
    mov qword ptr [rsi + 8], 0
    sub rsp, 8
    mov rdi, {ClosedError}
    mov rsi, {CLOSED_MESSAGE}
    call {PyErr_SetString}
    add rsp, 8
    mov eax, -1
    ret
"""


@cache
def buffer_type(machine: Machine) -> Any:
    """The type to derive an exporter from. Its instances must be bound with `bind_buffer`."""
    symbols: dict[str, object] = {"BUFFER_KEEPER": BUFFER_KEEPER}
    getbuffer = machine.routine("getbuffer", lambda: (GETBUFFER, symbols))
    flags = TPFLAGS_DEFAULT | TPFLAGS_BASETYPE
    return type_from_spec(b"brolga.runtime.machine.buffers.Buffer", BUFFER_SIZE, flags, [(PY_BF_GETBUFFER, getbuffer)])


def bind_buffer(exporter: object, pages: Pages | None) -> None:
    """Let the exporter give views of these pages, which must be kept alive by it; None: requests raise ValueError."""
    _u64(id(exporter) + BUFFER_KEEPER).value = 0 if pages is None else id(pages)
