"""Simplify the control-flow graph: forward branches through empty blocks, merge blocks into their only predecessor.

    block0: brif v0, block1(v4), block2       block0: brif v0, block3(v4), block2
    block1(v1: i32): jump block3(v1)     =>   block2: return
    block2: return                            block3(v5: i32): ...
    block3(v5: i32): ...

Input: no unreachable blocks; blocks with one incoming branch have no parameters (`block_params` has run). A branch
whose targets are equal becomes a jump.
"""

from __future__ import annotations

from ..function import NO_ARGS, Block, Function, Inst, Target
from ..opcodes import BR_TABLE, BRIF, JUMP
from ..work import BLOCK, spend


def run(function: Function) -> None:
    blocks = function.blocks
    forward = _empty_blocks(function)
    if forward:
        for number in function.layout:
            for target in blocks[number].insts[-1].targets:
                if target.block in forward:
                    beyond = forward[target.block]
                    target.args = _passed_on(blocks[target.block], target.args, beyond)
                    target.block = beyond.block

    spend(BLOCK * len(blocks))
    incoming = [0] * len(blocks)
    for number in function.layout:
        last = blocks[number].insts[-1]
        if last.op == BRIF or last.op == BR_TABLE:
            _unify(last)
    reached = [False] * len(blocks)
    reached[function.layout[0]] = True
    pending = [function.layout[0]]
    while pending:
        for target in blocks[pending.pop()].insts[-1].targets:
            incoming[target.block] += 1
            if not reached[target.block]:
                reached[target.block] = True
                pending.append(target.block)

    spend(BLOCK * len(blocks))
    for number in function.layout:
        if not reached[number]:
            continue
        block = blocks[number]
        last = block.insts[-1]
        if last.op != JUMP or incoming[last.targets[0].block] != 1:
            continue
        block.insts.pop()
        while last.op == JUMP and incoming[last.targets[0].block] == 1:
            successor = blocks[last.targets[0].block]
            if successor is block or successor.params:
                break
            _append(block, successor)
            reached[successor.number] = False
            last = block.insts.pop()
        block.insts.append(last)
    function.layout = [number for number in function.layout if reached[number]]
    function.analysis = None


def _append(block: Block, successor: Block) -> None:
    """Put the instructions of `successor`, which only `block` jumps to, at the end of `block`."""
    block.insts.extend(successor.insts)
    successor.insts = successor.insts[-1:]


def _empty_blocks(function: Function) -> dict[int, Target]:
    """By block that does nothing but jump: where it leads in the end.

    Such a block may pass on its own parameters and others, but not more than it has: then no branch gets more
    arguments. Its parameters must have no other uses. There are some if it dominates its target: where that has no
    other predecessor it is merged into the block, and a loop header keeps the block in front of it.

    A block that is branched back to stays, so that nested loops keep their own headers; then no cycle is left either.
    """
    blocks = function.blocks
    place = [0] * len(blocks)
    for position, number in enumerate(function.layout):
        place[number] = position
    incoming = [0] * len(blocks)
    is_header = [False] * len(blocks)
    is_header[function.layout[0]] = True
    for number in function.layout:
        for target in blocks[number].insts[-1].targets:
            incoming[target.block] += 1
            if place[target.block] <= place[number]:
                is_header[target.block] = True
    candidates: list[Block] = []
    for number in function.layout:
        block = blocks[number]
        if len(block.insts) > 1 or block.insts[0].op != JUMP or is_header[number]:
            continue
        target = block.insts[0].targets[0]
        if len(target.args) <= len(block.params) and (not block.params or incoming[target.block] > 1):
            candidates.append(block)
    forward: dict[int, Target] = {}
    if not candidates:
        return forward
    used = _used_elsewhere(function, _maybe_dominating(function, candidates))
    for block in candidates:
        if block.number not in used:
            target = block.insts[0].targets[0]
            forward[block.number] = Target(target.block, target.args)
    _resolve_chains(blocks, forward)
    return forward


def _maybe_dominating(function: Function, candidates: list[Block]) -> list[Block]:
    """The empty blocks with parameters that may dominate their target; other blocks can use parameters of these only.

    A block does not if a search from the entry reaches the target from another one: as it leads nowhere else, the way there
    goes round it. Two searches differ in which of the blocks before a target they come from.
    """
    found = [block for block in candidates if block.params]
    if found:
        reached_from = _search(function, False)
        found = [block for block in found if reached_from[block.insts[0].targets[0].block] == block.number]
    if found:
        reached_from = _search(function, True)
        found = [block for block in found if reached_from[block.insts[0].targets[0].block] == block.number]
    return found


def _search(function: Function, backwards: bool) -> list[int]:
    """By block: that from which a search from the entry reaches it, along the targets of a branch in their order or backwards."""
    blocks = function.blocks
    reached_from = [-1] * len(blocks)
    entry = function.layout[0]
    reached_from[entry] = entry
    pending = [entry]
    while pending:
        number = pending.pop()
        targets = blocks[number].insts[-1].targets
        if backwards and len(targets) > 1:
            targets = targets[::-1]
        for target in targets:
            if reached_from[target.block] < 0:
                reached_from[target.block] = number
                pending.append(target.block)
    return reached_from


def _used_elsewhere(function: Function, candidates: list[Block]) -> set[int]:
    """The empty blocks whose parameters other blocks use."""
    used: set[int] = set()
    owner: dict[int, int] = {}
    for block in candidates:
        for param in block.params:
            owner[param] = block.number
    if not owner:
        return used
    for number in function.layout:
        insts = function.blocks[number].insts
        spend(len(insts))
        for inst in insts:
            for value in inst.args:
                if value in owner:
                    used.add(owner[value])
            for target in inst.targets:
                for value in target.args:
                    if value in owner and owner[value] != number:
                        used.add(owner[value])
    return used


def _passed_on(block: Block, args: list[int], beyond: Target) -> list[int]:
    """The arguments for `beyond` when `block`, which leads there, would get `args`."""
    if not block.params:
        return beyond.args
    passed = dict(zip(block.params, args, strict=True))
    return [passed.get(value, value) for value in beyond.args]


def _resolve_chains(blocks: list[Block], forward: dict[int, Target]) -> None:
    """Make each empty block point to the end of its chain."""
    resolved: set[int] = set()
    for start in forward:
        path: list[int] = []
        number = start
        while number in forward and number not in resolved:
            resolved.add(number)
            path.append(number)
            number = forward[number].block
        while path:
            target = forward[path.pop()]
            if target.block in forward:
                beyond = forward[target.block]
                target.args = _passed_on(blocks[target.block], target.args, beyond)
                target.block = beyond.block


def _unify(branch: Inst) -> None:
    """Make a branch with equal targets a jump."""
    first = branch.targets[0]
    for target in branch.targets:
        if target.block != first.block or target.args != first.args:
            return
    branch.op = JUMP
    branch.args = NO_ARGS
    branch.imm = 0
    branch.targets = [first]
