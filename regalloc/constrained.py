"""Instructions with fixed operands, clobbers, several definitions, early definitions or late uses.

Before such an instruction everything that lives may be moved by one parallel copy, so constraints can be met whatever the
registers before: first values are evicted until the rest fits (only so many registers survive a call), then each gets a
place, its own where that is allowed.

At EARLY an instruction reads its uses; at LATE it writes its definitions, and clobbers are destroyed:

    survivors      live on behind the instruction: in a register that is neither fixed nor clobbered, at EARLY and LATE
    late uses      the same, if they die here
    early uses     that die here or are evicted here: a register at EARLY, that fixed operands do not have then
    fixed uses     a copy in their register at EARLY
    tied           a definition in any register and its input: the input at EARLY, the definition at LATE
    definitions    LATE: may take a register of an early use; EARLY: a register of its own
"""

from __future__ import annotations

from typing import final

from .color import ALL, BITS, Registers, registers_in
from .errors import RegAllocError
from .liveness import Liveness
from .moves import ParallelMoves, resolve
from .operand import ANY_LOCATION, ANY_REGISTER, FIRST_SPILL_SLOT, GPR, SAME_AS, XMM, MachineInst
from .spill import NEAR, Spills


def allocate_constrained(
    inst: MachineInst, index: int, pos: int, live: Liveness, registers: Registers, spills: Spills, scratch_vector: int
) -> None:
    """Give `inst`, instruction `index` of the block, its locations; leave in `registers` the state behind it."""
    shape = inst.shape
    plan = _Plan(inst, index, pos, live, registers, spills)
    plan.find_uses()
    plan.find_survivors()
    plan.evict()
    plan.place_survivors()
    if shape.tied_definitions:
        plan.place_ties_in_place()
    if plan.movers:
        plan.place_movers()
    if shape.tied_definitions or shape.early_definitions:
        plan.place_early_definitions()
    if plan.reads:
        plan.place_reads()
    if shape.late_definitions:
        plan.place_late_definitions()
    plan.copy(scratch_vector)
    plan.finish()


@final
class _Plan:
    """`reads`: vregs that the instruction reads from a register at EARLY, apart from fixed uses; `late`: those of them that it reads
    at LATE. `memory_uses`: operands that may be read from memory.
    `sources`: where values are before the instruction: their registers before any eviction. `own_fixed`: vreg -> register in which it
    may live on though it is fixed, since it is fixed for itself.
    `survivors`: vregs in registers behind the instruction; `movers`: those, and late uses, that need another place.
    `place`: vreg -> its register at EARLY; survivors and late uses have it at LATE too.
    `taken_early`, `taken_late`: registers given away at each position; `reserved`: not for what lives through.
    """

    __slots__ = (
        "inst",
        "index",
        "pos",
        "live",
        "registers",
        "spills",
        "reserved",
        "reads",
        "late",
        "memory_uses",
        "sources",
        "own_fixed",
        "survivors",
        "movers",
        "place",
        "taken_early",
        "taken_late",
        "occupied",
        "tie_copies",
        "locations",
    )

    def __init__(
        self, inst: MachineInst, index: int, pos: int, live: Liveness, registers: Registers, spills: Spills
    ) -> None:
        shape = inst.shape
        self.inst = inst
        self.index = index
        self.pos = pos
        self.live = live
        self.registers = registers
        self.spills = spills
        self.taken_early = shape.fixed_early
        self.taken_late = shape.clobbers | shape.fixed_late
        self.reserved = self.taken_early | self.taken_late
        self.reads: list[int] = []
        self.late: list[int] = []
        self.memory_uses: list[int] = []
        self.sources: dict[int, int] = {}
        self.own_fixed: dict[int, int] = {}
        self.survivors: list[int] = []
        self.movers: list[int] = []
        self.place: dict[int, int] = {}
        self.occupied = 0  # registers of reads that are not placed yet
        self.tie_copies: list[int] = []  # tied definitions whose input is copied
        self.locations = [-1] * len(inst.operands)

    def find_uses(self) -> None:
        inst = self.inst
        shape = inst.shape
        operands = inst.operands
        register_of = self.registers.register_of
        reads = self.reads
        for i in shape.fixed_uses:
            v = operands[i]
            register = shape.constraints[i]
            if not self.taken_late >> register & 1 and (register_of[v] == register or self._is_wanted_again(v, register)):
                self.own_fixed[v] = register
        for i in shape.free_uses:
            v = operands[i]
            if shape.constraints[i] == ANY_LOCATION:
                self.memory_uses.append(i)
                if register_of[v] < 0 and self.live.code.remat[v] is None and not self._should_load(v):
                    continue
            if v not in reads:
                reads.append(v)
        for i in range(len(shape.kinds), len(operands)):
            if operands[i] not in reads:
                reads.append(operands[i])
        for i in shape.late_uses:
            if operands[i] in reads and operands[i] not in self.late:
                self.late.append(operands[i])

    def _is_wanted_again(self, v: int, register: int) -> bool:
        """Whether v's next use is one in the same fixed register, and nothing before needs that."""
        live = self.live
        cursor = self.registers.cursor
        if live.last[v] == self.pos or cursor >= len(live.special_positions):
            return False
        if self.registers.register_of[v] < 0 or not live.special_fixed[cursor] >> register & 1:
            return False
        return live.hint[v] == register and self.spills.next_use(v, self.pos) == live.special_positions[cursor]

    def _should_load(self, v: int) -> bool:
        """Whether v, which can be read from its slot, is used soon again, and there are registers to spare."""
        if not self.live.policy.slot_operands:
            return True
        registers = self.registers
        spare = registers.free & registers.class_masks[registers.vreg_class[v]] & ~self.reserved
        if not spare & (spare - 1) or self.live.last[v] == self.pos:
            return False
        return self.spills.next_use(v, self.pos) < self.pos + NEAR

    def find_survivors(self) -> None:
        registers = self.registers
        last = self.live.last
        pos = self.pos
        reserved = self.reserved
        sources = self.sources
        survivors = self.survivors
        remat = self.live.code.remat
        vreg_in = registers.vreg_in
        for register in registers_in(ALL & ~registers.free):
            v = vreg_in[register]
            sources[v] = register
            if last[v] != pos:
                if reserved >> register & 1 and remat[v] is not None and v not in self.own_fixed and v not in self.late:
                    self.spills.evict(v, self.index)  # making it again costs no more than moving it
                else:
                    survivors.append(v)
        for v in self.reads:
            if v not in sources and last[v] != pos:
                survivors.append(v)

    def evict(self) -> None:
        """Evict survivors until all that is needed at once finds a register."""
        vreg_class = self.registers.vreg_class
        operands = self.inst.operands
        shape = self.inst.shape
        last = self.live.last
        tied_inputs = [operands[SAME_AS - shape.constraints[i]] for i in shape.tied_definitions]
        through = [0, 0]  # by class: how many are needed at EARLY and LATE, at EARLY only, at LATE only
        reading = [0, 0]
        writing = [0, 0]
        for v in self.survivors:
            through[vreg_class[v]] += 1
        for v in self.late:
            if last[v] == self.pos:
                through[vreg_class[v]] += 1
        for i in shape.tied_definitions:
            through[vreg_class[operands[i]]] += 1
        for i in shape.early_definitions:
            through[vreg_class[operands[i]]] += 1
        for i in shape.late_definitions:
            writing[vreg_class[operands[i]]] += 1
        for v in self.reads:
            if v not in self.survivors and v not in self.late and v not in tied_inputs:
                reading[vreg_class[v]] += 1
        for c in (GPR, XMM):
            if not through[c] and not reading[c] and not writing[c]:
                continue
            mask = self.registers.class_masks[c]
            own = 0
            for v, register in self.own_fixed.items():
                if vreg_class[v] == c and v in self.survivors:
                    own |= BITS[register] & mask
            over_late = through[c] - min(
                ((mask & ~self.reserved) | own).bit_count(), (mask & ~self.taken_late).bit_count() - writing[c]
            )
            over_early = through[c] + reading[c] - ((mask & ~self.taken_early) | own).bit_count()
            if over_late > 0 or over_early > 0:
                self._evict_class(c, over_late, over_early, tied_inputs)

    def _evict_class(self, c: int, over_late: int, over_early: int, tied_inputs: list[int]) -> None:
        registers = self.registers
        spills = self.spills
        reads = self.reads
        candidates = [
            (spills.next_use(v, self.pos), v)
            for v in self.survivors
            if registers.vreg_class[v] == c and v not in self.late
        ]
        candidates.sort()
        while (over_late > 0 or over_early > 0) and candidates:
            _, v = candidates.pop()
            self.survivors.remove(v)
            if v not in self.own_fixed:  # else its register goes with it
                over_late -= 1
                if v not in reads or v in tied_inputs:
                    over_early -= 1
            elif v in reads and v not in tied_inputs:
                over_early += 1
            if registers.register_of[v] >= 0:
                spills.evict(v, self.index)
        for i in reversed(self.memory_uses):
            if over_late <= 0 and over_early <= 0:
                break
            v = self.inst.operands[i]
            if registers.vreg_class[v] != c or v not in reads or self._needs_register(v):
                continue
            reads.remove(v)
            over_early -= 1
            if v in self.late:
                self.late.remove(v)
                over_late -= 1
            if v in self.survivors:
                self.survivors.remove(v)
            if self.live.code.remat[v] is not None:
                spills.store_at_definition(v)
            if registers.register_of[v] >= 0:
                spills.evict(v, self.index)
        if over_late > 0 or over_early > 0:
            raise RegAllocError(f"{self.live.code.name}: too few registers for position {self.pos}")

    def _needs_register(self, v: int) -> bool:
        """Whether some use of v cannot be in a spill slot."""
        shape = self.inst.shape
        for i, operand in enumerate(self.inst.operands):
            if operand == v and (i >= len(shape.kinds) or shape.constraints[i] == ANY_REGISTER):
                return True
        return False

    def _take(self, v: int, register: int) -> None:
        """Give v its place, at EARLY and LATE."""
        self.place[v] = register
        self.taken_early |= BITS[register]
        self.taken_late |= BITS[register]

    def place_survivors(self) -> None:
        """Those that can stay where they are."""
        sources = self.sources
        reserved = self.reserved
        through = self.survivors
        for v in self.late:
            if self.live.last[v] == self.pos:
                through = [*through, v]
        for v in through:
            register = self.own_fixed.get(v, -1)
            if register >= 0:
                self._take(v, register)
                continue
            register = sources.get(v, -1)
            if register >= 0 and not reserved >> register & 1:
                self._take(v, register)
            else:
                self.movers.append(v)

    def place_ties_in_place(self) -> None:
        """Tied definitions that overwrite their input."""
        shape = self.inst.shape
        for i in shape.tied_definitions:
            v = self.inst.operands[SAME_AS - shape.constraints[i]]
            register = self.sources.get(v, -1)
            taken = self.reserved | self.taken_early | self.taken_late
            if v in self.place or v in self.movers or register < 0 or taken >> register & 1:
                self.tie_copies.append(i)
            else:
                self._take(v, register)
                self.locations[i] = register

    def _choose_through(self, v: int) -> int:
        registers = self.registers
        mask = registers.class_masks[registers.vreg_class[v]] & ~(self.reserved | self.taken_early | self.taken_late)
        return registers.choose(v, mask & ~self.occupied or mask)

    def place_movers(self) -> None:
        for v in self.reads:
            if v not in self.place and v in self.sources:
                self.occupied |= BITS[self.sources[v]]
        for v in self.movers:
            self._take(v, self._choose_through(v))

    def place_early_definitions(self) -> None:
        """And tied ones, whose input is copied to them."""
        shape = self.inst.shape
        operands = self.inst.operands
        for i in self.tie_copies:
            source = operands[SAME_AS - shape.constraints[i]]
            register = self._choose_through(operands[i])
            self.locations[i] = register
            self.taken_early |= BITS[register]
            self.taken_late |= BITS[register]
            if source not in self.place:
                self.place[source] = register
        for i in shape.early_definitions:
            register = self._choose_through(operands[i])
            self.locations[i] = register
            self.taken_early |= BITS[register]
            self.taken_late |= BITS[register]

    def place_reads(self) -> None:
        registers = self.registers
        for v in self.reads:
            if v in self.place:
                continue
            register = self.sources.get(v, -1)
            if register < 0 or self.taken_early >> register & 1:
                register = registers.choose(v, registers.class_masks[registers.vreg_class[v]] & ~self.taken_early)
            self.place[v] = register
            self.taken_early |= BITS[register]

    def place_late_definitions(self) -> None:
        registers = self.registers
        for i in self.inst.shape.late_definitions:
            v = self.inst.operands[i]
            register = registers.choose(v, registers.class_masks[registers.vreg_class[v]] & ~self.taken_late)
            self.locations[i] = register
            self.taken_late |= BITS[register]

    def copy(self, scratch_vector: int) -> None:
        """The parallel copy before the instruction."""
        shape = self.inst.shape
        operands = self.inst.operands
        place = self.place
        sources = self.sources
        parallel = ParallelMoves()
        for v, register in place.items():
            if sources.get(v, -1) != register:
                self._bring(parallel, v, register)
        for i in self.tie_copies:
            source = operands[SAME_AS - shape.constraints[i]]
            if place[source] != self.locations[i] and sources.get(source, -1) != self.locations[i]:
                self._bring(parallel, source, self.locations[i])
        brought = 0
        for i in shape.fixed_uses:
            register = shape.constraints[i]
            v = operands[i]
            if place.get(v, -1) != register and sources.get(v, -1) != register and not brought >> register & 1:
                self._bring(parallel, v, register)
            brought |= BITS[register]
        if parallel.destinations or parallel.remats:
            registers = self.registers
            spare = -1
            free = registers.free & registers.class_masks[GPR] & ~self.taken_early & ~registers.callee_saved
            if free:
                spare = registers.first(free)
            for move in resolve(parallel, scratch_vector, -1, spare):
                self.spills.add(self.index, move)
                registers.used |= BITS[move.destination]
                if move.source >= FIRST_SPILL_SLOT:
                    self.spills.loads.append(move)

    def _bring(self, parallel: ParallelMoves, v: int, register: int) -> None:
        source = self.sources.get(v, -1)
        if source >= 0:
            parallel.copy(source, register, v)
        elif self.live.code.remat[v] is None:
            parallel.copy(FIRST_SPILL_SLOT + v, register, v)
        else:
            parallel.remat(register, v)

    def finish(self) -> None:
        """Fill in the locations, and set the state behind the instruction."""
        shape = self.inst.shape
        operands = self.inst.operands
        constraints = shape.constraints
        locations = self.locations
        place = self.place
        for i in shape.fixed_uses:
            locations[i] = constraints[i]
        for i in shape.free_uses:
            locations[i] = place.get(operands[i], -1)
        for i in range(len(shape.kinds), len(operands)):
            locations[i] = place[operands[i]]
        for i in shape.tied_definitions:
            locations[SAME_AS - constraints[i]] = locations[i]
        for i in self.memory_uses:
            if locations[i] < 0:
                locations[i] = FIRST_SPILL_SLOT + operands[i]
                if self.inst not in self.spills.slot_readers[-1:]:
                    self.spills.slot_readers.append(self.inst)
        for i in shape.definitions:
            if locations[i] < 0:
                register = constraints[i]
                locations[i] = register if register >= 0 else constraints[SAME_AS - register]
        self.inst.locations = locations

        registers = self.registers
        last = self.live.last
        registers.clear()
        for v in self.survivors:
            registers.take(v, place[v])
        for i in shape.definitions:
            registers.define(operands[i], locations[i])
        for i in shape.definitions:
            if last[operands[i]] == self.pos:
                registers.release(operands[i])
        registers.used |= shape.clobbers
