"""Simplify the control-flow graph: forward jumps through empty blocks, merge blocks into their only predecessor.

    block0: brif v0, block1, block2        block0: brif v0, block3(v4), block2
    block1: jump block3(v4)          =>    block2: trap unreachable
    block2: trap unreachable               block3(v5: i32): ...
    block3(v5: i32): ...

Input: no unreachable blocks; blocks with one incoming branch have no parameters (`block_params` has run). A branch whose targets are equal
becomes a jump.
"""

from __future__ import annotations

from ..function import NO_ARGS, Block, Function, Inst, Target
from ..opcodes import BR_TABLE, BRIF, JUMP


def run(function: Function) -> None:
    blocks = function.blocks
    forward: dict[int, Target] = {}
    for number in function.layout:
        block = blocks[number]
        if len(block.insts) == 1 and block.insts[0].op == JUMP and not block.params:
            forward[number] = block.insts[0].targets[0]
    if forward:
        _resolve_chains(forward)
        for number in function.layout:
            for target in blocks[number].insts[-1].targets:
                beyond = forward.get(target.block)
                if beyond is not None:
                    target.block = beyond.block
                    target.args = list(beyond.args)

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


def _append(block: Block, successor: Block) -> None:
    """Put the instructions of `successor`, which only `block` jumps to, at the end of `block`."""
    block.insts.extend(successor.insts)
    successor.insts = successor.insts[-1:]


def _resolve_chains(forward: dict[int, Target]) -> None:
    """Make each empty block point to the end of its chain. A cycle of empty blocks is an endless loop: it stays one."""
    resolved: set[int] = set()
    for start in list(forward):
        path: list[int] = []
        number = start
        while number in forward and number not in resolved:
            resolved.add(number)
            path.append(number)
            number = forward[number].block
        if path:
            end = forward[number] if number in forward else forward[path[-1]]
            for other in path:
                forward[other] = end


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
