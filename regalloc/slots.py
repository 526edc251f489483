"""The spill slots of spilled vregs, and the moves in their final form.

A slot is taken for the interval from a vreg's definition to the end of the last block, in the order of the walk, in which it
lives; slots are given out by one scan over the intervals. A parameter in memory shares the slot of a vreg that is passed to
it where their intervals allow, which saves the move on the edge.

Moves of edges are made sequential only now: slots that became one make an order among them matter.
"""

from __future__ import annotations

from heapq import heappop, heappush

from .color import BITS
from .edges import Edges
from .errors import RegAllocError
from .liveness import Liveness
from .moves import ParallelMoves, resolve
from .operand import FIRST_SPILL_SLOT, GPR
from .spill import Spills
from .stores import place_stores


def assign_slots(live: Liveness, spilled: list[int]) -> tuple[dict[int, int], int]:
    """Slot number of each of `spilled`, and how many slots there are."""
    ends: dict[int, int] = {}
    across = 0
    for v in spilled:
        if live.number[v] >= 0:
            across |= 1 << live.number[v]
        else:
            ends[v] = live.last[v]
    for b in reversed(live.flow.order):
        if not across:
            break
        found = live.live_in[b] & across
        across ^= found
        while found:
            lowest = found & -found
            found ^= lowest
            ends[live.vreg_of[lowest.bit_length() - 1]] = live.end[b]

    intervals = [(live.uses[v][0], v) for v in spilled]
    intervals.sort()
    slot_of: dict[int, int] = {}
    wanted: dict[int, int] = {}
    active: list[tuple[int, int]] = []  # (end, slot), a heap
    free: list[int] = []  # a heap, which may hold slots that are not in `is_free` any more
    is_free: set[int] = set()
    count = 0
    for start, v in intervals:
        while active and active[0][0] < start:
            _, slot = heappop(active)
            heappush(free, slot)
            is_free.add(slot)
        target = live.flows_to[v]
        slot = wanted.get(v, -1)
        if slot not in is_free and target >= 0:
            slot = slot_of.get(target, wanted.get(target, -1))
        if slot not in is_free:
            slot = -1
            while free and slot < 0:
                candidate = heappop(free)
                if candidate in is_free:
                    slot = candidate
        if slot < 0:
            slot = count
            count += 1
        is_free.discard(slot)
        slot_of[v] = slot
        if target >= 0 and target not in wanted:
            wanted[target] = slot
        heappush(active, (ends[v], slot))
    return slot_of, count


def finish_moves(live: Liveness, spills: Spills, edges: Edges, scratch_vector: int) -> int:
    """Complete the moves, and the locations of instructions that read slots. Returns the number of slots."""
    slot_of: dict[int, int] = {}
    count = 0
    if spills.stored:
        place_stores(live, spills, edges)
        slot_of, count = assign_slots(live, list(spills.stored))
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
