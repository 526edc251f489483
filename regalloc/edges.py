"""Where paths meet: what is in registers at the entry of a block with several predecessors or with parameters, in which
registers, and the moves on the edges that bring it about.

What is in a register on most of the paths (by frequency) stays in one. At the head of a loop it is what the loop uses,
nearest use first; what only lives through the loop keeps its register if the loop's pressure leaves one for it, else it
is evicted before the loop (Braun & Hack 2009, section 4.2). All other blocks go on with the state of their predecessor.

No edge is critical, so the moves of an edge into such a block stand at the end of the predecessor.
"""

from __future__ import annotations

from typing import Final, final

from .color import ALL, BITS, Registers
from .errors import RegAllocError
from .liveness import LOOP_EXIT, NEVER, Liveness
from .loops import NO_LOOP
from .moves import ParallelMoves
from .operand import DEF, FIRST_SPILL_SLOT, GPR, XMM
from .spill import Spills

MAX_CANDIDATES: Final = 64  # values in memory that are considered for reloading before a loop


@final
class Edges:
    """`exit_vregs[b]` and `exit_free[b]`: the state of the registers at the end of b, once walked (`done[b]`).

    `entry[b]`: vreg -> register at the entry of a block decided here, else None; parameters are not in it.
    `param_location[v]`: register or slot where parameter v arrives.
    `moves`: predecessor -> its edge's moves, with slots not yet assigned.
    """

    __slots__ = (
        "live",
        "registers",
        "spills",
        "done",
        "exit_vregs",
        "exit_free",
        "entry",
        "param_location",
        "moves",
        "pressure",
    )

    def __init__(self, live: Liveness, registers: Registers, spills: Spills) -> None:
        count = len(live.code.blocks)
        self.live = live
        self.registers = registers
        self.spills = spills
        self.done = [False] * count
        self.exit_vregs: list[list[int]] = [[] for _ in range(count)]
        self.exit_free = [ALL] * count
        self.entry: list[dict[int, int] | None] = [None] * count
        self.param_location: dict[int, int] = {}
        self.moves: dict[int, ParallelMoves] = {}
        self.pressure: list[list[int]] = []  # by class, by loop; empty until asked for

    def leave(self, b: int) -> None:
        """Block b has been walked."""
        self.done[b] = True
        self.exit_vregs[b] = self.registers.vreg_in[:]
        self.exit_free[b] = self.registers.free
        succs = self.live.code.blocks[b].succs
        if len(succs) == 1 and self.entry[succs[0]] is not None:
            self._connect(b, succs[0])

    def enter(self, b: int) -> None:
        """Set up the registers for block b, which has several predecessors or parameters."""
        live = self.live
        registers = self.registers
        blocks = live.code.blocks
        block = blocks[b]
        vreg_class = registers.vreg_class
        pos = live.base[b]
        loop = live.flow.loop_of[b]
        is_header = loop != NO_LOOP and live.flow.headers[loop] == b
        preds = [p for p in block.preds if self.done[p]]
        if not preds:
            raise RegAllocError(f"{live.code.name}: block {b} is reached before its predecessors")
        exits = [self._exit(p) for p in preds]
        best = 0
        total = 0.0
        for i, p in enumerate(preds):
            total += blocks[p].frequency
            if blocks[p].frequency > blocks[preds[best]].frequency:
                best = i
        base = exits[best]

        weight: dict[int, float] = {}
        for i, p in enumerate(preds):
            frequency = blocks[p].frequency
            for v in exits[i]:
                weight[v] = weight.get(v, 0.0) + frequency
        live_in = live.live_in[b]
        number = live.number
        values = [v for v, w in weight.items() if 2 * w >= total and number[v] >= 0 and live_in >> number[v] & 1]
        if is_header:
            values = self._values_of_loop(b, loop, values)
        kept_params: set[int] = set(block.params)
        for c in (GPR, XMM):
            count = 0
            for v in values:
                if vreg_class[v] == c:
                    count += 1
            for v in block.params:
                if vreg_class[v] == c:
                    count += 1
            excess = count - registers.class_masks[c].bit_count()
            if excess > 0:
                ranking = [(live.next_use(v, pos, loop), v) for v in values if vreg_class[v] == c]
                ranking += [(live.next_use(v, pos, loop), v) for v in block.params if vreg_class[v] == c]
                ranking.sort()
                dropped = {v for _, v in ranking[-excess:]}
                values = [v for v in values if v not in dropped]
                kept_params -= dropped

        registers.clear()
        entry: dict[int, int] = {}
        avoid = live.loop_special[loop] if is_header else 0
        movers: list[int] = []
        for v in values:
            register = base.get(v, -1)
            if len(exits) > 1:
                register = self._majority(v, preds, exits)
            if register >= 0 and registers.free >> register & 1 and (not avoid >> register & 1 or live.hint[v] == register):
                registers.take(v, register)
                entry[v] = register
            else:
                movers.append(v)
        for v in movers:
            free = registers.free & registers.class_masks[vreg_class[v]]
            register = base.get(v, -1)
            if free & ~avoid:
                register = registers.choose(v, free & ~avoid)
            elif register < 0 or not free >> register & 1:
                register = registers.choose(v, free)
            registers.take(v, register)
            entry[v] = register
        self.entry[b] = entry

        undecided: list[int] = []
        for k, v in enumerate(block.params):
            if v not in kept_params:
                self.param_location[v] = FIRST_SPILL_SLOT + v
                self.spills.slot_params.add(v)
                self.spills.needs_slot(v, 0.0)
                continue
            register = self._vote(b, k, preds, exits)
            if register < 0:
                undecided.append(v)
            else:
                registers.define(v, register)
                self.param_location[v] = register
        for v in undecided:
            free = registers.free & registers.class_masks[vreg_class[v]]
            avoid = self._crossed_by_arguments(b, block.params.index(v))
            register = registers.choose(v, free & ~avoid or free)
            registers.define(v, register)
            self.param_location[v] = register
        for v in block.params:
            if v in kept_params and live.last[v] == pos:
                registers.release(v)
        for p in preds:
            self._connect(p, b)

    def _majority(self, v: int, preds: list[int], exits: list[dict[int, int]]) -> int:
        """The register that v has on most of the paths; -1 if it is in none."""
        register = exits[0].get(v, -1)
        same = True
        for where in exits:
            if where.get(v, -1) != register:
                same = False
        if same:
            return register
        crossed = self.registers.crossed(v)
        votes: dict[int, float] = {}
        for i, p in enumerate(preds):
            register = exits[i].get(v, -1)
            if register >= 0:
                weight = self.live.code.blocks[p].frequency
                votes[register] = votes.get(register, 0.0) + (weight if crossed >> register & 1 else 2 * weight)
        return _highest(votes)

    def _vote(self, b: int, k: int, preds: list[int], exits: list[dict[int, int]]) -> int:
        """A free register for parameter k of block b that makes most moves unnecessary; -1 if there is none."""
        live = self.live
        registers = self.registers
        blocks = live.code.blocks
        v = blocks[b].params[k]
        free = registers.free & registers.class_masks[registers.vreg_class[v]] & ~registers.crossed(v)
        if len(preds) < len(blocks[b].preds):
            free &= ~self._crossed_by_arguments(b, k)
        votes: dict[int, float] = {}
        for i, p in enumerate(preds):
            register = exits[i].get(blocks[p].branch_args[k], -1)
            if register >= 0 and free >> register & 1:
                votes[register] = votes.get(register, 0.0) + blocks[p].frequency
        register = registers.wish(v)
        if register >= 0 and free >> register & 1:
            votes[register] = votes.get(register, 0.0) + blocks[b].frequency
        return _highest(votes)

    def _crossed_by_arguments(self, b: int, k: int) -> int:
        """Registers fixed or destroyed while what will be passed as parameter k by edges not walked yet lives in the loop."""
        mask = 0
        for p in self.live.code.blocks[b].preds:
            if not self.done[p]:
                mask |= self.registers.crossed_since_definition(self.live.code.blocks[p].branch_args[k])
        return mask

    def _exit(self, b: int) -> dict[int, int]:
        result: dict[int, int] = {}
        vreg_in = self.exit_vregs[b]
        occupied = ALL & ~self.exit_free[b]
        while occupied:
            lowest = occupied & -occupied
            occupied ^= lowest
            register = lowest.bit_length() - 1
            result[vreg_in[register]] = register
        return result

    def _values_of_loop(self, b: int, loop: int, values: list[int]) -> list[int]:
        """Of `values`, in registers before the loop, and those in memory, which should be in registers at its head."""
        live = self.live
        registers = self.registers
        vreg_class = registers.vreg_class
        number = live.number
        pos = live.base[b]
        live_in = live.live_in[b]
        used = live.loop_used[loop]
        present = 0
        for v in values:
            present |= 1 << number[v]
        if not live_in & ~used & present and not live_in & used & ~present and not live.loop_special[loop]:
            return values
        if not self.pressure:
            self._measure_pressure()
        kept: list[int] = []
        for c in (GPR, XMM):
            class_mask = registers.class_masks[c]
            size = class_mask.bit_count()
            of_class = live.gpr_mask if c == GPR else ~live.gpr_mask
            through = (live_in & ~used & of_class).bit_count()
            inside = self.pressure[c][loop] - through  # registers that the loop would fill by itself
            params = 0
            for v in live.code.blocks[b].params:
                if vreg_class[v] == c:
                    params += 1
            resident = [v for v in values if vreg_class[v] == c and used >> number[v] & 1]
            outside = [(live.next_use(v, pos, loop), v) for v in values if vreg_class[v] == c and not used >> number[v] & 1]
            missing = live_in & used & ~present & of_class
            room = size - params - len(resident)
            if missing and room > 0 and missing.bit_count() <= MAX_CANDIDATES:
                candidates: list[tuple[int, int]] = []
                while missing:
                    lowest = missing & -missing
                    missing ^= lowest
                    v = live.vreg_of[lowest.bit_length() - 1]
                    candidates.append((live.next_use(v, pos, loop), v))
                candidates.sort()
                resident += [v for use, v in candidates[:room] if use < LOOP_EXIT]
            resident = self._until_call(loop, c, resident, pos)
            outside.sort()
            kept += resident
            kept += [v for _, v in outside[: max(0, size - max(inside, 0))]]
        return kept

    def _until_call(self, loop: int, c: int, values: list[int], pos: int) -> list[int]:
        """Without those that the first call in the loop would evict before they are used."""
        live = self.live
        class_mask = self.registers.class_masks[c]
        surviving = (class_mask & ~live.loop_special[loop]).bit_count()
        if len(values) <= surviving:
            return values
        call = NEVER
        i = self.registers.cursor
        while i < len(live.special_positions) and live.special_positions[i] < live.loop_end[loop]:
            if (class_mask & ~live.special_clobbers[i]).bit_count() < len(values):
                call = live.special_positions[i]
                surviving = (class_mask & ~live.special_clobbers[i]).bit_count()
                break
            i += 1
        ranking = [(live.next_use(v, pos, loop), v) for v in values]
        ranking.sort()
        return [v for k, (use, v) in enumerate(ranking) if k < surviving or use <= call]

    def _measure_pressure(self) -> None:
        """The highest demand for registers in each loop, clobbers counted as demand; without cold blocks."""
        live = self.live
        flow = live.flow
        count = len(flow.headers)
        self.pressure = [[0] * count, [0] * count]
        for b in flow.order:
            loop = flow.loop_of[b]
            if loop != NO_LOOP and not flow.cold[b]:
                highest = self._block_pressure(b)
                for c in (GPR, XMM):
                    self.pressure[c][loop] = max(self.pressure[c][loop], highest[c])
        for loop, parent in enumerate(flow.parents):
            if parent != NO_LOOP:
                for c in (GPR, XMM):
                    self.pressure[c][parent] = max(self.pressure[c][parent], self.pressure[c][loop])

    def _block_pressure(self, b: int) -> list[int]:
        live = self.live
        vreg_class = self.registers.vreg_class
        class_masks = self.registers.class_masks
        block = live.code.blocks[b]
        exposed = live.exposed[b]
        live_in = live.live_in[b]
        live_out = live.live_out(b)
        number = live.number
        last = live.last
        now = [0, 0]
        now[GPR] = (live_in & live.gpr_mask).bit_count()
        now[XMM] = live_in.bit_count() - now[GPR]
        pos = live.base[b]
        for v in block.params:
            now[vreg_class[v]] += 1
        highest = now[:]
        dead: list[int] = [v for v in block.params if last[v] == pos]
        for inst in block.insts:
            pos += 1
            for v in dead:
                now[vreg_class[v]] -= 1
            dead = []
            shape = inst.shape
            kinds = shape.kinds
            written = 0
            for i, v in enumerate(inst.operands):
                if i < len(kinds) and kinds[i] == DEF:
                    written += 1
                    if last[v] == pos:
                        dead.append(v)
                    continue
                position = exposed.get(v, -1)
                if position < 0:
                    dies = last[v] == pos
                else:
                    dies = position == pos and not live_out >> number[v] & 1
                if dies and v not in inst.operands[:i]:
                    now[vreg_class[v]] -= 1
            if not shape.plain:
                for c in (GPR, XMM):
                    highest[c] = max(highest[c], now[c] + (shape.clobbers & class_masks[c]).bit_count())
            if written:
                for i, v in enumerate(inst.operands):
                    if i < len(kinds) and kinds[i] == DEF:
                        now[vreg_class[v]] += 1
                highest[GPR] = max(highest[GPR], now[GPR])
                highest[XMM] = max(highest[XMM], now[XMM])
        return highest

    def _connect(self, p: int, b: int) -> None:
        """Moves from the exit of p to the entry of b, where they differ."""
        live = self.live
        remat = live.code.remat
        entry = self.entry[b]
        assert entry is not None
        exit_vregs = self.exit_vregs[p]
        exit_free = self.exit_free[p]
        params = live.code.blocks[b].params
        parallel = ParallelMoves()
        where: dict[int, int] = {}
        for v, register in entry.items():
            if exit_vregs[register] == v and not exit_free >> register & 1:
                continue
            if not where:
                where = self._exit(p)
            source = where.get(v, -1)
            if source >= 0:
                parallel.copy(source, register, v)
            elif remat[v] is not None:
                parallel.remat(register, v)
            else:
                parallel.copy(FIRST_SPILL_SLOT + v, register, v)
        if params:
            if not where:
                where = self._exit(p)
            for k, v in enumerate(live.code.blocks[p].branch_args):
                destination = self.param_location[params[k]]
                source = where.get(v, -1)
                if source >= 0:
                    if source != destination:
                        parallel.copy(source, destination, v)
                elif remat[v] is None:
                    parallel.copy(FIRST_SPILL_SLOT + v, destination, v)
                elif destination < FIRST_SPILL_SLOT:
                    parallel.remat(destination, v)
                else:
                    self.spills.store_anyway(v)
                    parallel.copy(FIRST_SPILL_SLOT + v, destination, v)
        live_in = live.live_in[b]
        frequency = live.code.blocks[p].frequency
        occupied = ALL & ~exit_free
        for register in range(32):
            if occupied & BITS[register]:
                v = exit_vregs[register]
                if v not in entry and live.number[v] >= 0 and live_in >> live.number[v] & 1 and remat[v] is None:
                    parallel.copy(register, FIRST_SPILL_SLOT + v, v)
                    self.spills.needs_slot(v, frequency)
        if parallel.destinations or parallel.remats:
            self.moves[p] = parallel


def _highest(votes: dict[int, float]) -> int:
    register = -1
    for candidate, weight in votes.items():
        if register < 0 or weight > votes[register]:
            register = candidate
    return register
