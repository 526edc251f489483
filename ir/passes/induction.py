"""Let the old and the new value of an induction variable share a register: uses of the old one behind the step become uses of the new.

    block1(v1: i32):                         block1(v1: i32):
        v2 = iadd.i32 v1, v0  ; v0 = 4           v2 = iadd.i32 v1, v0
        v3 = load.i32 v2+0                       v3 = load.i32 v2+0
        brif v3, block1(v2), block2        =>    brif v3, block1(v2), block2
    block2:                                  block2:
        return v1                                v4 = iconst.i32 -4
                                                 v5 = iadd.i32 v2, v4
                                                 return v5

Where both are alive, they need two registers, and a move each time around the loop; and as the way out needs the old one, the
move needs a block and a jump of its own. A subtraction where the loop is left is cheaper. Within the loop, sums with a constant
are rewritten, which costs nothing, and addresses of accesses without offset, into which selection folds the sum.

Only parameters of loops with one back edge are looked at, and nothing is done unless all the uses behind the step can go. Where
the step dominates a use, the two values there are of the same iteration: on a path from the step to the use through the head, the
step comes again. Input: no unreachable blocks, reducible loops for a gain.
"""

from __future__ import annotations

from typing import Final, final

from ..dominator_tree import DominatorTree
from ..function import Function, Inst, Target
from ..loops import NO_LOOP, LoopForest, loops_of
from ..opcodes import FORMATS, IADD, ICONST, JUMP, LOAD_, STORE_
from ..types import TYPE_MASK, VOID
from ..work import spend

_MAX_PLACES: Final = 4  # outside of the loop, where the old value is computed again
_MAX_DEPTH: Final = 16


@final
class _Step:
    """new = iadd old, `constant`, made in `block`; uses of `old` that come later in the layout."""

    __slots__ = ("old", "new", "constant", "block", "head", "users", "edges")

    def __init__(self, old: int, new: int, constant: int, block: int, head: int) -> None:
        self.old = old
        self.new = new
        self.constant = constant
        self.block = block
        self.head = head
        self.users: list[tuple[int, Inst]] = []
        self.edges: list[tuple[int, Target]] = []


@final
class _Edits:
    """What is inserted: instructions in front of others, by identity of those, and blocks in front of others."""

    __slots__ = ("blocks", "insts", "layout")

    def __init__(self) -> None:
        self.blocks: dict[int, None] = {}  # into which
        self.insts: dict[int, list[Inst]] = {}
        self.layout: dict[int, list[int]] = {}

    def insert(self, block: int, before: Inst, inst: Inst) -> None:
        self.blocks[block] = None
        self.insts.setdefault(id(before), []).append(inst)

    def apply(self, function: Function) -> None:
        for number in self.blocks:
            block = function.blocks[number]
            insts: list[Inst] = []
            for inst in block.insts:
                insts.extend(self.insts.get(id(inst), ()))
                insts.append(inst)
            block.insts = insts
        if self.layout:
            layout: list[int] = []
            for number in function.layout:
                layout.extend(self.layout.get(number, ()))
                layout.append(number)
            function.layout = layout


def run(function: Function) -> None:
    passed = _passed_back(function)
    if not passed:
        return
    constants: dict[int, int] = {}
    steps = _late_uses(function, passed, constants)
    if not steps:
        return
    forest = loops_of(function)
    steps = [step for step in steps if _all_can_go(step, forest.tree, forest, constants)]
    edits = _Edits()
    function.analysis = forest  # gone if an edge is split
    for step in steps:
        _rewrite(function, step, constants, edits)
    edits.apply(function)


def _passed_back(function: Function) -> dict[int, tuple[int, int]]:
    """By value that the only back edge of a loop passes: the parameter it becomes, and the loop's head."""
    blocks = function.blocks
    position = [-1] * len(blocks)
    back: dict[int, Target | None] = {}
    for place, number in enumerate(function.layout):
        position[number] = place
        for target in blocks[number].insts[-1].targets:
            if position[target.block] >= 0 and target.args:
                back[target.block] = None if target.block in back else target
    passed: dict[int, tuple[int, int]] = {}
    for head, edge in back.items():
        if edge is not None:
            for param, value in zip(blocks[head].params, edge.args, strict=True):
                passed[value] = (param, head)
    return passed


def _late_uses(function: Function, passed: dict[int, tuple[int, int]], constants: dict[int, int]) -> list[_Step]:
    """The steps behind which there are uses of the old value. `constants` gets the integer constants."""
    steps: dict[int, _Step] = {}  # by old value
    for number in function.layout:
        insts = function.blocks[number].insts
        spend(len(insts))
        for inst in insts:
            if inst.op == ICONST:
                constants[inst.result] = inst.imm
                continue
            args = inst.args
            if steps:
                for value in args:
                    if value in steps:
                        users = steps[value].users
                        if not users or users[-1][1] is not inst:
                            users.append((number, inst))
            if inst.op == IADD and inst.result in passed:
                old, head = passed[inst.result]
                if args[0] == old and args[1] in constants:
                    steps[old] = _Step(old, inst.result, constants[args[1]], number, head)
        if steps:
            for target in insts[-1].targets:
                for value in target.args:
                    if value in steps:
                        edges = steps[value].edges
                        if not edges or edges[-1][1] is not target:
                            edges.append((number, target))
    return [step for step in steps.values() if step.users or step.edges]


def _is_inside(forest: LoopForest, block: int, head: int) -> bool:
    """Whether the block is in the loop of `head`, or so deep in loops that it is not worth the search."""
    header = forest.header[block]
    for _ in range(_MAX_DEPTH):
        if header == NO_LOOP or header == head:
            return header == head
        header = forest.parent[header]
    return True


def _all_can_go(step: _Step, tree: DominatorTree, forest: LoopForest, constants: dict[int, int]) -> bool:
    outside: set[int] = set()
    for number, inst in step.users:
        if not tree.dominates(step.block, number):
            return False
        if not _is_inside(forest, number, step.head):
            outside.add(number)
        elif not _costs_nothing(inst, step.old, constants):
            return False
    for number, target in step.edges:
        if not tree.dominates(step.block, number) or _is_inside(forest, target.block, step.head):
            return False
    return len(outside) + len(step.edges) <= _MAX_PLACES


def _costs_nothing(inst: Inst, old: int, constants: dict[int, int]) -> bool:
    args = inst.args
    if inst.op == IADD:
        return args[0] == old and args[1] in constants
    form = FORMATS[inst.op]
    return (form == LOAD_ or form == STORE_) and inst.imm == 0 and args.count(old) == 1 and args[0] == old


def _rewrite(function: Function, step: _Step, constants: dict[int, int], edits: _Edits) -> None:
    blocks = function.blocks
    type = function.value_types[step.old]
    again: dict[int, int] = {}  # by block: the old value, computed there
    for number, inst in step.users:
        if inst.op == IADD and inst.args[0] == step.old and inst.args[1] in constants:
            constant = _constant(function, number, inst, type, constants[inst.args[1]] - step.constant, edits)
            inst.args = [step.new, constant]
            continue
        if number not in again:
            again[number] = _old_value(function, number, inst, step, edits)
        inst.args = [again[number] if value == step.old else value for value in inst.args]
    for number, target in step.edges:
        while step.old not in target.args:  # an earlier step has split the edge
            number = target.block
            target = blocks[number].insts[-1].targets[0]
        if number not in again and len(blocks[number].insts[-1].targets) > 1:
            number = _split(function, target, edits)
            target = blocks[number].insts[-1].targets[0]
        if number not in again:
            again[number] = _old_value(function, number, blocks[number].insts[-1], step, edits)
        target.args = [again[number] if value == step.old else value for value in target.args]


def _constant(function: Function, block: int, before: Inst, type: int, number: int, edits: _Edits) -> int:
    value = function.new_value(type)
    edits.insert(block, before, Inst(ICONST, type, [], number & TYPE_MASK[type], 0, value, before.loc))
    return value


def _old_value(function: Function, block: int, before: Inst, step: _Step, edits: _Edits) -> int:
    """The old value, computed from the new in front of `before`."""
    type = function.value_types[step.old]
    constant = _constant(function, block, before, type, -step.constant, edits)
    value = function.new_value(type)
    edits.insert(block, before, Inst(IADD, type, [step.new, constant], 0, 0, value, before.loc))
    return value


def _split(function: Function, target: Target, edits: _Edits) -> int:
    """A new block on the edge, with the edge's arguments."""
    block = function.new_block()
    block.insts.append(Inst(JUMP, VOID, [], targets=[Target(target.block, target.args)]))
    edits.layout.setdefault(target.block, []).append(block.number)
    target.block = block.number
    target.args = []
    return block.number
