"""The machine-near half of the runtime: code, stacks, entries, host calls, traps, interruption.

platform/          what is asked of the operating system
machine/machine    `Machine`: one per platform, everything below is reached through it
        code       `CodeSpace`: the pads and code of one module; pc -> function
        state      `StoreState`: activation state of one store; interrupt requests
        memory     `MemoryBlock`: pages of one linear memory and its record
        host       `HostFunction`: a Python callable as a function record
        entry      `EntryPoint`: base class of `Func`, callable from Python at C speed
        fibers     calls that are suspended while an async host function runs
        lifetime   `Hold`: what machine code refers to by address goes last, and not when the interpreter ends
        traps      `Site`, `Frame`, and the hook that makes exceptions of them
        values     Python values <-> bits
        signatures the numbers of function types
"""

from __future__ import annotations

from .awaitables import is_async
from .code import CodeSpace, find_code
from .entry import EntryPoint, enable_method_calls, enable_vectorcall, forbid_changes
from .host import HostFunction
from .layout import CTX_DATA_SEGMENTS, CTX_INSTANCE, CTX_MEMORIES, CTX_TABLES
from .machine import Machine, any_machine, machine
from .memory import ClosedMemory, MemoryBlock
from .signatures import signature_numbers, signature_type
from .state import CLOSED, StoreState
from .traps import Frame, Site, frames_of, set_exception_hook, set_trap_factory
from .values import from_bits, set_reference_converters, set_typed_values, to_bits

__all__ = [
    "CLOSED",
    "CTX_DATA_SEGMENTS",
    "CTX_INSTANCE",
    "CTX_MEMORIES",
    "CTX_TABLES",
    "ClosedMemory",
    "CodeSpace",
    "EntryPoint",
    "Frame",
    "HostFunction",
    "Machine",
    "MemoryBlock",
    "StoreState",
    "Site",
    "any_machine",
    "enable_method_calls",
    "enable_vectorcall",
    "forbid_changes",
    "find_code",
    "frames_of",
    "from_bits",
    "is_async",
    "machine",
    "set_exception_hook",
    "set_reference_converters",
    "set_trap_factory",
    "set_typed_values",
    "signature_numbers",
    "signature_type",
    "to_bits",
]
