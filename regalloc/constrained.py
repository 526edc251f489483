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

from .color import BITS, Registers
from .errors import RegAllocError
from .liveness import Liveness
from .moves import ParallelMoves, resolve
from .operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    FIRST_SPILL_SLOT,
    GPR,
    LATE,
    SAME_AS,
    XMM,
    MachineInst,
)
from .spill import NEAR, Spills


def allocate_constrained(
    inst: MachineInst, index: int, pos: int, live: Liveness, registers: Registers, spills: Spills, scratch_vector: int
) -> None:
    """Give `inst`, instruction `index` of the block, its locations; leave in `registers` the state behind it."""
    shape = inst.shape
    operands = inst.operands
    kinds = shape.kinds
    constraints = shape.constraints
    positions = shape.positions
    listed = len(kinds)
    clobbers = shape.clobbers
    fixed_early = shape.fixed_early
    fixed_late = shape.fixed_late
    destroyed = clobbers | fixed_late
    reserved = destroyed | fixed_early
    last = live.last
    remat = live.code.remat
    register_of = registers.register_of
    vreg_class = registers.vreg_class
    class_masks = registers.class_masks
    locations = [-1] * len(operands)

    # What is wanted. A vreg with a register at EARLY is in `early`; `late` are those who need it at LATE too.
    early: list[int] = []
    late: set[int] = set()
    in_slot: list[int] = []  # operands that may be read from memory, if in no register otherwise
    fixed_uses: list[int] = []
    ties: list[int] = []  # definitions tied to uses in any register
    tied_inputs: set[int] = set()
    early_defs: list[int] = []
    late_defs: list[int] = []
    kept_fixed: dict[int, int] = {}  # vreg -> its register, that it may stay in though it is fixed: for itself
    for i, v in enumerate(operands):
        constraint = constraints[i] if i < listed else ANY_REGISTER
        if i < listed and kinds[i] == DEF:
            if constraint <= SAME_AS:
                if constraints[SAME_AS - constraint] < 0:
                    ties.append(i)
                    tied_inputs.add(operands[SAME_AS - constraint])
            elif constraint < 0:
                if positions[i] == EARLY:
                    early_defs.append(i)
                else:
                    late_defs.append(i)
        elif constraint >= 0:
            fixed_uses.append(i)
            if register_of[v] == constraint and not destroyed >> constraint & 1:
                kept_fixed[v] = constraint
        else:
            if constraint == ANY_LOCATION:
                in_slot.append(i)
                if register_of[v] < 0 and remat[v] is None:
                    continue
            if v not in early:
                early.append(v)
            if i < listed and positions[i] == LATE:
                late.add(v)

    # A use from memory is brought into a register only if it is used again soon and there is one.
    for i in in_slot:
        v = operands[i]
        if register_of[v] < 0 and v not in early:
            spare = registers.free & class_masks[vreg_class[v]] & ~reserved
            if spare & (spare - 1) and last[v] != pos and spills.next_use(v, pos) < pos + NEAR:
                early.append(v)

    sources: dict[int, int] = {}  # where values come from: their registers before any eviction
    survivors: list[int] = []
    for v in registers.residents():
        register = register_of[v]
        sources[v] = register
        if last[v] != pos:
            if remat[v] is not None and reserved >> register & 1 and v not in kept_fixed and v not in late:
                spills.evict(v, index)  # making it again costs no more than moving it
            else:
                survivors.append(v)
    for v in early:
        if v not in sources and last[v] != pos:
            survivors.append(v)

    for c in (GPR, XMM):
        class_mask = class_masks[c]
        fixed_kept = 0
        for v, register in kept_fixed.items():
            if vreg_class[v] == c and v in survivors:
                fixed_kept |= BITS[register] & class_mask
        room = ((class_mask & ~reserved) | fixed_kept).bit_count()
        room_late = (class_mask & ~destroyed).bit_count()
        room_early = (class_mask & ~fixed_early | fixed_kept).bit_count()
        staying = [v for v in survivors if vreg_class[v] == c]
        dying_late = sum([1 for v in late if vreg_class[v] == c and last[v] == pos])
        tied = sum([1 for i in ties if vreg_class[operands[i]] == c])
        own = sum([1 for i in early_defs if vreg_class[operands[i]] == c])
        written = sum([1 for i in late_defs if vreg_class[operands[i]] == c])
        reading = sum(
            [1 for v in early if vreg_class[v] == c and v not in staying and v not in late and v not in tied_inputs]
        )
        over_late = len(staying) + dying_late + tied + own - min(room, room_late - written)
        over_early = len(staying) + dying_late + tied + own + reading - room_early
        if over_late <= 0 and over_early <= 0:
            continue
        candidates = [(spills.next_use(v, pos), v) for v in staying if v not in late]
        candidates.sort()
        while (over_late > 0 or over_early > 0) and candidates:
            _, v = candidates.pop()
            survivors.remove(v)
            over_late -= 1
            if v not in early or v in tied_inputs:
                over_early -= 1
            if register_of[v] >= 0:
                spills.evict(v, index)
            if v in kept_fixed:
                over_late += 1
                over_early += 1
        for i in reversed(in_slot):
            if over_late <= 0 and over_early <= 0:
                break
            v = operands[i]
            if vreg_class[v] != c or v not in early or _needs_register(v, operands, constraints):
                continue
            early.remove(v)
            over_early -= 1
            if v in late:
                late.remove(v)
                over_late -= 1
            if v in survivors:
                survivors.remove(v)
            if remat[v] is not None:
                spills.store_anyway(v)
            if register_of[v] >= 0:
                spills.evict(v, index)
        if over_late > 0 or over_early > 0:
            raise RegAllocError(f"{live.code.name}: too few registers for position {pos}")

    # Places. `place[v]`: the register of v at EARLY; those of survivors and late uses hold it at LATE too.
    place: dict[int, int] = {}
    taken_early = fixed_early
    taken_late = destroyed
    movers: list[int] = []
    through = survivors + [v for v in late if last[v] == pos]
    for v in through:
        register = sources.get(v, -1)
        if register >= 0 and (not reserved >> register & 1 or kept_fixed.get(v, -1) == register):
            place[v] = register
            taken_early |= BITS[register]
            taken_late |= BITS[register]
        else:
            movers.append(v)
    untied: list[int] = []
    for i in ties:
        v = operands[SAME_AS - constraints[i]]
        register = sources.get(v, -1)
        if v in place or register < 0 or (reserved | taken_early | taken_late) >> register & 1:
            untied.append(i)
        else:
            place[v] = register
            locations[i] = register
            taken_early |= BITS[register]
            taken_late |= BITS[register]
    occupied = 0
    for v in early:
        if v not in place and sources.get(v, -1) >= 0:
            occupied |= BITS[sources[v]]
    for v in movers:
        candidates_mask = class_masks[vreg_class[v]] & ~(reserved | taken_early | taken_late)
        register = registers.choose(v, candidates_mask & ~occupied or candidates_mask)
        place[v] = register
        taken_early |= BITS[register]
        taken_late |= BITS[register]
    tie_copies: list[int] = []
    for i in untied + early_defs:
        v = operands[i]
        candidates_mask = class_masks[vreg_class[v]] & ~(reserved | taken_early | taken_late)
        register = registers.choose(v, candidates_mask & ~occupied or candidates_mask)
        locations[i] = register
        taken_early |= BITS[register]
        taken_late |= BITS[register]
        if kinds[i] == DEF and constraints[i] <= SAME_AS:
            source = operands[SAME_AS - constraints[i]]
            if source not in place and source not in survivors:
                place[source] = register
            tie_copies.append(i)
    for v in early:
        if v in place:
            continue
        register = sources.get(v, -1)
        if register < 0 or taken_early >> register & 1:
            register = registers.choose(v, class_masks[vreg_class[v]] & ~taken_early)
        place[v] = register
        taken_early |= BITS[register]
    for i in late_defs:
        v = operands[i]
        register = registers.choose(v, class_masks[vreg_class[v]] & ~taken_late)
        locations[i] = register
        taken_late |= BITS[register]

    # The copy before the instruction.
    parallel = ParallelMoves()
    for v, register in place.items():
        _bring(parallel, v, register, sources, live)
    for i in tie_copies:
        source = operands[SAME_AS - constraints[i]]
        if place[source] != locations[i]:
            _bring(parallel, source, locations[i], sources, live)
    brought = 0
    for i in fixed_uses:
        constraint = constraints[i]
        v = operands[i]
        locations[i] = constraint
        if place.get(v, -1) != constraint and not brought >> constraint & 1:
            _bring(parallel, v, constraint, sources, live)
        brought |= BITS[constraint]
    if parallel.destinations or parallel.remats:
        for move in resolve(parallel, scratch_vector, -1):
            spills.add(index, move)
            registers.used |= BITS[move.destination]

    # Locations, and the state behind the instruction.
    reads_slot = False
    for i, v in enumerate(operands):
        constraint = constraints[i] if i < listed else ANY_REGISTER
        if i < listed and kinds[i] == DEF:
            if constraint >= 0:
                locations[i] = constraint
            elif constraint <= SAME_AS and constraints[SAME_AS - constraint] >= 0:
                locations[i] = constraints[SAME_AS - constraint]
        elif constraint < 0:
            tie = -1
            for j in ties:
                if constraints[j] == SAME_AS - i:
                    tie = j
            if tie >= 0:
                locations[i] = locations[tie]
            elif v in place:
                locations[i] = place[v]
            else:
                locations[i] = FIRST_SPILL_SLOT + v
                reads_slot = True
    inst.locations = locations
    if reads_slot:
        spills.slot_readers.append(inst)
    registers.clear()
    for v in survivors:
        registers.take(v, place[v])
    for i in range(listed):
        if kinds[i] == DEF:
            v = operands[i]
            registers.define(v, locations[i])
    for i in range(listed):
        if kinds[i] == DEF and last[operands[i]] == pos:
            registers.release(operands[i])
    registers.used |= clobbers


def _needs_register(v: int, operands: list[int], constraints: list[int]) -> bool:
    """Whether some operand that is v cannot be in a spill slot."""
    for i, operand in enumerate(operands):
        if operand == v and (i >= len(constraints) or constraints[i] == ANY_REGISTER):
            return True
    return False


def _bring(parallel: ParallelMoves, v: int, register: int, sources: dict[int, int], live: Liveness) -> None:
    source = sources.get(v, -1)
    if source >= 0:
        if source != register:
            parallel.copy(source, register, v)
    elif live.code.remat[v] is None:
        parallel.copy(FIRST_SPILL_SLOT + v, register, v)
    else:
        parallel.remat(register, v)

