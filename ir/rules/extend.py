"""Extensions, truncations and bit casts. The requirements stand in integer.py.

Narrow loads extend already, so most of these rules remove an extension. `uextend` is preferred to
`sextend`, because it costs nothing: an I32 in a register is kept zero-extended.
"""

from __future__ import annotations

from typing import Final

from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..opcodes import (
    BAND,
    BITCAST,
    ICONST,
    IREDUCE,
    OPCODE_COUNT,
    SEXTEND,
    SEXTEND8,
    SEXTEND16,
    SEXTEND32,
    SLOAD8,
    SLOAD16,
    SLOAD32,
    UEXTEND,
)
from ..types import I32, I64
from .known_bits import possible_ones

# By opcode: the result is the sign extension of a value of so many bits; 0 if not known to be.
_SIGNED_BITS: Final[list[int]] = [0] * OPCODE_COUNT + [0]
for _op, _bits in (
    (SEXTEND8, 8),
    (SEXTEND16, 16),
    (SEXTEND32, 32),
    (SEXTEND, 32),
    (SLOAD8, 8),
    (SLOAD16, 16),
    (SLOAD32, 32),
):
    _SIGNED_BITS[_op] = _bits


def _extend_within(b: InstBuilder, op: int, type: int, x: int, width: int) -> int:
    inst = b.defs[x]
    inner = inst.op
    if 0 < _SIGNED_BITS[inner] <= width:
        return x
    low = (1 << width) - 1
    if inner == SEXTEND16 or inner == SEXTEND32:
        return b.unary(op, type, inst.args[0])
    if inner == BAND:
        mask = b.defs[inst.args[1]]
        if mask.op == ICONST and mask.imm & low == low:
            return b.unary(op, type, inst.args[0])
    if possible_ones(b, x) <= low >> 1:
        return x
    return NO_VALUE


def sextend8(b: InstBuilder, op: int, type: int, x: int) -> int:
    """sextend8 (sextend8 a) = sextend8 a; sextend8 (sextend16 a) = sextend8 a; sextend8 (sload8 p) = sload8 p;
    sextend8 (a & 0xff) = sextend8 a; sextend8 x = x if x < 0x80"""
    return _extend_within(b, op, type, x, 8)


def sextend16(b: InstBuilder, op: int, type: int, x: int) -> int:
    """As sextend8; narrower signed values are extended already."""
    return _extend_within(b, op, type, x, 16)


def sextend32(b: InstBuilder, op: int, type: int, x: int) -> int:
    """As sextend8; and sextend32 (uextend a) = sextend a"""
    inst = b.defs[x]
    if inst.op == UEXTEND:
        return b.convert(SEXTEND, I64, I32, inst.args[0])
    return _extend_within(b, op, type, x, 32)


def ireduce(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """ireduce (uextend a) = ireduce (sextend a) = a; ireduce (sextend32 a) = ireduce a;
    ireduce (a & 0xffffffff) = ireduce a"""
    inst = b.defs[x]
    inner = inst.op
    if inner == UEXTEND or inner == SEXTEND:
        return inst.args[0]
    if inner == SEXTEND32:
        return b.convert(IREDUCE, I32, I64, inst.args[0])
    if inner == BAND:
        mask = b.defs[inst.args[1]]
        if mask.op == ICONST and mask.imm & 0xFFFF_FFFF == 0xFFFF_FFFF:
            return b.convert(IREDUCE, I32, I64, inst.args[0])
    return NO_VALUE


def uextend(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """uextend (ireduce a) = a if a < 2**32"""
    inst = b.defs[x]
    if inst.op == IREDUCE and possible_ones(b, inst.args[0]) <= 0xFFFF_FFFF:
        return inst.args[0]
    return NO_VALUE


def sextend(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """sextend (ireduce a) = sextend32 a; sextend x = uextend x if x < 2**31"""
    if possible_ones(b, x) <= 0x7FFF_FFFF:
        return b.convert(UEXTEND, I64, I32, x)
    inst = b.defs[x]
    if inst.op == IREDUCE:
        return b.unary(SEXTEND32, I64, inst.args[0])
    return NO_VALUE


def bitcast(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """bitcast.T.U (bitcast.U.T a) = a"""
    inst = b.defs[x]
    if inst.op == BITCAST and inst.aux == type:
        return inst.args[0]
    return NO_VALUE
