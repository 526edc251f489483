"""Selection of `select`: conditional moves of integers, masks of floats; no branch that could be mispredicted where that can be.

select c, x, y            cmp; cmov
select (c & d), x, y      the same twice, without the numbers that comparisons give
floats                    minss, maxss where the condition compares the same operands
                          masks where it compares floats of the same type, or is `and` and `or` of such comparisons
                          else a jump over a move
"""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import BAND, BOR, FCC_GE, FCC_GT, FCC_LT, FCMP, ICMP
from brolga.ir.types import F32, I32, IS_FLOAT

from . import insts as m
from .lower_branch import CMPS, VCMPS, condition, see_through
from .lower_float import emit_with_float
from .lowering import Lowering

# Of cmps, by FCC_*. Without AVX, gt and ge exchange their operands.
_SSE_PREDICATE: Final[list[int]] = [0, 4, 1, 1, 2, 2]
_AVX_PREDICATE: Final[list[int]] = [0, 4, 1, 0x1E, 2, 0x1D]
_NEGATED: Final = 4  # predicate ^ _NEGATED holds where the predicate does not

_MAX_DEPTH: Final = 3  # of `and` and `or` in a mask


def lower_select(lo: Lowering, inst: Inst) -> None:
    c, x, y = inst.args
    if not IS_FLOAT[inst.type]:
        if not (lo.twofold_selects and _select_twice(lo, inst, c, x, y)):
            if_true, if_false = lo.use_low(x), lo.use_low(y)
            _move_if(lo, inst.type, inst.result, condition(lo, c), if_true, if_false)
        return
    if lo.float_min_max and _lower_min_max(lo, inst, c, x, y):
        return
    if lo.float_masks and _lower_mask(lo, inst, c, x, y):
        return
    if_true, if_false = lo.use(x), lo.use(y)
    cc = condition(lo, c)
    lo.emit(m.XMM_CMOV, [inst.result, if_false, if_true], cc)


def _move_if(lo: Lowering, type: int, result: int, cc: int, if_true: int, if_false: int) -> None:
    if cc == m.CC_E_AND_NP:
        cc = m.CC_NE_OR_P
        if_true, if_false = if_false, if_true
    lo.emit(m.CMOV32 if type == I32 else m.CMOV64, [result, if_false, if_true], cc)


def _select_twice(lo: Lowering, inst: Inst, c: int, x: int, y: int) -> bool:
    """c & d ? x : y is c ? (d ? x : y) : y, c | d ? x : y is c ? x : (d ? x : y); for comparisons that are no numbers otherwise."""
    value, invert, _ = see_through(lo, c)
    both = lo.defs[value]
    if (both.op != BAND and both.op != BOR) or lo.needed[value]:
        return False
    first, second = both.args
    for part in both.args:
        op = lo.defs[part].op
        if (op != ICMP and op != FCMP) or lo.needed[part]:
            return False
    if invert:
        x, y = y, x
    fold = lo.uses[value] == 1
    if_true, if_false, between = lo.use_low(x), lo.use_low(y), lo.gpr()
    _move_if(lo, inst.type, between, condition(lo, second, fold), if_true, if_false)
    cc = condition(lo, first, fold)
    if both.op == BOR:
        _move_if(lo, inst.type, inst.result, cc, if_true, between)
    else:
        _move_if(lo, inst.type, inst.result, cc ^ 1, if_false, between)
    return True


def _lower_min_max(lo: Lowering, inst: Inst, c: int, x: int, y: int) -> bool:
    """min a, b is a < b ? a : b, max a, b is a > b ? a : b, also for zeros and NaN."""
    compare = lo.defs[c]
    if compare.op != FCMP or compare.aux != inst.type:
        return False
    cc = compare.imm
    a, b = compare.args
    if cc == FCC_GT:
        a, b = b, a
    elif cc != FCC_LT:
        return False
    # The condition is a < b.
    if x == a and y == b:
        minimum = True
    elif x == b and y == a:  # a < b ? b : a is b > a ? b : a
        minimum = False
    else:
        return False
    if lo.avx:
        row = (m.VMINSS if minimum else m.VMAXSS) if inst.type == F32 else (m.VMINSD if minimum else m.VMAXSD)
    else:
        row = (m.MINSS if minimum else m.MAXSS) if inst.type == F32 else (m.MINSD if minimum else m.MAXSD)
    lo.emit(row, [inst.result, lo.use(x), lo.use(y)])
    return True


def _lower_mask(lo: Lowering, inst: Inst, c: int, x: int, y: int) -> bool:
    """x where the mask is set, else y, or mask & x | ~mask & y."""
    value, invert, single = see_through(lo, c)
    if not _is_mask(lo, value, inst.type, _MAX_DEPTH):
        return False
    if invert:
        x, y = y, x
    x_vreg, y_vreg = lo.use(x), lo.use(y)
    mask = _mask(lo, value, inst.type, single)
    if lo.avx:
        lo.emit(m.VBLENDVPS, [inst.result, y_vreg, x_vreg, mask])
        return True
    if_true, if_false = lo.xmm(), lo.xmm()
    lo.emit(m.ANDPS, [if_true, mask, x_vreg])
    lo.emit(m.ANDNPS, [if_false, mask, y_vreg])
    lo.emit(m.ORPS, [inst.result, if_true, if_false])
    return True


def _is_mask(lo: Lowering, value: int, type: int, depth: int) -> bool:
    """Whether the condition is made of comparisons of floats of the type."""
    value, _, _ = see_through(lo, value)
    inst = lo.defs[value]
    if inst.op == FCMP:
        return inst.aux == type
    if (inst.op != BAND and inst.op != BOR) or lo.needed[value] or depth == 0:
        return False
    return _is_mask(lo, inst.args[0], type, depth - 1) and _is_mask(lo, inst.args[1], type, depth - 1)


def _mask(lo: Lowering, value: int, type: int, fold: bool) -> int:
    """The condition as a vreg with all bits set in the lowest lane, or none. `fold`: loads may be folded."""
    value, invert, single = see_through(lo, value)
    fold = fold and single
    inst = lo.defs[value]
    mask = lo.xmm()
    a, b = inst.args
    if inst.op == FCMP:
        cc = inst.imm
        predicate = (_AVX_PREDICATE if lo.avx else _SSE_PREDICATE)[cc]
        if not lo.avx and (cc == FCC_GT or cc == FCC_GE):
            a, b = b, a
        if invert:
            predicate ^= _NEGATED
        emit_with_float(lo, (VCMPS if lo.avx else CMPS)[type], [mask, lo.use(a)], b, fold, predicate)
        return mask
    left, right = _mask(lo, a, type, fold), _mask(lo, b, type, fold)
    if inst.op == BAND:
        lo.emit(m.VANDPS if lo.avx else m.ANDPS, [mask, left, right])
    else:
        lo.emit(m.VORPS if lo.avx else m.ORPS, [mask, left, right])
    return mask
