"""Runtime routines that compiled code calls, one row each: number, name, signature.

They follow the internal calling convention (`x64/abi.py`) and get the caller's vmctx in r15. References are I64.
Runtime binds each number to a routine in its table of builtins; a routine may raise a trap.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.signature import Signature
from brolga.ir.types import I32, I64

BUILTIN_NAMES: Final[list[str]] = []
BUILTIN_SIGNATURES: Final[list[Signature]] = []


def _builtin(name: str, params: list[int], results: list[int]) -> int:
    BUILTIN_NAMES.append(name)
    BUILTIN_SIGNATURES.append(Signature(params, results))
    return len(BUILTIN_NAMES) - 1


# memory.*: the first operand is the memory's index in the caller's instance.
MEMORY_GROW: Final = _builtin("memory_grow", [I32, I32], [I32])  # memory, pages -> old pages or -1
MEMORY_FILL: Final = _builtin("memory_fill", [I32, I32, I32, I32], [])  # memory, destination, byte, length
MEMORY_COPY: Final = _builtin("memory_copy", [I32, I32, I32, I32, I32], [])  # to, from, destination, source, length
MEMORY_INIT: Final = _builtin("memory_init", [I32, I32, I32, I32, I32], [])  # memory, segment, dest, source, length
DATA_DROP: Final = _builtin("data_drop", [I32], [])
TABLE_GET: Final = _builtin("table_get", [I32, I32], [I64])  # table, index -> reference
TABLE_SET: Final = _builtin("table_set", [I32, I32, I64], [])  # table, index, reference
TABLE_GROW: Final = _builtin("table_grow", [I32, I64, I32], [I32])  # table, initial value, elements -> old or -1
TABLE_FILL: Final = _builtin("table_fill", [I32, I32, I64, I32], [])  # table, index, value, length
TABLE_COPY: Final = _builtin("table_copy", [I32, I32, I32, I32, I32], [])  # to, from, destination, source, length
TABLE_INIT: Final = _builtin("table_init", [I32, I32, I32, I32, I32], [])  # table, segment, dest, source, length
ELEM_DROP: Final = _builtin("elem_drop", [I32], [])
# Only where the platform has no signals:
INTERRUPT_POLL: Final = _builtin("interrupt", [], [])  # the interrupt flag was seen set; returns if execution goes on

BUILTIN_COUNT: Final = len(BUILTIN_NAMES)
