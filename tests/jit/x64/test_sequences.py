"""The sequences for float operations, run on edge cases and compared with exact arithmetic."""

from __future__ import annotations

import itertools
import math
import random
import struct

import pytest

from brolga.ir import trap_codes
from brolga.jit.x64 import insts as x
from brolga.jit.x64.abi import RAX, RCX, RDI, XMM0
from brolga.jit.x64.sequences import _MINMAX, _TRUNC

from .machine import Machine, Program, inst

RET = inst(x.RET, [])


@pytest.fixture(scope="module")
def machine() -> Machine:
    return Machine()


def pack(value: float, double: bool) -> bytes:
    return struct.pack("<d" if double else "<f", value)


def unpack(data: bytes, double: bool) -> float:
    value: float = struct.unpack("<d", data)[0] if double else struct.unpack("<f", data[:4])[0]
    return value


def neighbours(value: float, double: bool) -> list[float]:
    """The value and the floats of its format on both sides."""
    bits = int.from_bytes(pack(value, double), "little")
    size = 8 if double else 4
    return [unpack((bits + step).to_bytes(size, "little"), double) for step in (-1, 0, 1) if bits + step >= 0]


def operands(double: bool) -> list[float]:
    result = [0.0, -0.0, math.inf, -math.inf, math.nan, 0.5, -0.5, 0.99999, -0.99999, 1e-30, -1e-30, 1e30, -1e30]
    for power in (0, 7, 23, 30, 31, 32, 52, 62, 63, 64):
        for sign in (1, -1):
            result += neighbours(sign * 2.0**power, double)
            result += neighbours(sign * (2.0**power + 1), double)
    rng = random.Random(1)
    result += [unpack(pack(rng.uniform(-1, 1) * 2.0 ** rng.randrange(70), double), double) for _ in range(300)]
    return result


@pytest.mark.parametrize("op", list(_TRUNC), ids=[x.ROWS[op].mnemonic for op in _TRUNC])
def test_truncation(machine: Machine, op: int) -> None:
    # The row's own name says what it does.
    words = x.ROWS[op].mnemonic.split("_")
    signed, bits, double, saturating = words[-2][0] == "i", int(words[-2][1:]), words[-1] == "f64", "sat" in words
    program = Program()
    program.block([inst(op, [RAX, XMM0 + 1], loc=77), RET])
    function = program.emit()
    address = machine.load(function)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    for value in operands(double):
        if "clamped" in words and not value >= 0:  # what selection sees to
            continue
        result = machine.call(address, [], [b"", pack(value, double)])
        if math.isnan(value):
            expected, trap = 0, trap_codes.BAD_CONVERSION_TO_INTEGER
        elif math.isinf(value):
            expected, trap = high if value > 0 else low, trap_codes.INTEGER_OVERFLOW
        else:
            expected = min(max(math.trunc(value), low), high)
            trap = -1 if expected == math.trunc(value) else trap_codes.INTEGER_OVERFLOW
        if trap >= 0 and not saturating:
            assert result.trap(function) == trap, value
            offset = result.trapped_at - 1
            locs = zip(function.source_offsets, function.source_locs, strict=True)
            assert [loc for at, loc in locs if at <= offset][-1] == 77
        else:
            assert (result.trapped_at, result.gpr) == (-1, expected % (1 << bits)), value


@pytest.mark.parametrize("op", list(_MINMAX), ids=[x.ROWS[op].mnemonic for op in _MINMAX])
def test_minimum_and_maximum(machine: Machine, op: int) -> None:
    double = x.ROWS[op].mnemonic.endswith("64")
    choose = min if "min" in x.ROWS[op].mnemonic else max
    program = Program()
    program.block([inst(op, [XMM0, XMM0, XMM0 + 1]), RET])
    address = machine.load(program.emit())
    values = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, math.inf, -math.inf, math.nan, 1e-40]
    for a, b in itertools.product(values, values):
        result = machine.call(address, [], [pack(a, double), pack(b, double)])
        value = unpack(result.xmm, double)
        if math.isnan(a) or math.isnan(b):
            assert math.isnan(value)
            continue
        expected = choose(a, b, key=lambda v: (v, math.copysign(1, v)))
        assert pack(value, double) == pack(expected, double), (a, b)
    signalling = (0x7FF0_0000_0000_0001 if double else 0x7F80_0001).to_bytes(8 if double else 4, "little")
    for pair in ([signalling, pack(1, double)], [pack(1, double), signalling]):
        bits = int.from_bytes(machine.call(address, [], pair).xmm[: 8 if double else 4], "little")
        assert bits >> (51 if double else 22) & 1  # quiet


@pytest.mark.parametrize("op", [x.CONVERT_U64_F32, x.CONVERT_U64_F64])
def test_conversion_of_unsigned(machine: Machine, op: int) -> None:
    double = op == x.CONVERT_U64_F64
    program = Program()
    program.block([inst(op, [XMM0, RCX, RDI]), inst(x.MOV64, [RAX, RDI]), RET])
    address = machine.load(program.emit())
    values = [0, 1, 2, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 1, (1 << 24) + 1, (1 << 53) + 1]
    # Half way between two floats, and a bit to either side, where the rounding of the halved number must be sticky.
    for shift in (10, 11, 39, 40, 41):
        for even in (0, 1):
            middle = 1 << 63 | even << shift + 1 | 1 << shift
            values += [middle - 1, middle, middle + 1]
    rng = random.Random(2)
    values += [rng.getrandbits(rng.randrange(1, 65)) for _ in range(300)]
    for value in values:
        result = machine.call(address, [value])
        assert result.gpr == value  # the operand is not changed
        precision = 53 if double else 24
        excess = max(value.bit_length() - precision, 0)
        rounded = value >> excess
        rest = value - (rounded << excess)
        half = 1 << excess >> 1
        if rest > half or excess and rest == half and rounded & 1:
            rounded += 1
        assert unpack(result.xmm, double) == float(rounded << excess), hex(value)
