"""Checks of known bits where the function runs: for debugging, and the last pass if it is wanted.

    v2 = uload8.i32 v0+0              v2 = uload8.i32 v0+0
    v3 = icmp.i32 ult v2, v1    =>    v5 = iconst.i32 0xffffff00
                                      v6 = band.i32 v2, v5
                                      trapnz v6, fact_known_bits
                                      v3 = icmp.i32 ult v2, v1

Input and output: any function. Rewrite rules and selection decide by the bits that a value may have (rules/known_bits.py); a
value that has others traps. The interpreter finds what is wrong with the analysis, machine code also what is wrong with itself.
"""

from __future__ import annotations

from ..function import NO_ARGS, NO_VALUE, Function, Inst
from ..inst_builder import PARAM
from ..opcodes import BAND, CALLS, FLAGS, ICC_NE, ICMP, ICONST, TRAPNZ
from ..rules.known_bits import ones_by_definition
from ..trap_codes import FACT_KNOWN_BITS
from ..types import I32, I64, TYPE_MASK, VOID
from ..work import spend


def run(function: Function) -> None:
    insert_checks(function, known_bits(function))


def known_bits(function: Function) -> dict[int, int]:
    """By value: the bits that it may have, if these are not all of its type. Constants are left out."""
    types = function.value_types
    defs = [Inst(PARAM, VOID, NO_ARGS)] * len(types)
    for number in function.layout:
        for inst in function.blocks[number].insts:
            if inst.result != NO_VALUE and not FLAGS[inst.op] & CALLS:
                defs[inst.result] = inst
    found: dict[int, int] = {}
    for value, type in enumerate(types):
        if (type == I32 or type == I64) and defs[value].op != PARAM and defs[value].op != ICONST:
            ones = ones_by_definition(defs, types, value)
            if ones != TYPE_MASK[type]:
                found[value] = ones
    return found


def insert_checks(function: Function, ones: dict[int, int]) -> None:
    """Behind the definition of each of these values, which are no parameters: trap if it has a bit that is not in its mask."""
    for number in function.layout:
        block = function.blocks[number]
        insts: list[Inst] = []
        spend(len(block.insts))
        for inst in block.insts:
            insts.append(inst)
            if inst.result in ones:
                _check(function, insts, inst, ones[inst.result])
        block.insts = insts


def _check(function: Function, insts: list[Inst], inst: Inst, ones: int) -> None:
    type = inst.type
    zeros = function.new_value(type)
    wrong = function.new_value(type)
    insts.append(Inst(ICONST, type, [], ~ones & TYPE_MASK[type], 0, zeros, inst.loc))
    insts.append(Inst(BAND, type, [inst.result, zeros], 0, 0, wrong, inst.loc))
    if type == I64:
        nothing = function.new_value(I64)
        differs = function.new_value(I32)
        insts.append(Inst(ICONST, I64, [], 0, 0, nothing, inst.loc))
        insts.append(Inst(ICMP, I32, [wrong, nothing], ICC_NE, I64, differs, inst.loc))
        wrong = differs
    insts.append(Inst(TRAPNZ, VOID, [wrong], FACT_KNOWN_BITS, 0, NO_VALUE, inst.loc))
