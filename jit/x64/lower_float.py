"""Selection of float arithmetic and conversions.

With AVX the three-operand forms are taken. Constants are read from the pool where they are used, or stay in a register in loops.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.function import Inst
from brolga.ir.opcodes import (
    FADD,
    FCEIL,
    FCONST,
    FCVT_TO_SINT,
    FCVT_TO_SINT_SAT,
    FCVT_TO_UINT,
    FCVT_TO_UINT_SAT,
    FDIV,
    FFLOOR,
    FMAX,
    FMIN,
    FMUL,
    FNEAREST,
    FSUB,
    FTRUNC,
    OPCODE_COUNT,
)
from brolga.ir.types import F32, F64, I32, I64, IS_FLOAT

from . import insts as m
from .block_order import NO_BLOCK
from .fact_checks import check_converted
from .guards import always_converts
from .lower_memory import emit_with_load
from .lowering import Lowering

# Rows by opcode and type.
_SSE: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_AVX: Final[list[list[int]]] = [[]] * OPCODE_COUNT
_SSE[FADD], _AVX[FADD] = [-1, -1, -1, m.ADDSS, m.ADDSD], [-1, -1, -1, m.VADDSS, m.VADDSD]
_SSE[FSUB], _AVX[FSUB] = [-1, -1, -1, m.SUBSS, m.SUBSD], [-1, -1, -1, m.VSUBSS, m.VSUBSD]
_SSE[FMUL], _AVX[FMUL] = [-1, -1, -1, m.MULSS, m.MULSD], [-1, -1, -1, m.VMULSS, m.VMULSD]
_SSE[FDIV], _AVX[FDIV] = [-1, -1, -1, m.DIVSS, m.DIVSD], [-1, -1, -1, m.VDIVSS, m.VDIVSD]
_SSE[FMIN] = [-1, -1, -1, m.FMIN32, m.FMIN64]
_SSE[FMAX] = [-1, -1, -1, m.FMAX32, m.FMAX64]

_ROUNDING: Final[list[int]] = [0] * OPCODE_COUNT
_ROUNDING[FNEAREST] = 8
_ROUNDING[FFLOOR] = 9
_ROUNDING[FCEIL] = 10
_ROUNDING[FTRUNC] = 11

_SIGN: Final[list[int]] = [0, 0, 0, 0x8000_0000, 0x8000_0000_0000_0000]
_MAGNITUDE: Final[list[int]] = [0, 0, 0, 0x7FFF_FFFF, 0x7FFF_FFFF_FFFF_FFFF]
_ONE: Final[list[int]] = [0, 0, 0, 0x3F80_0000, 0x3FF0_0000_0000_0000]
_INTEGRAL: Final[list[int]] = [0, 0, 0, 0x4B00_0000, 0x4330_0000_0000_0000]  # 2**23, 2**52: floats from here on are integers

_LARGEST_U32: Final = 0x41EF_FFFF_FFE0_0000  # 2**32 - 1, F64

# Sequences by opcode, type of the result and type of the operand.
_TO_INTEGER: Final[list[list[list[int]]]] = [[]] * OPCODE_COUNT
_TO_INTEGER[FCVT_TO_SINT] = [
    [],
    [-1, -1, -1, m.TRUNC_I32_F32, m.TRUNC_I32_F64],
    [-1, -1, -1, m.TRUNC_I64_F32, m.TRUNC_I64_F64],
]
_TO_INTEGER[FCVT_TO_UINT] = [
    [],
    [-1, -1, -1, m.TRUNC_U32_F32, m.TRUNC_U32_F64],
    [-1, -1, -1, m.TRUNC_U64_F32, m.TRUNC_U64_F64],
]
_TO_INTEGER[FCVT_TO_SINT_SAT] = [
    [],
    [-1, -1, -1, m.TRUNC_SAT_I32_F32, m.TRUNC_SAT_I32_F64],
    [-1, -1, -1, m.TRUNC_SAT_I64_F32, m.TRUNC_SAT_I64_F64],
]
_TO_INTEGER[FCVT_TO_UINT_SAT] = [
    [],
    [-1, -1, -1, m.TRUNC_SAT_U32_F32, m.TRUNC_SAT_U32_F64],
    [-1, -1, -1, m.TRUNC_SAT_U64_F32, m.TRUNC_SAT_U64_F64],
]
# By type of the result and type of the operand.
_FROM_INTEGER: Final[list[list[int]]] = [[], [], [], [-1, m.CVTSI2SS32, m.CVTSI2SS64], [-1, m.CVTSI2SD32, m.CVTSI2SD64]]
_VFROM_INTEGER: Final[list[list[int]]] = [
    [], [], [], [-1, m.VCVTSI2SS32, m.VCVTSI2SS64], [-1, m.VCVTSI2SD32, m.VCVTSI2SD64],
]  # fmt: skip


def emit_with_float(lo: Lowering, op: int, operands: list[int], value: int, fold: bool = True, imm: int = 0) -> None:
    """Emit row `op` with `value` as its last operand: a folded load, the constant pool, or a register."""
    if fold and lo.sinkable_load(value):
        emit_with_load(lo, op, operands, value, imm)
        return
    inst = lo.defs[value]
    if inst.op == FCONST and inst.imm != 0 and (lo.hoist_to == NO_BLOCK or lo.many_floats):
        lo.emit_mem(op, operands, lo.pool_float(inst.type, inst.imm), imm)
        return
    operands.append(lo.use(value))
    lo.emit(op, operands, imm)


def lower_arithmetic(lo: Lowering, inst: Inst) -> None:
    """fadd, fsub, fmul, fdiv"""
    x, y = inst.args
    op = inst.op
    commutes = (op == FADD or op == FMUL) and not lo.sinkable_load(y)
    if commutes and (lo.sinkable_load(x) or (lo.needed[x] and not lo.needed[y] and not lo.avx)):
        x, y = y, x
    row = (_AVX if lo.avx else _SSE)[op][inst.type]
    emit_with_float(lo, row, [inst.result, lo.use(x)], y)


def lower_min_max(lo: Lowering, inst: Inst) -> None:
    x, y = inst.args
    if lo.needed[x] and not lo.needed[y]:
        x, y = y, x
    lo.emit(_SSE[inst.op][inst.type], [inst.result, lo.use(x), lo.use(y)])


# Bits -----------------------------------------------------------------------------------------------------------------


def _emit_mask(lo: Lowering, sse: int, avx: int, result: int, x: int, type: int, mask: int) -> None:
    """result = x op mask, for vregs `result` and `x`."""
    row = avx if lo.avx else sse
    if lo.hoist_to == NO_BLOCK:
        lo.emit_mem(row, [result, x], lo.pool_mask(type, mask))
    else:
        lo.emit(row, [result, x, lo.constant(type, mask)])


def lower_fneg(lo: Lowering, inst: Inst) -> None:
    _emit_mask(lo, m.XORPS, m.VXORPS, inst.result, lo.use(inst.args[0]), inst.type, _SIGN[inst.type])


def lower_fabs(lo: Lowering, inst: Inst) -> None:
    _emit_mask(lo, m.ANDPS, m.VANDPS, inst.result, lo.use(inst.args[0]), inst.type, _MAGNITUDE[inst.type])


def lower_fcopysign(lo: Lowering, inst: Inst) -> None:
    x, y = inst.args
    type = inst.type
    constant = lo.defs[y]
    if constant.op == FCONST:
        if constant.imm & _SIGN[type]:
            _emit_mask(lo, m.ORPS, m.VORPS, inst.result, lo.use(x), type, _SIGN[type])
        else:
            _emit_mask(lo, m.ANDPS, m.VANDPS, inst.result, lo.use(x), type, _MAGNITUDE[type])
        return
    _copy_sign(lo, inst.result, lo.use(x), lo.use(y), type)


def _copy_sign(lo: Lowering, result: int, magnitude: int, sign: int, type: int) -> None:
    """For vregs: result = magnitude with the sign of `sign`."""
    left, right = lo.xmm(), lo.xmm()
    _emit_mask(lo, m.ANDPS, m.VANDPS, left, magnitude, type, _MAGNITUDE[type])
    _emit_mask(lo, m.ANDPS, m.VANDPS, right, sign, type, _SIGN[type])
    lo.emit(m.VORPS if lo.avx else m.ORPS, [result, left, right])


def lower_bitcast(lo: Lowering, inst: Inst) -> None:
    x = inst.args[0]
    type = inst.type
    if lo.sinkable_load(x):
        emit_with_load(lo, _LOAD[type], [inst.result], x)
    elif IS_FLOAT[type]:
        lo.emit(m.MOVD_XR if type == F32 else m.MOVQ_XR, [inst.result, lo.use_low(x)])
    else:
        lo.emit(m.MOVD_RX if type == I32 else m.MOVQ_RX, [inst.result, lo.use(x)])


_LOAD: Final[list[int]] = [-1, m.MOV32, m.MOV64, m.MOVSS, m.MOVSD]


# Roots and rounding ---------------------------------------------------------------------------------------------------


def lower_fsqrt(lo: Lowering, inst: Inst) -> None:
    if lo.avx:
        row = m.VSQRTSS if inst.type == F32 else m.VSQRTSD
    else:
        row = m.SQRTSS if inst.type == F32 else m.SQRTSD
    emit_with_float(lo, row, [inst.result], inst.args[0])


def lower_round(lo: Lowering, inst: Inst) -> None:
    """fceil, ffloor, ftrunc, fnearest"""
    single = inst.type == F32
    if lo.avx:
        row = m.VROUNDSS if single else m.VROUNDSD
    elif lo.sse41:
        row = m.ROUNDSS if single else m.ROUNDSD
    else:
        _round_sse2(lo, inst)
        return
    emit_with_float(lo, row, [inst.result], inst.args[0], True, _ROUNDING[inst.op])


def _round_sse2(lo: Lowering, inst: Inst) -> None:
    """Without SSE4.1.

    Adding and subtracting 2**52 (2**23) rounds the magnitude to the nearest integer; a float that large is an integer already.
    Then one is added or subtracted if that went the wrong way. The sign is the operand's, also of zeros. NaN: the sum makes it quiet.
    """
    type = inst.type
    op = inst.op
    single = type == F32
    x = lo.use(inst.args[0])
    add, sub = (m.ADDSS, m.SUBSS) if single else (m.ADDSD, m.SUBSD)
    limit = lo.constant(type, _INTEGRAL[type])
    magnitude, sum, nearest = lo.xmm(), lo.xmm(), lo.xmm()
    _emit_mask(lo, m.ANDPS, m.ANDPS, magnitude, x, type, _MAGNITUDE[type])
    lo.emit(add, [sum, magnitude, limit])
    lo.emit(sub, [nearest, sum, limit])
    if op == FTRUNC:  # magnitude < nearest: one less
        nearest = _adjust(lo, type, magnitude, nearest, nearest, sub)
    signed = lo.xmm()
    _copy_sign(lo, signed, nearest, x, type)
    if op == FFLOOR:  # x < rounded: one less
        signed = _resign(lo, type, _adjust(lo, type, x, signed, signed, sub), x)
    elif op == FCEIL:  # rounded < x: one more
        signed = _resign(lo, type, _adjust(lo, type, signed, x, signed, add), x)
    lo.emit(m.UCOMISS if single else m.UCOMISD, [magnitude, limit])
    lo.emit(m.XMM_CMOV, [inst.result, signed, x], m.CC_AE)


def _adjust(lo: Lowering, type: int, less: int, greater: int, value: int, op: int) -> int:
    """value op 1 if less < greater, else value; all vregs."""
    single = type == F32
    mask, one, adjusted = lo.xmm(), lo.xmm(), lo.xmm()
    lo.emit(m.CMPSS if single else m.CMPSD, [mask, less, greater], 1)
    _emit_mask(lo, m.ANDPS, m.ANDPS, one, mask, type, _ONE[type])
    lo.emit(op, [adjusted, value, one])
    return adjusted


def _resign(lo: Lowering, type: int, value: int, sign: int) -> int:
    """-0.5 rounds up to -0, but -1 + 1 is +0."""
    result = lo.xmm()
    _copy_sign(lo, result, value, sign, type)
    return result


# Conversions ----------------------------------------------------------------------------------------------------------


def lower_to_integer(lo: Lowering, inst: Inst) -> None:
    """The sequences know wasm's rules for NaN and range, and trap or saturate; without them where the branch into the block has
    made sure of the range."""
    op = inst.op
    if lo.guarded_conversions and (op == FCVT_TO_SINT or op == FCVT_TO_UINT):
        signed = op == FCVT_TO_SINT
        if always_converts(lo, inst, signed):
            narrow = signed and inst.type == I32
            if inst.aux == F32:
                row = m.CVTTSS2SI32 if narrow else m.CVTTSS2SI64
            else:
                row = m.CVTTSD2SI32 if narrow else m.CVTTSD2SI64
            emit_with_float(lo, row, [inst.result], inst.args[0])
            if lo.checks_facts:
                check_converted(lo, inst.result, not narrow)
            return
    if op == FCVT_TO_UINT_SAT and lo.clamped_conversions:
        _clamped(lo, inst)
        return
    lo.emit(_TO_INTEGER[inst.op][inst.type][inst.aux], [inst.result, lo.use(inst.args[0])])


def _clamped(lo: Lowering, inst: Inst) -> None:
    """Saturation towards zero, also of NaN, as a maximum with zero, of which `maxsd` gives the second operand if one is NaN; that to 32 bits
    as a minimum, in double precision, where the limit is a number."""
    type = inst.aux
    positive = lo.xmm()
    if type == F32:
        row = m.VMAXSS if lo.avx else m.MAXSS
    else:
        row = m.VMAXSD if lo.avx else m.MAXSD
    lo.emit(row, [positive, lo.use(inst.args[0]), lo.constant(type, 0)])
    if inst.type == I64:
        lo.emit(m.TRUNC_CLAMPED_U64_F32 if type == F32 else m.TRUNC_CLAMPED_U64_F64, [inst.result, positive])
        return
    if type == F32:
        narrow, positive = positive, lo.xmm()
        lo.emit(m.VCVTSS2SD if lo.avx else m.CVTSS2SD, [positive, narrow])
    clamped = lo.xmm()
    row = m.VMINSD if lo.avx else m.MINSD
    if lo.hoist_to == NO_BLOCK or lo.many_floats:
        lo.emit_mem(row, [clamped, positive], lo.pool_float(F64, _LARGEST_U32))
    else:
        lo.emit(row, [clamped, positive, lo.constant(F64, _LARGEST_U32)])
    lo.emit(m.CVTTSD2SI64, [inst.result, clamped])


def lower_from_sint(lo: Lowering, inst: Inst) -> None:
    x = inst.args[0]
    row = (_VFROM_INTEGER if lo.avx else _FROM_INTEGER)[inst.type][inst.aux]
    if lo.sinkable_load(x):
        emit_with_load(lo, row, [inst.result], x)
    else:
        lo.emit(row, [inst.result, lo.use_low(x)])


def lower_from_uint(lo: Lowering, inst: Inst) -> None:
    """An I32 is zero-extended, so it converts as a signed number of 64 bits."""
    x = lo.use(inst.args[0])
    if inst.aux == I64:
        row = m.CONVERT_U64_F32 if inst.type == F32 else m.CONVERT_U64_F64
        lo.emit(row, [inst.result, lo.gpr(), x])
        return
    lo.emit((_VFROM_INTEGER if lo.avx else _FROM_INTEGER)[inst.type][I64], [inst.result, x])


def lower_fpromote(lo: Lowering, inst: Inst) -> None:
    emit_with_float(lo, m.VCVTSS2SD if lo.avx else m.CVTSS2SD, [inst.result], inst.args[0])


def lower_fdemote(lo: Lowering, inst: Inst) -> None:
    emit_with_float(lo, m.VCVTSD2SS if lo.avx else m.CVTSD2SS, [inst.result], inst.args[0])

