"""Comparisons. The requirements stand in integer.py.

A comparison gives 0 or 1. The canonical comparison has its constant on the right and, of several
equivalent constants, the one that needs no `cmp`: 0.
"""

from __future__ import annotations

from ..floats import fcmp as eval_fcmp
from ..floats import fdemote, fpromote, is_nan
from ..function import NO_VALUE, Inst
from ..inst_builder import InstBuilder
from ..integers import SIGN_BIT, signed
from ..integers import icmp as eval_icmp
from ..opcodes import (
    BAND,
    BXOR,
    FCC_GT,
    FCC_LT,
    FCC_NE,
    FCMP,
    FCONST,
    FPROMOTE,
    ICC_EQ,
    ICC_NE,
    ICC_SGE,
    ICC_SGT,
    ICC_SLE,
    ICC_SLT,
    ICC_UGE,
    ICC_UGT,
    ICC_ULE,
    ICC_ULT,
    ICMP,
    ICONST,
    SEXTEND,
    SSHR,
    UEXTEND,
    USHR,
)
from ..types import F32, F64, I32, I64, TYPE_BITS, TYPE_MASK
from .known_bits import possible_ones


def icmp(b: InstBuilder, cc: int, type: int, x: int, y: int) -> int:
    """x cc x is 0 or 1; (uextend a) cc (uextend c) = a cc c unsigned; (sextend a) cc (sextend c) = a cc c"""
    defs = b.defs
    left = defs[x]
    right = defs[y]
    if right.op == ICONST:
        if left.op == ICONST:
            return b.iconst(I32, 1 if eval_icmp(cc, type, left.imm, right.imm) else 0)
        if cc <= ICC_NE:
            value = _equality_constant(b, cc, type, x, left, right.imm)
        else:
            value = _order_constant(b, cc, type, x, right.imm)
        if value == NO_VALUE and left.op == UEXTEND:
            value = _zero_extended_constant(b, cc, left.args[0], right.imm)
        return value
    if x == y:
        return b.iconst(I32, 1 if eval_icmp(cc, type, 0, 0) else 0)
    if left.op == UEXTEND and right.op == UEXTEND:
        return b.icmp(_unsigned(cc), I32, left.args[0], right.args[0])
    if left.op == SEXTEND and right.op == SEXTEND:
        return b.icmp(cc, I32, left.args[0], right.args[0])
    return NO_VALUE


def _unsigned(cc: int) -> int:
    """The unsigned condition that agrees with `cc` on values whose sign bit is clear."""
    return cc + (ICC_ULT - ICC_SLT) if ICC_SLT <= cc <= ICC_SLE else cc


def _equality_constant(b: InstBuilder, cc: int, type: int, x: int, left: Inst, k: int) -> int:
    """(a cmp c) == 0 is the inverse comparison, and (a cmp c) != 0 the comparison, likewise with 1;
    (a ^ c) == k is a == c ^ k; (a ^ c) == 0 is a == c; (a & c) == c is (a & c) != 0 if c is a power of two;
    (sign bit of a) == 0 is a >= 0; sextend a == k is a == k; x == k is 0 if k has a bit that x cannot have

    (a + c) == k stays: where it ends a loop, the sum is the next counter, and comparing the old one instead
    would keep both alive.
    """
    op = left.op
    if op == ICMP or op == FCMP:
        if k <= 1:
            return _boolean_equality(b, cc, x, left, k)
    elif op == BXOR:
        c = b.defs[left.args[1]]
        if c.op == ICONST:
            return b.icmp(cc, type, left.args[0], b.iconst(type, k ^ c.imm))
        if k == 0:
            return b.icmp(cc, type, left.args[0], left.args[1])
    elif op == BAND:
        if k != 0 and k & (k - 1) == 0:
            c = b.defs[left.args[1]]
            if c.op == ICONST and c.imm == k:
                return b.icmp(cc ^ 1, type, x, b.iconst(type, 0))
    elif op == USHR or op == SSHR:
        c = b.defs[left.args[1]]
        if k == 0 and c.op == ICONST and c.imm == TYPE_BITS[type] - 1:
            return b.icmp(ICC_SGE if cc == ICC_EQ else ICC_SLT, type, left.args[0], b.iconst(type, 0))
    elif op == SEXTEND:
        if -(1 << 31) <= signed(I64, k) < 1 << 31:
            return b.icmp(cc, I32, left.args[0], b.iconst(I32, k & TYPE_MASK[I32]))
        return b.iconst(I32, cc)
    if k & ~possible_ones(b, x) != 0:
        return b.iconst(I32, cc)  # ICC_EQ is 0, ICC_NE is 1
    return NO_VALUE


def _boolean_equality(b: InstBuilder, cc: int, x: int, left: Inst, k: int) -> int:
    """A comparison, which is 0 or 1, compared for equality with 0 or 1."""
    if cc ^ k == ICC_NE:  # != 0 or == 1
        return x
    if left.op == ICMP:
        return b.icmp(left.imm ^ 1, left.aux, left.args[0], left.args[1])
    if left.imm <= FCC_NE:  # the others have no inverse, because of NaN
        return b.fcmp(left.imm ^ 1, left.aux, left.args[0], left.args[1])
    if k == 1:
        return b.icmp(ICC_EQ, I32, x, b.iconst(I32, 0))
    return NO_VALUE


def _order_constant(b: InstBuilder, cc: int, type: int, x: int, k: int) -> int:
    """x < k is 0 or 1 if the bits that x may have say so; unsigned x < 1 is x == 0 and x > 0 is x != 0;
    signed x > -1 is x >= 0, x < 1 is x <= 0, and their inverses"""
    ones = possible_ones(b, x)
    sign = SIGN_BIT[type]
    if cc <= ICC_SLE:
        if ones & sign == 0:  # 0 <= x <= ones
            low = 0
            high = ones
        else:
            low = -sign
            high = sign - 1
        bound = signed(type, k)
    else:
        low = 0
        high = ones
        bound = k
    if cc == ICC_SLT or cc == ICC_ULT:
        if high < bound:
            return b.iconst(I32, 1)
        if low >= bound:
            return b.iconst(I32, 0)
        if bound == 1:
            return b.icmp(ICC_SLE if cc == ICC_SLT else ICC_EQ, type, x, b.iconst(type, 0))
    elif cc == ICC_SGE or cc == ICC_UGE:
        if low >= bound:
            return b.iconst(I32, 1)
        if high < bound:
            return b.iconst(I32, 0)
        if bound == 1:
            return b.icmp(ICC_SGT if cc == ICC_SGE else ICC_NE, type, x, b.iconst(type, 0))
    elif cc == ICC_SGT or cc == ICC_UGT:
        if low > bound:
            return b.iconst(I32, 1)
        if high <= bound:
            return b.iconst(I32, 0)
        if bound == -1:
            return b.icmp(ICC_SGE, type, x, b.iconst(type, 0))
        if bound == 0 and cc == ICC_UGT:
            return b.icmp(ICC_NE, type, x, b.iconst(type, 0))
    else:
        if high <= bound:
            return b.iconst(I32, 1)
        if low > bound:
            return b.iconst(I32, 0)
        if bound == -1:
            return b.icmp(ICC_SLT, type, x, b.iconst(type, 0))
        if bound == 0 and cc == ICC_ULE:
            return b.icmp(ICC_EQ, type, x, b.iconst(type, 0))
    return NO_VALUE


def _zero_extended_constant(b: InstBuilder, cc: int, a: int, k: int) -> int:
    """(uextend a) cc k = a cc k, unsigned, once k is known to be less than 2**32"""
    if k > TYPE_MASK[I32]:
        return NO_VALUE
    return b.icmp(_unsigned(cc), I32, a, b.iconst(I32, k))


def fcmp(b: InstBuilder, cc: int, type: int, x: int, y: int) -> int:
    """x < x = x > x = 0; (fpromote a) cc (fpromote c) = a cc c; (fpromote a) cc k = a cc k if k is exact in F32"""
    defs = b.defs
    left = defs[x]
    right = defs[y]
    if right.op == FCONST and left.op == FCONST:
        return b.iconst(I32, 1 if eval_fcmp(cc, type, left.imm, right.imm) else 0)
    if x == y and (cc == FCC_LT or cc == FCC_GT):
        return b.iconst(I32, 0)
    if left.op == FPROMOTE:
        if right.op == FPROMOTE:
            return b.fcmp(cc, F32, left.args[0], right.args[0])
        if right.op == FCONST and not is_nan(F64, right.imm):
            narrow = fdemote(F32, F64, right.imm)
            if fpromote(F64, F32, narrow) == right.imm:
                return b.fcmp(cc, F32, left.args[0], b.fconst(F32, narrow))
    return NO_VALUE
