"""Where vregs are used, and where they are live.

Input: a `Code`. Output: `Liveness`.

Positions number the instructions along the walk: block b starts at `base[b]` (its parameters), its instruction i is at
base[b] + 1 + i, its terminator at `end[b]`.

Live sets are kept for block entries only, as bit masks over the vregs that live across blocks: 50,000 values live through
5,000 blocks are 30 MB of masks, where sets would be 250 million entries. Nothing here or in the allocator runs over all
members of a mask per block: masks are combined and tested for single vregs.
Vregs of one class share a bit if they are live in different stretches of the walk, so masks are as long as there are values
alive at once, not as there are values in the function. A stretch goes from the block of the definition to that of the last use,
or to the end of the outermost loop around the use that the definition is not in. Where blocks behind a loop stand among its
blocks, or other loops do, the end is that of all of them; in a graph that is not reducible, it is that of the function.
A reducible graph needs two sweeps: backward without the back edges, then what is live into a loop is live through it
(Boissinot, Brandner, Dupont de Dinechin, Rastello: "Computing Liveness Sets for SSA-Form Programs", 2011).

Next uses are looked up in each vreg's list of positions when somebody asks, which only those do who evict something. The
distance grows by `LOOP_EXIT` for each loop that is left on the way, so values not used in a loop are the first to go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, final

from .loops import NO_LOOP, Flow
from .operand import BLOCK, GPR, SAME_AS, STRIDE, USE, Code, Shape
from .policy import DEFAULT_POLICY, Policy

NEVER: Final = 1 << 60  # a position after all others
LOOP_EXIT: Final = 1 << 24
MOST_STEPS: Final = 32  # in the search for what a value is summed up from
NO_USES: Final[list[int]] = []  # shared by vregs that are not defined; never changed
NO_VREGS: Final[list[int]] = []  # the same of blocks
_VREG_BITS: Final = 32
_VREG_MASK: Final = (1 << _VREG_BITS) - 1
MAX_LOOP_STEPS: Final = 8  # more nested loops than this are taken as one when distances are looked up


@final
class Liveness:
    """By vreg: `uses` (position of the definition, then of the uses; cold blocks do not list uses of others' values),
    `last` (position of the last use if that is in the defining block, else NEVER; but see `begin_block`), `number` (bit in the masks,
    or -1 if it lives in one block only),
    `hint` (register that it, or what is made of it, has to be in later, or -1), `flows_to` (block parameter that it, or what is
    made of it, is passed to, or -1), `tied_to` (definition tied to a use of it, or -1).
    By block: `base`, `end`, `exposed` (vregs used but not defined there -> position of the last use), `used` (their
    mask), `live_in`, `live_out`, `clobbers` (union).
    By loop: `loop_start`, `loop_end` (positions; without cold blocks), `loop_used` (mask of vregs used in it, not in cold blocks),
    `loop_destroyed` and `loop_special` (masks of registers that are written or, besides, fixed by special instructions in it, not
    in cold blocks).
    `across` lists the vregs that live across blocks in order of definition; `ending` by rank of block: those of them whose stretch ends
    there; `vreg_of` by bit: the vreg that the bit means where the walk is.
    `special_positions` lists the instructions with fixed operands or clobbers outside cold blocks. Beside it `special_fixed`: mask
    of the registers fixed at EARLY, `special_destroyed`: of those written, `special_clobbers`: of both; `all_special` is the union.
    """

    __slots__ = (
        "code",
        "flow",
        "policy",
        "uses",
        "last",
        "number",
        "hint",
        "flows_to",
        "tied_to",
        "base",
        "end",
        "exposed",
        "used",
        "live_in",
        "live_out",
        "clobbers",
        "across",
        "ending",
        "vreg_of",
        "gpr_mask",
        "loop_start",
        "loop_end",
        "loop_used",
        "loop_destroyed",
        "loop_special",
        "special_positions",
        "special_fixed",
        "special_destroyed",
        "special_clobbers",
        "all_special",
        "_bases_in_order",
        "_next_across",
    )

    def __init__(self, code: Code, flow: Flow, policy: Policy = DEFAULT_POLICY) -> None:
        vregs = len(code.vreg_class)
        blocks = len(code.blocks)
        self.code = code
        self.flow = flow
        self.policy = policy
        self.uses: list[list[int]] = [NO_USES] * vregs
        self.last = [0] * vregs
        self.number = [-1] * vregs
        self.hint = code.hints[:] if policy.register_hints else [-1] * vregs
        self.flows_to = [-1] * vregs
        self.tied_to = [-1] * vregs
        self.base = [0] * blocks
        self.end = [0] * blocks
        self.exposed: list[dict[int, int]] = [{} for _ in range(blocks)]
        self.used = [0] * blocks
        self.live_in = [0] * blocks
        self.live_out = [0] * blocks
        self.clobbers = [0] * blocks
        self.across: list[int] = []
        self.ending: list[list[int]] = [NO_VREGS] * blocks
        self.vreg_of: list[int] = []
        self.gpr_mask = 0
        self.special_positions: list[int] = []
        self.special_fixed: list[int] = []
        self.special_destroyed: list[int] = []
        self.special_clobbers: list[int] = []
        self.all_special = 0
        self._bases_in_order: list[int] = []
        self._next_across = 0
        self._scan()
        code.spend(BLOCK * blocks)
        self._number()
        code.spend(BLOCK * blocks)
        self._find_live_in()
        code.spend(BLOCK * blocks)
        self._measure_loops()

    def _scan(self) -> None:
        """Number the positions; note uses, hints and special instructions."""
        code = self.code
        blocks = code.blocks
        uses = self.uses
        last = self.last
        tied_to = self.tied_to
        flows_to = self.flows_to
        made_of = [-1] * len(uses)  # by vreg: its defining instruction's first use, whose register it could take over
        or_of: dict[int, int] = {}  # the other such use, if the instruction commutes
        flow_frequency = [-1.0] * len(uses)  # of the edge that `flows_to` is about: the most frequent one
        cold = self.flow.cold
        param_hints = self.policy.param_hints
        exchanges = self.policy.exchanges_operands
        spend = code.spend
        pos = 0
        look_up_at = STRIDE
        for b in self.flow.order:
            block = blocks[b]
            base = pos
            self.base[b] = pos
            self._bases_in_order.append(pos)
            for v in block.params:
                uses[v] = [pos]
                last[v] = pos
            exposed = self.exposed[b]
            is_cold = cold[b]
            spend(len(block.insts))
            for inst in block.insts:
                pos += 1
                if pos >= look_up_at:
                    look_up_at = pos + STRIDE
                    spend(STRIDE)
                for v in inst.operands:
                    at = uses[v]
                    if not at:
                        uses[v] = [pos]
                        last[v] = pos
                    elif at[0] >= base:
                        at.append(pos)
                        last[v] = pos
                    else:
                        exposed[v] = pos
                        if not is_cold:
                            at.append(pos)
                shape = inst.shape
                if shape.plain:
                    definition = shape.definition
                    if definition >= 0:
                        operands = inst.operands
                        v = operands[definition]
                        if shape.tied >= 0:
                            tied = operands[shape.tied]
                            tied_to[tied] = v
                            made_of[v] = tied
                            if shape.commutes and exchanges:
                                or_of[v] = operands[2]
                        elif len(operands) > 1:
                            made_of[v] = operands[0] if definition else operands[1]
                else:
                    self._scan_special(inst.operands, shape, made_of, base if is_cold else 0)
                    self.clobbers[b] |= shape.clobbers
                    if not is_cold and (shape.clobbers or shape.fixed_early or shape.fixed_late):
                        self.special_positions.append(pos)
                        self.special_fixed.append(shape.fixed_early)
                        self.special_destroyed.append(shape.clobbers | shape.fixed_late)
                        self.special_clobbers.append(shape.clobbers | shape.fixed_late | shape.fixed_early)
            self.end[b] = pos
            if block.branch_args:
                params = blocks[block.succs[0]].params
                frequency = block.frequency
                for i, v in enumerate(block.branch_args):
                    at = uses[v]
                    made = v
                    way = _way(v, params[i], made_of, or_of, uses) if uses[params[i]] else []
                    while param_hints and flow_frequency[made] < frequency:
                        flow_frequency[made] = frequency
                        flows_to[made] = params[i]
                        u = way.pop() if way else made_of[made]
                        if u >= 0 and uses[u][-1] > uses[made][0]:
                            u = or_of.get(made, -1)
                        if u < 0 or uses[u][-1] > uses[made][0]:
                            break
                        made = u
                    if at[0] >= base:
                        at.append(pos)
                        last[v] = pos
                    else:
                        exposed[v] = pos
                        if not is_cold:
                            at.append(pos)
            pos += 1
        for mask in self.special_clobbers:
            self.all_special |= mask

    def _scan_special(self, operands: list[int], shape: Shape, made_of: list[int], since: int) -> None:
        """Note hints, for vregs defined at `since` or later, and ties."""
        hint = self.hint
        hints = self.policy.register_hints
        uses = self.uses
        kinds = shape.kinds
        for i, c in enumerate(shape.constraints):
            if c >= 0:
                if hints and kinds[i] == USE:
                    v = operands[i]
                    while v >= 0 and hint[v] < 0 and uses[v][0] >= since:
                        hint[v] = c
                        u = made_of[v]
                        v = u if u >= 0 and uses[u][-1] <= uses[v][0] else -1
            elif c <= SAME_AS:
                made_of[operands[i]] = operands[SAME_AS - c]
                self.tied_to[operands[SAME_AS - c]] = operands[i]

    def _number(self) -> None:
        """Give a bit to each vreg that lives across blocks, and drop it from `last`."""
        order = self.flow.order
        base = self.base
        uses = self.uses
        last = self.last
        across: list[int] = []  # position of the definition, vreg
        stretch = [-1] * len(uses)  # rank of the block where it ends
        until = self._loop_stretches()
        starts: list[int] = []  # positions of the heads of the loops around the current block, outer ones first
        ends: list[int] = []  # and the ranks where they end
        final = -1 if self.flow.reducible else len(order) - 1
        for place, b in enumerate(order):
            while ends and ends[-1] < place:
                starts.pop()
                ends.pop()
            if b in until:
                starts.append(base[b])
                ends.append(until[b])
            for v in self.exposed[b]:
                end = place
                if final >= 0:
                    end = final
                elif starts:
                    i = bisect_right(starts, uses[v][0])
                    if i < len(starts):
                        end = ends[i]
                known = stretch[v]
                if known < end:
                    stretch[v] = end
                    if known < 0:
                        last[v] = NEVER
                        across.append(uses[v][0] << _VREG_BITS | v)
        across.sort()

        number = self.number
        vreg_class = self.code.vreg_class
        bases = self._bases_in_order
        ending = self.ending
        free: list[list[int]] = [[], []]  # bits, by class
        bits = 0
        place = 0
        for position, key in enumerate(across):
            v = key & _VREG_MASK
            across[position] = v
            here = uses[v][0]
            while place + 1 < len(bases) and bases[place + 1] <= here:
                for other in ending[place]:
                    free[vreg_class[other]].append(number[other])
                place += 1
            c = vreg_class[v]
            if free[c]:
                number[v] = free[c].pop()
            else:
                number[v] = bits
                if c == GPR:
                    self.gpr_mask |= 1 << bits
                bits += 1
            end = stretch[v]
            if ending[end]:
                ending[end].append(v)
            else:
                ending[end] = [v]
        self.across = across
        self.vreg_of = [-1] * bits

    def _loop_stretches(self) -> dict[int, int]:
        """By head of a loop: the rank of the last block of it and of all loops that begin before that. So stretches of loops are
        disjoint or within each other.
        """
        flow = self.flow
        headers = flow.headers
        loop_last = [0] * len(headers)
        for place, b in enumerate(flow.order):
            if flow.loop_of[b] != NO_LOOP:
                loop_last[flow.loop_of[b]] = place
        until: dict[int, int] = {}
        begun: list[int] = []  # heads of the loops behind, the next one last, without those within others
        for loop, h in enumerate(headers):  # falling ranks; inner ones first
            end = loop_last[loop]
            if flow.parents[loop] != NO_LOOP:
                loop_last[flow.parents[loop]] = max(loop_last[flow.parents[loop]], end)
            while begun and flow.rank[begun[-1]] <= end:
                end = max(end, until[begun.pop()])
            until[h] = end
            begun.append(h)
        return until

    def _find_live_in(self) -> None:
        blocks = self.code.blocks
        number = self.number
        order = self.flow.order
        defined = [0] * len(blocks)
        used = self.used
        for b in order:
            exposed = self.exposed[b]
            if exposed:
                mask = 0
                for v in exposed:
                    mask |= 1 << number[v]
                used[b] = mask
        bases = self._bases_in_order
        place = 0
        for v in self.across:
            here = self.uses[v][0]
            while place + 1 < len(bases) and bases[place + 1] <= here:
                place += 1
            defined[order[place]] |= 1 << number[v]
        live_in = self.live_in
        changed = True
        while changed:
            changed = False
            for b in reversed(order):
                live = 0
                for s in blocks[b].succs:
                    live |= live_in[s]
                if defined[b]:
                    live &= ~defined[b]
                if used[b]:
                    live |= used[b]
                if live != live_in[b]:
                    live_in[b] = live
                    changed = not self.flow.reducible
        loop_of = self.flow.loop_of
        headers = self.flow.headers
        parents = self.flow.parents
        self.loop_used = [0] * len(headers)
        for b in order:
            loop = loop_of[b]
            if loop != NO_LOOP:
                if not self.flow.cold[b]:
                    self.loop_used[loop] |= used[b]
                if headers[loop] == b:
                    loop = parents[loop]
                if loop != NO_LOOP and self.flow.reducible:
                    live_in[b] |= live_in[headers[loop]]
        live_out = self.live_out
        for b in order:
            succs = blocks[b].succs
            if succs:
                live = live_in[succs[0]]
                for s in succs[1:]:
                    if live_in[s] != live:
                        live |= live_in[s]
                live_out[b] = live

    def _measure_loops(self) -> None:
        flow = self.flow
        headers = flow.headers
        self.loop_start = [self.base[h] for h in headers]
        self.loop_end = [self.end[h] + 1 for h in headers]
        self.loop_destroyed = [0] * len(headers)
        self.loop_special = [0] * len(headers)
        if not headers:
            return
        positions = self.special_positions
        for b in flow.order:
            loop = flow.loop_of[b]
            if loop == NO_LOOP or flow.cold[b]:
                continue
            if self.end[b] >= self.loop_end[loop]:
                self.loop_end[loop] = self.end[b] + 1
            i = bisect_left(positions, self.base[b])
            while i < len(positions) and positions[i] <= self.end[b]:
                self.loop_destroyed[loop] |= self.special_destroyed[i]
                self.loop_special[loop] |= self.special_clobbers[i]
                i += 1
        for loop, parent in enumerate(flow.parents):  # inner ones first
            if parent != NO_LOOP:
                self.loop_end[parent] = max(self.loop_end[parent], self.loop_end[loop])
                self.loop_used[parent] |= self.loop_used[loop]
                self.loop_destroyed[parent] |= self.loop_destroyed[loop]
                self.loop_special[parent] |= self.loop_special[loop]

    def begin_block(self, b: int) -> list[int]:
        """The walk reaches block b. Note in `last` where vregs from outside die in it. They are the result; `end_block` is to be
        called with them.
        """
        across = self.across
        while self._next_across < len(across) and self.uses[across[self._next_across]][0] <= self.end[b]:
            v = across[self._next_across]
            self.vreg_of[self.number[v]] = v
            self._next_across += 1
        dead: list[int] = []
        dying = self.used[b] & ~self.live_out[b]
        if dying:
            number = self.number
            last = self.last
            for v, position in self.exposed[b].items():
                if dying >> number[v] & 1:
                    last[v] = position
                    dead.append(v)
        return dead

    def end_block(self, dead: list[int]) -> None:
        for v in dead:
            self.last[v] = NEVER

    def block_at(self, position: int) -> int:
        return self.flow.order[bisect_right(self._bases_in_order, position) - 1]

    def next_use(self, v: int, pos: int, loop: int) -> int:
        """Position of v's next use after `pos`, which is in `loop`, plus LOOP_EXIT for each loop left before; at least NEVER if none.

        A use before `pos` in the loop counts as coming after the loop's end, if v lives around the loop.
        """
        at = self.uses[v]
        i = bisect_right(at, pos)
        use = at[i] if i < len(at) else NEVER
        if loop == NO_LOOP:
            return use
        defined = at[0]
        penalty = 0
        steps = 0
        while loop != NO_LOOP and steps < MAX_LOOP_STEPS:
            end = self.loop_end[loop]
            if use < end:
                break
            start = self.loop_start[loop]
            if defined < start:
                j = bisect_left(at, start)
                if j < i:
                    return end + at[j] - start + penalty
            penalty += LOOP_EXIT
            loop = self.flow.parents[loop]
            steps += 1
        return use + penalty


def _way(v: int, param: int, made_of: list[int], or_of: dict[int, int], uses: list[list[int]]) -> list[int]:
    """How `v`, which a loop passes to its own parameter, is made of that: the values between, each of which could take over
    the register of the one before, since that dies. First `param`, last what v is made of; empty if no way is found.

    So sums grow in place, whichever of its operands an addition names first.
    """
    made_into = {v: -1}
    pending = [v]
    steps = 0
    while pending and steps < MOST_STEPS:
        steps += 1
        made = pending.pop()
        at = uses[made][0]
        for u in (made_of[made], or_of.get(made, -1)):
            if u < 0 or uses[u][-1] > at:
                continue
            made_into[u] = made
            if u == param:
                way: list[int] = []
                while u != v:
                    way.append(u)
                    u = made_into[u]
                return way
            pending.append(u)
    return []
