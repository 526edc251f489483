"""Selection of comparisons, conditions and control flow (`select`: lower_select.py).

A comparison is made again for each branch, select or trap that tests it, right before it, and becomes a number (`setcc`) only for
other users. `condition` emits what sets the flags and returns the condition code that holds if the value is not zero.
Everything else that the consumer needs must be in registers before: nothing may come between.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import (
    BAND,
    CTX_LOAD,
    FCC_EQ,
    FCC_GT,
    FCC_LE,
    FCC_LT,
    FCC_NE,
    FCMP,
    ICC_EQ,
    ICC_NE,
    ICC_SGE,
    ICC_SGT,
    ICC_SLE,
    ICC_SLT,
    ICC_SWAPPED,
    ICC_UGE,
    ICC_UGT,
    ICC_ULE,
    ICC_ULT,
    ICMP,
    ICONST,
    LOAD,
    PTR_LOAD,
    SLOAD8,
    SLOAD16,
    TRAPNZ,
    ULOAD8,
    ULOAD16,
)
from brolga.ir.types import I32, I64

from . import insts as m
from .fact_checks import check_in_table
from .lower_float import emit_with_float
from .lower_integer import SETS_FLAGS
from .lower_memory import emit_with_load
from .lowering import Lowering, fits_signed32

_CC_OF_ICC: Final[list[int]] = [
    m.CC_E, m.CC_NE, m.CC_L, m.CC_GE, m.CC_G, m.CC_LE, m.CC_B, m.CC_AE, m.CC_A, m.CC_BE,
]  # fmt: skip
_CC_OF_RESULT: Final[list[int]] = [m.CC_E, m.CC_NE, m.CC_S, m.CC_NS]  # compared with zero, by SF and ZF
_UNSIGNED: Final[list[int]] = list(range(10))  # the same condition for operands known not to be negative
_UNSIGNED[ICC_SLT], _UNSIGNED[ICC_SGE], _UNSIGNED[ICC_SGT], _UNSIGNED[ICC_SLE] = ICC_ULT, ICC_UGE, ICC_UGT, ICC_ULE

# Rows by type.
_CMP: Final[list[int]] = [-1, m.CMP32, m.CMP64]
_CMP_IMM: Final[list[int]] = [-1, m.CMP32_I, m.CMP64_I]
_CMP_MEM: Final[list[int]] = [-1, m.CMP32_MR, m.CMP64_MR]
_TEST: Final[list[int]] = [-1, m.TEST32, m.TEST64]
_TEST_IMM: Final[list[int]] = [-1, m.TEST32_I, m.TEST64_I]
_UCOMIS: Final[list[int]] = [-1, -1, -1, m.UCOMISS, m.UCOMISD]
CMPS: Final[list[int]] = [-1, -1, -1, m.CMPSS, m.CMPSD]
VCMPS: Final[list[int]] = [-1, -1, -1, m.VCMPSS, m.VCMPSD]


# Conditions -----------------------------------------------------------------------------------------------------------


def see_through(lo: Lowering, value: int) -> tuple[int, int, bool]:
    """Through comparisons of comparisons with zero: what decides, 1 if inverted, and whether there is but one use on the way."""
    invert = 0
    single = lo.uses[value] == 1
    defs = lo.defs
    inst = defs[value]
    if not lo.fuses_compares:
        return value, invert, single
    while inst.op == ICMP and inst.imm <= ICC_NE and inst.aux == I32:
        x, y = inst.args
        inner = defs[x]
        if (inner.op != ICMP and inner.op != FCMP) or lo.iconst_of(y) != 0:
            break
        if inst.imm == ICC_EQ:
            invert ^= 1
        value = x
        inst = inner
        single = single and lo.uses[value] == 1
    return value, invert, single


def condition(lo: Lowering, value: int, fold: bool = True) -> int:
    """Set the flags by the I32 `value`; the condition code for "not zero". Without `fold`, what `value` is part of is computed more
    than once, so no load may be folded."""
    value, invert, single = see_through(lo, value)
    single = single and fold
    inst = lo.defs[value]
    op = inst.op
    if op == ICMP and lo.fuses_compares:
        return icmp_flags(lo, inst, single) ^ invert
    if op == FCMP and lo.fuses_compares:
        return fcmp_flags(lo, inst, single) ^ invert
    return _test_zero(lo, value, I32, single, True) ^ invert


def icmp_flags(lo: Lowering, inst: Inst, fold: bool) -> int:
    """Compare; the condition code for "true". `fold`: loads may be folded."""
    x, y = inst.args
    cc = inst.imm
    type = inst.aux
    right = lo.defs[y]
    if right.op == ICONST:
        if right.imm == 0:
            if cc == ICC_EQ:
                return _test_zero(lo, x, type, fold, True) ^ 1
            if cc == ICC_NE:
                return _test_zero(lo, x, type, fold, True)
            _test_zero(lo, x, type, fold, False)
            return _CC_OF_ICC[cc]
        if type == I32 or fits_signed32(right.imm):
            if fold:
                left = lo.defs[x].op
                if left == LOAD or left == CTX_LOAD or left == PTR_LOAD:
                    if lo.sinkable_load(x):
                        emit_with_load(lo, _CMP_IMM[type], [], x, right.imm)
                        return _CC_OF_ICC[cc]
                elif left == ULOAD8 or left == ULOAD16 or left == SLOAD8 or left == SLOAD16:
                    narrow = _narrow_compare(lo, cc, type, x, right.imm)
                    if narrow >= 0:
                        return narrow
            lo.emit(_CMP_IMM[type], [lo.use_low(x)], right.imm)
            return _CC_OF_ICC[cc]
    if fold:
        if lo.sinkable_load(y):
            emit_with_load(lo, _CMP[type], [lo.use_low(x)], y)
            return _CC_OF_ICC[cc]
        if lo.sinkable_load(x):
            emit_with_load(lo, _CMP_MEM[type], [lo.use_low(y)], x)
            return _CC_OF_ICC[cc]
        narrow = _narrow_pair(lo, cc, x, y)
        if narrow >= 0:
            return narrow
    lo.emit(_CMP[type], [lo.use_low(x), lo.use_low(y)])
    return _CC_OF_ICC[cc]


def _narrow_compare(lo: Lowering, cc: int, type: int, x: int, bits: int) -> int:
    """Compare a byte or word in memory with a constant in its range; or -1.

    The extension keeps the order, signed or not, of what was loaded; of zero-extended values signed order is unsigned order.
    """
    load = lo.defs[x]
    op = load.op
    width = 8 if op == ULOAD8 or op == SLOAD8 else 16
    if op == ULOAD8 or op == ULOAD16:
        if bits >> width:
            return -1
        cc = _UNSIGNED[cc]
    else:
        sign = 1 << (width - 1)
        signed = bits - (1 << (32 if type == I32 else 64)) if bits >> (31 if type == I32 else 63) else bits
        if not -sign <= signed < sign:
            return -1
    if not lo.can_sink(x, load):
        return -1
    emit_with_load(lo, m.CMP8_I if width == 8 else m.CMP16_I, [], x, bits & ((1 << width) - 1))
    return _CC_OF_ICC[cc]


def _narrow_pair(lo: Lowering, cc: int, x: int, y: int) -> int:
    """Compare two zero-extended bytes or words, one of them in memory; or -1."""
    op = lo.defs[x].op
    if (op != ULOAD8 and op != ULOAD16) or lo.defs[y].op != op:
        return -1
    if lo.can_sink(x, lo.defs[x]):
        x, y = y, x
        cc = ICC_SWAPPED[cc]
    elif not lo.can_sink(y, lo.defs[y]):
        return -1
    emit_with_load(lo, m.CMP8 if op == ULOAD8 else m.CMP16, [lo.use_low(x)], y)
    return _CC_OF_ICC[_UNSIGNED[cc]]


def _test_zero(lo: Lowering, value: int, type: int, fold: bool, equality: bool) -> int:
    """Compare with zero; the condition code for "not equal". Unless only `equality` matters, SF, OF and CF are those of `cmp value, 0`."""
    inst = lo.defs[value]
    op = inst.op
    if op == BAND and lo.tests_bits and not lo.needed[value]:
        return _test_bits(lo, inst, type, fold and lo.single(value), equality)
    if fold and lo.sinkable_load(value):
        emit_with_load(lo, _CMP_IMM[type], [], value)
        return m.CC_NE
    narrow = op == SLOAD8 or op == SLOAD16 or (equality and (op == ULOAD8 or op == ULOAD16))
    if fold and narrow and lo.can_sink(value, inst):
        emit_with_load(lo, m.CMP8_I if op == ULOAD8 or op == SLOAD8 else m.CMP16_I, [], value)
        return m.CC_NE
    vreg = lo.use_low(value)
    lo.emit(_TEST[type], [vreg, vreg])
    return m.CC_NE


def _test_bits(lo: Lowering, inst: Inst, type: int, fold: bool, equality: bool) -> int:
    """x & y compared with zero."""
    x, y = inst.args
    mask = lo.defs[y]
    if mask.op == ICONST:
        bits = mask.imm
        if type == I64 and not fits_signed32(bits):
            if equality and bits & (bits - 1) == 0:
                lo.emit(m.BT64_I, [lo.use(x)], bits.bit_length() - 1)
                return m.CC_B
        else:
            load = lo.defs[x]
            if fold and load.op == ULOAD8 and equality and lo.can_sink(x, load):
                emit_with_load(lo, m.TEST8_I, [], x, bits & 0xFF)
            elif fold and lo.sinkable_load(x):
                emit_with_load(lo, _TEST_IMM[type], [], x, bits)
            elif equality and bits <= 0x7F:
                lo.emit(m.TEST8_I, [lo.use_low(x)], bits)
            elif type == I64 and bits < 0x8000_0000:
                lo.emit(m.TEST32_I, [lo.use(x)], bits)
            else:
                lo.emit(_TEST_IMM[type], [lo.use_low(x)], bits)
            return m.CC_NE
    if fold:
        if lo.sinkable_load(x):
            x, y = y, x
        if lo.sinkable_load(y):
            emit_with_load(lo, _TEST[type], [lo.use_low(x)], y)
            return m.CC_NE
    lo.emit(_TEST[type], [lo.use_low(x), lo.use_low(y)])
    return m.CC_NE


def fcmp_flags(lo: Lowering, inst: Inst, fold: bool) -> int:
    """`ucomis` sets CF for "below" and "unordered": only "above" conditions are false for NaN, so `lt` and `le` exchange operands."""
    x, y = inst.args
    cc = inst.imm
    if cc == FCC_LT or cc == FCC_LE or (cc <= FCC_NE and fold and lo.sinkable_load(x)):
        x, y = y, x
    emit_with_float(lo, _UCOMIS[inst.aux], [lo.use(x)], y, fold)
    if cc == FCC_EQ:
        return m.CC_E_AND_NP
    if cc == FCC_NE:
        return m.CC_NE_OR_P
    return m.CC_A if cc == FCC_LT or cc == FCC_GT else m.CC_AE


# Comparisons as numbers -----------------------------------------------------------------------------------------------


def lower_icmp(lo: Lowering, inst: Inst) -> None:
    """icmp, fcmp"""
    value, invert, single = see_through(lo, inst.result)
    decisive = lo.defs[value]
    if decisive.op == ICMP:
        lo.emit(m.SETCC_ZX, [inst.result], icmp_flags(lo, decisive, single) ^ invert)
    elif decisive.imm == FCC_EQ or decisive.imm == FCC_NE:
        _float_equality(lo, decisive, inst.result, (decisive.imm == FCC_EQ) != (invert == 1))
    else:
        lo.emit(m.SETCC_ZX, [inst.result], fcmp_flags(lo, decisive, single) ^ invert)


def _float_equality(lo: Lowering, inst: Inst, result: int, equal: bool) -> None:
    """Two flags decide, which `setcc` cannot ask for at once: take a bit of the mask that `cmps` makes."""
    x, y = inst.args
    mask, bits = lo.xmm(), lo.gpr()
    predicate = 0 if equal else 4
    row = (VCMPS if lo.avx else CMPS)[inst.aux]
    lo.emit(row, [mask, lo.use(x), lo.use(y)], predicate)
    lo.emit(m.MOVD_RX, [bits, mask])
    lo.emit(m.AND32_I, [result, bits], 1)


# Consumers of conditions ----------------------------------------------------------------------------------------------


def lower_trap_if(lo: Lowering, inst: Inst) -> None:
    cc = condition(lo, inst.args[0])
    if inst.op != TRAPNZ:
        cc ^= 1
    lo.emit_trap(m.TRAP_IF, [], cc, inst.imm)


def lower_trap(lo: Lowering, inst: Inst) -> None:
    lo.emit_trap(m.TRAP, [], 0, inst.imm)


# Branches -------------------------------------------------------------------------------------------------------------


def pass_args(lo: Lowering, args: list[int]) -> None:
    """The arguments of the current block's only edge."""
    lo.code.blocks[lo.block].branch_args = [lo.use(arg) for arg in args]


def lower_jump(lo: Lowering, inst: Inst) -> None:
    """Also a branch all of whose targets are the same."""
    pass_args(lo, inst.targets[0].args)
    lo.emit(m.JMP, [])


def lower_brif(lo: Lowering, inst: Inst) -> None:
    if not lo.order.cases[lo.block]:
        lower_jump(lo, inst)
        return
    cc = _flags_of_result(lo, inst.args[0])
    if cc < 0:
        cc = condition(lo, inst.args[0])
    lo.emit(m.BRANCH, [], cc)


def _flags_of_result(lo: Lowering, value: int) -> int:
    """The condition code, if the instruction before the branch computes what is compared with zero and sets the flags by it; or -1.

    After sums, which may overflow, only ZF and SF tell about the result.
    """
    if not lo.reuses_flags:
        return -1
    value, invert, _ = see_through(lo, value)
    inst = lo.defs[value]
    cc = m.CC_NE
    type = I32
    if inst.op == ICMP:
        if inst.imm > ICC_SGE or lo.iconst_of(inst.args[1]) != 0:
            return -1
        cc = _CC_OF_RESULT[inst.imm]
        type = inst.aux
        value = inst.args[0]
        inst = lo.defs[value]
    insts = lo.function.blocks[lo.order.ir_block[lo.block]].insts
    place = len(insts) - 1  # the branch itself is not there any more
    while place >= 0 and (insts[place].op == ICMP or insts[place].op == ICONST):  # made where they are used
        if lo.needed[insts[place].result]:
            return -1
        place -= 1
    if place < 0 or insts[place] is not inst or inst.type != type or not SETS_FLAGS[inst.op]:
        return -1
    if inst.op == BAND and lo.tests_bits and not lo.needed[value] and lo.single(value):
        return -1  # is not computed at all
    lo.use_low(value)
    lo.flags_for = value
    return cc ^ invert


def lower_br_table(lo: Lowering, inst: Inst) -> None:
    """A jump table whose last entry is the default; a greater index is replaced by that entry's."""
    cases = lo.order.cases[lo.block]
    if not cases:
        lower_jump(lo, inst)
        return
    last = len(cases) - 1
    index = inst.args[0]
    if lo.omits_table_clamps and lo.upper_bound(index) <= last:
        vreg = lo.use(index)
        if lo.checks_facts:
            check_in_table(lo, vreg, last)
    else:
        unclamped = lo.use(index)
        limit, vreg = lo.gpr(), lo.gpr()
        lo.emit(m.MOV32_I, [limit], last)
        lo.emit(m.CMP32_I, [unclamped], last)
        lo.emit(m.CMOV32, [vreg, limit, unclamped], m.CC_B)
    scratch, address = lo.gpr(), lo.gpr()
    lo.emit(m.JMP_TABLE, [scratch, address, vreg], lo.vcode.jump_table(list(cases)))

