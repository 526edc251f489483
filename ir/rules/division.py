"""Division and remainder by constants. The requirements stand in integer.py.

Powers of two become shifts and masks. Other divisors become a multiplication by a scaled reciprocal
(Granlund & Montgomery 1994, "Division by Invariant Integers using Multiplication"; Warren, "Hacker's
Delight", chapter 10; Robison 2005, "N-Bit Unsigned Division via N-Bit Multiply-Add").

32-bit operands are extended and multiplied in 64 bits, one `imul`; 64-bit ones need the high half of
the 128-bit product. With n the width, all reciprocals here have the form m = 2**(n+s)/d, rounded
up or down, so that x/d = (x*m) >> (n+s); each function states the condition for that to be exact.

A division by zero always traps, and ends the block.
"""

from __future__ import annotations

from ..function import NO_VALUE
from ..inst_builder import InstBuilder
from ..integers import SIGN_BIT, signed
from ..opcodes import (
    BAND,
    IADD,
    ICC_EQ,
    ICC_UGE,
    IMUL,
    IREDUCE,
    ISUB,
    SDIV,
    SEXTEND,
    SMULHI,
    SSHR,
    UDIV,
    UEXTEND,
    UMULHI,
    USHR,
)
from ..trap_codes import INTEGER_DIVISION_BY_ZERO, INTEGER_OVERFLOW
from ..types import I32, I64, TYPE_BITS, TYPE_MASK


def udiv_constant(b: InstBuilder, op: int, type: int, x: int, y: int, d: int) -> int:
    """x / 2**n = x >> n; x / d = (x >= d) if d has its top bit set; else by reciprocal"""
    if d == 0:
        b.trap(INTEGER_DIVISION_BY_ZERO)
        return x
    if d & (d - 1) == 0:
        return b.binary(USHR, type, x, b.iconst(type, d.bit_length() - 1))
    if d > SIGN_BIT[type]:
        return _extended(b, type, b.icmp(ICC_UGE, type, x, y))
    if type == I32:
        return _udiv32(b, x, d)
    return _udiv64(b, x, d)


def _extended(b: InstBuilder, type: int, x: int) -> int:
    return x if type == I32 else b.convert(UEXTEND, I64, I32, x)


def _udiv32(b: InstBuilder, x: int, d: int) -> int:
    """m rounded up is exact if m*d - 2**(32+s) <= 2**s. The smallest such s may give an m of 33 bits;
    then m rounded down has 32, with s = floor(log2 d), and (x+1)*m, less than 2**64, is exact."""
    wide = b.convert(UEXTEND, I64, I32, x)
    shift = 0
    while True:
        power = 1 << (32 + shift)
        reciprocal = -(-power // d)
        if reciprocal * d - power <= 1 << shift:
            break
        shift += 1
    if reciprocal >= 1 << 32:
        shift = d.bit_length() - 1
        reciprocal = (1 << (32 + shift)) // d
        wide = b.binary(IADD, I64, wide, b.iconst(I64, 1))
    product = b.binary(IMUL, I64, wide, b.iconst(I64, reciprocal))
    return b.convert(IREDUCE, I32, I64, b.binary(USHR, I64, product, b.iconst(I64, 32 + shift)))


def _udiv64(b: InstBuilder, x: int, d: int) -> int:
    """For x < 2**(64-z), m rounded up is exact if m*d - 2**(64+s) <= 2**(s+z). If m has 65 bits, an even
    d = 2**z * d' is first divided out of x; for an odd one the excess bit 2**64*x is added in halves:
    (x*m) >> (64+s) = (t + (x-t)/2) >> (s-1) with t the high half of x*(m - 2**64)."""
    shift, reciprocal = _reciprocal64(d, 0)
    if reciprocal < 1 << 64:
        return _scaled_high(b, x, reciprocal, shift)
    zeros = (d & -d).bit_length() - 1
    if zeros > 0:
        shift, reciprocal = _reciprocal64(d >> zeros, zeros)
        return _scaled_high(b, b.binary(USHR, I64, x, b.iconst(I64, zeros)), reciprocal, shift)
    high = b.binary(UMULHI, I64, x, b.iconst(I64, reciprocal - (1 << 64)))
    rest = b.binary(USHR, I64, b.binary(ISUB, I64, x, high), b.iconst(I64, 1))
    return b.binary(USHR, I64, b.binary(IADD, I64, rest, high), b.iconst(I64, shift - 1))


def _reciprocal64(d: int, zeros: int) -> tuple[int, int]:
    shift = 0
    while True:
        power = 1 << (64 + shift)
        reciprocal = -(-power // d)
        if reciprocal * d - power <= 1 << (shift + zeros):
            return shift, reciprocal
        shift += 1


def _scaled_high(b: InstBuilder, x: int, reciprocal: int, shift: int) -> int:
    high = b.binary(UMULHI, I64, x, b.iconst(I64, reciprocal))
    return b.binary(USHR, I64, high, b.iconst(I64, shift))


def sdiv_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x / 1 = x; x / -1 = 0 - x after a check; x / -2**(n-1) = (x == -2**(n-1)); powers of two and other
    divisors as below, negated for a negative one"""
    d = signed(type, k)
    if d == 0:
        b.trap(INTEGER_DIVISION_BY_ZERO)
        return x
    if d == 1:
        return x
    if d == -1:
        b.trapnz(b.icmp(ICC_EQ, type, x, b.iconst(type, SIGN_BIT[type])), INTEGER_OVERFLOW)
        if b.terminated:
            return x
        return b.binary(ISUB, type, b.iconst(type, 0), x)
    if k == SIGN_BIT[type]:
        return _extended(b, type, b.icmp(ICC_EQ, type, x, y))
    magnitude = abs(d)
    if magnitude & (magnitude - 1) == 0:
        quotient = b.binary(SSHR, type, _rounded(b, type, x, magnitude), b.iconst(type, magnitude.bit_length() - 1))
        if d < 0:
            quotient = b.binary(ISUB, type, b.iconst(type, 0), quotient)
        return quotient
    floor = _sdiv32(b, x, magnitude) if type == I32 else _sdiv64(b, x, magnitude)
    # Rounding is towards zero: for negative x the quotient is one more than the floor computed so far.
    last = b.iconst(type, TYPE_BITS[type] - 1)
    if d < 0:
        return b.binary(ISUB, type, b.binary(SSHR, type, x, last), floor)
    return b.binary(IADD, type, floor, b.binary(USHR, type, x, last))


def _rounded(b: InstBuilder, type: int, x: int, power: int) -> int:
    """x + (power - 1 if x < 0 else 0), so that an arithmetic shift rounds towards zero"""
    bits = TYPE_BITS[type]
    n = power.bit_length() - 1
    sign = x if n == 1 else b.binary(SSHR, type, x, b.iconst(type, n - 1))
    bias = b.binary(USHR, type, sign, b.iconst(type, bits - n))
    return b.binary(IADD, type, x, bias)


def _signed_reciprocal(bits: int, d: int) -> tuple[int, int]:
    """m = floor(2**(n+s)/d) + 1 with 0 < m*d - 2**(n+s) <= 2**(s+1): then floor(x*m / 2**(n+s)) is the
    quotient for -2**(n-1) <= x < 2**(n-1), less one if x is negative. Such an m is less than 2**n."""
    shift = 0
    while True:
        power = 1 << (bits + shift)
        reciprocal = power // d + 1
        if reciprocal * d - power <= 2 << shift:
            return shift, reciprocal
        shift += 1


def _sdiv32(b: InstBuilder, x: int, d: int) -> int:
    """The product of 32 signed and 32 unsigned bits fits 64 signed ones."""
    shift, reciprocal = _signed_reciprocal(32, d)
    product = b.binary(IMUL, I64, b.convert(SEXTEND, I64, I32, x), b.iconst(I64, reciprocal))
    return b.convert(IREDUCE, I32, I64, b.binary(SSHR, I64, product, b.iconst(I64, 32 + shift)))


def _sdiv64(b: InstBuilder, x: int, d: int) -> int:
    """The high half of the signed product; an m of 64 bits is read as m - 2**64, so x is added back."""
    shift, reciprocal = _signed_reciprocal(64, d)
    high = b.binary(SMULHI, I64, x, b.iconst(I64, reciprocal))
    if reciprocal >= 1 << 63:
        high = b.binary(IADD, I64, high, x)
    return b.binary(SSHR, I64, high, b.iconst(I64, shift))


def urem_constant(b: InstBuilder, op: int, type: int, x: int, y: int, d: int) -> int:
    """x % 2**n = x & (2**n - 1); else x - x/d*d"""
    if d == 0:
        b.trap(INTEGER_DIVISION_BY_ZERO)
        return x
    if d & (d - 1) == 0:
        return b.binary(BAND, type, x, b.iconst(type, d - 1))
    quotient = b.binary(UDIV, type, x, y)
    return b.binary(ISUB, type, x, b.binary(IMUL, type, quotient, y))


def srem_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """x % -d = x % d; x % 1 = 0; x % 2**n = x - (x rounded towards zero); else x - x/d*d"""
    d = abs(signed(type, k))
    if d == 0:
        b.trap(INTEGER_DIVISION_BY_ZERO)
        return x
    if d == 1:
        return b.iconst(type, 0)
    if d & (d - 1) == 0:
        multiple = b.binary(BAND, type, _rounded(b, type, x, d), b.iconst(type, -d & TYPE_MASK[type]))
        return b.binary(ISUB, type, x, multiple)
    divisor = b.iconst(type, d)
    quotient = b.binary(SDIV, type, x, divisor)
    return b.binary(ISUB, type, x, b.binary(IMUL, type, quotient, divisor))


def mulhi_constant(b: InstBuilder, op: int, type: int, x: int, y: int, k: int) -> int:
    """The high half of x * 0 and, unsigned, of x * 1 is 0; of x * 1, signed, the sign."""
    if k == 0:
        return y
    if k == 1:
        if op == UMULHI:
            return b.iconst(type, 0)
        return b.binary(SSHR, type, x, b.iconst(type, TYPE_BITS[type] - 1))
    return NO_VALUE
