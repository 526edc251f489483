"""Constant folding: the arithmetic of wasm applied to constants at build time.

Requirements on each function here: the result is what the instruction would compute, as bits of its
type; NO_FOLD if it would trap, or if the result of a float operation is a NaN (whose bits the
generated code is free to choose, but the same everywhere).
"""

from __future__ import annotations

from ..errors import InterpreterTrap
from ..evaluate import EVAL_BINARY, EVAL_CONVERT, EVAL_UNARY
from ..floats import is_nan
from ..inst_builder import NO_FOLD
from ..types import F32, F64


def fold_unary(op: int, type: int, x: int) -> int:
    return EVAL_UNARY[op](type, x)


def fold_float_unary(op: int, type: int, x: int) -> int:
    bits = EVAL_UNARY[op](type, x)
    return NO_FOLD if is_nan(type, bits) else bits


def fold_binary(op: int, type: int, x: int, y: int) -> int:
    return EVAL_BINARY[op](type, x, y)


def fold_division(op: int, type: int, x: int, y: int) -> int:
    try:
        return EVAL_BINARY[op](type, x, y)
    except InterpreterTrap:
        return NO_FOLD


def fold_float_binary(op: int, type: int, x: int, y: int) -> int:
    bits = EVAL_BINARY[op](type, x, y)
    return NO_FOLD if is_nan(type, bits) else bits


def fold_convert(op: int, type: int, from_type: int, x: int) -> int:
    try:
        return EVAL_CONVERT[op](type, from_type, x)
    except InterpreterTrap:
        return NO_FOLD


def fold_float_convert(op: int, type: int, from_type: int, x: int) -> int:
    """For conversions between float types."""
    bits = EVAL_CONVERT[op](type, from_type, x)
    return NO_FOLD if (type == F32 or type == F64) and is_nan(type, bits) else bits
