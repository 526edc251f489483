"""Float arithmetic on bits, exact to IEEE 754 single and double precision with rounding to nearest even.

Every function takes the type (F32 or F64) and bits, and returns bits. Python's floats are doubles.
A single-precision sum, product, quotient or root computed in double precision and rounded again is
correct, because 53 >= 2 * 24 + 2 (Figueroa 1995, "When is double rounding innocuous?"); that includes
denormal results: products are exact in double precision, denormal sums are exact, and a quotient of
24-bit significands is too far from any midpoint.

NaN. Wasm lets an operation return any arithmetic NaN if an operand is NaN, or a canonical one if none
is. These functions do as x86's SSE does: the first operand's NaN made quiet, else the second's, and
the negative default NaN when none is. Payloads and signs of NaNs are not part of the contract of the
IR: compiled code may give others. `fneg`, `fabs`, `fcopysign` and bit casts are exact on NaN too.
"""

from __future__ import annotations

import math
import struct
from typing import Final

from .errors import InterpreterTrap
from .opcodes import FCC_EQ, FCC_GE, FCC_GT, FCC_LE, FCC_LT, FCC_NE
from .trap_codes import BAD_CONVERSION_TO_INTEGER, INTEGER_OVERFLOW
from .types import F32, F64, TYPE_BITS, TYPE_MASK

# By type.
SIGN_BIT: Final[list[int]] = [0, 0, 0, 1 << 31, 1 << 63]
INFINITY: Final[list[int]] = [0, 0, 0, 0x7F80_0000, 0x7FF0_0000_0000_0000]
QUIET_BIT: Final[list[int]] = [0, 0, 0, 1 << 22, 1 << 51]
DEFAULT_NAN: Final[list[int]] = [0, 0, 0, 0xFFC0_0000, 0xFFF8_0000_0000_0000]

_F32: Final = struct.Struct("<f")
_F64: Final = struct.Struct("<d")
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


def is_nan(type: int, x: int) -> bool:
    return x & ~SIGN_BIT[type] > INFINITY[type]


def to_float(type: int, x: int) -> float:
    """The value of bits that are not a NaN (a NaN's payload would be lost)."""
    value: float
    if type == F32:
        (value,) = _F32.unpack(_U32.pack(x))
    else:
        (value,) = _F64.unpack(_U64.pack(x))
    return value


def from_float(type: int, value: float) -> int:
    """The bits of `value` rounded to the type; NaN gives the default NaN."""
    if math.isnan(value):
        return DEFAULT_NAN[type]
    bits: int
    if type == F32:
        try:
            (bits,) = _U32.unpack(_F32.pack(value))
        except OverflowError:  # finite, but rounds to infinity
            bits = INFINITY[F32] | (SIGN_BIT[F32] if value < 0.0 else 0)
    else:
        (bits,) = _U64.unpack(_F64.pack(value))
    return bits


def _propagate_nan(type: int, x: int, y: int) -> int:
    return (x if is_nan(type, x) else y) | QUIET_BIT[type]


def fadd(type: int, x: int, y: int) -> int:
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    return from_float(type, to_float(type, x) + to_float(type, y))


def fsub(type: int, x: int, y: int) -> int:
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    return from_float(type, to_float(type, x) - to_float(type, y))


def fmul(type: int, x: int, y: int) -> int:
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    return from_float(type, to_float(type, x) * to_float(type, y))


def fdiv(type: int, x: int, y: int) -> int:
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    sign = SIGN_BIT[type]
    if y & ~sign == 0:  # Python raises an exception
        if x & ~sign == 0:
            return DEFAULT_NAN[type]
        return INFINITY[type] | (x ^ y) & sign
    return from_float(type, to_float(type, x) / to_float(type, y))


def fmin(type: int, x: int, y: int) -> int:
    """-0 is less than +0; NaN if an operand is NaN."""
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    a = to_float(type, x)
    b = to_float(type, y)
    if a == b:
        return x | y  # differ at most in the sign of zero
    return x if a < b else y


def fmax(type: int, x: int, y: int) -> int:
    if is_nan(type, x) or is_nan(type, y):
        return _propagate_nan(type, x, y)
    a = to_float(type, x)
    b = to_float(type, y)
    if a == b:
        return x & y
    return x if a > b else y


def fcopysign(type: int, x: int, y: int) -> int:
    sign = SIGN_BIT[type]
    return x & ~sign | y & sign


def fabs(type: int, x: int) -> int:
    return x & ~SIGN_BIT[type]


def fneg(type: int, x: int) -> int:
    return x ^ SIGN_BIT[type]


def fceil(type: int, x: int) -> int:
    return _round(type, x, 0)


def ffloor(type: int, x: int) -> int:
    return _round(type, x, 1)


def ftrunc(type: int, x: int) -> int:
    return _round(type, x, 2)


def fnearest(type: int, x: int) -> int:
    """To the nearest integer, ties to even."""
    return _round(type, x, 3)


def _round(type: int, x: int, mode: int) -> int:
    if is_nan(type, x):
        return x | QUIET_BIT[type]
    value = to_float(type, x)
    if abs(value) >= 4503599627370496.0:  # 2**52: an integer, or infinite
        return x
    if mode == 0:
        integer = math.ceil(value)
    elif mode == 1:
        integer = math.floor(value)
    elif mode == 2:
        integer = math.trunc(value)
    else:
        integer = round(value)
    return from_float(type, math.copysign(float(integer), value))  # keeps the sign of zero


def fsqrt(type: int, x: int) -> int:
    if is_nan(type, x):
        return x | QUIET_BIT[type]
    if x & SIGN_BIT[type]:
        return x if x == SIGN_BIT[type] else DEFAULT_NAN[type]
    return from_float(type, math.sqrt(to_float(type, x)))


def fcmp(cc: int, type: int, x: int, y: int) -> bool:
    """Compare under a float condition code: a NaN is unequal to everything, and nothing else."""
    if is_nan(type, x) or is_nan(type, y):
        return cc == FCC_NE
    a = to_float(type, x)
    b = to_float(type, y)
    if cc == FCC_EQ:
        return a == b
    if cc == FCC_NE:
        return a != b
    if cc == FCC_LT:
        return a < b
    if cc == FCC_GT:
        return a > b
    if cc == FCC_LE:
        return a <= b
    assert cc == FCC_GE
    return a >= b


# Conversions: (result type, operand type, operand bits) -> result bits


def fcvt_to_sint(type: int, from_type: int, x: int) -> int:
    integer = _truncate(from_type, x)
    limit = 1 << (TYPE_BITS[type] - 1)
    if not -limit <= integer < limit:
        raise InterpreterTrap(INTEGER_OVERFLOW)
    return integer & TYPE_MASK[type]


def fcvt_to_uint(type: int, from_type: int, x: int) -> int:
    integer = _truncate(from_type, x)
    if not 0 <= integer <= TYPE_MASK[type]:
        raise InterpreterTrap(INTEGER_OVERFLOW)
    return integer


def _truncate(from_type: int, x: int) -> int:
    if is_nan(from_type, x):
        raise InterpreterTrap(BAD_CONVERSION_TO_INTEGER)
    if x & ~SIGN_BIT[from_type] == INFINITY[from_type]:
        raise InterpreterTrap(INTEGER_OVERFLOW)
    return math.trunc(to_float(from_type, x))


def fcvt_to_sint_sat(type: int, from_type: int, x: int) -> int:
    limit = 1 << (TYPE_BITS[type] - 1)
    return _saturate(from_type, x, -limit, limit - 1) & TYPE_MASK[type]


def fcvt_to_uint_sat(type: int, from_type: int, x: int) -> int:
    return _saturate(from_type, x, 0, TYPE_MASK[type])


def _saturate(from_type: int, x: int, low: int, high: int) -> int:
    if is_nan(from_type, x):
        return 0
    if x & ~SIGN_BIT[from_type] == INFINITY[from_type]:
        return low if x & SIGN_BIT[from_type] else high
    return min(max(math.trunc(to_float(from_type, x)), low), high)


def fcvt_from_sint(type: int, from_type: int, x: int) -> int:
    sign = 1 << (TYPE_BITS[from_type] - 1)
    return _from_integer(type, (x ^ sign) - sign)


def fcvt_from_uint(type: int, from_type: int, x: int) -> int:
    return _from_integer(type, x)


def _from_integer(type: int, x: int) -> int:
    if type == F64:
        return from_float(F64, float(x))
    # Through double precision it would be rounded twice: round to 24 bits here, ties to even.
    magnitude = abs(x)
    shift = max(magnitude.bit_length() - 24, 0)
    half = (1 << shift) >> 1
    rest = magnitude & ((1 << shift) - 1)
    magnitude >>= shift
    if rest > half or (rest == half and half != 0 and magnitude & 1):
        magnitude += 1
    return from_float(F32, math.copysign(float(magnitude << shift), x))


def fpromote(type: int, from_type: int, x: int) -> int:
    if is_nan(F32, x):
        return (x & SIGN_BIT[F32]) << 32 | INFINITY[F64] | QUIET_BIT[F64] | (x & 0x7F_FFFF) << 29
    return from_float(F64, to_float(F32, x))


def fdemote(type: int, from_type: int, x: int) -> int:
    if is_nan(F64, x):
        return (x >> 32) & SIGN_BIT[F32] | INFINITY[F32] | QUIET_BIT[F32] | (x >> 29) & 0x7F_FFFF
    return from_float(F32, to_float(F64, x))


def bitcast(type: int, from_type: int, x: int) -> int:
    return x
