"""What is in registers at the head of a loop.

First what the loop uses, nearest use first, loaded before the loop if it is not in a register yet. What only lives through the loop
keeps its register if the loop's pressure leaves one for it; else it is evicted before the loop rather than in it (Braun &
Hack 2009, section 4.2). Calls count as pressure: they leave few registers.
"""

from __future__ import annotations

from typing import Final, final

from .color import Registers
from .liveness import LOOP_EXIT, Liveness
from .loops import NO_LOOP
from .operand import DEF, GPR, XMM

MAX_CANDIDATES: Final = 64  # values in memory that are considered for loading before a loop
FEW: Final = 3  # special instructions that want more registers than this are like calls


@final
class LoopEntry:
    """`pressure`: by class and loop, the most registers that are needed at once, clobbers and all; empty until asked for."""

    __slots__ = ("live", "registers", "pressure")

    def __init__(self, live: Liveness, registers: Registers) -> None:
        self.live = live
        self.registers = registers
        self.pressure: list[list[int]] = []

    def values(self, b: int, loop: int, values: list[int]) -> list[int]:
        """Of `values`, in registers before the loop, and of those in memory, which should be in registers at its head, block b."""
        live = self.live
        registers = self.registers
        vreg_class = registers.vreg_class
        number = live.number
        pos = live.base[b]
        live_in = live.live_in[b]
        used = live.loop_used[loop]
        if not self.pressure:
            self._measure_pressure()
        if (
            len(values) == live_in.bit_count()
            and self.pressure[GPR][loop] <= registers.class_masks[GPR].bit_count()
            and self.pressure[XMM][loop] <= registers.class_masks[XMM].bit_count()
        ):
            return values
        present = 0
        for v in values:
            present |= 1 << number[v]
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
            resident = self._used_before_call(loop, c, resident, pos)
            outside.sort()
            kept += resident
            kept += [v for _, v in outside[: max(0, size - max(inside, 0))]]
        return kept

    def _used_before_call(self, loop: int, c: int, values: list[int], pos: int) -> list[int]:
        """Without those that the first call in the loop would evict before they are used."""
        live = self.live
        class_mask = self.registers.class_masks[c]
        surviving = (class_mask & ~live.loop_special[loop]).bit_count()
        if len(values) <= surviving:
            return values
        call = self._first_call(loop, class_mask, class_mask.bit_count() - len(values))
        if call < 0:
            return values
        surviving = (class_mask & ~live.special_clobbers[call]).bit_count()
        ranking = [(live.next_use(v, pos, loop), v) for v in values]
        ranking.sort()
        return [v for k, (use, v) in enumerate(ranking) if k < surviving or use <= live.special_positions[call]]

    def _first_call(self, loop: int, class_mask: int, spared: int) -> int:
        """Index of the first special instruction in the loop, ahead, that wants more than `spared` registers; -1 if there is none."""
        live = self.live
        i = self.registers.cursor
        while i < len(live.special_positions) and live.special_positions[i] < live.loop_end[loop]:
            if (class_mask & live.special_clobbers[i]).bit_count() > spared:
                return i
            i += 1
        return -1

    def driven_out(self, loop: int, values: list[int]) -> set[int]:
        """Those of `values` that the first call in the loop will evict, for which a register that survives it is not worth while."""
        live = self.live
        vreg_class = self.registers.vreg_class
        result: set[int] = set()
        for c in (GPR, XMM):
            class_mask = self.registers.class_masks[c]
            overflow = self.pressure[c][loop] - class_mask.bit_count()
            if overflow > 0:
                call = self._first_call(loop, class_mask, FEW)
                if call >= 0:
                    pos = live.special_positions[call]
                    ranking = [(live.next_use(v, pos, loop), v) for v in values if vreg_class[v] == c]
                    ranking.sort()
                    result.update([v for _, v in ranking[-overflow:]])
        return result

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
        """The most registers needed at once in block b, by class; an upper bound suffices if it is low enough."""
        live = self.live
        block = live.code.blocks[b]
        bound = live.live_in[b].bit_count() + len(block.params) + len(block.insts)
        if bound <= self.registers.fewest and not live.clobbers[b]:
            return [bound, bound]
        vreg_class = self.registers.vreg_class
        class_masks = self.registers.class_masks
        exposed = live.exposed[b]
        live_in = live.live_in[b]
        live_out = live.live_out[b]
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
                    highest[c] = max(highest[c], now[c] + ((shape.clobbers | shape.fixed_late) & class_masks[c]).bit_count())
            if written:
                for i, v in enumerate(inst.operands):
                    if i < len(kinds) and kinds[i] == DEF:
                        now[vreg_class[v]] += 1
                highest[GPR] = max(highest[GPR], now[GPR])
                highest[XMM] = max(highest[XMM], now[XMM])
        return highest
