"""Which bits of an integer value may be set, as far as its definition and its operands' tell."""

from __future__ import annotations

from typing import Final

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
    return _possible_ones(builder, value, _DEPTH)


def _possible_ones(builder: InstBuilder, value: int, depth: int) -> int:
    inst = builder.defs[value]
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
    type = builder.function.value_types[value]
    everything = TYPE_MASK[type]
    if op == CLZ or op == CTZ or op == POPCNT:
        return 2 * TYPE_BITS[type] - 1
    if depth == 0:
        return everything
    if op == BAND:
        ones = _possible_ones(builder, inst.args[1], depth - 1)
        return ones & _possible_ones(builder, inst.args[0], depth - 1)
    if op == BOR or op == BXOR:
        ones = _possible_ones(builder, inst.args[0], depth - 1)
        return ones | _possible_ones(builder, inst.args[1], depth - 1)
    if op == USHR or op == ISHL:
        count = builder.defs[inst.args[1]]
        if count.op != ICONST:
            return everything
        ones = _possible_ones(builder, inst.args[0], depth - 1)
        shift = count.imm & (TYPE_BITS[type] - 1)
        return ones >> shift if op == USHR else (ones << shift) & everything
    if op == UEXTEND:
        return _possible_ones(builder, inst.args[0], depth - 1)
    if op == IREDUCE:
        return _possible_ones(builder, inst.args[0], depth - 1) & TYPE_MASK[I32]
    if op == SELECT:
        ones = _possible_ones(builder, inst.args[1], depth - 1)
        return ones | _possible_ones(builder, inst.args[2], depth - 1)
    return everything
