"""Runs machine code on made-up values, before and after allocation: the second oracle beside the checker.

An instruction computes a hash of its number and of what it reads. A trace lists what each executed instruction read.
"""

import random

from brolga.regalloc.operand import (
    DEF,
    EARLY,
    LATE,
    MOVE_COPY,
    MOVE_EXCHANGE,
    Allocation,
    Code,
    MachineInst,
)

MAX_STEPS = 400


def _value(code: Code, inst: MachineInst, operand: int, inputs: tuple[int, ...], label: int) -> int:
    v = inst.operands[operand]
    if code.remat[v] is not None:
        return hash(("constant", v))
    return hash((label, operand, inputs))


def _label(block: int, index: int) -> int:
    return block * 100000 + index


def trace_vregs(code: Code, seed: int) -> list[tuple[int, ...]]:
    """What the code does, with vregs for storage."""
    rnd = random.Random(seed)
    values: dict[int, int] = {}
    trace: list[tuple[int, ...]] = []
    b = 0
    while len(trace) < MAX_STEPS:
        block = code.blocks[b]
        for index, inst in enumerate(block.insts):
            kinds = inst.shape.kinds
            inputs = tuple(values[v] for i, v in enumerate(inst.operands) if i >= len(kinds) or kinds[i] != DEF)
            if inst.shape.commutes:
                inputs = tuple(sorted(inputs))
            trace.append((_label(b, index), *inputs))
            for i, kind in enumerate(kinds):
                if kind == DEF:
                    early = inst.shape.positions[i] == EARLY
                    values[inst.operands[i]] = _value(code, inst, i, () if early else inputs, _label(b, index))
        if not block.succs:
            break
        succ = rnd.choice(block.succs)
        arguments = [values[v] for v in block.branch_args]
        for p, value in zip(code.blocks[succ].params, arguments, strict=True):
            values[p] = value
        b = succ
    return trace


class _Frame:
    """Makes and takes down the frame where `allocation.framed` says so. Slots hold nothing good before and after."""

    def __init__(self, code: Code, allocation: Allocation, held: dict[int, int], saved: int) -> None:
        self.code = code
        self.allocation = allocation
        self.held = held
        self.callers = {register: hash(("caller", register)) for register in range(32) if saved >> register & 1}
        held.update(self.callers)
        self.made = not allocation.framed or allocation.framed[0]

    def change(self) -> None:
        if self.made:
            self.held.update(self.callers)
        else:
            self.check()
        self.made = not self.made
        for slot in range(self.allocation.spill_slots):
            self.held[32 + slot] = hash(("no slot", slot))

    def check(self) -> None:
        """Without the frame, callee-saved registers are the caller's."""
        for register, value in self.callers.items():
            assert self.held[register] == value, f"register {register} is lost"

    def start(self, b: int) -> None:
        if self.allocation.changes_at_start(self.code.blocks[b], self.code.blocks):
            self.change()
        assert not self.allocation.framed or self.allocation.framed[b] == self.made

    def end(self, b: int) -> None:
        if self.allocation.changes_at_end(self.code.blocks[b]):
            self.change()
        if not self.made:
            self.check()


def trace_locations(
    code: Code, allocation: Allocation, seed: int, scratch: int, saved: int = 0
) -> list[tuple[int, ...]]:
    """The same, with registers and slots, and the inserted moves. `saved`: the callee-saved registers."""
    rnd = random.Random(seed)
    held: dict[int, int] = {}
    frame = _Frame(code, allocation, held, saved)
    trace: list[tuple[int, ...]] = []
    b = 0
    while len(trace) < MAX_STEPS:
        block = code.blocks[b]
        frame.start(b)
        for index, inst in enumerate(block.insts):
            _run_moves(code, allocation, b, index, held, scratch)
            if index == len(block.insts) - 1:
                frame.end(b)
            shape = inst.shape
            kinds = shape.kinds
            label = _label(b, index)
            for i, kind in enumerate(kinds):
                if kind == DEF and shape.positions[i] == EARLY:
                    held[inst.locations[i]] = _value(code, inst, i, (), label)
            inputs: dict[int, int] = {}
            for position in (EARLY, LATE):
                for i, location in enumerate(inst.locations):
                    if i >= len(kinds):
                        if position == EARLY:
                            inputs[i] = held.get(location, -1)
                    elif kinds[i] != DEF and shape.positions[i] == position:
                        inputs[i] = held.get(location, -1)
                if position == EARLY:
                    for register in range(32):
                        if shape.clobbers >> register & 1:
                            held[register] = hash((label, "clobber", register))
                    late = [i for i, kind in enumerate(kinds) if kind == DEF and shape.positions[i] == LATE]
                    for i in late:  # definitions are written before late uses are read
                        held[inst.locations[i]] = hash((label, "not yet"))
            ordered = tuple(sorted(inputs.values())) if shape.commutes else tuple(inputs[i] for i in sorted(inputs))
            trace.append((label, *ordered))
            for i in late:
                held[inst.locations[i]] = _value(code, inst, i, ordered, label)
        if not block.succs:
            break
        b = rnd.choice(block.succs)
    return trace


def _run_moves(code: Code, allocation: Allocation, b: int, index: int, held: dict[int, int], scratch: int) -> None:
    for move in allocation.moves[b].get(index, []):
        if move.kind == MOVE_COPY:
            if move.source >= 32 and move.destination >= 32:
                held[scratch] = held.get(move.source, -1)
            held[move.destination] = held.get(move.source, -1)
        elif move.kind == MOVE_EXCHANGE:
            source = held.get(move.source, -1)
            held[move.source] = held.get(move.destination, -1)
            held[move.destination] = source
        else:
            held[move.destination] = hash(("constant", move.vreg))
