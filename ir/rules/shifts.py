"""Shifts and rotations. The requirements stand in integer.py.

Wasm takes counts modulo the width, as x86 does for 32- and 64-bit operands, so explicit masking of
a count is dropped. Constant counts are reduced to 0 .. width - 1 first.
"""

from __future__ import annotations

from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..opcodes import (
    BAND,
    IADD,
    ICONST,
    IREDUCE,
    ISHL,
    ISUB,
    ROTL,
    ROTR,
    SEXTEND8,
    SEXTEND16,
    SEXTEND32,
    SSHR,
    UEXTEND,
    USHR,
)
from ..types import I32, I64, TYPE_BITS, TYPE_MASK


def shift_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x << 0 = x, and so on for each shift and rotation; then the rules of the opcode."""
    bits = TYPE_BITS[type]
    if k >= bits:
        k &= bits - 1
        y = b.iconst(type, k)
        if k != 0:
            return b.binary(op, type, x, y)
    if k == 0:
        return x
    if op == ROTR:
        return b.binary(ROTL, type, x, b.iconst(type, bits - k))
    inst = b.defs[x]
    inner = inst.op
    if inner != op and inner != ISHL and inner != USHR and inner != SSHR:
        return NO_VALUE
    count = b.defs[inst.args[1]]
    if count.op != ICONST:
        return NO_VALUE
    c = count.imm & (bits - 1)
    a = inst.args[0]
    if inner == op:
        return _same_twice(b, op, type, a, c + k)
    if op == ISHL:
        return _shift_left(b, type, a, c, k)
    if op == USHR:
        return _shift_right_unsigned(b, type, a, c, k, inner)
    if op == SSHR:
        return _shift_right_signed(b, type, a, c, k, inner)
    return NO_VALUE


def _same_twice(b: InstBuilder, op: int, type: int, a: int, total: int) -> int:
    """(a >> c) >> k = a >> (c + k), for each shift and rotation"""
    bits = TYPE_BITS[type]
    if op == ROTL:
        total &= bits - 1
    elif total >= bits:
        if op != SSHR:
            return b.iconst(type, 0)
        total = bits - 1
    return b.binary(op, type, a, b.iconst(type, total))


def _shift_left(b: InstBuilder, type: int, a: int, c: int, k: int) -> int:
    """(a >> k) << k = a & (-1 << k), for either right shift"""
    if c == k and k < 32:  # an immediate of x86 is at most 32 bits, sign-extended
        return b.binary(BAND, type, a, b.iconst(type, (-1 << k) & TYPE_MASK[type]))
    return NO_VALUE


def _shift_right_unsigned(b: InstBuilder, type: int, a: int, c: int, k: int, inner: int) -> int:
    """(a << k) >> k = a & (-1 >> k); the sign bit of a signed shift is the operand's"""
    bits = TYPE_BITS[type]
    if inner == SSHR:
        if k == bits - 1:
            return b.binary(USHR, type, a, b.iconst(type, k))
    elif c == k and (type == I32 or k >= 32):
        return b.binary(BAND, type, a, b.iconst(type, TYPE_MASK[type] >> k))
    return NO_VALUE


def _shift_right_signed(b: InstBuilder, type: int, a: int, c: int, k: int, inner: int) -> int:
    """(a << c) >> k = sextendN (a >> (k - c)), where N is the width less k"""
    if inner == ISHL and c <= k:
        width = TYPE_BITS[type] - k
        if c < k and (width == 8 or width == 16 or width == 32):
            a = b.binary(USHR, type, a, b.iconst(type, k - c))
        if width == 8:
            return b.unary(SEXTEND8, type, a)
        if width == 16:
            return b.unary(SEXTEND16, type, a)
        if width == 32:
            return b.unary(SEXTEND32, type, a)
    elif inner == USHR and c > 0:  # the sign bit is clear
        return _same_twice(b, USHR, type, a, c + k)
    return NO_VALUE


def shift(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """0 << y = 0, for each shift and rotation; -1 stays under sshr, rotl and rotr;
    x << (a & c) = x << a if c has all bits of width - 1, also under uextend and ireduce;
    x << (a + c) = x << a and x << (c - a) = x << (0 - a) if c is a multiple of the width"""
    defs = b.defs
    left = defs[x]
    if left.op == ICONST and (left.imm == 0 or (left.imm == TYPE_MASK[type] and op != ISHL and op != USHR)):
        return x
    low = TYPE_BITS[type] - 1
    count = defs[y]
    if count.op == BAND:
        c = defs[count.args[1]]
        if c.op == ICONST and c.imm & low == low:
            return b.binary(op, type, x, count.args[0])
    elif count.op == IADD:
        c = defs[count.args[1]]
        if c.op == ICONST and c.imm & low == 0:
            return b.binary(op, type, x, count.args[0])
    elif count.op == ISUB:
        c = defs[count.args[0]]
        if c.op == ICONST and c.imm != 0 and c.imm & low == 0:
            negated = b.binary(ISUB, type, b.iconst(type, 0), count.args[1])
            return b.binary(op, type, x, negated)
    elif count.op == UEXTEND or count.op == IREDUCE:
        inner = defs[count.args[0]]
        if inner.op == BAND:
            c = defs[inner.args[1]]
            if c.op == ICONST and c.imm & low == low:
                from_type = I32 if count.op == UEXTEND else I64
                return b.binary(op, type, x, b.convert(count.op, type, from_type, inner.args[0]))
    return NO_VALUE
