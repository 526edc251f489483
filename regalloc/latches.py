"""Moves at the end of loops.

    body:   ...                           body:   ...
            add  rcx, -1                          mov  rdx, rsi
            je   exit                    =>       add  rcx, -1
    latch:  mov  rdx, rsi                         jne  body
            jmp  body                     exit:

The moves of an edge that leads back to a loop's head stand in a block of their own, which costs a jump each time around. They
go in front of the branch if the way out does not need what they overwrite; it runs them for nothing, once. They go in front of
the instruction that sets the flags, too, so that the processor makes one operation of both, unless that reads what they overwrite.
"""

from __future__ import annotations

from .color import BITS
from .edges import Edges
from .liveness import Liveness
from .operand import DEF, FIRST_SPILL_SLOT, MOVE_COPY, MachineInst, Move


def hoist_latch_moves(live: Liveness, edges: Edges, all_moves: list[dict[int, list[Move]]]) -> None:
    """Empty the latches, where that can be. The moves are in their final form."""
    blocks = live.code.blocks
    for latch in edges.moves:
        block = blocks[latch]
        moves = all_moves[latch].get(0)
        if moves is None or len(block.insts) != 1 or len(block.preds) != 1:
            continue
        if live.base[block.succs[0]] > live.base[latch]:
            continue
        before = blocks[block.preds[0]]
        if len(before.succs) != 2 or len(before.insts) < 2:
            continue
        number = before.number
        end = len(before.insts) - 1
        out = before.succs[0] if before.succs[1] == latch else before.succs[1]
        if out == latch or end in all_moves[number] or before.insts[end].operands:
            continue
        if _copy_registers(moves) and not _needed(live, edges, moves, number, out):
            place = end - 1 if _independent(moves, before.insts[end - 1]) else end
            all_moves[number].setdefault(place, []).extend(moves)
            del all_moves[latch][0]


def _copy_registers(moves: list[Move]) -> bool:
    for move in moves:
        if move.kind != MOVE_COPY or move.source >= FIRST_SPILL_SLOT or move.destination >= FIRST_SPILL_SLOT:
            return False
    return True


def _independent(moves: list[Move], inst: MachineInst) -> bool:
    """Whether the moves can be done before the instruction as well as behind it."""
    touched = inst.shape.clobbers
    written = inst.shape.clobbers
    kinds = inst.shape.kinds
    for place, location in enumerate(inst.locations):
        if location < FIRST_SPILL_SLOT:
            touched |= BITS[location]
            if place < len(kinds) and kinds[place] == DEF:
                written |= BITS[location]
    for move in moves:
        if BITS[move.destination] & touched or BITS[move.source] & written:
            return False
    return True


def _needed(live: Liveness, edges: Edges, moves: list[Move], before: int, out: int) -> bool:
    """Whether block `out` needs what is in a register that the moves write to, at the end of block `before`."""
    free = edges.exit_free[before]
    vregs = edges.exit_vregs[before]
    for move in moves:
        if not free & BITS[move.destination]:
            number = live.number[vregs[move.destination]]
            if number >= 0 and live.live_in[out] >> number & 1:
                return True
    return False
