"""Where paths meet: what is in registers at the entry of a block with several predecessors or with parameters, in which
registers, and the moves on the edges that bring it about.

What is in a register on most of the paths (by frequency) stays in one; at the head of a loop, `loop_entry` decides. All other blocks
go on with the state of their predecessor.

No edge is critical, so the moves of an edge into such a block stand at the end of the predecessor.
"""

from __future__ import annotations

from typing import final

from .color import ALL, BITS, Registers, registers_in
from .errors import RegAllocError
from .liveness import Liveness
from .loop_entry import LoopEntry
from .loops import NO_LOOP
from .moves import ParallelMoves
from .operand import FIRST_SPILL_SLOT, GPR, XMM
from .spill import Spills


@final
class _Meeting:
    """What the walked predecessors `preds` of a block bring along.

    `agreed`: vregs live there that all of them have in one register, with that register. `elsewhere[i]`: what else predecessor
    `preds[i]` has in registers, live or not. `weight`: for vregs live there that are not agreed on, the frequency of the
    predecessors that have them.
    """

    __slots__ = ("preds", "frequencies", "total", "agreed", "elsewhere", "weight")

    def __init__(self) -> None:
        self.preds: list[int] = []
        self.frequencies: list[float] = []
        self.total = 0.0
        self.agreed: dict[int, int] = {}
        self.elsewhere: list[dict[int, int]] = []
        self.weight: dict[int, float] = {}

    def register(self, i: int, v: int) -> int:
        """Where predecessor number i has v, or -1."""
        register = self.elsewhere[i].get(v, -1)
        return register if register >= 0 else self.agreed.get(v, -1)


@final
class Edges:
    """`exit_vregs[b]` and `exit_free[b]`: the state of the registers at the end of b, once walked (`done[b]`).

    `entry[b]`: vreg -> register at the entry of a block decided here, else None; parameters are not in it.
    `param_location[v]`: register or slot where parameter v arrives.
    `moves`: predecessor -> its edge's moves, with slots not yet assigned.
    `unwanted`: by loop, see `Registers`.
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
        "loop_entry",
        "unwanted",
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
        self.loop_entry = LoopEntry(live, registers)
        self.unwanted = [0] * len(live.flow.headers)

    def exit_register(self, b: int, v: int) -> int:
        """The register of v at the end of b, or -1."""
        for register in registers_in(ALL & ~self.exit_free[b]):
            if self.exit_vregs[b][register] == v:
                return register
        return -1

    def leave(self, b: int) -> None:
        """Block b has been walked."""
        self.done[b] = True
        self.exit_vregs[b] = self.registers.vreg_in[:]
        self.exit_free[b] = self.registers.free
        succs = self.live.code.blocks[b].succs
        if len(succs) == 1 and self.entry[succs[0]] is not None:
            self._connect_back(b, succs[0])

    def enter(self, b: int) -> None:
        """Set up the registers for block b, which has several predecessors or parameters."""
        live = self.live
        policy = live.policy
        registers = self.registers
        params = live.code.blocks[b].params
        loop = live.flow.loop_of[b]
        is_header = loop != NO_LOOP and live.flow.headers[loop] == b
        meeting = self._meet(b)
        values = list(meeting.agreed)
        for v, weight in meeting.weight.items():
            if 2 * weight >= meeting.total:
                values.append(v)
        if is_header and policy.loop_entries:
            values = self.loop_entry.values(b, loop, values)
        in_slots: list[int] = []  # parameters for which there is no register
        if len(values) + len(params) > registers.fewest:
            values, in_slots = self._limit(b, values)

        entry: dict[int, int] = {}
        self.entry[b] = entry
        changed = list(meeting.weight)  # what may have to be moved, loaded or stored on some edge
        registers.clear()
        avoid = live.loop_special[loop] if is_header and policy.call_avoidance else 0
        destroyed = live.loop_destroyed[loop] if is_header else 0
        driven_out = self.loop_entry.driven_out(loop, values) if avoid and policy.loop_entries else set()
        avoid |= registers.avoided
        destroyed |= registers.avoided
        movers: list[int] = []
        for v in values:
            register = meeting.agreed.get(v, -1)
            if register < 0 or (
                avoid >> register & 1
                and (live.hint[v] != register or destroyed >> register & 1)
                and v not in driven_out
            ):
                movers.append(v)
            else:
                registers.take(v, register)
                entry[v] = register
        if params and not is_header and policy.memory_params:
            in_slots += self._mostly_in_memory(b, meeting, in_slots)
        undecided = self._place_params(b, meeting, in_slots) if params else []
        for v in movers:
            register = self._place(v, meeting, avoid)
            registers.take(v, register)
            entry[v] = register
            if v not in meeting.weight:
                changed.append(v)
        for k in undecided:
            free = registers.free & registers.class_masks[registers.vreg_class[params[k]]]
            self._define_param(params[k], registers.choose(params[k], free & ~self._crossed_by_arguments(b, k) or free))
        if len(entry) - len(movers) < len(meeting.agreed):
            for v in meeting.agreed:
                if v not in entry:
                    changed.append(v)
        if is_header:
            for v, register in entry.items():
                registers.seat[v] = register
        for v in params:
            location = self.param_location[v]
            if location < FIRST_SPILL_SLOT:
                if is_header:
                    self.unwanted[loop] |= BITS[location]
                if live.last[v] == live.base[b]:
                    registers.release(v)
        if changed or params:
            for i, p in enumerate(meeting.preds):
                self._connect(b, i, p, meeting, changed)

    def _meet(self, b: int) -> _Meeting:
        live = self.live
        blocks = live.code.blocks
        number = live.number
        live_in = live.live_in[b]
        meeting = _Meeting()
        preds = meeting.preds
        occupied = ALL
        for p in blocks[b].preds:
            if self.done[p]:
                preds.append(p)
                meeting.frequencies.append(blocks[p].frequency)
                meeting.total += blocks[p].frequency
                occupied &= ~self.exit_free[p]
        if not preds:
            raise RegAllocError(f"{live.code.name}: block {b} comes before all its predecessors")
        first = self.exit_vregs[preds[0]]
        others = [self.exit_vregs[p] for p in preds[1:]]
        agreed_mask = 0
        for register in registers_in(occupied):
            v = first[register]
            if number[v] < 0 or not live_in >> number[v] & 1:
                continue
            for other in others:
                if other[register] != v:
                    break
            else:
                meeting.agreed[v] = register
                agreed_mask |= BITS[register]
        weight = meeting.weight
        for i, p in enumerate(preds):
            vregs = self.exit_vregs[p]
            where: dict[int, int] = {}
            for register in registers_in(ALL & ~self.exit_free[p] & ~agreed_mask):
                v = vregs[register]
                where[v] = register
                if number[v] >= 0 and live_in >> number[v] & 1:
                    weight[v] = weight.get(v, 0.0) + meeting.frequencies[i]
            meeting.elsewhere.append(where)
        return meeting

    def _limit(self, b: int, values: list[int]) -> tuple[list[int], list[int]]:
        """Of `values` and the parameters of b, those that find room: what is used first. The parameters that do not are second."""
        live = self.live
        registers = self.registers
        vreg_class = registers.vreg_class
        pos = live.base[b]
        loop = live.flow.loop_of[b]
        params = live.code.blocks[b].params
        dropped: set[int] = set()
        for c in (GPR, XMM):
            ranking = [(live.next_use(v, pos, loop), v) for v in values if vreg_class[v] == c]
            ranking += [(live.next_use(v, pos, loop), v) for v in params if vreg_class[v] == c]
            excess = len(ranking) - registers.class_masks[c].bit_count()
            if excess > 0:
                ranking.sort()
                dropped.update([v for _, v in ranking[-excess:]])
        return [v for v in values if v not in dropped], [v for v in params if v in dropped]

    def _place(self, v: int, meeting: _Meeting, avoid: int) -> int:
        """A register for v, on which the predecessors do not agree or which cannot stay where it is."""
        registers = self.registers
        free = registers.free & registers.class_masks[registers.vreg_class[v]]
        good = free & ~avoid
        agreed = meeting.agreed.get(v, -1)
        if agreed >= 0:
            if not good and free >> agreed & 1:
                return agreed
            return registers.choose(v, good or free)
        crossed = registers.crossed(v)
        votes: dict[int, float] = {}
        for i, frequency in enumerate(meeting.frequencies):
            register = meeting.elsewhere[i].get(v, -1)
            if register >= 0 and free >> register & 1:
                if (avoid | crossed) >> register & 1:
                    frequency *= 0.5
                votes[register] = votes.get(register, 0.0) + frequency
        register = _highest(votes)
        if register >= 0 and not (avoid >> register & 1 and good):
            return register
        return registers.choose(v, good or free)

    def _mostly_in_memory(self, b: int, meeting: _Meeting, others: list[int]) -> list[int]:
        """Parameters of b, apart from `others`, whose arguments are in their slots on most of the paths."""
        blocks = self.live.code.blocks
        remat = self.live.code.remat
        result: list[int] = []
        for k, v in enumerate(blocks[b].params):
            weight = 0.0
            for i, p in enumerate(meeting.preds):
                argument = blocks[p].branch_args[k]
                if remat[argument] is not None or meeting.register(i, argument) >= 0:
                    weight += meeting.frequencies[i]
            if 2 * weight < meeting.total and v not in others:
                result.append(v)
        return result

    def _place_params(self, b: int, meeting: _Meeting, in_slots: list[int]) -> list[int]:
        """Give parameters registers that arguments are in, or slots. The result are the indices of those for which any will do."""
        undecided: list[int] = []
        for k, v in enumerate(self.live.code.blocks[b].params):
            if in_slots and v in in_slots:
                self.param_location[v] = FIRST_SPILL_SLOT + v
                self.spills.arrives_in_slot(v)
                continue
            register = self._vote(b, k, meeting)
            if register < 0:
                undecided.append(k)
            else:
                self._define_param(v, register)
        return undecided

    def _define_param(self, v: int, register: int) -> None:
        self.registers.define(v, register)
        self.param_location[v] = register

    def _vote(self, b: int, k: int, meeting: _Meeting) -> int:
        """A free register for parameter k of block b that makes most moves unnecessary; -1 if there is none."""
        registers = self.registers
        blocks = self.live.code.blocks
        v = blocks[b].params[k]
        free = registers.free & registers.class_masks[registers.vreg_class[v]] & ~registers.crossed(v)
        if len(meeting.preds) < len(blocks[b].preds):
            free &= ~self._crossed_by_arguments(b, k)
        free = free & ~registers.avoided or free
        votes: dict[int, float] = {}
        for i, p in enumerate(meeting.preds):
            register = meeting.register(i, blocks[p].branch_args[k])
            if register >= 0 and free >> register & 1:
                votes[register] = votes.get(register, 0.0) + meeting.frequencies[i]
        register = registers.wish(v, free)
        if register >= 0:
            votes[register] = votes.get(register, 0.0) + blocks[b].frequency
        return _highest(votes)

    def _crossed_by_arguments(self, b: int, k: int) -> int:
        """Registers fixed or destroyed while what will be passed as parameter k by edges not walked yet lives in the loop."""
        mask = 0
        for p in self.live.code.blocks[b].preds:
            if not self.done[p]:
                mask |= self.registers.crossed_since_definition(self.live.code.blocks[p].branch_args[k])
        return mask

    def _connect(self, b: int, i: int, p: int, meeting: _Meeting, changed: list[int]) -> None:
        """Moves on the edge to b from p, predecessor number i of the meeting: `changed` are vregs that may differ."""
        entry = self.entry[b]
        assert entry is not None
        parallel = ParallelMoves()
        for v in changed:
            self._bring(p, v, meeting.register(i, v), entry.get(v, -1), parallel)
        params = self.live.code.blocks[b].params
        for k, v in enumerate(self.live.code.blocks[p].branch_args):
            self._pass(v, meeting.register(i, v), self.param_location[params[k]], parallel)
        if parallel.destinations or parallel.remats:
            self.moves[p] = parallel

    def _connect_back(self, p: int, b: int) -> None:
        """Moves on an edge to a block that has been entered before."""
        live = self.live
        registers = self.registers
        register_of = registers.register_of
        entry = self.entry[b]
        assert entry is not None
        parallel = ParallelMoves()
        for v, register in entry.items():
            if register_of[v] != register:
                self._bring(p, v, register_of[v], register, parallel)
        live_in = live.live_in[b]
        number = live.number
        for register in registers_in(ALL & ~registers.free):
            v = registers.vreg_in[register]
            if v not in entry and number[v] >= 0 and live_in >> number[v] & 1:
                self._bring(p, v, register, -1, parallel)
        params = live.code.blocks[b].params
        for k, v in enumerate(live.code.blocks[p].branch_args):
            self._pass(v, register_of[v], self.param_location[params[k]], parallel)
        if parallel.destinations or parallel.remats:
            self.moves[p] = parallel

    def _bring(self, p: int, v: int, source: int, destination: int, parallel: ParallelMoves) -> None:
        """v, at the end of p in register `source` or in none (-1), is wanted in register `destination` or in none (-1)."""
        if source == destination:
            return
        rematerializes = self.live.code.remat[v] is not None
        if destination < 0:
            if not rematerializes:
                self.spills.store(v, source, p, len(self.live.code.blocks[p].insts) - 1)
        elif source >= 0:
            parallel.copy(source, destination, v)
        elif rematerializes:
            parallel.remat(destination, v)
        else:
            parallel.copy(FIRST_SPILL_SLOT + v, destination, v)

    def _pass(self, v: int, source: int, destination: int, parallel: ParallelMoves) -> None:
        """v, in register `source` or in none (-1), is passed to a parameter that arrives in `destination`."""
        if source == destination:
            return
        if source >= 0:
            parallel.copy(source, destination, v)
        elif self.live.code.remat[v] is None:
            parallel.copy(FIRST_SPILL_SLOT + v, destination, v)
        elif destination < FIRST_SPILL_SLOT:
            parallel.remat(destination, v)
        else:
            self.spills.store_at_definition(v)
            parallel.copy(FIRST_SPILL_SLOT + v, destination, v)


def _highest(votes: dict[int, float]) -> int:
    register = -1
    for candidate, weight in votes.items():
        if register < 0 or weight > votes[register]:
            register = candidate
    return register
