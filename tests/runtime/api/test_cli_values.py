"""Values as the command line takes and prints them."""

from __future__ import annotations

import math
import random
import struct

import pytest

from brolga import ValType, WasmtimeError
from brolga.runtime.cli_values import format_value, parse_value

I32, I64, F32, F64 = ValType.i32(), ValType.i64(), ValType.f32(), ValType.f64()


@pytest.mark.parametrize(
    ("text", "type", "value"),
    [
        ("7", I32, 7),
        ("007", I32, 7),
        ("+7", I32, 7),
        ("-0", I32, 0),
        ("2147483647", I32, 2**31 - 1),
        ("-2147483648", I32, -(2**31)),
        ("0x7fffffff", I32, 2**31 - 1),
        ("0Xffffffff", I32, 2**32 - 1),
        ("9223372036854775807", I64, 2**63 - 1),
        ("-9223372036854775808", I64, -(2**63)),
        ("0xffffffffffffffff", I64, 2**64 - 1),
        ("1.5", F32, 1.5),
        ("-1e3", F64, -1000.0),
        ("inf", F64, math.inf),
        ("0" * 5000 + "7", I64, 7),
    ],
)
def test_arguments(text: str, type: ValType, value: float) -> None:
    assert parse_value(text, type) == value


@pytest.mark.parametrize(
    ("text", "type", "message"),
    [
        ("2147483648", I32, "number too large"),
        ("4294967296", I32, "number too large"),
        ("99999999999999999999", I32, "number too large"),
        ("-2147483649", I32, "number too small"),
        ("0x100000000", I32, "number too large"),
        ("9223372036854775808", I64, "number too large"),
        ("-9223372036854775809", I64, "number too small"),
        ("0x10000000000000000", I64, "number too large"),
        ("9" * 5000, I64, "number too large"),
        ("-" + "9" * 5000, I64, "number too small"),
        ("0x" + "f" * 5000, I64, "number too large"),
        ("1_000", I32, "not a value"),
        (" 7", I32, "not a value"),
        ("\u0667", I32, "not a value"),
        ("", I32, "not a value"),
        ("1.0", I32, "not a value"),
        ("one", F64, "not a value"),
        ("x", ValType.externref(), "cannot be given"),
    ],
)
def test_no_arguments(text: str, type: ValType, message: str) -> None:
    with pytest.raises(WasmtimeError, match=message):
        parse_value(text, type)


@pytest.mark.parametrize(
    ("value", "type", "text"),
    [
        (-5, I32, "-5"),
        (2**40, I64, "1099511627776"),
        (0.1, F64, "0.1"),
        (struct.unpack("<f", struct.pack("<f", 0.1))[0], F32, "0.1"),
        (1.0, F32, "1"),
        (-0.0, F64, "-0"),
        (1e21, F64, "1" + "0" * 21),
        (5e-324, F64, "0." + "0" * 323 + "5"),
        (1.25e-3, F64, "0.00125"),
        (123456.789, F64, "123456.789"),
        (struct.unpack("<f", b"\xff\xff\x7f\x7f")[0], F32, "34028235" + "0" * 31),
        (struct.unpack("<f", b"\x01\0\0\0")[0], F32, "0." + "0" * 44 + "1"),
        (math.nan, F32, "NaN"),
        (-math.inf, F64, "-inf"),
        (None, ValType.funcref(), "<null funcref>"),
        (None, ValType.externref(), "<null externref>"),
        (object(), ValType.externref(), "<externref>"),
        (5.5, ValType.externref(), "<externref>"),
    ],
)
def test_results(value: object, type: ValType, text: str) -> None:
    assert format_value(value, type) == text


def test_printed_floats_are_read_as_the_same() -> None:
    choose = random.Random(1)
    for _ in range(2000):
        wide = struct.unpack("<d", choose.randbytes(8))[0]
        narrow = struct.unpack("<f", choose.randbytes(4))[0]
        if not math.isnan(wide):
            assert float(format_value(wide, F64)) == wide
        if not math.isnan(narrow):
            assert struct.pack("<f", float(format_value(narrow, F32))) == struct.pack("<f", narrow)
