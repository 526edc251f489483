"""Dead code elimination: remove instructions and block parameters whose values nothing needs.

    block1(v1: i32, v2: i32):              block1(v1: i32):
        v3 = iadd.i32 v2, v1                   brif v1, block1(v1), block2
        brif v1, block1(v1, v3), block2  =>

Input and output: any function. Values are marked from the instructions with effects backwards; a parameter that is
needed needs its arguments. So a value that only goes around a loop to make itself is dead too (Cytron et al. 1991,
section 7.1, without control dependence: branches stay).
"""

from __future__ import annotations

from typing import Final

from ..function import Function, Inst, Target
from ..opcodes import CAN_TRAP, FLAGS, OPCODE_COUNT, PURE, READS
from ..work import STRIDE, spend

# Instructions that may go when their result is not needed.
_REMOVABLE: Final[list[bool]] = [
    bool(FLAGS[op] & (PURE | READS)) and not FLAGS[op] & CAN_TRAP for op in range(OPCODE_COUNT)
]


_NO_BLOCK: Final = -1


def run(function: Function) -> None:
    blocks = function.blocks
    removable = _REMOVABLE
    count = len(function.value_types)
    needed = [False] * count
    makers: list[Inst | None] = [None] * count
    home = [_NO_BLOCK] * count  # of parameters: the block, and the place among its parameters
    place = [0] * count
    incoming: list[list[Target]] = [[] for _ in blocks]
    pending: list[int] = []

    for number in function.layout:
        block = blocks[number]
        for position, param in enumerate(block.params):
            home[param] = number
            place[param] = position
        spend(len(block.insts))
        for inst in block.insts:
            if removable[inst.op]:
                makers[inst.result] = inst
            else:
                for value in inst.args:
                    if not needed[value]:
                        needed[value] = True
                        pending.append(value)
        for target in block.insts[-1].targets:
            if target.args:
                incoming[target.block].append(target)

    spend(STRIDE)
    while pending:
        value = pending.pop()
        if not value % STRIDE:
            spend(STRIDE)
        maker = makers[value]
        if maker is not None:
            for arg in maker.args:
                if not needed[arg]:
                    needed[arg] = True
                    pending.append(arg)
        elif home[value] != _NO_BLOCK:
            position = place[value]
            for target in incoming[home[value]]:
                arg = target.args[position]
                if not needed[arg]:
                    needed[arg] = True
                    pending.append(arg)

    entry = function.layout[0]
    for number in function.layout:
        block = blocks[number]
        insts = block.insts
        spend(len(insts))
        block.insts = [inst for inst in insts if not removable[inst.op] or needed[inst.result]]
        if number != entry and block.params:
            kept = [position for position, param in enumerate(block.params) if needed[param]]
            if len(kept) != len(block.params):
                block.params = [block.params[position] for position in kept]
                for target in incoming[number]:
                    target.args = [target.args[position] for position in kept]
