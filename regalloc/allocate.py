"""Register allocation on SSA.

    liveness    order of the walk, loops, live sets at block entries, positions of uses, hints
    walk        one pass over the instructions in that order: evict where registers run out, choose registers
    slots       assign spill slots, decide where values are stored (`stores`), put the moves in order

Which values are in registers depends only on how many may be, never on which registers they have (SSA live ranges are chordal:
as many registers as there are values at the fullest point suffice), so spilling need not know the colours, and colouring finds
what spilling has left it. That allows one walk to do both, instruction by instruction: first make the uses resident and evict
what is too much, then colour the definitions. A function without pressure never evicts and pays nothing for it.

A block goes on with the registers of its predecessor, if it has one and no parameters; the others get their entry state, and
moves on the edges into it, from `edges`. Plain instructions are handled here, those with fixed operands or clobbers in
`constrained`.
"""

from __future__ import annotations

from bisect import bisect_right

from .color import ALL, BITS, Registers, registers_in
from .constrained import allocate_constrained
from .edges import Edges
from .liveness import NEVER, Liveness
from .loops import NO_LOOP, Flow
from .operand import BLOCK, GPR, STRIDE, Allocation, Code, MachineBlock, MachineEnv, Move
from .policy import DEFAULT_POLICY, Policy
from .shrink_wrap import expect_frameless, place_frame
from .slots import finish_moves
from .spill import Spills


def allocate(code: Code, env: MachineEnv, policy: Policy = DEFAULT_POLICY) -> Allocation:
    """Fill `locations` of all instructions of `code`; the result has the moves to insert. Raises RegAllocError."""
    work = BLOCK * len(code.blocks)
    code.spend(work)
    flow = Flow(code.blocks)
    code.spend(work)
    live = Liveness(code, flow, policy)
    code.spend(work)
    registers = Registers(live, env)
    moves: list[dict[int, list[Move]]] = [{} for _ in code.blocks]
    spills = Spills(live, registers, moves)
    edges = Edges(live, registers, spills)
    frameless = (
        expect_frameless(live, registers.class_masks[GPR] & ~env.callee_saved) if policy.shrink_wrapping else []
    )
    before = -1
    for b in flow.order:
        block = code.blocks[b]
        code.spend(4 * len(block.insts))
        registers.cursor = bisect_right(live.special_positions, live.base[b])
        registers.loop = flow.loop_of[b]
        if frameless:
            registers.avoided = env.callee_saved if frameless[b] else 0
        spills.begin_block(b, registers.loop)
        dead = live.begin_block(b)
        if before >= 0:
            if len(block.preds) == 1 and not block.params:
                _continue_from(block.preds[0], before, b, live, registers, edges)
            else:
                edges.enter(b)
        registers.unwanted = edges.unwanted[spills.loop] if spills.loop != NO_LOOP else 0
        _walk(block, live, registers, spills, env.scratch_vector)
        edges.leave(b)
        live.end_block(dead)
        before = b
    code.spend(work)
    slots = finish_moves(live, spills, edges, env.scratch_vector)
    code.spend(work)
    framed = place_frame(live, moves, registers.used, env.callee_saved, slots) if policy.shrink_wrapping else []
    return Allocation(moves, slots, registers.used, framed)


def _continue_from(pred: int, before: int, b: int, live: Liveness, registers: Registers, edges: Edges) -> None:
    """Take over the registers from the end of `pred`, without what is dead."""
    if pred != before:
        registers.restore(edges.exit_vregs[pred], edges.exit_free[pred])
    gone = live.live_out[pred] & ~live.live_in[b]
    if gone:
        number = live.number
        register_of = registers.register_of
        vreg_in = registers.vreg_in
        for register in registers_in(ALL & ~registers.free):
            v = vreg_in[register]
            if gone >> number[v] & 1:
                registers.free |= BITS[register]
                register_of[v] = -1


def _walk(block: MachineBlock, live: Liveness, registers: Registers, spills: Spills, scratch_vector: int) -> None:
    pos = live.base[block.number]
    index = -1
    last = live.last
    uses = live.uses
    hint = live.hint
    flows_to = live.flows_to
    tied_to = live.tied_to
    home = registers.home
    register_of = registers.register_of
    vreg_in = registers.vreg_in
    vreg_class = registers.vreg_class
    class_masks = registers.class_masks
    first_gpr = registers.first_gpr
    first_xmm = registers.first_xmm
    unwanted = registers.unwanted
    exchanges = live.policy.exchanges_operands
    special_positions = live.special_positions
    special_count = len(special_positions)
    next_special = special_positions[registers.cursor] if registers.cursor < special_count else NEVER
    look_up_at = STRIDE
    for inst in block.insts:
        pos += 1
        index += 1
        if index >= look_up_at:
            look_up_at = index + STRIDE
            live.code.spend(4 * STRIDE)
        shape = inst.shape
        if not shape.plain:
            while next_special <= pos:
                registers.cursor += 1
                next_special = special_positions[registers.cursor] if registers.cursor < special_count else NEVER
            allocate_constrained(inst, index, pos, live, registers, spills, scratch_vector)
            continue
        operands = inst.operands
        locations = [register_of[v] for v in operands]
        definition = shape.definition
        if definition < 0:
            if -1 in locations:
                locations = spills.fill(inst, index, pos)
            for v in operands:
                if last[v] == pos and register_of[v] >= 0:
                    registers.free |= BITS[register_of[v]]
                    register_of[v] = -1
            inst.locations = locations
            continue
        locations[definition] = ALL
        if shape.commutes and last[operands[2]] == pos and locations[2] >= 0 and exchanges:
            _order_commuting(operands, locations, last[operands[1]] == pos, registers)
        if -1 in locations:
            locations = spills.fill(inst, index, pos)
        target = operands[definition]
        register = -1
        if shape.tied >= 0:
            if last[operands[shape.tied]] == pos:
                register = locations[shape.tied]
            else:
                locations[definition] = -1
                register = spills.copy_for_tie(inst, index, pos, locations)
        near = -1
        for v in operands:
            if last[v] == pos and register_of[v] >= 0:
                near = register_of[v]
                registers.free |= BITS[near]
                register_of[v] = -1
        if register < 0:
            candidates = registers.free & class_masks[vreg_class[target]]
            if not candidates:
                register = spills.make_room(class_masks[vreg_class[target]], pos, index)
            else:
                end = last[target]
                if end == NEVER:
                    end = uses[target][-1]
                if (
                    hint[target] < 0
                    and flows_to[target] < 0
                    and (next_special == NEVER or (end < next_special and tied_to[target] < 0))
                ):
                    candidates = candidates & ~unwanted or candidates
                    if near >= 0 and candidates & BITS[near]:
                        register = near
                    else:
                        register = first_gpr[candidates] if candidates < 65536 else first_xmm[candidates >> 16]
                else:
                    if hint[target] >= 0:
                        spills.vacate(target, locations, index)
                        candidates = registers.free & class_masks[vreg_class[target]]
                    register = registers.choose(target, candidates, near)
        locations[definition] = register
        inst.locations = locations
        registers.used |= BITS[register]
        home[target] = register
        if flows_to[target] >= 0 and home[flows_to[target]] < 0:
            home[flows_to[target]] = register
        if last[target] != pos:
            registers.free &= ~BITS[register]
            vreg_in[register] = target
            register_of[target] = register


def _order_commuting(operands: list[int], locations: list[int], first_dies: bool, registers: Registers) -> None:
    """Exchange the inputs of a commuting instruction, the second of which is in a register and dies, unless the first is at least
    as good to be overwritten. A register that a parameter of the loop wants back is worse.
    """
    if first_dies and locations[1] >= 0:
        first = BITS[locations[1]]
        second = BITS[locations[2]]
        in_the_way = registers.unwanted & first and not registers.unwanted & second
        if registers.wish(operands[0], second) < 0 and not (in_the_way and registers.wish(operands[0], first) < 0):
            return
    operands[1], operands[2] = operands[2], operands[1]
    locations[1], locations[2] = locations[2], locations[1]
