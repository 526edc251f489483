"""A memory as an exporter of the buffer protocol.

The type is made with PyType_FromSpec, because before Python 3.12 a class statement gives no buffer slot. An instance begins with
the object that keeps the pages and the address of the memory record; each request reads base and length from the record, so
that views made after the memory has grown are longer, and none is ever copied. Views refer to the keeper of the pages, not to
the exporter.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from brolga.jit.vmctx import MEMORY_BASE, MEMORY_LENGTH

from .heap_types import TPFLAGS_BASETYPE, TPFLAGS_DEFAULT, type_from_spec
from .memory import MemoryBlock

if TYPE_CHECKING:
    from .machine import Machine

_u64 = ctypes.c_uint64.from_address

PY_BF_GETBUFFER: Final = 1
BUFFER_KEEPER: Final = 16  # PyObject*, borrowed: MemoryBlock; 0 if closed
BUFFER_RECORD: Final = 24
BUFFER_SIZE: Final = 32

_CLOSED_MESSAGE: Final = ctypes.create_string_buffer(b"already closed")

# getbuffer(exporter, view, flags): PyBuffer_FillInfo(view, keeper, base, length, readonly = 0, flags)
GETBUFFER: Final = """
    mov rax, [rdi + {BUFFER_KEEPER}]
    test rax, rax
    jz closed
    mov rcx, [rdi + {BUFFER_RECORD}]
    mov r9d, edx
    xor r8d, r8d
    mov rdi, rsi
    mov rsi, rax
    mov rdx, [rcx + {MEMORY_BASE}]
    mov rcx, [rcx + {MEMORY_LENGTH}]
    jmp {PyBuffer_FillInfo}
closed:
    mov qword ptr [rsi + 8], 0
    sub rsp, 8
    mov rdi, {ValueError}
    mov rsi, {CLOSED_MESSAGE}
    call {PyErr_SetString}
    add rsp, 8
    mov eax, -1
    ret
"""


@cache
def buffer_type(machine: Machine) -> Any:
    """The type to derive an exporter from. Its instances must be bound with `bind_buffer`."""
    symbols: dict[str, object] = {
        "BUFFER_KEEPER": BUFFER_KEEPER,
        "BUFFER_RECORD": BUFFER_RECORD,
        "MEMORY_BASE": MEMORY_BASE,
        "MEMORY_LENGTH": MEMORY_LENGTH,
    }
    addresses = {"ValueError": id(ValueError), "CLOSED_MESSAGE": ctypes.addressof(_CLOSED_MESSAGE)}
    getbuffer = machine.routine("getbuffer", lambda: (GETBUFFER, symbols), addresses)
    flags = TPFLAGS_DEFAULT | TPFLAGS_BASETYPE
    return type_from_spec(b"brolga.runtime.machine.buffers.Buffer", BUFFER_SIZE, flags, [(PY_BF_GETBUFFER, getbuffer)])


def bind_buffer(exporter: object, block: MemoryBlock | None) -> None:
    """Let the exporter give views of this block, which must be kept alive by it; None: requests raise ValueError."""
    address = id(exporter)
    if block is None:
        _u64(address + BUFFER_KEEPER).value = 0
    else:
        block.pin()
        _u64(address + BUFFER_RECORD).value = block.record
        _u64(address + BUFFER_KEEPER).value = id(block)
