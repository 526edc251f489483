"""The rewrite rules, filed by opcode, for `FunctionBuilder`: all of them, or some families."""

from __future__ import annotations

from typing import Final

from .. import opcodes as op
from ..inst_builder import Rules
from . import compare, division, extend, float, fold, integer, select, shifts

FAMILIES: Final = ("fold", "integer", "shifts", "extend", "compare", "select", "division", "float")


def file_rules(families: frozenset[str]) -> Rules:
    """The rules of these FAMILIES: the modules beside this one."""
    rules = Rules()
    if "fold" in families:
        _file_folding(rules)
    if "integer" in families:
        _file_integer(rules)
    if "shifts" in families:
        for shift in (op.ISHL, op.USHR, op.SSHR, op.ROTL, op.ROTR):
            rules.constant_right[shift] = shifts.shift_constant
            rules.binary[shift] = shifts.shift
    if "extend" in families:
        _file_extend(rules)
    if "compare" in families:
        rules.icmp = compare.icmp
        rules.fcmp = compare.fcmp
    if "select" in families:
        rules.select = select.select
    if "division" in families:
        _file_division(rules)
    if "float" in families:
        _file_float(rules)
    return rules


def _file_integer(rules: Rules) -> None:
    binary = rules.binary
    binary[op.IADD] = integer.iadd
    binary[op.ISUB] = integer.isub
    binary[op.BAND] = integer.band
    binary[op.BOR] = integer.bor
    binary[op.BXOR] = integer.bxor
    constant_right = rules.constant_right
    constant_right[op.IADD] = integer.iadd_constant
    constant_right[op.ISUB] = integer.isub_constant
    constant_right[op.IMUL] = integer.imul_constant
    constant_right[op.BAND] = integer.band_constant
    constant_right[op.BOR] = integer.bor_constant
    constant_right[op.BXOR] = integer.bxor_constant


def _file_extend(rules: Rules) -> None:
    unary = rules.unary
    unary[op.SEXTEND8] = extend.sextend8
    unary[op.SEXTEND16] = extend.sextend16
    unary[op.SEXTEND32] = extend.sextend32
    convert = rules.convert
    convert[op.IREDUCE] = extend.ireduce
    convert[op.UEXTEND] = extend.uextend
    convert[op.SEXTEND] = extend.sextend
    convert[op.BITCAST] = extend.bitcast


def _file_division(rules: Rules) -> None:
    constant_right = rules.constant_right
    constant_right[op.SDIV] = division.sdiv_constant
    constant_right[op.UDIV] = division.udiv_constant
    constant_right[op.SREM] = division.srem_constant
    constant_right[op.UREM] = division.urem_constant
    constant_right[op.UMULHI] = division.mulhi_constant
    constant_right[op.SMULHI] = division.mulhi_constant


def _file_float(rules: Rules) -> None:
    binary = rules.binary
    binary[op.FADD] = float.fadd
    binary[op.FSUB] = float.fsub
    binary[op.FMUL] = float.fmul
    binary[op.FDIV] = float.fdiv_general
    binary[op.FCOPYSIGN] = float.fcopysign
    constant_right = rules.constant_right
    constant_right[op.FMUL] = float.fmul_constant
    constant_right[op.FDIV] = float.fdiv_constant
    constant_right[op.FCOPYSIGN] = float.fcopysign_constant
    unary = rules.unary
    unary[op.FNEG] = float.fneg
    unary[op.FABS] = float.fabs
    for rounding in (op.FCEIL, op.FFLOOR, op.FTRUNC, op.FNEAREST):
        unary[rounding] = float.round_to_integral
    convert = rules.convert
    convert[op.FCVT_FROM_SINT] = float.from_sint
    convert[op.FCVT_FROM_UINT] = float.from_uint
    for conversion in (op.FCVT_TO_SINT, op.FCVT_TO_UINT):
        folds = rules.fold_convert[conversion] is not None  # what does not fold then is known to trap
        convert[conversion] = float.to_integer if folds else float.to_integer_saturating
    convert[op.FCVT_TO_SINT_SAT] = float.to_integer_saturating
    convert[op.FCVT_TO_UINT_SAT] = float.to_integer_saturating


def _file_folding(rules: Rules) -> None:
    divisions = (op.SDIV, op.UDIV, op.SREM, op.UREM)
    sign_operations = (op.FABS, op.FNEG, op.FCOPYSIGN)  # exact on NaN as well
    for opcode, form in enumerate(op.FORMATS):
        is_float = op.TYPE_CLASSES[opcode] == "f" and opcode not in sign_operations
        if form == op.UNARY:
            rules.fold_unary[opcode] = fold.fold_float_unary if is_float else fold.fold_unary
        elif form == op.BINARY:
            if opcode in divisions:
                rules.fold_binary[opcode] = fold.fold_division
            else:
                rules.fold_binary[opcode] = fold.fold_float_binary if is_float else fold.fold_binary
    for opcode in (op.FPROMOTE, op.FDEMOTE, op.FCVT_FROM_SINT, op.FCVT_FROM_UINT):
        rules.fold_convert[opcode] = fold.fold_float_convert
    for opcode in (
        op.IREDUCE,
        op.UEXTEND,
        op.SEXTEND,
        op.BITCAST,
        op.FCVT_TO_SINT,
        op.FCVT_TO_UINT,
        op.FCVT_TO_SINT_SAT,
        op.FCVT_TO_UINT_SAT,
    ):
        rules.fold_convert[opcode] = fold.fold_convert


RULES: Final = file_rules(frozenset(FAMILIES))
