"""Which bits of an integer value may be set, as far as its definition and its operands' tell."""

from __future__ import annotations

from typing import Final

from ..function import Inst
from ..inst_builder import InstBuilder
from ..opcodes import (
    BAND,
    BOR,
    BXOR,
    CLZ,
    CTZ,
    FCMP,
    ICMP,
    ICONST,
    IREDUCE,
    ISHL,
    POPCNT,
    SELECT,
    UEXTEND,
    ULOAD8,
    ULOAD16,
    ULOAD32,
    USHR,
)
from ..types import I32, TYPE_BITS, TYPE_MASK

_DEPTH: Final = 3  # bounds the work per instruction


def possible_ones(builder: InstBuilder, value: int) -> int:
    """A mask with every bit that may be one in `value` (an I32 or I64)."""
    return ones_by_definition(builder.defs, builder.function.value_types, value)


def ones_by_definition(defs: list[Inst], types: list[int], value: int, depth: int = _DEPTH) -> int:
    """The same for values whose definitions are `defs`; what is defined by no instruction has an opcode of its own there."""
    inst = defs[value]
    op = inst.op
    if op == ICONST:
        return inst.imm
    if op == ICMP or op == FCMP:
        return 1
    if op == ULOAD8:
        return 0xFF
    if op == ULOAD16:
        return 0xFFFF
    if op == ULOAD32:
        return 0xFFFF_FFFF
    type = types[value]
    everything = TYPE_MASK[type]
    if op == CLZ or op == CTZ or op == POPCNT:
        return 2 * TYPE_BITS[type] - 1
    if depth == 0:
        return everything
    if op == BAND:
        ones = ones_by_definition(defs, types, inst.args[1], depth - 1)
        return ones & ones_by_definition(defs, types, inst.args[0], depth - 1)
    if op == BOR or op == BXOR:
        ones = ones_by_definition(defs, types, inst.args[0], depth - 1)
        return ones | ones_by_definition(defs, types, inst.args[1], depth - 1)
    if op == USHR or op == ISHL:
        count = defs[inst.args[1]]
        if count.op != ICONST:
            return everything
        ones = ones_by_definition(defs, types, inst.args[0], depth - 1)
        shift = count.imm & (TYPE_BITS[type] - 1)
        return ones >> shift if op == USHR else (ones << shift) & everything
    if op == UEXTEND:
        return ones_by_definition(defs, types, inst.args[0], depth - 1)
    if op == IREDUCE:
        return ones_by_definition(defs, types, inst.args[0], depth - 1) & TYPE_MASK[I32]
    if op == SELECT:
        ones = ones_by_definition(defs, types, inst.args[1], depth - 1)
        return ones | ones_by_definition(defs, types, inst.args[2], depth - 1)
    return everything
