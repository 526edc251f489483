"""Where spilled values are stored.

Input: a store at each place where a value leaves its register. An SSA value never changes, so a store is good for all that comes
after it: a store behind another that dominates it is not needed, a store in a loop may as well stand before the loop, and one
behind the definition is enough by itself. What runs least often is taken.
"""

from __future__ import annotations

from typing import Final

from .edges import Edges
from .liveness import Liveness
from .loops import NO_LOOP
from .operand import FIRST_SPILL_SLOT, MOVE_COPY, Move
from .spill import Spills

MAX_DOMINATORS: Final = 64  # looked at to find out whether a store is behind another


def place_stores(live: Liveness, spills: Spills, edges: Edges) -> None:
    """Leave in `spills.stored` and in the moves only those stores that are needed, maybe at better places."""
    blocks = live.code.blocks
    for v, stores in spills.stored.items():
        if v in spills.slot_params:
            _replace(spills, v, [])
            continue
        definition = live.uses[v][0]
        b = live.block_at(definition)
        index = definition - live.base[b] - 1  # -1: a parameter
        if index >= len(blocks[b].insts) - 1:
            continue  # there is no place behind a terminator
        if v not in spills.at_definition:
            if not live.policy.places_stores:
                continue
            first = _first_stores(live, edges, v, stores)
            cost = 0.0
            for block, _, _ in first:
                cost += blocks[block].frequency
            if cost < blocks[b].frequency:
                _replace(spills, v, first)
                continue
        if index < 0:
            register = edges.param_location[v]
        else:
            inst = blocks[b].insts[index]
            register = inst.locations[inst.operands.index(v)]
        _replace(spills, v, [])
        move = Move(MOVE_COPY, register, FIRST_SPILL_SLOT + v, v)
        spills.all_moves[b].setdefault(index + 1, []).insert(0, move)
        spills.stored[v] = [(b, index + 1, move)]


def _first_stores(
    live: Liveness, edges: Edges, v: int, stores: list[tuple[int, int, Move]]
) -> list[tuple[int, int, Move]]:
    """Of the stores, moved before loops, those that no other one dominates."""
    code = live.code
    by_block: dict[int, tuple[int, int, Move]] = {}
    for store in stores:
        b = store[0]
        p = _before_loops(live, v, b)
        if p >= 0 and code.blocks[p].frequency < code.blocks[b].frequency:
            register = edges.exit_register(p, v)
            if register < 0:
                continue  # in its slot already
            store = (p, len(code.blocks[p].insts) - 1, Move(MOVE_COPY, register, FIRST_SPILL_SLOT + v, v))
            b = p
        known = by_block.get(b)
        if known is None or store[1] < known[1]:
            by_block[b] = store
    if len(by_block) == 1:
        return list(by_block.values())
    first: list[tuple[int, int, Move]] = []
    for b, store in by_block.items():
        dominator = code.idom[b]
        steps = 0
        while dominator >= 0 and dominator not in by_block and steps < MAX_DOMINATORS:
            dominator = code.idom[dominator]
            steps += 1
        if dominator < 0 or dominator not in by_block:
            first.append(store)
    return first


def _before_loops(live: Liveness, v: int, b: int) -> int:
    """The only block that leads into the outermost loop around b which v is not defined in; -1 if there is none."""
    flow = live.flow
    blocks = live.code.blocks
    if not flow.reducible:
        return -1
    loop = flow.loop_of[b]
    outermost = NO_LOOP
    while loop != NO_LOOP and live.uses[v][0] < live.loop_start[loop]:
        outermost = loop
        loop = flow.parents[loop]
    if outermost == NO_LOOP:
        return -1
    header = flow.headers[outermost]
    found = -1
    for p in blocks[header].preds:
        if flow.rank[p] < flow.rank[header]:
            if found >= 0:
                return -1
            found = p
    return found if found >= 0 and len(blocks[found].succs) == 1 else -1


def _replace(spills: Spills, v: int, stores: list[tuple[int, int, Move]]) -> None:
    """Keep only `stores` of those of v; those of them that are new go to the ends of their blocks."""
    wanted = {id(move) for _, _, move in stores}
    for b, index, move in spills.stored[v]:
        if id(move) in wanted:
            wanted.remove(id(move))
            continue
        moves = spills.all_moves[b][index]
        moves.remove(move)
        if not moves:
            del spills.all_moves[b][index]
    for b, index, move in stores:
        if id(move) in wanted:
            spills.all_moves[b].setdefault(index, []).append(move)
    spills.stored[v] = stores
