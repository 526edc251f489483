"""When the values of an innermost loop are ready: how many cycles after the parameters of its head.

A turn of a loop begins when the one before has made the parameters of its head. What depends on nothing but induction variables and values
from outside can be computed long before that, and the processor does: it has rank zero. Other parameters have rank 1, and what is made of
them comes as many cycles later as its operations take.
"""

from __future__ import annotations

from typing import Final, final

from .function import Block, Function, Inst
from .loops import NO_LOOP, loops_of
from .opcodes import CONVERT, FORMATS, IADD, ICONST, IMUL, IREDUCE, LOAD_, OPCODE_COUNT, PTR_LOAD_, UEXTEND


def _cycles(op: int) -> int:
    """About how long an operation takes on processors of today, a load from the first-level cache."""
    form = FORMATS[op]
    if op == UEXTEND or op == IREDUCE:
        return 0
    if form == LOAD_ or form == PTR_LOAD_:
        return 5
    if op == IMUL:
        return 3
    return 4 if form == CONVERT else 1


CYCLES: Final[list[int]] = [_cycles(op) for op in range(OPCODE_COUNT)]


def innermost_loops(function: Function) -> dict[int, list[int]]:
    """By header: the blocks of the loop in the order of the layout. The analysis stays with the function if there are loops."""
    loops: dict[int, list[int]] = {}
    if not _has_loop(function):
        return loops
    forest = loops_of(function)
    function.analysis = forest
    outer = {forest.parent[header] for header in forest.header if header != NO_LOOP}
    for number in function.layout:
        header = forest.header[number]
        if header != NO_LOOP and header not in outer:
            loops.setdefault(header, []).append(number)
    return loops


def _has_loop(function: Function) -> bool:
    seen = [False] * len(function.blocks)
    for number in function.layout:
        seen[number] = True
        for target in function.blocks[number].insts[-1].targets:
            if seen[target.block]:
                return True
    return False


def integer_constants(function: Function) -> dict[int, int]:
    """The integer constants by value."""
    return {
        inst.result: inst.imm
        for number in function.layout
        for inst in function.blocks[number].insts
        if inst.op == ICONST
    }


@final
class LoopRanks:
    """`of`: by value, the ranks that are not zero. Whoever walks through the blocks of the loop, in the order of the layout, calls `note` for
    each instruction, and `leave` at the end of each block."""

    __slots__ = ("of", "_blocks", "_header", "_members")

    def __init__(self, function: Function, header: int, members: list[int], constants: dict[int, int]) -> None:
        self.of: dict[int, int] = {}
        self._blocks = function.blocks
        self._header = header
        self._members = members
        for param in function.blocks[header].params:
            self.of[param] = 1
        for param in self._induction_variables(constants):
            del self.of[param]

    def _induction_variables(self, constants: dict[int, int]) -> list[int]:
        """The header's parameters that each way back steps by a constant."""
        steps: dict[int, int] = {}  # by value: of what it is a sum with a constant
        for number in self._members:
            for inst in self._blocks[number].insts:
                if inst.op == IADD and inst.args[1] in constants:
                    steps[inst.result] = inst.args[0]
        params = self._blocks[self._header].params
        found = [True] * len(params)
        for args in self.passed_back():
            for place, value in enumerate(args):
                if steps.get(value, -1) != params[place]:
                    found[place] = False
        return [param for param, is_stepped in zip(params, found, strict=True) if is_stepped]

    def passed_back(self) -> list[list[int]]:
        """The arguments of each way back to the header."""
        return [
            target.args
            for number in self._members
            for target in self._blocks[number].insts[-1].targets
            if target.block == self._header
        ]

    def note(self, inst: Inst) -> int:
        """Sets and returns the rank of what the instruction makes."""
        last = 0
        for value in inst.args:
            last = max(last, self.of.get(value, 0))
        if last > 0:
            last += CYCLES[inst.op]
            self.of[inst.result] = last
        else:
            self.of.pop(inst.result, None)
        return last

    def leave(self, block: Block) -> None:
        """Parameters of other blocks are as late as the latest that is passed to them."""
        for target in block.insts[-1].targets:
            if target.block != self._header:
                for param, value in zip(self._blocks[target.block].params, target.args, strict=True):
                    rank = self.of.get(value, 0)
                    if rank > self.of.get(param, 0):
                        self.of[param] = rank
