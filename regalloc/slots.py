"""The spill slots of spilled vregs, and the moves in their final form.

A parameter in memory and the vregs in memory that are passed to it share a slot if they are never live together (in SSA: if none
is live where the other is defined), which saves the move on the edge. Then a slot is taken for the interval from the first
definition of those that share it to the end of the last block, in the order of the walk, in which one lives; slots are given
out by one scan over the intervals.

Moves of edges are made sequential only now: slots that became one make an order among them matter.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Final

from .color import BITS
from .edges import Edges
from .errors import RegAllocError
from .latches import hoist_latch_moves
from .liveness import Liveness
from .moves import ParallelMoves, resolve
from .operand import FIRST_SPILL_SLOT, GPR
from .spill import Spills
from .stores import place_stores

MAX_PAIRS: Final = 256  # of vregs tested for interference before two groups become one

def assign_slots(live: Liveness, spills: Spills) -> tuple[dict[int, int], int]:
    """Slot number of each vreg that needs one, and how many slots there are."""
    spilled = list(spills.stored)
    ends = _ends(live, spilled)
    shared = _share(live, spills, ends) if spills.slot_params and live.policy.shares_slots else []
    starts: dict[int, int] = {}
    members: dict[int, list[int]] = {}  # by the first of those that share a slot
    for together in shared:
        first = together[0]
        members[first] = together
        starts[first] = min([live.uses[v][0] for v in together])
        ends[first] = max([ends[v] for v in together])
        for v in together[1:]:
            members[v] = []
    for v in spilled:
        if v not in members:
            members[v] = [v]
            starts[v] = live.uses[v][0]

    intervals = [(start, v) for v, start in starts.items()]
    intervals.sort()
    slot_of: dict[int, int] = {}
    active: list[tuple[int, int]] = []  # (end, slot), a heap
    free: list[int] = []  # a heap
    count = 0
    for start, first in intervals:
        while active and active[0][0] < start:
            heappush(free, heappop(active)[1])
        if free:
            slot = heappop(free)
        else:
            slot = count
            count += 1
        for v in members[first]:
            slot_of[v] = slot
        heappush(active, (ends[first], slot))
    return slot_of, count


def _ends(live: Liveness, spilled: list[int]) -> dict[int, int]:
    """A position after which the vreg is not live any more."""
    ends: dict[int, int] = {}
    across: set[int] = set()
    number = live.number
    for v in spilled:
        if number[v] >= 0:
            across.add(v)
        else:
            ends[v] = live.last[v]
    if not across:
        return ends
    wanted = 0  # bits of those whose last block is looked for, and which vregs they are
    vreg_of = [-1] * len(live.vreg_of)
    order = live.flow.order
    for place in range(len(order) - 1, -1, -1):
        for v in live.ending[place]:
            if v in across:
                wanted |= 1 << number[v]
                vreg_of[number[v]] = v
        b = order[place]
        found = live.live_in[b] & wanted
        wanted ^= found
        while found:
            lowest = found & -found
            found ^= lowest
            ends[vreg_of[lowest.bit_length() - 1]] = live.end[b]
    return ends


def _share(live: Liveness, spills: Spills, ends: dict[int, int]) -> list[list[int]]:
    """Groups of parameters in memory and what is passed to them from memory; the most frequent edges are served first."""
    blocks = live.code.blocks
    pairs: list[tuple[float, int, int]] = []
    entered = {live.block_at(live.uses[v][0]) for v in spills.slot_params}
    for b in sorted(entered):
        for k, v in enumerate(blocks[b].params):
            if v in spills.slot_params:
                for p in blocks[b].preds:
                    argument = blocks[p].branch_args[k]
                    if argument != v and argument in spills.stored:
                        pairs.append((-blocks[p].frequency, v, argument))
    pairs.sort()
    group_of: dict[int, list[int]] = {}
    for _, v, argument in pairs:
        first = group_of.get(v, [v])
        second = group_of.get(argument, [argument])
        if first is second or len(first) * len(second) > MAX_PAIRS:
            continue
        if not any(_interfere(live, ends, x, y) for x in first for y in second):
            first += second
            for x in first:
                group_of[x] = first
    groups: list[list[int]] = []
    for v, group in group_of.items():
        if group[0] == v:
            groups.append(group)
    return groups


def _interfere(live: Liveness, ends: dict[int, int], v: int, w: int) -> bool:
    """Whether one is live where the other is defined."""
    if live.uses[v][0] > live.uses[w][0]:
        v, w = w, v
    position = live.uses[w][0]
    if live.uses[v][0] == position:
        return True
    b = live.block_at(position)
    if ends[v] < live.base[b]:  # its bit may mean another vreg here
        return False
    number = live.number[v]
    if live.uses[v][0] < live.base[b] and (number < 0 or not live.live_in[b] >> number & 1):
        return False
    if number >= 0 and live.live_out[b] >> number & 1:
        return True
    last = live.last[v] if number < 0 else live.exposed[b].get(v, -1)
    return last > position


def finish_moves(live: Liveness, spills: Spills, edges: Edges, scratch_vector: int) -> int:
    """Complete the moves, and the locations of instructions that read slots. Returns the number of slots."""
    slot_of: dict[int, int] = {}
    count = 0
    if spills.stored:
        place_stores(live, spills, edges)
        slot_of, count = assign_slots(live, spills)
        for v, stores in spills.stored.items():
            for _, _, move in stores:
                move.destination = FIRST_SPILL_SLOT + slot_of[v]
    for move in spills.loads:
        v = move.source - FIRST_SPILL_SLOT
        if v not in slot_of:
            raise RegAllocError(f"{live.code.name}: v{v} is used where it is not defined")
        move.source = FIRST_SPILL_SLOT + slot_of[v]
    for inst in spills.slot_readers:
        inst.locations = [
            location if location < FIRST_SPILL_SLOT else FIRST_SPILL_SLOT + slot_of[location - FIRST_SPILL_SLOT]
            for location in inst.locations
        ]
    if _finish_edges(live, spills, edges, slot_of, scratch_vector, FIRST_SPILL_SLOT + count):
        count += 1
    if live.policy.latch_moves:
        hoist_latch_moves(live, edges, spills.all_moves)
    return count


def _finish_edges(
    live: Liveness, spills: Spills, edges: Edges, slot_of: dict[int, int], scratch_vector: int, scratch_slot: int
) -> bool:
    """Put the moves of edges in order. True if one needed the scratch slot."""
    registers = edges.registers
    needed = False
    for p, parallel in edges.moves.items():
        spare = edges.exit_free[p] & registers.class_masks[GPR] & ~registers.callee_saved
        for destination in parallel.destinations:
            if destination < FIRST_SPILL_SLOT:
                spare &= ~BITS[destination]
        final = _with_slots(parallel, slot_of) if slot_of else parallel
        sequence = resolve(final, scratch_vector, scratch_slot, registers.first(spare) if spare else -1)
        for move in sequence:
            if move.destination < FIRST_SPILL_SLOT:
                registers.used |= BITS[move.destination]
            elif move.destination == scratch_slot:
                needed = True
        if sequence:
            spills.all_moves[p].setdefault(len(live.code.blocks[p].insts) - 1, []).extend(sequence)
    return needed


def _with_slots(parallel: ParallelMoves, slot_of: dict[int, int]) -> ParallelMoves:
    """The moves between slots as they are assigned, without those that have become unnecessary."""
    final = ParallelMoves()
    final.remats = parallel.remats
    for i, destination in enumerate(parallel.destinations):
        source = parallel.sources[i]
        if destination >= FIRST_SPILL_SLOT:
            destination = FIRST_SPILL_SLOT + slot_of[destination - FIRST_SPILL_SLOT]
        if source >= FIRST_SPILL_SLOT:
            source = FIRST_SPILL_SLOT + slot_of[source - FIRST_SPILL_SLOT]
        if source != destination:
            final.copy(source, destination, parallel.vregs[i])
    return final
