"""Which calls are replaced by the body of the function that they call (procedure integration: Muchnick, "Advanced Compiler Design
and Implementation", 1997, section 15.2).

Producers inline themselves, but not when they optimise for size, and some not at all. What is left are functions so small that
calling them costs more than running them. A body stands for its calls if it has

    no calls and no loops          so no recursion, and nothing that must be interruptible; calls of the runtime's routines,
                                   as in `memory.copy`, are no calls here
    few bytes and few operators    that are more than traffic with locals, constants and structure: SMALL_*, with which code does not
                                   grow, and in loops of the caller LARGE_*
    at most MAX_LOCALS             parameters included

and a caller takes in bodies until they are more than ROOM bytes and its own size together, so that the cost of compiling a function
stays linear in its size. All this is known from the module's bytes before anything is translated, and so is the same whoever
compiles which functions in which order.

The body is translated in the caller's builder (translate.py): its parameters are the arguments' values, so that all rules see
through the call. A frame of its own it has not: nothing is checked or looked at where it begins, neither stack nor interrupts,
as the caller has done so and it cannot run for long. Where fuel is accounted for, which entries and ends of functions are part of,
nothing is inlined.
"""

from __future__ import annotations

from typing import Final, final

from .locals import read_locals
from .opcodes import (
    BLOCK_OP,
    CALL,
    CALL_INDIRECT,
    DROP,
    ELSE,
    END,
    F32_CONST,
    F64_CONST,
    I32_CONST,
    I64_CONST,
    LOCAL_GET,
    LOCAL_SET,
    LOCAL_TEE,
    LOOP,
    NOP,
    OPERATOR_COUNT,
)
from .operators import read_immediates, read_opcode
from .types import Module

SMALL_BYTES: Final = 24
SMALL_OPERATORS: Final = 8
LARGE_BYTES: Final = 40
LARGE_OPERATORS: Final = 16
MAX_LOCALS: Final = 16
ROOM: Final = 256

# What calls of a function may be replaced.
NONE: Final = 0
IN_LOOPS: Final = 1
ALL: Final = 2

_FREE: Final = (
    LOCAL_GET,
    LOCAL_SET,
    LOCAL_TEE,
    I32_CONST,
    I64_CONST,
    F32_CONST,
    F64_CONST,
    BLOCK_OP,
    ELSE,
    END,
    DROP,
    NOP,
)
_COST: Final[list[int]] = [0 if op in _FREE else 1 for op in range(OPERATOR_COUNT)]


@final
class Inliner:
    """Of one caller: which of its calls are replaced, asked in the order in which they are translated."""

    __slots__ = ("_module", "_room")

    def __init__(self, module: Module, caller: int) -> None:
        body = module.bodies[caller - module.imported_funcs]
        self._module = module
        self._room = ROOM + body.end - body.start

    def accepts(self, func: int, in_loop: bool) -> bool:
        """Whether this call of `func` is replaced, which stands in a loop or not."""
        module = self._module
        calls = module.inlinable.get(func, -1)
        if calls < 0:
            calls = module.inlinable[func] = inlinable(module, func)
        if calls == NONE or (calls == IN_LOOPS and not in_loop):
            return False
        body = module.bodies[func - module.imported_funcs]
        size = body.end - body.start
        if size > self._room:
            return False
        self._room -= size
        return True


def inlinable(module: Module, func: int) -> int:
    """NONE, IN_LOOPS or ALL: which calls of function `func` (index space) its body may stand for."""
    if func < module.imported_funcs:
        return NONE
    body = module.bodies[func - module.imported_funcs]
    size = body.end - body.start
    if size > LARGE_BYTES:
        return NONE
    group_ends, _, pos = read_locals(module, func)
    locals = group_ends[-1] if group_ends else len(module.types[body.type_index].params)
    if locals > MAX_LOCALS:
        return NONE
    cost = 0
    while pos < body.end:
        op, pos = read_opcode(module.data, pos)
        if op == CALL or op == CALL_INDIRECT or op == LOOP:
            return NONE
        cost += _COST[op]
        _, pos = read_immediates(module.data, pos, op)
    if size <= SMALL_BYTES and cost <= SMALL_OPERATORS:
        return ALL
    return IN_LOOPS if cost <= LARGE_OPERATORS else NONE
