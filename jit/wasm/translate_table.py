"""How each plain operator translates: one entry per operator number, derived from the operators' names.

KIND[code] says how, and OP, TYPE, FROM what: IR opcode or condition code, IR type of the result (comparisons and stores: of the
operands), IR type that a conversion starts from. Operators of kind OTHER are translated by a function of their own.
"""

from __future__ import annotations

from typing import Final

from brolga.ir import opcodes as ir
from brolga.ir import types as ir_types

from .opcodes import OPERATOR_BY_NAME, OPERATOR_COUNT

OTHER: Final = 0
BINARY: Final = 1
UNARY: Final = 2
ICMP: Final = 3
FCMP: Final = 4
CONVERT: Final = 5
LOAD: Final = 6
STORE: Final = 7
EQZ: Final = 8

KIND: Final[list[int]] = [OTHER] * OPERATOR_COUNT
OP: Final[list[int]] = [0] * OPERATOR_COUNT
TYPE: Final[list[int]] = [0] * OPERATOR_COUNT
FROM: Final[list[int]] = [0] * OPERATOR_COUNT

_INT_BINARY: Final[dict[str, int]] = {
    "add": ir.IADD,
    "sub": ir.ISUB,
    "mul": ir.IMUL,
    "div_s": ir.SDIV,
    "div_u": ir.UDIV,
    "rem_s": ir.SREM,
    "rem_u": ir.UREM,
    "and": ir.BAND,
    "or": ir.BOR,
    "xor": ir.BXOR,
    "shl": ir.ISHL,
    "shr_s": ir.SSHR,
    "shr_u": ir.USHR,
    "rotl": ir.ROTL,
    "rotr": ir.ROTR,
}
_INT_UNARY: Final[dict[str, int]] = {
    "clz": ir.CLZ,
    "ctz": ir.CTZ,
    "popcnt": ir.POPCNT,
    "extend8_s": ir.SEXTEND8,
    "extend16_s": ir.SEXTEND16,
    "extend32_s": ir.SEXTEND32,
}
_INT_COMPARE: Final[dict[str, int]] = {
    "eq": ir.ICC_EQ,
    "ne": ir.ICC_NE,
    "lt_s": ir.ICC_SLT,
    "lt_u": ir.ICC_ULT,
    "gt_s": ir.ICC_SGT,
    "gt_u": ir.ICC_UGT,
    "le_s": ir.ICC_SLE,
    "le_u": ir.ICC_ULE,
    "ge_s": ir.ICC_SGE,
    "ge_u": ir.ICC_UGE,
}
_FLOAT_BINARY: Final[dict[str, int]] = {
    "add": ir.FADD,
    "sub": ir.FSUB,
    "mul": ir.FMUL,
    "div": ir.FDIV,
    "min": ir.FMIN,
    "max": ir.FMAX,
    "copysign": ir.FCOPYSIGN,
}
_FLOAT_UNARY: Final[dict[str, int]] = {
    "abs": ir.FABS,
    "neg": ir.FNEG,
    "ceil": ir.FCEIL,
    "floor": ir.FFLOOR,
    "trunc": ir.FTRUNC,
    "nearest": ir.FNEAREST,
    "sqrt": ir.FSQRT,
}
_FLOAT_COMPARE: Final[dict[str, int]] = {
    "eq": ir.FCC_EQ,
    "ne": ir.FCC_NE,
    "lt": ir.FCC_LT,
    "gt": ir.FCC_GT,
    "le": ir.FCC_LE,
    "ge": ir.FCC_GE,
}
_LOADS: Final[dict[str, int]] = {
    "load": ir.LOAD,
    "load8_s": ir.SLOAD8,
    "load8_u": ir.ULOAD8,
    "load16_s": ir.SLOAD16,
    "load16_u": ir.ULOAD16,
    "load32_s": ir.SLOAD32,
    "load32_u": ir.ULOAD32,
}
_STORES: Final[dict[str, int]] = {
    "store": ir.STORE,
    "store8": ir.ISTORE8,
    "store16": ir.ISTORE16,
    "store32": ir.ISTORE32,
}
# The part of a conversion's name before the source type, and the sign after it.
_CONVERSIONS: Final[dict[tuple[str, str], int]] = {
    ("wrap", ""): ir.IREDUCE,
    ("extend", "s"): ir.SEXTEND,
    ("extend", "u"): ir.UEXTEND,
    ("trunc", "s"): ir.FCVT_TO_SINT,
    ("trunc", "u"): ir.FCVT_TO_UINT,
    ("trunc_sat", "s"): ir.FCVT_TO_SINT_SAT,
    ("trunc_sat", "u"): ir.FCVT_TO_UINT_SAT,
    ("convert", "s"): ir.FCVT_FROM_SINT,
    ("convert", "u"): ir.FCVT_FROM_UINT,
    ("demote", ""): ir.FDEMOTE,
    ("promote", ""): ir.FPROMOTE,
    ("reinterpret", ""): ir.BITCAST,
}


def _set(code: int, kind: int, op: int, type: int, from_type: int = 0) -> None:
    KIND[code] = kind
    OP[code] = op
    TYPE[code] = type
    FROM[code] = from_type


def _fill() -> None:
    for name, code in OPERATOR_BY_NAME.items():
        prefix, _, suffix = name.partition(".")
        if prefix not in ir_types.TYPE_BY_NAME:
            continue
        type = ir_types.TYPE_BY_NAME[prefix]
        is_float = ir_types.IS_FLOAT[type]
        binary = _FLOAT_BINARY if is_float else _INT_BINARY
        unary = _FLOAT_UNARY if is_float else _INT_UNARY
        compare = _FLOAT_COMPARE if is_float else _INT_COMPARE
        if suffix == "eqz":
            _set(code, EQZ, ir.ICC_EQ, type)
        elif suffix in binary:
            _set(code, BINARY, binary[suffix], type)
        elif suffix in unary:
            _set(code, UNARY, unary[suffix], type)
        elif suffix in compare:
            _set(code, FCMP if is_float else ICMP, compare[suffix], type)
        elif suffix in _LOADS:
            _set(code, LOAD, _LOADS[suffix], type)
        elif suffix in _STORES:
            _set(code, STORE, _STORES[suffix], type)
        else:
            _set_conversion(code, type, suffix)


def _set_conversion(code: int, type: int, suffix: str) -> None:
    words = suffix.split("_")
    sign = words.pop() if words[-1] in ("s", "u") else ""
    key = ("_".join(words[:-1]), sign)
    if key in _CONVERSIONS:
        _set(code, CONVERT, _CONVERSIONS[key], type, ir_types.TYPE_BY_NAME[words[-1]])


_fill()
