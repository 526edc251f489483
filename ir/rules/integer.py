"""Sums, products and bitwise operations.

Requirements, for every rule of every family in this package:

1. The replacement has the type of the instruction and the same value for all operands; it traps
   exactly when the instruction does, with the same code.
2. Its operands are the instruction's operands or operands of theirs, and everything new is made
   in the current block: no work moves into another block, least of all into a loop.
3. It is strictly cheaper, by number of instructions, then latency, then size of constants, or moves
   a constant towards the root of a chain. So rewriting ends.

Rules are tried before the instruction exists. An operand's definition is never changed, since it may
have other users; if it has none, dead code elimination removes it.
"""

from __future__ import annotations

from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..opcodes import BAND, BOR, BXOR, IADD, ICC_EQ, ICONST, IMUL, IREDUCE, ISHL, ISUB, UEXTEND
from ..types import I32, I64, TYPE_BITS, TYPE_MASK
from .known_bits import possible_ones


def iadd_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x + 0 = x; (a + c) + k = a + (c + k); (c - a) + k = (c + k) - a"""
    if k == 0:
        return x
    inst = b.defs[x]
    if inst.op == IADD:
        c = b.defs[inst.args[1]]
        if c.op == ICONST:
            return b.binary(IADD, type, inst.args[0], b.iconst(type, (c.imm + k) & TYPE_MASK[type]))
    elif inst.op == ISUB:
        c = b.defs[inst.args[0]]
        if c.op == ICONST:
            return b.binary(ISUB, type, b.iconst(type, (c.imm + k) & TYPE_MASK[type]), inst.args[1])
    return NO_VALUE


def iadd(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x + (a - x) = a; (0 - a) + y = y - a; x + (0 - a) = x - a

    The operands are in the order of their making, so `x` is not made of `y`.
    """
    left = b.defs[x]
    if left.op == ISUB and _is_constant(b, left.args[0], 0):
        return b.binary(ISUB, type, y, left.args[1])
    right = b.defs[y]
    if right.op == ISUB:
        if right.args[1] == x:
            return right.args[0]
        if _is_constant(b, right.args[0], 0):
            return b.binary(ISUB, type, x, right.args[1])
    return NO_VALUE


def isub_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x - k = x + -k"""
    return b.binary(IADD, type, x, b.iconst(type, -k & TYPE_MASK[type]))


def isub(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x - x = 0; (y + a) - y = a; x - (x + a) = 0 - a; x - (x - a) = a; k - (a + c) = (k - c) - a;
    k - (c - a) = a + (k - c); x - (0 - a) = x + a"""
    if x == y:
        return b.iconst(type, 0)
    defs = b.defs
    left = defs[x]
    right = defs[y]
    if left.op == IADD:
        if left.args[0] == y:
            return left.args[1]
        if left.args[1] == y:
            return left.args[0]
    if right.op == IADD:
        if right.args[0] == x:
            return b.binary(ISUB, type, b.iconst(type, 0), right.args[1])
        if right.args[1] == x:
            return b.binary(ISUB, type, b.iconst(type, 0), right.args[0])
        if left.op == ICONST:
            c = defs[right.args[1]]
            if c.op == ICONST:
                return b.binary(ISUB, type, b.iconst(type, (left.imm - c.imm) & TYPE_MASK[type]), right.args[0])
    elif right.op == ISUB:
        if right.args[0] == x:
            return right.args[1]
        c = defs[right.args[0]]
        if c.op == ICONST:
            if left.op == ICONST:
                return b.binary(IADD, type, right.args[1], b.iconst(type, (left.imm - c.imm) & TYPE_MASK[type]))
            if c.imm == 0:
                return b.binary(IADD, type, x, right.args[1])
    return NO_VALUE


def imul_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x * 0 = 0; x * 1 = x; x * -1 = 0 - x; x * 2**n = x << n; (a * c) * k = a * (c * k);
    (a << c) * k = a * (k << c)

    Products by 3, 5 and 9 stay: instruction selection makes them addresses.
    """
    if k == 0:
        return y
    if k == 1:
        return x
    mask = TYPE_MASK[type]
    if k == mask:
        return b.binary(ISUB, type, b.iconst(type, 0), x)
    if k & (k - 1) == 0:
        return b.binary(ISHL, type, x, b.iconst(type, k.bit_length() - 1))
    inst = b.defs[x]
    if inst.op == IMUL or inst.op == ISHL:
        c = b.defs[inst.args[1]]
        if c.op == ICONST:
            factor = c.imm if inst.op == IMUL else 1 << c.imm % TYPE_BITS[type]
            return b.binary(IMUL, type, inst.args[0], b.iconst(type, factor * k & mask))
    return NO_VALUE


def band_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x & 0 = 0; x & k = x if k has all the bits that x may have; (a & c) & k = a & (c & k);
    (a | c) & k = a & k if c & k = 0; x & 0xffffffff = uextend (ireduce x)"""
    if k == 0:
        return y
    if possible_ones(b, x) & ~k == 0:
        return x
    inst = b.defs[x]
    if inst.op == BAND:
        c = b.defs[inst.args[1]]
        if c.op == ICONST:
            return b.binary(BAND, type, inst.args[0], b.iconst(type, c.imm & k))
    elif inst.op == BOR:
        c = b.defs[inst.args[1]]
        if c.op == ICONST and c.imm & k == 0:
            return b.binary(BAND, type, inst.args[0], y)
    if k == 0xFFFF_FFFF and type == I64:  # not an immediate of x86; an I32 is kept zero-extended
        return b.convert(UEXTEND, I64, I32, b.convert(IREDUCE, I32, I64, x))
    return NO_VALUE


def band(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x & x = x"""
    return x if x == y else NO_VALUE


def bor_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x | 0 = x; x | -1 = -1; (a | c) | k = a | (c | k)"""
    if k == 0:
        return x
    if k == TYPE_MASK[type]:
        return y
    inst = b.defs[x]
    if inst.op == BOR:
        c = b.defs[inst.args[1]]
        if c.op == ICONST:
            return b.binary(BOR, type, inst.args[0], b.iconst(type, c.imm | k))
    return NO_VALUE


def bor(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x | x = x"""
    return x if x == y else NO_VALUE


def bxor_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x ^ 0 = x; (a ^ c) ^ k = a ^ (c ^ k); x ^ 1 = (x == 0) if x is 0 or 1"""
    if k == 0:
        return x
    inst = b.defs[x]
    if inst.op == BXOR:
        c = b.defs[inst.args[1]]
        if c.op == ICONST:
            return b.binary(BXOR, type, inst.args[0], b.iconst(type, c.imm ^ k))
    if k == 1 and type == I32 and possible_ones(b, x) == 1:
        return b.icmp(ICC_EQ, I32, x, b.iconst(I32, 0))
    return NO_VALUE


def bxor(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x ^ x = 0; x ^ (x ^ a) = x ^ (a ^ x) = a"""
    if x == y:
        return b.iconst(type, 0)
    inst = b.defs[y]
    if inst.op == BXOR:
        if inst.args[0] == x:
            return inst.args[1]
        if inst.args[1] == x:
            return inst.args[0]
    return NO_VALUE


def _is_constant(b: InstBuilder, value: int, bits: int) -> bool:
    inst = b.defs[value]
    return inst.op == ICONST and inst.imm == bits
