"""A proof that an allocation does what the code says.

Input: a `Code` with locations, its `MachineEnv` and `Allocation`. Raises CheckError, or returns.

As in regalloc2's checker: each location holds the set of vregs whose value it has for certain. A move copies the set; a
definition makes its vreg vanish from everywhere (a new round of a loop makes a new value) and stand in its own location;
clobbers empty their registers; on an edge each parameter joins the locations that hold its argument; where paths meet, sets are
intersected, until nothing changes. Then each use must find its vreg in its location, and constraints must be met as they stand.
Where the frame is made or taken down, slots and callee-saved registers lose what they hold; blocks without it must not write to them.
That proves any allocator's result, however it came about. (facts.py: states and where they meet; dominators.py.)
"""

from __future__ import annotations

from typing import final

from .dominators import DominatorTree
from .errors import CheckError
from .facts import Facts
from .operand import (
    ANY_LOCATION,
    ANY_REGISTER,
    DEF,
    EARLY,
    FIRST_SPILL_SLOT,
    FIRST_VECTOR_REGISTER,
    GPR,
    LATE,
    MOVE_COPY,
    MOVE_EXCHANGE,
    MOVE_REMAT,
    SAME_AS,
    XMM,
    Allocation,
    Code,
    MachineBlock,
    MachineEnv,
    MachineInst,
    Move,
)

MAX_ERRORS = 20


def check(code: Code, env: MachineEnv, allocation: Allocation) -> None:
    """Raise CheckError if `allocation` is wrong; the message lists what is."""
    checker = _Checker(code, env, allocation)
    checker.solve()
    checker.report_block_errors()
    if checker.errors:
        raise CheckError(f"{code.name}: " + "\n".join(checker.errors[:MAX_ERRORS]))


@final
class _Checker:
    __slots__ = ("code", "env", "allocation", "allocatable", "facts", "errors", "silent", "saved", "framed")

    def __init__(self, code: Code, env: MachineEnv, allocation: Allocation) -> None:
        self.code = code
        self.env = env
        self.allocation = allocation
        self.allocatable = [0, 0]
        for c in (GPR, XMM):
            for register in env.preferred[c]:
                self.allocatable[c] |= 1 << register
        self.facts = Facts(code.blocks, DominatorTree(code))
        self.errors: list[str] = []
        self.silent = True
        self.saved = env.callee_saved & allocation.used_registers
        self.framed = True  # whether the block that is run has the frame

    def solve(self) -> None:
        """Find what holds at each block's entry: the greatest fixed point."""
        if self.facts.tree.cyclic:
            while self._visit_blocks():
                pass

    def report_block_errors(self) -> None:
        self.silent = False
        self._visit_blocks()
        for block in self.code.blocks:
            if self.facts.tree.place[block.number] < 0:
                self._error(f"block{block.number} is not reached")
                continue
            self._check_frame(block)
            for index in self.allocation.moves[block.number]:
                if not 0 <= index < len(block.insts):
                    self._error(f"block{block.number} has moves before instruction {index}, which is not there")

    def _check_frame(self, block: MachineBlock) -> None:
        """Each edge between a block with the frame and one without has a place where that is made or taken down."""
        framed = self.allocation.framed
        if not framed:
            return
        if len(framed) != len(self.code.blocks):
            self._error(f"framed says nothing about block{block.number}")
            return
        if block.needs_frame and not framed[block.number]:
            self._error(f"block{block.number} needs the frame")
        for s in block.succs:
            if framed[s] != framed[block.number] and len(block.succs) > 1 and len(self.code.blocks[s].preds) > 1:
                self._error(f"no place for the frame between block{block.number} and block{s}")

    def _visit_blocks(self) -> bool:
        """Every block once; True if other things hold at an entry than last time."""
        facts = self.facts
        children = facts.tree.children
        changed = False
        todo = [0]
        while todo:
            b = todo.pop()
            if b < 0:
                facts.undo(~b)
                continue
            changed |= facts.enter(b)
            self._run_block(self.code.blocks[b], facts)
            facts.leave(b)
            todo.append(~b)
            todo += reversed(children[b])
        return changed

    def _error(self, message: str) -> None:
        if not self.silent:
            self.errors.append(message)

    def _run_block(self, block: MachineBlock, facts: Facts) -> None:
        moves = self.allocation.moves[block.number]
        framed = self.allocation.framed
        self.framed = not framed or framed[block.number]
        if self.allocation.changes_at_start(block, self.code.blocks):
            self._change_frame(facts)
        for index, inst in enumerate(block.insts):
            before = moves.get(index)
            if before is not None:
                for move in before:
                    self._run_move(move, facts, inst, f"block{block.number} move before {index}")
            if index == len(block.insts) - 1 and self.allocation.changes_at_end(block):
                self._change_frame(facts)
            facts.empty(self.env.scratch_vector)
            self._run_inst(inst, facts, f"block{block.number} instruction {index}")

    def _change_frame(self, facts: Facts) -> None:
        for register in range(FIRST_SPILL_SLOT):
            if self.saved >> register & 1:
                facts.empty(register)
        for slot in range(self.allocation.spill_slots):
            facts.empty(FIRST_SPILL_SLOT + slot)

    def _check_written(self, location: int, where: str) -> None:
        """Whether a block without the frame may write there."""
        if not self.framed and (location >= FIRST_SPILL_SLOT or (location >= 0 and self.saved >> location & 1)):
            self._error(f"{where}: {_name(location)} is written without the frame")

    def _run_move(self, move: Move, facts: Facts, inst: MachineInst, where: str) -> None:
        v = move.vreg
        if move.kind == MOVE_REMAT:
            if self.code.remat[v] is None:
                self._error(f"{where}: v{v} cannot be made again")
            self._check_move_location(move.destination, v, inst, where)
            if move.destination >= FIRST_SPILL_SLOT:
                self._error(f"{where}: v{v} is made again in a slot")
            facts.fill(move.destination, frozenset((v,)))
            return
        self._check_move_location(move.destination, v, inst, where)
        if move.kind == MOVE_EXCHANGE:
            self._check_move_location(move.source, v, inst, where)
        elif move.source < FIRST_SPILL_SLOT and not self._fits_class(move.source, v):
            self._error(f"{where}: {_name(move.source)} is not for v{v}")
        if v not in facts.at(move.source):
            self._error(f"{where}: v{v} is not in {_name(move.source)}")
        moved = facts.at(move.source)
        if move.kind == MOVE_EXCHANGE:
            if max(move.source, move.destination) >= FIRST_VECTOR_REGISTER:
                self._error(f"{where}: exchange of {_name(move.source)} and {_name(move.destination)}")
            other = facts.at(move.destination)
            facts.fill(move.destination, moved)
            facts.fill(move.source, other)
        elif move.kind == MOVE_COPY:
            facts.fill(move.destination, moved)
            if move.source >= FIRST_SPILL_SLOT and move.destination >= FIRST_SPILL_SLOT:
                facts.empty(self.env.scratch_vector)
        else:
            self._error(f"{where}: unknown kind {move.kind}")

    def _check_move_location(self, location: int, v: int, inst: MachineInst, where: str) -> None:
        self._check_written(location, where)
        if location >= FIRST_SPILL_SLOT:
            if location >= FIRST_SPILL_SLOT + self.allocation.spill_slots:
                self._error(f"{where}: there is no {_name(location)}")
            return
        if location == self.env.scratch_vector and self.code.vreg_class[v] == XMM:
            return
        if location < 0 or not self._fits_class(location, v):
            self._error(f"{where}: {_name(location)} is not for v{v}")
        elif (
            not (self.allocatable[self.code.vreg_class[v]] | inst.shape.fixed_early | inst.shape.fixed_late) >> location
            & 1
        ):
            self._error(f"{where}: {_name(location)} is not allocatable")
        if location >= 0 and not self.allocation.used_registers >> location & 1:
            self._error(f"{where}: {_name(location)} is not among the used registers")

    def _fits_class(self, location: int, v: int) -> bool:
        return (location < FIRST_VECTOR_REGISTER) == (self.code.vreg_class[v] == GPR)

    def _run_inst(self, inst: MachineInst, facts: Facts, where: str) -> None:
        shape = inst.shape
        operands = inst.operands
        locations = inst.locations
        listed = len(shape.kinds)
        if len(locations) != len(operands) or (locations and min(locations) < 0):
            self._error(f"{where}: locations {locations} for {len(operands)} operands")
            return
        if not self.silent:
            self._check_constraints(inst, where)
            for i, v in enumerate(operands):
                if (i >= listed or shape.kinds[i] != DEF) and v not in facts.at(locations[i]):
                    held = facts.at(locations[i])
                    names = ", ".join([f"v{u}" for u in sorted(held)])
                    self._error(f"{where}: v{v} is not in {_name(locations[i])}, which holds {names or 'nothing'}")
        clobbers = shape.clobbers
        while clobbers:
            lowest = clobbers & -clobbers
            clobbers ^= lowest
            self._check_written(lowest.bit_length() - 1, where)
            facts.empty(lowest.bit_length() - 1)
        for i in range(listed):
            if shape.kinds[i] == DEF:
                facts.forget(operands[i])
        for i in range(listed):
            if shape.kinds[i] == DEF:
                facts.fill(locations[i], frozenset((operands[i],)))

    def _check_constraints(self, inst: MachineInst, where: str) -> None:
        """Locations against constraints, and against each other."""
        shape = inst.shape
        listed = len(shape.kinds)
        early: set[int] = set()  # registers written at EARLY
        late: set[int] = set()  # registers written
        for i, v in enumerate(inst.operands):
            location = inst.locations[i]
            constraint = shape.constraints[i] if i < listed else ANY_REGISTER
            definition = i < listed and shape.kinds[i] == DEF
            position = shape.positions[i] if i < listed else EARLY
            name = f"{where}: operand {i} in {_name(location)}"
            if constraint >= 0:
                if location != constraint:
                    self._error(f"{name}, not in {_name(constraint)}")
            elif constraint <= SAME_AS:
                if location != inst.locations[SAME_AS - constraint]:
                    self._error(f"{name}, not with operand {SAME_AS - constraint}")
            elif location >= FIRST_SPILL_SLOT:
                if constraint != ANY_LOCATION or location >= FIRST_SPILL_SLOT + self.allocation.spill_slots:
                    self._error(f"{name}, not in a register")
            elif location < 0 or not self.allocatable[self.code.vreg_class[v]] >> location & 1:
                self._error(f"{name}, which is not for v{v}")
            if definition:
                self._check_written(location, f"{where}: operand {i}")
                if location < 0 or not self.allocation.used_registers >> location & 1:
                    self._error(f"{name}, which is not among the used registers")
                if location in late:
                    self._error(f"{name}, which another definition has")
                late.add(location)
                if position == EARLY:
                    early.add(location)
                if constraint < 0 and shape.clobbers >> location & 1:
                    self._error(f"{name}, which is clobbered")
        for i, v in enumerate(inst.operands):
            if i < listed and shape.kinds[i] == DEF:
                continue
            location = inst.locations[i]
            position = shape.positions[i] if i < listed else EARLY
            name = f"{where}: use {i} (v{v}) in {_name(location)}"
            if location in early:
                self._error(f"{name}, which is written before it is read")
            if position == LATE and location in late:
                self._error(f"{name}, which is written while it is needed")
            if position == LATE and 0 <= location < FIRST_SPILL_SLOT and shape.clobbers >> location & 1:
                self._error(f"{name}, which is clobbered while it is needed")


def _name(location: int) -> str:
    if location >= FIRST_SPILL_SLOT:
        return f"slot{location - FIRST_SPILL_SLOT}"
    if location >= FIRST_VECTOR_REGISTER:
        return f"x{location - FIRST_VECTOR_REGISTER}"
    return f"r{location}"
