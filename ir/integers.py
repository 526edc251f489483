"""Integer arithmetic on bits, exactly as wasm defines it.

Every function takes the type (I32 or I64) and unsigned operands, and returns an unsigned result of
that type. Divisions raise InterpreterTrap. Constant folding and the interpreter share them.
"""

from __future__ import annotations

from typing import Final

from .errors import InterpreterTrap
from .opcodes import (
    ICC_EQ,
    ICC_NE,
    ICC_SGE,
    ICC_SGT,
    ICC_SLE,
    ICC_SLT,
    ICC_UGE,
    ICC_UGT,
    ICC_ULE,
)
from .trap_codes import INTEGER_DIVISION_BY_ZERO, INTEGER_OVERFLOW
from .types import TYPE_BITS, TYPE_MASK

SIGN_BIT: Final[list[int]] = [0, 1 << 31, 1 << 63]  # by type


def signed(type: int, x: int) -> int:
    """The two's complement reading of bits `x`."""
    sign = SIGN_BIT[type]
    return (x ^ sign) - sign


def sign_extend(x: int, from_bits: int, type: int) -> int:
    """The low `from_bits` bits of x, sign-extended to the width of `type`."""
    sign = 1 << (from_bits - 1)
    return (((x & (2 * sign - 1)) ^ sign) - sign) & TYPE_MASK[type]


def iadd(type: int, x: int, y: int) -> int:
    return (x + y) & TYPE_MASK[type]


def isub(type: int, x: int, y: int) -> int:
    return (x - y) & TYPE_MASK[type]


def imul(type: int, x: int, y: int) -> int:
    return (x * y) & TYPE_MASK[type]


def sdiv(type: int, x: int, y: int) -> int:
    if y == 0:
        raise InterpreterTrap(INTEGER_DIVISION_BY_ZERO)
    a = signed(type, x)
    b = signed(type, y)
    quotient = abs(a) // abs(b)
    if (a < 0) != (b < 0):
        quotient = -quotient
    if quotient == SIGN_BIT[type]:
        raise InterpreterTrap(INTEGER_OVERFLOW)
    return quotient & TYPE_MASK[type]


def udiv(type: int, x: int, y: int) -> int:
    if y == 0:
        raise InterpreterTrap(INTEGER_DIVISION_BY_ZERO)
    return x // y


def srem(type: int, x: int, y: int) -> int:
    """The sign is that of the dividend. The smallest integer modulo -1 is 0 and does not trap."""
    if y == 0:
        raise InterpreterTrap(INTEGER_DIVISION_BY_ZERO)
    a = signed(type, x)
    remainder = abs(a) % abs(signed(type, y))
    return (-remainder if a < 0 else remainder) & TYPE_MASK[type]


def urem(type: int, x: int, y: int) -> int:
    if y == 0:
        raise InterpreterTrap(INTEGER_DIVISION_BY_ZERO)
    return x % y


def band(type: int, x: int, y: int) -> int:
    return x & y


def bor(type: int, x: int, y: int) -> int:
    return x | y


def bxor(type: int, x: int, y: int) -> int:
    return x ^ y


def ishl(type: int, x: int, y: int) -> int:
    return (x << (y & (TYPE_BITS[type] - 1))) & TYPE_MASK[type]


def ushr(type: int, x: int, y: int) -> int:
    return x >> (y & (TYPE_BITS[type] - 1))


def sshr(type: int, x: int, y: int) -> int:
    return (signed(type, x) >> (y & (TYPE_BITS[type] - 1))) & TYPE_MASK[type]


def rotl(type: int, x: int, y: int) -> int:
    bits = TYPE_BITS[type]
    y &= bits - 1
    return (x << y | x >> (bits - y)) & TYPE_MASK[type]


def rotr(type: int, x: int, y: int) -> int:
    bits = TYPE_BITS[type]
    y &= bits - 1
    return (x >> y | x << (bits - y)) & TYPE_MASK[type]


def umulhi(type: int, x: int, y: int) -> int:
    return (x * y) >> TYPE_BITS[type]


def smulhi(type: int, x: int, y: int) -> int:
    return ((signed(type, x) * signed(type, y)) >> TYPE_BITS[type]) & TYPE_MASK[type]


def clz(type: int, x: int) -> int:
    return TYPE_BITS[type] - x.bit_length()


def ctz(type: int, x: int) -> int:
    if x == 0:
        return TYPE_BITS[type]
    return (x & -x).bit_length() - 1


def popcnt(type: int, x: int) -> int:
    return x.bit_count()


def sextend8(type: int, x: int) -> int:
    return sign_extend(x, 8, type)


def sextend16(type: int, x: int) -> int:
    return sign_extend(x, 16, type)


def sextend32(type: int, x: int) -> int:
    return sign_extend(x, 32, type)


def icmp(cc: int, type: int, x: int, y: int) -> bool:
    """Compare under an integer condition code."""
    if cc == ICC_EQ:
        return x == y
    if cc == ICC_NE:
        return x != y
    if cc > ICC_SLE:
        if cc == ICC_UGE:
            return x >= y
        if cc == ICC_UGT:
            return x > y
        if cc == ICC_ULE:
            return x <= y
        return x < y
    x = signed(type, x)
    y = signed(type, y)
    if cc == ICC_SLT:
        return x < y
    if cc == ICC_SGE:
        return x >= y
    assert cc == ICC_SGT or cc == ICC_SLE
    return x > y if cc == ICC_SGT else x <= y
