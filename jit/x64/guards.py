"""What the branch into a block tells about floats: ranges in which their conversion to an integer cannot fail.

Compilers without saturating conversions write, for a cast to a signed and to an unsigned integer:

    if (fabs(x) < 2**31) y = trunc(x); else y = INT_MIN;
    if (x < 2**32 && x >= 0) y = trunc(x); else y = 0;
"""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import BAND, BRIF, FABS, FCC_GE, FCC_LT, FCMP, FCONST
from brolga.ir.types import I32

from .block_order import NO_BLOCK
from .lowering import Lowering

# Bits of powers of two, by type of the float: floats that are not negative are in the order of their bits.
_TWO_31: Final[list[int]] = [0, 0, 0, 0x4F00_0000, 0x41E0_0000_0000_0000]
_TWO_32: Final[list[int]] = [0, 0, 0, 0x4F80_0000, 0x41F0_0000_0000_0000]
_TWO_63: Final[list[int]] = [0, 0, 0, 0x5F00_0000, 0x43E0_0000_0000_0000]
_MINUS_ZERO: Final[list[int]] = [0, 0, 0, 0x8000_0000, 0x8000_0000_0000_0000]


def always_converts(lo: Lowering, inst: Inst, signed: bool) -> bool:
    """Whether the current block is only entered if the operand of the trapping conversion `inst` is in range."""
    condition = _holds_here(lo)
    if condition < 0:
        return False
    x = inst.args[0]
    type = inst.aux
    test = lo.defs[condition]
    if signed:
        limit = (_TWO_31 if inst.type == I32 else _TWO_63)[type]
        magnitude = lo.defs[test.args[0]] if test.op == FCMP else test
        return magnitude.op == FABS and magnitude.args[0] == x and _is_below(lo, test, test.args[0], limit)
    if inst.type != I32 or test.op != BAND:
        return False
    below, above = lo.defs[test.args[0]], lo.defs[test.args[1]]
    for _ in range(2):
        if _is_below(lo, below, x, _TWO_32[type]) and _is_not_negative(lo, above, x):
            return True
        below, above = above, below
    return False


def _holds_here(lo: Lowering) -> int:
    """The condition whose truth alone leads to the current block, or -1."""
    preds = lo.code.blocks[lo.block].preds
    if len(preds) != 1:
        return -1
    before = lo.order.ir_block[preds[0]]
    cases = lo.order.cases[preds[0]]
    if before == NO_BLOCK or len(cases) != 2 or cases[0] != lo.block or cases[1] == lo.block:
        return -1
    branch = lo.function.blocks[before].insts[-1]
    return branch.args[0] if branch.op == BRIF else -1


def _is_below(lo: Lowering, test: Inst, x: int, limit: int) -> bool:
    """x < c, where c is not greater than the float of bits `limit`?"""
    if test.op != FCMP or test.imm != FCC_LT or test.args[0] != x:
        return False
    constant = lo.defs[test.args[1]]
    return constant.op == FCONST and constant.imm <= limit


def _is_not_negative(lo: Lowering, test: Inst, x: int) -> bool:
    """x >= 0?"""
    if test.op != FCMP or test.imm != FCC_GE or test.args[0] != x:
        return False
    constant = lo.defs[test.args[1]]
    return constant.op == FCONST and constant.imm & ~_MINUS_ZERO[test.aux] == 0
