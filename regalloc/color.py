"""Which vreg is in which register, and which register a vreg gets.

`Registers` is the state of the walk: at each point a vreg is in one register or in none (then its value is in its spill slot,
or can be made again). Every choice is among registers that are free, so a choice is never wrong, only more or less good:

- registers that a fixed operand or a clobber will need while the vreg lives are avoided; so values that live across calls get
  callee-saved registers, and those that do not leave them alone (`MachineEnv.preferred` has them last)
- then the register that a fixed use ahead prescribes, or that the client wishes
- then the register of the block parameter that the vreg, or what is made of it, is passed to; if the parameter has none yet,
  whatever else is passed to it has got (Braun, Mallon, Hack: "Preference-Guided Register Assignment", 2010)
- then a register that the instruction has just read for the last time, as if the definition were tied to it
- last the client's order of preference, first without the registers which the parameters of the innermost loop would
  like to find free at its end
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, final

from .errors import RegAllocError
from .liveness import NEVER, Liveness
from .loops import NO_LOOP
from .operand import FIRST_VECTOR_REGISTER, GPR, XMM, MachineEnv

BITS: Final[list[int]] = [1 << r for r in range(32)]
ALL: Final = (1 << 32) - 1
MAX_CROSSED: Final = 6  # special instructions looked at one by one when a vreg lives across many
MAX_FOLLOWED: Final = 6

_tables: Final[dict[tuple[int, ...], bytes]] = {}


def first_choice_table(preferred: list[int]) -> bytes:
    """For each set of registers of a class (as a mask of 16 bits): the one that comes first in `preferred`."""
    key = tuple(preferred)
    table = _tables.get(key)
    if table is None:
        choices = bytearray(1 << 16)
        for register in reversed(preferred):
            step = 1 << (register & 15)
            if step <= 16:
                for k in range(step, 2 * step):
                    choices[k :: 2 * step] = bytes([register]) * (65536 // (2 * step))
            else:
                for start in range(step, 65536, 2 * step):
                    choices[start : start + step] = bytes([register]) * step
        table = bytes(choices)
        _tables[key] = table
    return table


_registers_in: Final[dict[int, tuple[int, ...]]] = {}
MAX_MASKS: Final = 1 << 13


def registers_in(mask: int) -> tuple[int, ...]:
    """The registers of a mask, in their order; remembered, as the same masks come again and again."""
    found = _registers_in.get(mask)
    if found is None:
        found = tuple([r for r in range(32) if mask >> r & 1])
        if len(_registers_in) >= MAX_MASKS:
            _registers_in.clear()
        _registers_in[mask] = found
    return found


def remembered_masks() -> int:
    """How many masks `registers_in` remembers, at most MAX_MASKS."""
    return len(_registers_in)


def forget_masks() -> None:
    _registers_in.clear()


@final
class Registers:
    """`free` is a mask; `vreg_in[r]` holds for registers that are not free; `register_of[v]` is -1 if v is in none.

    `home[v]`: the register that v was defined in; for a parameter before its definition, that of something which is passed to it;
    or -1. `seat[v]`: the register that v has at the head of the last loop entered where it is in one, or -1. `fewest`: how many registers the smaller class has. `loop`: the innermost loop around the walk. `unwanted`: registers which the innermost loop's parameters want back. `avoided`: registers that
    the block should do without, as it is to have no frame. `cursor`: index of the next special instruction.
    """

    __slots__ = (
        "live",
        "vreg_class",
        "class_masks",
        "fewest",
        "callee_saved",
        "first_gpr",
        "first_xmm",
        "register_of",
        "vreg_in",
        "free",
        "home",
        "seat",
        "used",
        "loop",
        "unwanted",
        "avoided",
        "cursor",
    )

    def __init__(self, live: Liveness, env: MachineEnv) -> None:
        vregs = len(live.code.vreg_class)
        self.live = live
        self.vreg_class = live.code.vreg_class
        self.class_masks = [0, 0]
        for c in (GPR, XMM):
            for register in env.preferred[c]:
                self.class_masks[c] |= BITS[register]
        self.fewest = min(self.class_masks[GPR].bit_count(), self.class_masks[XMM].bit_count())
        if self.class_masks[XMM] & BITS[env.scratch_vector]:
            raise RegAllocError("the scratch vector register is allocatable")
        self.callee_saved = env.callee_saved
        self.first_gpr = first_choice_table(env.preferred[GPR])
        self.first_xmm = first_choice_table(env.preferred[XMM])
        self.register_of = [-1] * vregs
        self.vreg_in = [-1] * 32
        self.free = ALL
        self.home = [-1] * vregs
        self.seat = [-1] * vregs
        self.used = 0
        self.loop = NO_LOOP
        self.unwanted = 0
        self.avoided = 0
        self.cursor = 0

    def residents(self) -> list[int]:
        """The vregs in registers, in order of the registers."""
        vreg_in = self.vreg_in
        return [vreg_in[register] for register in registers_in(ALL & ~self.free)]

    def clear(self) -> None:
        register_of = self.register_of
        vreg_in = self.vreg_in
        for register in registers_in(ALL & ~self.free):
            register_of[vreg_in[register]] = -1
        self.free = ALL

    def restore(self, vreg_in: list[int], free: int) -> None:
        """Set the state that `vreg_in` (copied) and `free` describe."""
        self.clear()
        register_of = self.register_of
        self.vreg_in[:] = vreg_in
        self.free = free
        for register in registers_in(ALL & ~free):
            register_of[vreg_in[register]] = register

    def take(self, v: int, register: int) -> None:
        """Put v, which is in no register, into a free one."""
        bit = BITS[register]
        self.free &= ~bit
        self.used |= bit
        self.vreg_in[register] = v
        self.register_of[v] = register

    def define(self, v: int, register: int) -> None:
        """Take, as v's first register."""
        self.take(v, register)
        self.home[v] = register
        param = self.live.flows_to[v]
        if param >= 0 and self.home[param] < 0:
            self.home[param] = register

    def release(self, v: int) -> None:
        self.free |= BITS[self.register_of[v]]
        self.register_of[v] = -1

    def first(self, candidates: int) -> int:
        """The preferred one of a non-empty mask of allocatable registers of one class."""
        if candidates < 1 << FIRST_VECTOR_REGISTER:
            return self.first_gpr[candidates]
        return self.first_xmm[candidates >> FIRST_VECTOR_REGISTER]

    def crossed(self, v: int) -> int:
        """Registers that special instructions ahead will need for something else while v lives, or what takes over its register."""
        live = self.live
        positions = live.special_positions
        i = self.cursor
        count = len(positions)
        if i >= count or not live.policy.call_avoidance:
            return 0
        end = live.last[v]
        if end == NEVER:
            end = live.uses[v][-1]
            loop = self.loop
            while loop != NO_LOOP and live.uses[v][0] < live.loop_start[loop]:  # it lives around the loop
                end = max(end, live.loop_end[loop])
                loop = live.flow.parents[loop]
        tied = live.tied_to[v]
        steps = 0
        while tied >= 0 and live.uses[tied][0] == end and steps < MAX_FOLLOWED:
            end = live.uses[tied][-1]
            tied = live.tied_to[tied]
            steps += 1
        mask = 0
        limit = i + MAX_CROSSED
        own = live.hint[v]
        while i < count and positions[i] < end:
            if i == limit:
                return mask | live.all_special
            needed = live.special_clobbers[i]
            if own >= 0 and needed >> own & 1 and not live.special_destroyed[i] >> own & 1 and positions[i] in live.uses[v]:
                needed &= ~BITS[own]  # fixed for v itself, and not written
            mask |= needed
            i += 1
        if i < count and positions[i] == end:
            fixed = live.special_fixed[i]
            if own >= 0:
                fixed &= ~BITS[own]
            mask |= fixed
        return mask

    def crossed_since_definition(self, v: int) -> int:
        """Registers that special instructions will need while v lives, which is not defined yet."""
        live = self.live
        if not live.policy.call_avoidance:
            return 0
        i = bisect_right(live.special_positions, live.uses[v][0])
        end = live.uses[v][-1]
        mask = 0
        limit = i + MAX_CROSSED
        while i < len(live.special_positions) and live.special_positions[i] < end:
            if i == limit:
                return mask | live.all_special
            mask |= live.special_clobbers[i]
            i += 1
        return mask

    def wish(self, v: int, candidates: int) -> int:
        """The register of `candidates` (a mask) in which v is wanted later, or -1."""
        live = self.live
        register = live.hint[v]
        if register >= 0 and candidates >> register & 1:
            return register
        param = live.flows_to[v]
        if param >= 0:
            register = self.home[param]
            if register < 0:
                register = live.hint[param]
            if register >= 0 and candidates >> register & 1:
                return register
        return -1

    def choose(self, v: int, candidates: int, near: int = -1) -> int:
        """A register for v out of the mask `candidates` (not empty). `near`: one that would be natural, or -1."""
        live = self.live
        candidates = candidates & ~self.avoided or candidates
        good = candidates & ~self.crossed(v)
        if live.code.remat[v] is not None:  # not worth the save of a callee-saved register
            saved = self.callee_saved & ~self.used
            good = good & ~saved or candidates & ~saved or good
        if not good:
            positions = live.special_positions  # at least not where it has to leave at once
            if self.cursor < len(positions):
                good = candidates & ~live.special_clobbers[self.cursor]
            return self.first(good or candidates)
        register = self.wish(v, good)
        if register >= 0:
            return register
        register = self.seat[v]
        if register < 0:
            register = self.home[v]
        if register >= 0 and good >> register & 1:
            return register
        good = good & ~self.unwanted or good
        if near >= 0 and good >> near & 1:
            return near
        return self.first(good)
