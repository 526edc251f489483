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

# Not of programs: checks of what the compiler relies on (Settings.check_facts).
FACT_KNOWN_BITS: Final = _trap("fact_known_bits", "compiler fact does not hold: bits that are zero")
FACT_UNCHANGED: Final = _trap("fact_unchanged", "compiler fact does not hold: a field that never changes")
FACT_PASSED: Final = _trap("fact_passed", "compiler fact does not hold: a check that has passed before")
FACT_ZERO_EXTENDED: Final = _trap(
    "fact_zero_extended", "compiler fact does not hold: an i32 is zero-extended in its register"
)
FACT_NO_WRAP: Final = _trap("fact_no_wrap", "compiler fact does not hold: a sum in an address does not wrap")
FACT_IN_TABLE: Final = _trap("fact_in_table", "compiler fact does not hold: an index is in its jump table")
FACT_SAME_LOAD: Final = _trap("fact_same_load", "compiler fact does not hold: a load gives the same where it is folded")
FACT_CONVERTS: Final = _trap("fact_converts", "compiler fact does not hold: a float is in the range of an integer")
FACT_KEPT_REGISTERS: Final = _trap(
    "fact_kept_registers", "compiler fact does not hold: a function keeps the registers of its caller"
)
FIRST_FACT: Final = FACT_KNOWN_BITS

TRAP_BY_NAME: Final[dict[str, int]] = {name: number for number, name in enumerate(TRAP_NAMES)}
