"""Which blocks have the stack frame: functions save registers only on paths that need them.

    entry:  push rbx                      entry:  cmp  edi, 2
            cmp  edi, 2                           jb   out
            jb   out                      slow:   push rbx
    slow:   mov  rbx, rdi                         mov  rbx, rdi
            call f                  =>            call f
            add  eax, ebx                         add  eax, ebx
    out:    pop  rbx                              pop  rbx
            ret                           out:    ret

A block with the frame finds the callee-saved registers saved and the spill slots there; one without leaves both alone. Where
control goes from one kind to the other the frame is made or taken down: at the end of a block with one successor, else at the
start of the next block, which then has one predecessor, as no edge is critical.

Blocks need the frame that touch such a register or a slot, or between whose ends one holds a value. All others may have it.
The costs are the frequencies of the edges between both kinds, of the entry and of returns with the frame: a cut through the graph, as
in Chow: "Minimizing Register Usage Penalty at Procedure Calls" (1988) and Lupo & Wilken: "Post Register Allocation Spill Code
Optimization" (2006). From the blocks that need it the frame spreads to neighbours, one at a time, while the cut does not become
dearer. An outermost loop counts as one block, so no frame is made in a loop.

`expect_frameless` guesses the same before registers are chosen: blocks need the frame where values live across calls. In blocks that
are expected to do without, callee-saved registers are the last to be taken; what lives across a call is moved there, behind the
place where the frame is made.
"""

from __future__ import annotations

from typing import Final

from .liveness import Liveness
from .loops import NO_LOOP, Flow
from .operand import DEF, FIRST_SPILL_SLOT, MOVE_EXCHANGE, MachineBlock, Move

WORTH_WHILE: Final = 0.8  # of the cost of a frame for the whole function
MAX_SWEEPS: Final = 4
_SLOTS: Final = 1 << 32  # beside registers in masks: some spill slot; a write to one does not overwrite the others


def expect_frameless(live: Liveness, caller_saved: int) -> list[bool]:
    """Blocks that will do without the frame, if it is only needed where values live across calls, which destroy the registers
    `caller_saved`. Empty if the whole function had better have one.
    """
    flow = live.flow
    blocks = live.code.blocks
    if len(blocks) < 3 or not flow.reducible:
        return []
    uses = live.uses
    number = live.number
    remat = live.code.remat
    across = live.across
    passed = 0  # of `across`
    vreg_of = [-1] * len(live.vreg_of)  # by bit, as the walk reaches blocks
    rematerialised = 0  # bits of what can be made again
    kept = [0] * len(blocks)  # what is in callee-saved registers at the end of a block, presumably
    needs = [False] * len(blocks)
    found = False
    node = _nodes(flow)
    for b in flow.order:
        block = blocks[b]
        while passed < len(across) and uses[across[passed]][0] <= live.end[b]:
            v = across[passed]
            bit = 1 << number[v]
            vreg_of[number[v]] = v
            rematerialised = rematerialised & ~bit if remat[v] is None else rematerialised | bit
            passed += 1
        held = 0
        if len(block.preds) == 1 and not block.params:
            held = kept[block.preds[0]] & live.live_in[b]
        needed = block.needs_frame or held != 0
        if live.clobbers[b] & caller_saved:
            living = _across_calls(live, b, caller_saved, vreg_of, rematerialised)
            if living:
                needed = True
                held |= living
        if needed:
            if node[b] == 0:
                return []
            needs[node[b]] = True
            found = True
        kept[b] = held & live.live_out[b]
    if not found:
        return []
    framed = _cut(blocks, flow, node, needs)
    return [not has for has in framed]


def _across_calls(live: Liveness, b: int, caller_saved: int, vreg_of: list[int], rematerialised: int) -> int:
    """What lives across calls in block b, as a mask; a bit outside of all masks stands for values that live in b only."""
    block = live.code.blocks[b]
    uses = live.uses
    remat = live.code.remat
    pos = live.base[b]
    call = -1
    local = False
    for inst in block.insts:
        pos += 1
        if call >= 0 and not local:
            for v in inst.operands:
                if uses[v][0] < call and remat[v] is None:
                    local = True
                    break
        if (inst.shape.clobbers | inst.shape.fixed_late) & caller_saved == caller_saved:
            call = pos
    for v in block.branch_args:
        if uses[v][0] < call and remat[v] is None:
            local = True
    if call < 0:
        return 0
    out = live.live_out[b] & ~rematerialised
    across = out & live.live_in[b]
    own = out & ~across
    while own:
        lowest = own & -own
        own ^= lowest
        if uses[vreg_of[lowest.bit_length() - 1]][0] < call:
            across |= lowest
    return across | (1 << len(vreg_of) if local else 0)


def place_frame(
    live: Liveness, moves: list[dict[int, list[Move]]], used: int, callee_saved: int, slots: int
) -> list[bool]:
    """For each block of the allocated code whether it has the frame; empty if the whole function has it. `used`: the registers
    that it writes.
    """
    blocks = live.code.blocks
    flow = live.flow
    saved = used & callee_saved
    if len(blocks) < 2 or not flow.reducible or not (saved or slots):
        return []
    _, read, written = _touched(blocks[0], moves[0], saved)
    if read or written or blocks[0].needs_frame:
        return []
    node = _nodes(flow)
    count = len(blocks)
    reads = [0] * count  # by node, as all that follows: what is read before it is written there, in loops read at all
    writes = [0] * count
    needs = [False] * count
    for b in flow.order:
        n = node[b]
        exposed, read, written = _touched(blocks[b], moves[b], saved)
        reads[n] |= exposed if flow.loop_of[b] == NO_LOOP else read
        writes[n] |= written
        if read or written or blocks[b].needs_frame:
            needs[n] = True
    before = [0] * count  # written before the node's end
    for b in flow.order:
        n = node[b]
        if n == b:
            before[n] = writes[n]
            for p in blocks[b].preds:
                before[n] |= before[node[p]]
    after = [0] * count  # read behind the node's start, without having been written in between
    for b in reversed(flow.order):
        n = node[b]
        for s in blocks[b].succs:
            if node[s] != n:
                after[n] |= after[node[s]]
        if n == b:
            if after[n] & before[n]:
                needs[n] = True
            if flow.loop_of[b] == NO_LOOP:
                after[n] &= ~writes[n] | _SLOTS
            after[n] |= reads[n]
    return _cut(blocks, flow, node, needs)


def _touched(block: MachineBlock, moves: dict[int, list[Move]], saved: int) -> tuple[int, int, int]:
    """What of the registers `saved` and of slots the block reads before it writes it, reads, and writes."""
    exposed = 0
    read = 0
    written = 0
    for index, inst in enumerate(block.insts):
        if moves and index in moves:
            for move in moves[index]:
                source = _bit(move.source, saved)
                destination = _bit(move.destination, saved)
                if move.kind == MOVE_EXCHANGE:
                    source |= destination
                    destination = source
                exposed |= source & (~written | _SLOTS)
                read |= source
                written |= destination
        kinds = inst.shape.kinds
        here = inst.shape.clobbers & saved
        for place, location in enumerate(inst.locations):
            if location >= FIRST_SPILL_SLOT or saved >> location & 1:
                bit = _bit(location, saved)
                if place < len(kinds) and kinds[place] == DEF:
                    here |= bit
                else:
                    exposed |= bit & (~written | _SLOTS)
                    read |= bit
        written |= here
    return exposed, read, written


def _bit(location: int, saved: int) -> int:
    if location >= FIRST_SPILL_SLOT:
        return _SLOTS
    return saved & 1 << location if location >= 0 else 0


def _nodes(flow: Flow) -> list[int]:
    """For each block the head of the outermost loop around it, or itself."""
    outermost = flow.headers[:]
    for loop in range(len(flow.headers) - 1, -1, -1):  # outer ones first
        if flow.parents[loop] != NO_LOOP:
            outermost[loop] = outermost[flow.parents[loop]]
    return [b if loop == NO_LOOP else outermost[loop] for b, loop in enumerate(flow.loop_of)]


def _cut(blocks: list[MachineBlock], flow: Flow, node: list[int], needs: list[bool]) -> list[bool]:
    """Blocks with the frame, by what `needs` it among the nodes; empty if that is not worth while."""
    count = len(blocks)
    neighbours: list[list[int]] = [[] for _ in range(count)]
    weights: list[list[float]] = [[] for _ in range(count)]
    outside = [0.0] * count  # what the frame costs at the entry and at returns
    outside[0] = 1.0
    whole = 1.0
    nodes: list[int] = []
    for b in flow.order:
        n = node[b]
        if n == b:
            nodes.append(n)
        block = blocks[b]
        if not block.succs:
            outside[n] += block.frequency
            whole += block.frequency
        for s in block.succs:
            m = node[s]
            if m != n:
                weight = block.frequency if len(block.succs) == 1 else blocks[s].frequency
                neighbours[n].append(m)
                weights[n].append(weight)
                neighbours[m].append(n)
                weights[m].append(weight)
    framed = needs[:]
    changed = True
    sweeps = 0
    while changed and sweeps < MAX_SWEEPS:
        changed = False
        sweeps += 1
        nodes.reverse()
        for n in nodes:
            if not framed[n]:
                gain = -outside[n]
                around = weights[n]
                for i, m in enumerate(neighbours[n]):
                    gain += around[i] if framed[m] else -around[i]
                if gain > -1e-6:
                    framed[n] = True
                    changed = True
    if framed[0]:
        return []
    cost = 0.0
    for n in nodes:
        if framed[n]:
            cost += outside[n]
            around = weights[n]
            for i, m in enumerate(neighbours[n]):
                if not framed[m]:
                    cost += around[i]
    if cost > WORTH_WHILE * whole:
        return []
    return [framed[n] for n in node]
