"""Sequences for float operations of wasm that x86 has no single instruction for.

The common path is inline, rare ones are out of line (`SlowPath`). xmm15 is the only register used beside the operands.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.trap_codes import BAD_CONVERSION_TO_INTEGER, INTEGER_OVERFLOW

from .abi import SCRATCH_XMM
from .buffer import CodeBuffer
from .control_sequences import (
    emit_control_path,
    emit_control_sequence,
    is_control_path,
    is_control_sequence,
)
from .encode import encode
from .inst import AMODE_CONSTANT, Amode, Inst
from .insts import (
    ADDSD,
    ADDSS,
    ANDPS,
    ARGS,
    BTC64_I,
    CC_A,
    CC_AE,
    CC_B,
    CC_BE,
    CC_E,
    CC_O,
    CC_P,
    CC_S,
    CMP32_I,
    CMP64,
    CMP64_I,
    CONVERT_U64_F32,
    CONVERT_U64_F64,
    CVTSI2SD64,
    CVTSI2SS64,
    CVTTSD2SI32,
    CVTTSD2SI64,
    CVTTSS2SI32,
    CVTTSS2SI64,
    FMAX32,
    FMAX64,
    FMIN32,
    FMIN64,
    MAXSD,
    MAXSS,
    MINSD,
    MINSS,
    MOV32_I,
    MOV64,
    MOV64_I,
    MOVAPS,
    OR64_I,
    ORPS,
    SHR64_I,
    SUBSD,
    SUBSS,
    TEST64,
    TRUNC_CLAMPED_U64_F32,
    TRUNC_CLAMPED_U64_F64,
    TRUNC_I32_F32,
    TRUNC_I32_F64,
    TRUNC_I64_F32,
    TRUNC_I64_F64,
    TRUNC_SAT_I32_F32,
    TRUNC_SAT_I32_F64,
    TRUNC_SAT_I64_F32,
    TRUNC_SAT_I64_F64,
    TRUNC_SAT_U32_F32,
    TRUNC_SAT_U32_F64,
    TRUNC_SAT_U64_F32,
    TRUNC_SAT_U64_F64,
    TRUNC_U32_F32,
    TRUNC_U32_F64,
    TRUNC_U64_F32,
    TRUNC_U64_F64,
    UCOMISD,
    UCOMISS,
    ZEROPS,
)
from .stubs import SlowPath, Stubs

# Kinds of slow paths.
MINMAX_NAN: Final = 0
MINMAX_EQUAL: Final = 1
TRUNC_FAILED: Final = 2  # the conversion gave no valid result, or one that is no proof
TRUNC_BIG: Final = 3  # u64: the operand is 2^63 or more
CONVERT_NEGATIVE: Final = 4  # u64: the operand is 2^63 or more

# op: (the operation, its bitwise form for operands that compare equal and so differ at most in the sign of zero, F64)
_MINMAX: Final[dict[int, tuple[int, int, bool]]] = {
    FMIN32: (MINSS, ORPS, False),
    FMIN64: (MINSD, ORPS, True),
    FMAX32: (MAXSS, ANDPS, False),
    FMAX64: (MAXSD, ANDPS, True),
}

# op: (bits of the result, signed, F64, saturating)
_TRUNC: Final[dict[int, tuple[int, bool, bool, bool]]] = {
    TRUNC_I32_F32: (32, True, False, False),
    TRUNC_I32_F64: (32, True, True, False),
    TRUNC_U32_F32: (32, False, False, False),
    TRUNC_U32_F64: (32, False, True, False),
    TRUNC_I64_F32: (64, True, False, False),
    TRUNC_I64_F64: (64, True, True, False),
    TRUNC_U64_F32: (64, False, False, False),
    TRUNC_U64_F64: (64, False, True, False),
    TRUNC_SAT_I32_F32: (32, True, False, True),
    TRUNC_SAT_I32_F64: (32, True, True, True),
    TRUNC_SAT_U32_F32: (32, False, False, True),
    TRUNC_SAT_U32_F64: (32, False, True, True),
    TRUNC_SAT_I64_F32: (64, True, False, True),
    TRUNC_SAT_I64_F64: (64, True, True, True),
    TRUNC_SAT_U64_F32: (64, False, False, True),
    TRUNC_SAT_U64_F64: (64, False, True, True),
    TRUNC_CLAMPED_U64_F32: (64, False, False, True),
    TRUNC_CLAMPED_U64_F64: (64, False, True, True),
}

# Bits of float constants.
_F32_2_63: Final = 0x5F00_0000
_F64_2_63: Final = 0x43E0_0000_0000_0000
_F32_MINUS_2_31: Final = 0xCF00_0000
_F32_MINUS_2_63: Final = 0xDF00_0000
_F64_MINUS_2_63: Final = 0xC3E0_0000_0000_0000
_F64_MINUS_2_31_MINUS_1: Final = 0xC1E0_0000_0020_0000


def emit_sequence(buffer: CodeBuffer, stubs: Stubs, inst: Inst) -> None:
    """Append a sequence row."""
    op = inst.op
    locations = inst.locations
    loc = inst.loc
    if op == ARGS:
        return
    if is_control_sequence(op):
        emit_control_sequence(buffer, stubs, inst)
    elif op in _TRUNC:
        _trunc(buffer, stubs, op, locations, loc)
    elif op in _MINMAX:
        _minmax(buffer, stubs, op, locations, loc)
    else:
        _convert_u64(buffer, stubs, op, locations, loc)


def emit_slow_path(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    buffer.source(path.loc)
    buffer.bind(path.entry)
    if is_control_path(path.kind):
        emit_control_path(buffer, stubs, path)
    elif path.kind == MINMAX_NAN:
        destination, source = path.locations[0], path.locations[2]
        add = ADDSD if _MINMAX[path.op][2] else ADDSS  # the sum with a NaN is a quiet NaN
        encode(buffer, add, [destination, destination, source])
        buffer.jmp(path.back)
    elif path.kind == MINMAX_EQUAL:
        destination, source = path.locations[0], path.locations[2]
        encode(buffer, _MINMAX[path.op][1], [destination, destination, source])
        buffer.jmp(path.back)
    elif path.kind == TRUNC_FAILED:
        _trunc_failed(buffer, stubs, path)
    elif path.kind == TRUNC_BIG:
        _trunc_big(buffer, stubs, path)
    else:
        _convert_negative(buffer, path)


def _constant(stubs: Stubs, bits: int, size: int) -> Amode:
    return Amode(AMODE_CONSTANT, displacement=stubs.vcode.constant(bits, size))


def _minmax(buffer: CodeBuffer, stubs: Stubs, op: int, locations: list[int], loc: int) -> None:
    operation, _, double = _MINMAX[op]
    destination, source = locations[0], locations[2]
    back = buffer.new_label()
    encode(buffer, UCOMISD if double else UCOMISS, [destination, source])
    buffer.jcc(CC_P, stubs.slow_path(MINMAX_NAN, op, locations, loc, back))
    buffer.jcc(CC_E, stubs.slow_path(MINMAX_EQUAL, op, locations, loc, back))
    encode(buffer, operation, [destination, destination, source])
    buffer.bind(back)


def _trunc(buffer: CodeBuffer, stubs: Stubs, op: int, locations: list[int], loc: int) -> None:
    bits, signed, double, _ = _TRUNC[op]
    destination, source = locations
    back = buffer.new_label()
    failed = stubs.slow_path(TRUNC_FAILED, op, locations, loc, back)
    if signed and bits == 32:
        # A conversion that fails gives the least integer, the only one that overflows when 1 is subtracted.
        encode(buffer, CVTTSD2SI32 if double else CVTTSS2SI32, locations)
        encode(buffer, CMP32_I, [destination], 1)
        buffer.jcc(CC_O, failed)
    elif signed:
        encode(buffer, CVTTSD2SI64 if double else CVTTSS2SI64, locations)
        encode(buffer, CMP64_I, [destination], 1)
        buffer.jcc(CC_O, failed)
    elif bits == 32:
        encode(buffer, CVTTSD2SI64 if double else CVTTSS2SI64, locations)
        encode(buffer, CMP64, [destination], 0, _constant(stubs, 0xFFFF_FFFF, 8))
        buffer.jcc(CC_A, failed)
    elif op == TRUNC_CLAMPED_U64_F32 or op == TRUNC_CLAMPED_U64_F64:
        encode(buffer, CVTTSD2SI64 if double else CVTTSS2SI64, locations)
        encode(buffer, TEST64, [destination, destination])
        buffer.jcc(CC_S, stubs.slow_path(TRUNC_BIG, op, locations, loc, back))
    else:
        limit = _constant(stubs, _F64_2_63, 8) if double else _constant(stubs, _F32_2_63, 4)
        encode(buffer, UCOMISD if double else UCOMISS, [source], 0, limit)
        buffer.jcc(CC_AE, stubs.slow_path(TRUNC_BIG, op, locations, loc, back))
        encode(buffer, CVTTSD2SI64 if double else CVTTSS2SI64, locations)
        encode(buffer, TEST64, [destination, destination])
        buffer.jcc(CC_S, failed)
    buffer.bind(back)


def _trunc_failed(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    bits, signed, double, saturating = _TRUNC[path.op]
    destination, source = path.locations
    compare = UCOMISD if double else UCOMISS
    if saturating:
        # The destination holds the least integer if signed. Zero for NaN, else by sign.
        encode(buffer, ZEROPS, [SCRATCH_XMM])
        encode(buffer, compare, [source, SCRATCH_XMM])
        if signed:
            not_a_number = buffer.new_label()
            buffer.jcc(CC_P, not_a_number)
            buffer.jcc(CC_B, path.back)
            encode(buffer, MOV64_I, [destination], (1 << (bits - 1)) - 1)
            buffer.jmp(path.back)
            buffer.bind(not_a_number)
            encode(buffer, MOV32_I, [destination], 0)
        elif bits == 32:
            encode(buffer, MOV32_I, [destination], 0)
            buffer.jcc(CC_BE, path.back)  # also if unordered
            encode(buffer, MOV32_I, [destination], -1)
        else:
            encode(buffer, MOV32_I, [destination], 0)  # negative or NaN
        buffer.jmp(path.back)
        return
    overflow = stubs.trap_label(INTEGER_OVERFLOW, path.loc)
    encode(buffer, compare, [source, source])
    buffer.jcc(CC_P, stubs.trap_label(BAD_CONVERSION_TO_INTEGER, path.loc))
    if not signed:
        buffer.jmp(overflow)
        return
    # The result is right if it is the least integer indeed.
    if bits == 32 and double:
        encode(buffer, compare, [source], 0, _constant(stubs, _F64_MINUS_2_31_MINUS_1, 8))
        buffer.jcc(CC_BE, overflow)
    else:
        if double:
            least = _constant(stubs, _F64_MINUS_2_63, 8)
        else:
            least = _constant(stubs, _F32_MINUS_2_31 if bits == 32 else _F32_MINUS_2_63, 4)
        encode(buffer, compare, [source], 0, least)
        buffer.jcc(CC_B, overflow)
    encode(buffer, ZEROPS, [SCRATCH_XMM])
    encode(buffer, compare, [source, SCRATCH_XMM])
    buffer.jcc(CC_A, overflow)
    buffer.jmp(path.back)


def _trunc_big(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    """Convert the operand less 2^63 and set bit 63."""
    _, _, double, saturating = _TRUNC[path.op]
    destination, source = path.locations
    limit = _constant(stubs, _F64_2_63, 8) if double else _constant(stubs, _F32_2_63, 4)
    encode(buffer, MOVAPS, [SCRATCH_XMM, source])
    encode(buffer, SUBSD if double else SUBSS, [SCRATCH_XMM, SCRATCH_XMM], 0, limit)
    encode(buffer, CVTTSD2SI64 if double else CVTTSS2SI64, [destination, SCRATCH_XMM])
    encode(buffer, TEST64, [destination, destination])
    if saturating:
        too_big = buffer.new_label()
        buffer.jcc(CC_S, too_big)
        encode(buffer, BTC64_I, [destination, destination], 63)
        buffer.jmp(path.back)
        buffer.bind(too_big)
        encode(buffer, MOV64_I, [destination], -1)
    else:
        buffer.jcc(CC_S, stubs.trap_label(INTEGER_OVERFLOW, path.loc))
        encode(buffer, BTC64_I, [destination, destination], 63)
    buffer.jmp(path.back)


def _convert_u64(buffer: CodeBuffer, stubs: Stubs, op: int, locations: list[int], loc: int) -> None:
    destination, _, source = locations
    back = buffer.new_label()
    encode(buffer, TEST64, [source, source])
    buffer.jcc(CC_S, stubs.slow_path(CONVERT_NEGATIVE, op, locations, loc, back))
    encode(buffer, ZEROPS, [destination])
    encode(buffer, CVTSI2SD64 if op == CONVERT_U64_F64 else CVTSI2SS64, [destination, source])
    buffer.bind(back)


def _convert_negative(buffer: CodeBuffer, path: SlowPath) -> None:
    """Convert half the operand, with the bit shifted out kept in the lowest for rounding, and double it."""
    destination, scratch, source = path.locations
    even = buffer.new_label()
    encode(buffer, MOV64, [scratch, source])
    encode(buffer, SHR64_I, [scratch, scratch], 1)
    buffer.jcc(CC_AE, even)
    encode(buffer, OR64_I, [scratch, scratch], 1)
    buffer.bind(even)
    encode(buffer, ZEROPS, [destination])
    encode(buffer, CVTSI2SS64 if path.op == CONVERT_U64_F32 else CVTSI2SD64, [destination, scratch])
    encode(buffer, ADDSS if path.op == CONVERT_U64_F32 else ADDSD, [destination, destination, destination])
    buffer.jmp(path.back)
