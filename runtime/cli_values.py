"""Values on the command line: arguments of `brolga run --invoke`, and what it prints. As `wasmtime run` has them."""

from __future__ import annotations

import math
import re
import struct
from typing import Final

from brolga.ir.errors import WasmtimeError
from brolga.jit.wasm.types import EXTERNREF, F32, F64, I32, I64

from .types import ValType

_BITS: Final = {I32: 32, I64: 64}
_DECIMAL: Final = re.compile(r"[+-]?[0-9]+")
_HEXADECIMAL: Final = re.compile(r"0[xX]([0-9a-fA-F]+)")
_MOST_DIGITS: Final = 100  # no number of a type has as many, and Python refuses to read very many
_F32_DIGITS: Final = 9  # tell each binary32 from its neighbours


def parse_value(text: str, type: ValType) -> int | float:
    """The value that `text` gives for a parameter of this type. WasmtimeError if there is none."""
    code = type._code
    if code in _BITS:
        return _integer(text, type)
    if code not in (F32, F64):
        raise WasmtimeError(f"arguments of type {type} cannot be given")
    try:
        return float(text)
    except ValueError:
        raise _no_value(text, type) from None


def _no_value(text: str, type: ValType) -> WasmtimeError:
    return WasmtimeError(f"not a value of type {type}: {text}")


def _integer(text: str, type: ValType) -> int:
    """A number with a sign, or the bits in hexadecimal."""
    bits = _BITS[type._code]
    hexadecimal = _HEXADECIMAL.fullmatch(text)
    if not hexadecimal and not _DECIMAL.fullmatch(text):
        raise _no_value(text, type)
    digits = (hexadecimal[1] if hexadecimal else text.lstrip("+-")).lstrip("0") or "0"
    if len(digits) <= _MOST_DIGITS:
        number = int(digits, 16 if hexadecimal else 10)
        if text.startswith("-"):
            number = -number
        if (0 if hexadecimal else -1 << (bits - 1)) <= number < 1 << (bits if hexadecimal else bits - 1):
            return number
    size = "small" if text.startswith("-") else "large"
    raise WasmtimeError(f"number too {size} to fit in {type}: {text[:_MOST_DIGITS]}")


def format_value(value: object, type: ValType) -> str:
    """A result. Floats are the shortest decimal numbers that are read as the same ones; references have no address."""
    if type._code in (F32, F64):
        assert isinstance(value, float)
        return _float(value, type._code)
    if type._code in _BITS:
        return str(value)
    name = "externref" if type._code == EXTERNREF else "funcref"
    return f"<null {name}>" if value is None else f"<{name}>"


def _float(value: float, code: int) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    text = repr(value) if code == F64 else _shortest_f32(value)
    mantissa, _, exponent = text.partition("e")
    return _positional(mantissa, int(exponent or 0))


def _shortest_f32(value: float) -> str:
    """Of a number that is a binary32."""
    for digits in range(_F32_DIGITS):
        text = f"{value:.{digits}e}"
        try:
            if struct.unpack("<f", struct.pack("<f", float(text)))[0] == value:
                return text
        except OverflowError:  # rounded up beyond the largest one
            pass
    return repr(value)


def _positional(mantissa: str, exponent: int) -> str:
    """The number without an exponent, and without a point if it is whole."""
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = whole + fraction
    point = len(whole) + exponent
    if point <= 0:
        digits = "0" * (1 - point) + digits
        point = 1
    digits = digits.ljust(point, "0")
    whole, fraction = digits[:point].lstrip("0") or "0", digits[point:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else sign + whole
