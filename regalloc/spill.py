"""What leaves its register when there are too few, and how it comes back.

Belady's MIN: the value whose next use is farthest is evicted (Braun & Hack: "Register Spilling and Live-Range Splitting for
SSA-Form Programs", 2009). A value is in one register or in none at each point, so reloading needs no new name for it; where
paths meet that disagree, moves on the edges mend it (`edges`).

Evictions emit stores to the spill slot; `stores` decides which of them stay.

Until slots are assigned, vreg v's slot is written FIRST_SPILL_SLOT + v.
"""

from __future__ import annotations

from typing import Final, final

from .color import BITS, Registers, registers_in
from .errors import RegAllocError
from .liveness import Liveness
from .operand import ANY_LOCATION, FIRST_SPILL_SLOT, MOVE_COPY, MOVE_REMAT, MachineInst, Move

NEAR: Final = 24  # a use from memory leaves the value there unless the next use is within so many instructions


@final
class Spills:
    """`block` is the one being walked, `moves` its moves, by position in it; `loop` is its innermost loop.

    `stored`: for each vreg that needs a slot, where it is stored: block, position, move. `at_definition`: those of them that have to be
    stored behind their definition. `slot_params`: parameters that arrive in their slot.
    `loads` are moves from slots, `slot_readers` instructions that have slots among their locations; those of edges apart.
    """

    __slots__ = (
        "live",
        "registers",
        "all_moves",
        "block",
        "moves",
        "loop",
        "stored",
        "at_definition",
        "slot_params",
        "loads",
        "slot_readers",
    )

    def __init__(self, live: Liveness, registers: Registers, all_moves: list[dict[int, list[Move]]]) -> None:
        self.live = live
        self.registers = registers
        self.all_moves = all_moves
        self.moves = all_moves[0]
        self.block = 0
        self.loop = -1
        self.stored: dict[int, list[tuple[int, int, Move]]] = {}
        self.at_definition: set[int] = set()
        self.slot_params: set[int] = set()
        self.loads: list[Move] = []
        self.slot_readers: list[MachineInst] = []

    def begin_block(self, b: int, loop: int) -> None:
        self.block = b
        self.loop = loop
        self.moves = self.all_moves[b]

    def add(self, index: int, move: Move) -> None:
        """Before instruction `index` of the block."""
        moves = self.moves.get(index)
        if moves is None:
            self.moves[index] = [move]
        else:
            moves.append(move)

    def store(self, v: int, register: int, block: int, index: int) -> None:
        """Store v before instruction `index` of a block."""
        move = Move(MOVE_COPY, register, FIRST_SPILL_SLOT + v, v)
        self.all_moves[block].setdefault(index, []).append(move)
        self.stored.setdefault(v, []).append((block, index, move))

    def store_at_definition(self, v: int) -> None:
        """v could be made again, but its slot is to hold it."""
        self.stored.setdefault(v, [])
        self.at_definition.add(v)

    def arrives_in_slot(self, v: int) -> None:
        """Parameter v."""
        self.stored.setdefault(v, [])
        self.slot_params.add(v)

    def evict(self, v: int, index: int) -> None:
        """Take v out of its register before instruction `index`."""
        registers = self.registers
        register = registers.register_of[v]
        registers.release(v)
        if self.live.code.remat[v] is None:
            self.store(v, register, self.block, index)

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
                    and self.live.policy.slot_operands
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
        live = self.live
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
        if wished and registers.seat[source] == register and live.hint[target] != register:
            wished = False  # the input would have to be back at the end of the loop
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
