"""integers.py and floats.py against numpy, which computes with the machine's own instructions."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest

from brolga.ir import opcodes as op
from brolga.ir.errors import InterpreterTrap
from brolga.ir.evaluate import EVAL_BINARY, EVAL_CONVERT, EVAL_UNARY
from brolga.ir.floats import fcmp, is_nan
from brolga.ir.integers import icmp
from brolga.ir.types import F32, F64, I32, I64, TYPE_BITS, TYPE_MASK

from .functions import EDGES

FLOAT_DTYPE = {F32: np.float32, F64: np.float64}
BITS_DTYPE = {F32: np.uint32, F64: np.uint64, I32: np.uint32, I64: np.uint64}
SIGNED_DTYPE = {I32: np.int32, I64: np.int64}


def samples(type: int, count: int) -> list[int]:
    """Edge cases, and random bits of random length."""
    rng = random.Random(type)
    bits = TYPE_BITS[type]
    found = list(EDGES[type])
    for _ in range(count):
        value = rng.getrandbits(bits)
        if type in (I32, I64):
            value >>= rng.randrange(bits)
        found.append(value)
    return found


def pairs(type: int) -> list[tuple[int, int]]:
    some = samples(type, 60)
    return [(x, y) for x in some for y in some]


def number(type: int, bits: int) -> np.floating:
    return np.array([bits], dtype=BITS_DTYPE[type]).view(FLOAT_DTYPE[type])[0]


def bits_of(type: int, value: np.floating) -> int:
    return int(np.array([value], dtype=FLOAT_DTYPE[type]).view(BITS_DTYPE[type])[0])


def same(type: int, found: int, expected: int) -> bool:
    return found == expected or (is_nan(type, found) and is_nan(type, expected))


FLOAT_BINARY: dict[int, Callable[[np.floating, np.floating], np.floating]] = {
    op.FADD: lambda x, y: x + y,
    op.FSUB: lambda x, y: x - y,
    op.FMUL: lambda x, y: x * y,
    op.FDIV: lambda x, y: x / y,
    op.FCOPYSIGN: np.copysign,
}
FLOAT_UNARY = {
    op.FABS: np.abs,
    op.FNEG: np.negative,
    op.FCEIL: np.ceil,
    op.FFLOOR: np.floor,
    op.FTRUNC: np.trunc,
    op.FNEAREST: np.rint,
    op.FSQRT: np.sqrt,
}


@pytest.mark.parametrize("type", [F32, F64])
@pytest.mark.parametrize("opcode", FLOAT_BINARY, ids=[op.OPCODE_NAMES[opcode] for opcode in FLOAT_BINARY])
def test_float_binary(opcode: int, type: int) -> None:
    with np.errstate(all="ignore"):
        for x, y in pairs(type):
            expected = bits_of(type, FLOAT_BINARY[opcode](number(type, x), number(type, y)))
            found = EVAL_BINARY[opcode](type, x, y)
            assert same(type, found, expected), f"{x:#x}, {y:#x}: {found:#x}, not {expected:#x}"


@pytest.mark.parametrize("type", [F32, F64])
@pytest.mark.parametrize("opcode", FLOAT_UNARY, ids=[op.OPCODE_NAMES[opcode] for opcode in FLOAT_UNARY])
def test_float_unary(opcode: int, type: int) -> None:
    with np.errstate(all="ignore"):
        for x in samples(type, 2000):
            expected = bits_of(type, FLOAT_UNARY[opcode](number(type, x)))
            found = EVAL_UNARY[opcode](type, x)
            assert same(type, found, expected), f"{x:#x}: {found:#x}, not {expected:#x}"


@pytest.mark.parametrize("type", [F32, F64])
def test_float_results_that_are_nan_are_quiet(type: int) -> None:
    for opcode in (op.FADD, op.FSUB, op.FMUL, op.FDIV, op.FMIN, op.FMAX):
        for x, y in pairs(type):
            found = EVAL_BINARY[opcode](type, x, y)
            if is_nan(type, found):
                assert found & (1 << (22 if type == F32 else 51))
            else:
                assert not is_nan(type, x) and not is_nan(type, y)


@pytest.mark.parametrize("type", [F32, F64])
def test_float_comparisons(type: int) -> None:
    relations = ["==", "!=", "<", ">", "<=", ">="]
    with np.errstate(all="ignore"):
        for x, y in pairs(type):
            a, b = number(type, x), number(type, y)
            expected = [a == b, a != b, a < b, a > b, a <= b, a >= b]
            assert [fcmp(cc, type, x, y) for cc in range(len(relations))] == [bool(e) for e in expected]
            if not np.isnan(a) and not np.isnan(b) and (a != b or x == y):
                assert EVAL_BINARY[op.FMIN](type, x, y) == bits_of(type, np.minimum(a, b))
                assert EVAL_BINARY[op.FMAX](type, x, y) == bits_of(type, np.maximum(a, b))


@pytest.mark.parametrize("type", [F32, F64])
@pytest.mark.parametrize("from_type", [I32, I64])
def test_conversions_of_integers(from_type: int, type: int) -> None:
    dtype = FLOAT_DTYPE[type]
    rng = random.Random(5)
    operands = samples(from_type, 2000)
    for _ in range(2000):  # halfway between two floats, or nearly
        operands.append(
            (rng.getrandbits(25) * 2 + 1 << rng.randrange(40)) + rng.randrange(-1, 2) & TYPE_MASK[from_type]
        )
    for x in operands:
        unsigned = BITS_DTYPE[from_type](x)
        signed = np.array([x], dtype=BITS_DTYPE[from_type]).view(SIGNED_DTYPE[from_type])[0]
        assert EVAL_CONVERT[op.FCVT_FROM_UINT](type, from_type, x) == bits_of(type, unsigned.astype(dtype)), hex(x)
        assert EVAL_CONVERT[op.FCVT_FROM_SINT](type, from_type, x) == bits_of(type, signed.astype(dtype)), hex(x)


@pytest.mark.parametrize("from_type", [F32, F64])
@pytest.mark.parametrize("type", [I32, I64])
def test_conversions_to_integers(type: int, from_type: int) -> None:
    """The exact value, truncated, from numpy's long double, which holds every operand."""
    bits = TYPE_BITS[type]
    for x in samples(from_type, 2000):
        value = number(from_type, x)
        for opcode, low, high in (
            (op.FCVT_TO_SINT, -(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            (op.FCVT_TO_UINT, 0, (1 << bits) - 1),
        ):
            saturating = op.FCVT_TO_SINT_SAT if opcode == op.FCVT_TO_SINT else op.FCVT_TO_UINT_SAT
            saturated = EVAL_CONVERT[saturating](type, from_type, x)
            if np.isnan(value):
                assert saturated == 0
            elif value <= low - 1 or (np.isinf(value) and value < 0):
                assert saturated == low & TYPE_MASK[type]
            elif np.isinf(value) or int(value) > high:
                assert saturated == high
            elif int(value) >= low:
                assert saturated == int(value) & TYPE_MASK[type]
                assert EVAL_CONVERT[opcode](type, from_type, x) == saturated
                continue
            with pytest.raises(InterpreterTrap):
                EVAL_CONVERT[opcode](type, from_type, x)


def test_conversions_between_floats() -> None:
    with np.errstate(all="ignore"):
        for x in samples(F64, 2000):
            assert same(F32, EVAL_CONVERT[op.FDEMOTE](F32, F64, x), bits_of(F32, np.float32(number(F64, x))))
        for x in samples(F32, 2000):
            widened = EVAL_CONVERT[op.FPROMOTE](F64, F32, x)
            assert same(F64, widened, bits_of(F64, np.float64(number(F32, x))))
            if not is_nan(F32, x):
                assert EVAL_CONVERT[op.FDEMOTE](F32, F64, widened) == x


@pytest.mark.parametrize("type", [I32, I64])
def test_integer_arithmetic(type: int) -> None:
    """Against numpy where it has the operation, else against its definition on the bits."""
    bits = TYPE_BITS[type]
    unsigned, signed = BITS_DTYPE[type], SIGNED_DTYPE[type]
    with np.errstate(all="ignore"):
        for x, y in pairs(type):
            a, b = unsigned(x), unsigned(y)
            c, d = np.array([x, y], dtype=unsigned).view(signed)
            count = unsigned(y % bits)
            expected = {
                op.IADD: a + b,
                op.ISUB: a - b,
                op.IMUL: a * b,
                op.BAND: a & b,
                op.BOR: a | b,
                op.BXOR: a ^ b,
                op.ISHL: a << count,
                op.USHR: a >> count,
                op.SSHR: c >> signed(y % bits),
                op.UMULHI: (x * y) >> bits,
                op.SMULHI: (int(c) * int(d)) >> bits,
            }
            if y != 0:
                expected[op.UDIV] = a // b
                expected[op.UREM] = a % b
                expected[op.SREM] = np.fmod(c, d) if y != TYPE_MASK[type] else signed(0)
                if y != TYPE_MASK[type] or x != 1 << (bits - 1):
                    quotient = abs(int(c)) // abs(int(d))
                    expected[op.SDIV] = -quotient if (c < 0) != (d < 0) else quotient
            for opcode, value in expected.items():
                found = EVAL_BINARY[opcode](type, x, y)
                assert found == int(value) & TYPE_MASK[type], f"{op.OPCODE_NAMES[opcode]} {x:#x}, {y:#x}: {found:#x}"
            text = f"{x:0{bits}b}"
            turn = y % bits
            assert EVAL_BINARY[op.ROTL](type, x, y) == int(text[turn:] + text[:turn], 2)
            assert EVAL_BINARY[op.ROTR](type, x, y) == int(text[bits - turn :] + text[: bits - turn], 2)
            relations = [a == b, a != b, c < d, c >= d, c > d, c <= d, a < b, a >= b, a > b, a <= b]
            assert [icmp(cc, type, x, y) for cc in range(10)] == [bool(relation) for relation in relations]


@pytest.mark.parametrize("type", [I32, I64])
def test_counting_and_extending(type: int) -> None:
    bits = TYPE_BITS[type]
    for x in samples(type, 500):
        text = f"{x:0{bits}b}"
        assert EVAL_UNARY[op.CLZ](type, x) == len(text) - len(text.lstrip("0"))
        assert EVAL_UNARY[op.CTZ](type, x) == len(text) - len(text.rstrip("0"))
        assert EVAL_UNARY[op.POPCNT](type, x) == text.count("1")
        for opcode, narrow in ((op.SEXTEND8, np.int8), (op.SEXTEND16, np.int16), (op.SEXTEND32, np.int32)):
            expected = int(np.uint64(x).astype(narrow)) & TYPE_MASK[type]
            assert EVAL_UNARY[opcode](type, x) == expected


@pytest.mark.parametrize("opcode", [op.SDIV, op.UDIV, op.SREM, op.UREM])
def test_division_by_zero_traps(opcode: int) -> None:
    with pytest.raises(InterpreterTrap, match="integer divide by zero"):
        EVAL_BINARY[opcode](I32, 5, 0)


@pytest.mark.parametrize("type", [I32, I64])
def test_division_overflow_traps(type: int) -> None:
    with pytest.raises(InterpreterTrap, match="integer overflow"):
        EVAL_BINARY[op.SDIV](type, 1 << (TYPE_BITS[type] - 1), TYPE_MASK[type])
