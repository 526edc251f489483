"""Which blocks are emitted, and in which order.

A block that holds nothing but a jump is left out, and branches to it lead to its target. The others come in order of number, cold
ones last, but for the last block of a loop that is left in front of it:

    head:  ...                                    jmp  head
           je   exit                       last:  mov  rax, rcx
    last:  mov  rax, rcx              =>   head:  ...
           jmp  head                              jne  last
    exit:                                  exit:

So a loop costs one jump where it is entered, instead of one each time around. (Moves that the way out can bear are in front of the
branch already, and the block is gone: regalloc/latches.py.)
"""

from __future__ import annotations

from brolga.regalloc.operand import Allocation, MachineBlock, Move

from .inst import Inst
from .insts import BRANCH, JMP, RET
from .vcode import VCode


def _only(block: MachineBlock, moves: dict[int, list[Move]], op: int) -> bool:
    """Whether the block holds nothing but one instruction `op`."""
    if len(block.insts) != 1 or moves:
        return False
    inst = block.insts[0]
    assert isinstance(inst, Inst)
    return inst.op == op


def is_return(block: MachineBlock, moves: dict[int, list[Move]]) -> bool:
    """Whether the block holds nothing but a RET."""
    return _only(block, moves, RET)


def forwarded(blocks: list[MachineBlock], allocation: Allocation) -> list[int]:
    """For each block, the one to which jumps to it should lead: itself unless it holds nothing but a JMP."""
    moves = allocation.moves
    forward = list(range(len(blocks)))
    for number in range(len(blocks) - 1, 0, -1):  # most jumps lead forwards, so targets have mostly been seen
        block = blocks[number]
        if (
            _only(block, moves[number], JMP)
            and not allocation.changes_at_start(block, blocks)
            and not allocation.changes_at_end(block)
        ):
            target = forward[block.succs[0]]
            if forward[target] == target and target != number:
                forward[number] = target
    # A target that was forwarded itself after it had been taken (along a jump backwards).
    for number in range(len(blocks)):
        while forward[forward[number]] != forward[number]:
            forward[number] = forward[forward[number]]
    return forward


def emission_order(vcode: VCode, forward: list[int], rotate: bool = True) -> tuple[list[int], set[int]]:
    """Blocks in the order in which they are emitted; and those with which begins what `vcode.align` is about. `rotate`: move the ends of
    loops ahead."""
    blocks = vcode.code.blocks
    cold = vcode.cold
    align = vcode.align
    warm = [n for n, target in enumerate(forward) if n == target and not (n < len(cold) and cold[n])]
    first = _moved_ahead(blocks, forward, warm) if rotate else {}
    tops: set[int] = set()
    order: list[int] = []
    moved = set(first.values())
    for number in warm:
        if number in moved:
            continue
        top = first.get(number, number)
        if top != number:
            order.append(top)
        if number < len(align) and align[number]:
            tops.add(top)
        order.append(number)
    order += [n for n, is_cold in enumerate(cold) if is_cold and forward[n] == n]
    return order, tops


def _moved_ahead(blocks: list[MachineBlock], forward: list[int], order: list[int]) -> dict[int, int]:
    """By head of a loop: the block that goes in front of it.

    It is the only one that leads back there, and the block before it falls through into it, or leaves the loop.
    """
    back_edges = [0] * len(blocks)
    for number in order:
        for succ in blocks[number].succs:
            head = forward[succ]
            if head <= number:
                back_edges[head] += 1
    first: dict[int, int] = {}
    for place in range(1, len(order)):
        number = order[place]
        block = blocks[number]
        last = block.insts[-1]
        assert isinstance(last, Inst)
        if last.op != JMP or len(block.preds) != 1:
            continue
        head = forward[block.succs[0]]
        before = order[place - 1]
        if head >= number or head == 0 or back_edges[head] != 1 or block.preds[0] != before:
            continue
        branch = blocks[before].insts[-1]
        assert isinstance(branch, Inst)
        if branch.op == BRANCH:
            first[head] = number
    return first
