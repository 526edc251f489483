"""The arithmetic of each opcode, filed by opcode: functions on bits, from integers.py and floats.py.

EVAL_UNARY[op](type, x), EVAL_BINARY[op](type, x, y) and EVAL_CONVERT[op](type, from_type, x) return
bits or raise InterpreterTrap. Opcodes of other formats have `no_*` entries that must not be called.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import floats, integers, opcodes
from .types import I32, TYPE_MASK

EvalUnary = Callable[[int, int], int]
EvalBinary = Callable[[int, int, int], int]
EvalConvert = Callable[[int, int, int], int]


def no_unary(type: int, x: int) -> int:
    raise AssertionError("not a unary instruction")


def no_binary(type: int, x: int, y: int) -> int:
    raise AssertionError("not a binary instruction")


def no_convert(type: int, from_type: int, x: int) -> int:
    raise AssertionError("not a conversion")


def _ireduce(type: int, from_type: int, x: int) -> int:
    return x & TYPE_MASK[I32]


def _uextend(type: int, from_type: int, x: int) -> int:
    return x


def _sextend(type: int, from_type: int, x: int) -> int:
    return integers.sign_extend(x, 32, type)


_UNARY: Final[list[tuple[int, EvalUnary]]] = [
    (opcodes.CLZ, integers.clz),
    (opcodes.CTZ, integers.ctz),
    (opcodes.POPCNT, integers.popcnt),
    (opcodes.SEXTEND8, integers.sextend8),
    (opcodes.SEXTEND16, integers.sextend16),
    (opcodes.SEXTEND32, integers.sextend32),
    (opcodes.FABS, floats.fabs),
    (opcodes.FNEG, floats.fneg),
    (opcodes.FCEIL, floats.fceil),
    (opcodes.FFLOOR, floats.ffloor),
    (opcodes.FTRUNC, floats.ftrunc),
    (opcodes.FNEAREST, floats.fnearest),
    (opcodes.FSQRT, floats.fsqrt),
]

_BINARY: Final[list[tuple[int, EvalBinary]]] = [
    (opcodes.IADD, integers.iadd),
    (opcodes.ISUB, integers.isub),
    (opcodes.IMUL, integers.imul),
    (opcodes.SDIV, integers.sdiv),
    (opcodes.UDIV, integers.udiv),
    (opcodes.SREM, integers.srem),
    (opcodes.UREM, integers.urem),
    (opcodes.BAND, integers.band),
    (opcodes.BOR, integers.bor),
    (opcodes.BXOR, integers.bxor),
    (opcodes.ISHL, integers.ishl),
    (opcodes.USHR, integers.ushr),
    (opcodes.SSHR, integers.sshr),
    (opcodes.ROTL, integers.rotl),
    (opcodes.ROTR, integers.rotr),
    (opcodes.UMULHI, integers.umulhi),
    (opcodes.SMULHI, integers.smulhi),
    (opcodes.FADD, floats.fadd),
    (opcodes.FSUB, floats.fsub),
    (opcodes.FMUL, floats.fmul),
    (opcodes.FDIV, floats.fdiv),
    (opcodes.FMIN, floats.fmin),
    (opcodes.FMAX, floats.fmax),
    (opcodes.FCOPYSIGN, floats.fcopysign),
]

_CONVERT: Final[list[tuple[int, EvalConvert]]] = [
    (opcodes.IREDUCE, _ireduce),
    (opcodes.UEXTEND, _uextend),
    (opcodes.SEXTEND, _sextend),
    (opcodes.FCVT_TO_SINT, floats.fcvt_to_sint),
    (opcodes.FCVT_TO_UINT, floats.fcvt_to_uint),
    (opcodes.FCVT_TO_SINT_SAT, floats.fcvt_to_sint_sat),
    (opcodes.FCVT_TO_UINT_SAT, floats.fcvt_to_uint_sat),
    (opcodes.FCVT_FROM_SINT, floats.fcvt_from_sint),
    (opcodes.FCVT_FROM_UINT, floats.fcvt_from_uint),
    (opcodes.FPROMOTE, floats.fpromote),
    (opcodes.FDEMOTE, floats.fdemote),
    (opcodes.BITCAST, floats.bitcast),
]

EVAL_UNARY: Final[list[EvalUnary]] = [no_unary] * opcodes.OPCODE_COUNT
EVAL_BINARY: Final[list[EvalBinary]] = [no_binary] * opcodes.OPCODE_COUNT
EVAL_CONVERT: Final[list[EvalConvert]] = [no_convert] * opcodes.OPCODE_COUNT
for _op, _unary in _UNARY:
    EVAL_UNARY[_op] = _unary
for _op, _binary in _BINARY:
    EVAL_BINARY[_op] = _binary
for _op, _convert in _CONVERT:
    EVAL_CONVERT[_op] = _convert
