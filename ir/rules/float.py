"""Float operations. The requirements stand in integer.py.

Only rules that are exact for every operand: signed zeros, infinities, rounding. Results that are NaN
may have another sign or payload, but must be quiet: so x * 1 or x - 0, which quiet a signalling x,
are not x.
"""

from __future__ import annotations

from typing import Final

from ..floats import INFINITY, SIGN_BIT, fdiv, is_nan
from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..opcodes import (
    FABS,
    FADD,
    FCEIL,
    FCONST,
    FCOPYSIGN,
    FCVT_FROM_SINT,
    FCVT_FROM_UINT,
    FFLOOR,
    FMUL,
    FNEAREST,
    FNEG,
    FSUB,
    FTRUNC,
    OPCODE_COUNT,
    SEXTEND,
    UEXTEND,
)
from ..trap_codes import BAD_CONVERSION_TO_INTEGER, INTEGER_OVERFLOW
from ..types import I32
from .known_bits import possible_ones

_ONE: Final[list[int]] = [0, 0, 0, 0x3F80_0000, 0x3FF0_0000_0000_0000]  # 1.0, by type
_TWO: Final[list[int]] = [0, 0, 0, 0x4000_0000, 0x4000_0000_0000_0000]
_FRACTION: Final[list[int]] = [0, 0, 0, 0x7F_FFFF, 0xF_FFFF_FFFF_FFFF]

# By opcode: the result is an integer, an infinity or a quiet NaN.
_IS_INTEGRAL: Final[list[bool]] = [False] * (OPCODE_COUNT + 1)
for _op in (FCEIL, FFLOOR, FTRUNC, FNEAREST, FCVT_FROM_SINT, FCVT_FROM_UINT):
    _IS_INTEGRAL[_op] = True


def fneg(b: InstBuilder, op: int, type: int, x: int) -> int:
    """-(-a) = a"""
    inst = b.defs[x]
    return inst.args[0] if inst.op == FNEG else NO_VALUE


def fabs(b: InstBuilder, op: int, type: int, x: int) -> int:
    """abs (abs a) = abs a; abs (-a) = abs a; abs (copysign a c) = abs a"""
    inst = b.defs[x]
    if inst.op == FABS:
        return x
    if inst.op == FNEG or inst.op == FCOPYSIGN:
        return b.unary(FABS, type, inst.args[0])
    return NO_VALUE


def round_to_integral(b: InstBuilder, op: int, type: int, x: int) -> int:
    """ceil (floor a) = floor a, and so on for what is an integer already"""
    return x if _IS_INTEGRAL[b.defs[x].op] else NO_VALUE


def fadd(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x + -a = x - a; -a + y = y - a"""
    inst = b.defs[y]
    if inst.op == FNEG:
        return b.binary(FSUB, type, x, inst.args[0])
    inst = b.defs[x]
    if inst.op == FNEG:
        return b.binary(FSUB, type, y, inst.args[0])
    return NO_VALUE


def fsub(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """x - -a = x + a"""
    inst = b.defs[y]
    if inst.op == FNEG:
        return b.binary(FADD, type, x, inst.args[0])
    return NO_VALUE


def fmul_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x * 2 = x + x; -a * k = a * -k"""
    if k == _TWO[type]:
        return b.binary(FADD, type, x, x)
    inst = b.defs[x]
    if inst.op == FNEG and not is_nan(type, k):
        return b.binary(FMUL, type, inst.args[0], b.fconst(type, k ^ SIGN_BIT[type]))
    return NO_VALUE


def fmul(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """-a * -c = a * c"""
    left = b.defs[x]
    right = b.defs[y]
    if left.op == FNEG and right.op == FNEG:
        return b.binary(FMUL, type, left.args[0], right.args[0])
    return NO_VALUE


def fdiv_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x / 2**n = x * 2**-n, if the reciprocal is a normal number too"""
    exponent = INFINITY[type]
    if k & _FRACTION[type] or k & exponent == 0 or k & exponent == exponent:
        return NO_VALUE
    reciprocal = fdiv(type, _ONE[type], k)
    if reciprocal & exponent == 0:
        return NO_VALUE
    return b.binary(FMUL, type, x, b.fconst(type, reciprocal))


def fdiv_general(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """-a / -c = a / c"""
    left = b.defs[x]
    right = b.defs[y]
    if left.op == FNEG and right.op == FNEG:
        return b.binary(op, type, left.args[0], right.args[0])
    return NO_VALUE


def fcopysign_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """copysign x (a positive constant) = abs x; copysign x (a negative one) = -(abs x)"""
    magnitude = b.unary(FABS, type, x)
    return b.unary(FNEG, type, magnitude) if k & SIGN_BIT[type] else magnitude


def fcopysign(b: InstBuilder, op: int, type: int, x: int, y: int) -> int:
    """copysign x x = x; copysign (-a) y = copysign (abs a) y = copysign a y; copysign (copysign a c) y = copysign a y;
    copysign x (copysign a c) = copysign x c; copysign x (abs a) = abs x"""
    if x == y:
        return x
    inst = b.defs[x]
    if inst.op == FNEG or inst.op == FABS or inst.op == FCOPYSIGN:
        return b.binary(FCOPYSIGN, type, inst.args[0], y)
    inst = b.defs[y]
    if inst.op == FCOPYSIGN:
        return b.binary(FCOPYSIGN, type, x, inst.args[1])
    if inst.op == FABS:
        return b.unary(FABS, type, x)
    return NO_VALUE


def from_sint(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """from_sint (sextend a) = from_sint a"""
    inst = b.defs[x]
    if inst.op == SEXTEND:
        return b.convert(FCVT_FROM_SINT, type, I32, inst.args[0])
    return NO_VALUE


def from_uint(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """from_uint (uextend a) = from_uint a; from_uint x = from_sint x if the sign bit of x is clear"""
    inst = b.defs[x]
    if inst.op == UEXTEND:
        return b.convert(FCVT_FROM_UINT, type, I32, inst.args[0])
    if possible_ones(b, x) <= (0x7FFF_FFFF if from_type == I32 else 0x7FFF_FFFF_FFFF_FFFF):
        return b.convert(FCVT_FROM_SINT, type, from_type, x)
    return NO_VALUE


def to_integer(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """A constant here has not folded, so it traps. Truncation first makes no difference."""
    inst = b.defs[x]
    if inst.op == FCONST:
        b.trap(BAD_CONVERSION_TO_INTEGER if is_nan(from_type, inst.imm) else INTEGER_OVERFLOW)
        return x
    return to_integer_saturating(b, op, type, from_type, x)


def to_integer_saturating(b: InstBuilder, op: int, type: int, from_type: int, x: int) -> int:
    """to_int (trunc a) = to_int a"""
    inst = b.defs[x]
    if inst.op == FTRUNC:
        return b.convert(op, type, from_type, inst.args[0])
    return NO_VALUE
