"""In loops, products with 2**k + 1 and 2**k - 1 as a shift and a sum or difference, if the next turn waits for them.

    block1(v1: i32, v2: i32):                        block1(v1: i32, v2: i32):
        v3 = imul.i32 v1, v0  ; v0 = 31                  v7 = ishl.i32 v1, v8  ; v8 = 5
        v4 = uload8.i32 v2+0                             v3 = isub.i32 v7, v1
        v5 = iadd.i32 v3, v4                      =>     v4 = uload8.i32 v2+0
        v6 = iadd.i32 v2, v9                             v5 = iadd.i32 v3, v4
        brif v4, block1(v5, v6), block2                  ...

A multiplication takes three cycles, these two operations take two. Elsewhere the multiplication is the shorter code. So the operand must come
later than the turn's beginning (../ranks.py), and what is passed back must depend on the product. Products with 3, 5 and 9 are single
additions with a scale.
"""

from __future__ import annotations

from typing import Final

from ..function import Function, Inst
from ..opcodes import IADD, ICONST, IMUL, ISHL, ISUB
from ..ranks import LoopRanks, innermost_loops, integer_constants
from ..types import TYPE_BITS

_LEAST_SHIFT: Final = 3


def run(function: Function) -> None:
    loops: dict[int, list[int]] = {}
    for header, members in innermost_loops(function).items():
        if any(inst.op == IMUL for number in members for inst in function.blocks[number].insts):
            loops[header] = members
    if not loops:
        return
    constants = integer_constants(function)
    types = function.value_types
    factors = {value: bits for value, bits in constants.items() if 0 < _shift(bits) < TYPE_BITS[types[value]]}
    if factors:
        for header, members in loops.items():
            _run_loop(function, members, LoopRanks(function, header, members, constants), factors)


def _run_loop(function: Function, members: list[int], ranks: LoopRanks, factors: dict[int, int]) -> None:
    needed = _needed_back(function, members, ranks)
    for number in members:
        block = function.blocks[number]
        insts: list[Inst] = []
        for inst in block.insts:
            is_product = inst.op == IMUL and inst.args[1] in factors
            if is_product and inst.result in needed and ranks.of.get(inst.args[0], 0) > 0:
                _expand(function, inst, factors[inst.args[1]], insts)
            insts.append(inst)
            ranks.note(inst)
        block.insts = insts
        ranks.leave(block)


def _shift(factor: int) -> int:
    """k of a factor (unsigned) that is 2**k + 1 or 2**k - 1 and worth it, or 0."""
    for power in (factor + 1, factor - 1):
        shift = power.bit_length() - 1
        if power & (power - 1) == 0 and (shift > _LEAST_SHIFT or (shift == _LEAST_SHIFT and power > factor)):
            return shift
    return 0


def _needed_back(function: Function, members: list[int], ranks: LoopRanks) -> set[int]:
    """The values that what is passed back to the loop's head depends on."""
    sources: dict[int, list[int]] = {}
    for number in members:
        block = function.blocks[number]
        for inst in block.insts:
            if inst.args:
                sources[inst.result] = inst.args
        for target in block.insts[-1].targets:
            for param, value in zip(function.blocks[target.block].params, target.args, strict=True):
                sources.setdefault(param, []).append(value)
    needed: set[int] = set()
    pending = [value for args in ranks.passed_back() for value in args]
    while pending:
        value = pending.pop()
        if value not in needed:
            needed.add(value)
            pending.extend(sources.get(value, ()))
    return needed


def _expand(function: Function, inst: Inst, factor: int, insts: list[Inst]) -> None:
    """Make a sum or a difference of the product, behind the shift, which is appended."""
    shift = _shift(factor)
    type = inst.type
    x = inst.args[0]
    count = function.new_value(type)
    shifted = function.new_value(type)
    insts.append(Inst(ICONST, type, [], shift, 0, count, inst.loc))
    insts.append(Inst(ISHL, type, [x, count], 0, 0, shifted, inst.loc))
    inst.op = IADD if factor == (1 << shift) + 1 else ISUB
    inst.args = [shifted, x]
