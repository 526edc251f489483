"""Trap codes: why execution of a function ended abnormally.

One row each: number, name in text IR, message in the words of the WebAssembly test suite.
"""

from __future__ import annotations

from typing import Final

TRAP_NAMES: Final[list[str]] = []
TRAP_MESSAGES: Final[list[str]] = []


def _trap(name: str, message: str) -> int:
    TRAP_NAMES.append(name)
    TRAP_MESSAGES.append(message)
    return len(TRAP_NAMES) - 1


STACK_OVERFLOW: Final = _trap("stack_overflow", "call stack exhausted")
MEMORY_OUT_OF_BOUNDS: Final = _trap("heap_oob", "out of bounds memory access")
TABLE_OUT_OF_BOUNDS: Final = _trap("table_oob", "out of bounds table access")
INDIRECT_CALL_OUT_OF_BOUNDS: Final = _trap("icall_oob", "undefined element")
INDIRECT_CALL_TO_NULL: Final = _trap("icall_null", "uninitialized element")
BAD_SIGNATURE: Final = _trap("bad_sig", "indirect call type mismatch")
INTEGER_OVERFLOW: Final = _trap("int_ovf", "integer overflow")
INTEGER_DIVISION_BY_ZERO: Final = _trap("int_divz", "integer divide by zero")
BAD_CONVERSION_TO_INTEGER: Final = _trap("bad_toint", "invalid conversion to integer")
UNREACHABLE: Final = _trap("unreachable", "unreachable")
INTERRUPT: Final = _trap("interrupt", "interrupt")
OUT_OF_FUEL: Final = _trap("out_of_fuel", "all fuel consumed by WebAssembly")
NULL_REFERENCE: Final = _trap("null_reference", "null reference")

TRAP_BY_NAME: Final[dict[str, int]] = {name: number for number, name in enumerate(TRAP_NAMES)}
