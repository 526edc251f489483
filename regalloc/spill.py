"""What leaves its register when there are too few, and how it comes back.

Belady's MIN: the value whose next use is farthest is evicted (Braun & Hack: "Register Spilling and Live-Range Splitting for
SSA-Form Programs", 2009). A value is in one register or in none at each point, so reloading needs no new name for it; where
paths meet that disagree, moves on the edges mend it (`edges`).

An SSA value never changes, so one store behind its definition makes its spill slot good everywhere. The alternative is a
store at each point where it leaves its register, which is better if those are rarely reached. Both are kept open:
evictions emit stores and sum up their frequencies, and `slots` keeps the cheaper way.

Until slots are assigned, vreg v's slot is written FIRST_SPILL_SLOT + v.
"""

from __future__ import annotations

from typing import Final, final

from .color import BITS, Registers, registers_in
from .errors import RegAllocError
from .liveness import Liveness
from .operand import ANY_LOCATION, FIRST_SPILL_SLOT, MOVE_COPY, MOVE_REMAT, MachineInst, Move

ALWAYS: Final = 1e30  # a frequency
NEAR: Final = 24  # a use from memory leaves the value there unless the next use is within so many instructions


@final
class Spills:
    """`moves` are those of the block being walked, by position in it; `loop` and `frequency` are the block's.

    `cost[v]`: frequency of stores where v has been evicted (present for each v that needs a slot).
    `stores` (with block and position) and `loads` are moves to and from slots, `slot_readers` instructions that have slots among their
    locations; those of edges apart. `slot_params`: parameters that arrive in their slot.
    """

    __slots__ = (
        "live",
        "registers",
        "block",
        "moves",
        "loop",
        "frequency",
        "cost",
        "stores",
        "loads",
        "slot_params",
        "slot_readers",
    )

    def __init__(self, live: Liveness, registers: Registers) -> None:
        self.live = live
        self.registers = registers
        self.moves: dict[int, list[Move]] = {}
        self.block = 0
        self.loop = -1
        self.frequency = 1.0
        self.cost: dict[int, float] = {}
        self.stores: list[tuple[int, int, Move]] = []
        self.loads: list[Move] = []
        self.slot_params: set[int] = set()
        self.slot_readers: list[MachineInst] = []

    def add(self, index: int, move: Move) -> None:
        """Before instruction `index` of the block."""
        moves = self.moves.get(index)
        if moves is None:
            self.moves[index] = [move]
        else:
            moves.append(move)

    def needs_slot(self, v: int, frequency: float) -> None:
        self.cost[v] = self.cost.get(v, 0.0) + frequency

    def store_anyway(self, v: int) -> None:
        """v could be made again, but its slot is to hold it, from its definition on."""
        self.needs_slot(v, ALWAYS)

    def evict(self, v: int, index: int) -> None:
        """Take v out of its register before instruction `index`."""
        registers = self.registers
        register = registers.register_of[v]
        registers.release(v)
        if self.live.code.remat[v] is None:
            store = Move(MOVE_COPY, register, FIRST_SPILL_SLOT + v, v)
            self.stores.append((self.block, index, store))
            self.add(index, store)
            self.needs_slot(v, self.frequency)

    def load(self, v: int, register: int, index: int) -> None:
        """Bring v back into a free register before instruction `index`."""
        self.registers.take(v, register)
        if self.live.code.remat[v] is None:
            move = Move(MOVE_COPY, FIRST_SPILL_SLOT + v, register, v)
            self.loads.append(move)
            self.add(index, move)
        else:
            self.add(index, Move(MOVE_REMAT, -1, register, v))

    def next_use(self, v: int, pos: int) -> int:
        return self.live.next_use(v, pos, self.loop)

    def farthest(self, candidates: int, pos: int) -> int:
        """Of the vregs in the registers `candidates` (a mask), the one whose next use after `pos` is farthest; -1 if there is none."""
        registers = self.registers
        vreg_in = registers.vreg_in
        live = self.live
        loop = self.loop
        victim = -1
        distance = -1
        for register in registers_in(candidates & ~registers.free):
            v = vreg_in[register]
            use = live.next_use(v, pos, loop)
            if use > distance:
                distance = use
                victim = v
        return victim

    def make_room(self, candidates: int, pos: int, index: int) -> int:
        """Evict something from one of the registers `candidates`; the register is then free."""
        victim = self.farthest(candidates, pos)
        if victim < 0:
            raise RegAllocError(f"{self.live.code.name}: no register for position {pos}")
        register = self.registers.register_of[victim]
        self.evict(victim, index)
        return register

    def fill(self, inst: MachineInst, index: int, pos: int) -> list[int]:
        """Bring in what a plain instruction uses and is in no register. Returns locations, the definition's being -1."""
        registers = self.registers
        register_of = registers.register_of
        operands = inst.operands
        constraints = inst.shape.constraints
        definition = inst.shape.definition
        pinned = 0
        for v in operands:
            register = register_of[v]
            if register >= 0:
                pinned |= BITS[register]
        locations: list[int] = []
        reads_slot = False
        for i, v in enumerate(operands):
            register = register_of[v]
            if register < 0 and i != definition:
                mask = registers.class_masks[registers.vreg_class[v]]
                free = registers.free & mask
                if (
                    i < len(constraints)
                    and constraints[i] == ANY_LOCATION
                    and self.live.code.remat[v] is None
                    and (not free or self.next_use(v, pos) > pos + NEAR)
                ):
                    locations.append(FIRST_SPILL_SLOT + v)
                    reads_slot = True
                    continue
                if free:
                    register = registers.choose(v, free)
                else:
                    register = self.make_room(mask & ~pinned, pos, index)
                self.load(v, register, index)
                pinned |= BITS[register]
            locations.append(register)
        if reads_slot:
            self.slot_readers.append(inst)
        return locations

    def vacate(self, v: int, locations: list[int], index: int) -> None:
        """Free the register that a fixed use ahead prescribes for v, if what is there has to leave it by then anyway.

        Instruction `index`, which defines v, reads `locations`.
        """
        registers = self.registers
        live = self.live
        register = live.hint[v]
        use = live.last[v]
        cursor = registers.cursor
        if registers.free >> register & 1 or cursor >= len(live.special_positions) or live.special_positions[cursor] != use:
            return
        occupant = registers.vreg_in[register]
        if live.last[occupant] <= use:
            return
        if live.code.remat[occupant] is not None:
            if self.next_use(occupant, live.base[self.block] + 1 + index) > use:
                self.evict(occupant, index)
            return
        good = registers.free & registers.class_masks[registers.vreg_class[occupant]] & ~registers.crossed(occupant)
        for location in locations:
            if 0 <= location < FIRST_SPILL_SLOT:
                good &= ~BITS[location]
        if good:
            new = registers.choose(occupant, good)
            self.add(index, Move(MOVE_COPY, register, new, occupant))
            registers.release(occupant)
            registers.take(occupant, new)

    def copy_for_tie(self, inst: MachineInst, index: int, pos: int, locations: list[int]) -> int:
        """The register for a tied definition whose input lives on, which is copied there first.

        The copy may as well stay behind: the input then moves to the new register and the definition takes the old one, if
        the input would have to leave that soon, or the definition would like it. Without a free register, what is used
        farthest in the future leaves, and that may be the input itself. It also leaves if a call will drive it out before
        its next use.
        """
        registers = self.registers
        shape = inst.shape
        tied = shape.tied
        source = inst.operands[tied]
        target = inst.operands[shape.definition]
        register = locations[tied]
        mask = registers.class_masks[registers.vreg_class[source]]
        others = 0
        for i, location in enumerate(locations):
            if i != tied and 0 <= location < FIRST_SPILL_SLOT:
                others |= BITS[location]
        others &= ~BITS[register]
        free = registers.free & mask & ~others
        if not free:
            victim = self.farthest(mask & ~others, pos)
            if victim < 0:
                raise RegAllocError(f"{self.live.code.name}: no register for position {pos}")
            new = registers.register_of[victim]
            self.evict(victim, index)
            if victim == source:
                return register
            free = BITS[new]
        wished = registers.wish(target, BITS[register] & ~registers.crossed(target)) >= 0
        leaves = registers.crossed(source) >> register & 1
        keeps = not wished and not leaves
        new = registers.choose(target if keeps else source, free)
        if not keeps and registers.crossed(source) >> new & 1:
            if self._would_leave(source, new, pos):
                self.evict(source, index)
                return register
            if not wished:
                keeps = True
                new = registers.choose(target, free)
        self.add(index, Move(MOVE_COPY, register, new, source))
        if keeps:
            locations[tied] = new
            return new
        registers.release(source)
        registers.take(source, new)
        for i, v in enumerate(inst.operands):  # other operands that name the input read it in its new place
            if v == source and i != tied:
                locations[i] = new
        return register

    def _would_leave(self, v: int, register: int, pos: int) -> bool:
        """Whether v would be evicted from `register` before its next use: the next special instruction wants it, and leaves no other."""
        registers = self.registers
        live = self.live
        cursor = registers.cursor
        if live.special_positions[cursor] >= self.next_use(v, pos):
            return False
        special = live.special_clobbers[cursor]
        mask = registers.class_masks[registers.vreg_class[v]]
        return bool(special >> register & 1) and not mask & registers.free & ~special
