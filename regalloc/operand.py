"""The interface between a back end and the register allocator.

The allocator sees machine code as blocks of instructions over virtual registers (vregs) in SSA form:
each vreg has one definition, which dominates its uses, and blocks have parameters. It fills in a
location for each operand and lists the moves to insert. It never looks at what an instruction does.

Locations are ints:

    0 .. 15        general registers, in the machine's own numbering
    16 .. 31       vector registers
    32 + n         spill slot n (8 bytes each)

Operand constraints are ints too:

    ANY_REGISTER   some register of the vreg's class
    ANY_LOCATION   a register or the vreg's spill slot (only uses; the client emits a memory operand)
    0 .. 31        this register
    SAME_AS - k    (definitions only) the location of operand k of the same instruction, which is a use
                   constrained to ANY_REGISTER or to a fixed register

Positions: an instruction reads at EARLY and writes at LATE. A use at LATE is still needed while the
instruction writes, so it shares no register with a definition. A definition at EARLY is written
before the uses have been read (scratch registers are such definitions that nobody uses).

Invariants that a client keeps
------------------------------
- vregs are defined once, before every use, along every path; block parameters count as definitions
- no critical edges: an edge from a block with several successors leads to a block with one predecessor
- a block with several successors passes no branch arguments; only a block with one successor does
  (its terminator then has no operands), in the order of the successor's parameters
- blocks are in an order where a block comes after its immediate dominator; block 0 is the entry, has no
  predecessors and no parameters; every block is reachable
- fixed constraints of one position of one instruction name different registers, and are disjoint from the
  clobbers unless the operand is a definition (then the register is defined, not clobbered)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

ANY_REGISTER: Final = -1
ANY_LOCATION: Final = -2
SAME_AS: Final = -16  # SAME_AS - k

USE: Final = 0
DEF: Final = 1

EARLY: Final = 0
LATE: Final = 1

GPR: Final = 0  # register classes of vregs
XMM: Final = 1

FIRST_VECTOR_REGISTER: Final = 16
FIRST_SPILL_SLOT: Final = 32


@final
class Shape:
    """What an instruction's operands need; shared by all instructions of one form.

    The lists are parallel, one entry an operand. Operands of an instruction past their end are uses,
    ANY_REGISTER, EARLY (addressing modes add a varying number of those).
    `clobbers` is a bit mask of registers whose contents are destroyed at LATE.

    `commutes`: the two uses of a plain shape, the first of which is tied, may change places.

    Derived: `plain` says that no register is prescribed or destroyed, uses are EARLY and the definition, if there is one, LATE.
    `definition` is that definition (-1 if there is none) and `tied` the use that it is SAME_AS (or -1).
    `fixed_early` and `fixed_late` are masks of the registers that fixed operands occupy at each position.
    Lists of operands: `definitions`; `early_definitions` and `late_definitions`, those in any register and not tied; `tied_definitions`,
    those tied to a use in any register; `fixed_uses`; `free_uses`, the others; `late_uses`, those of `free_uses` that are LATE.
    """

    __slots__ = (
        "kinds",
        "constraints",
        "positions",
        "clobbers",
        "commutes",
        "plain",
        "definition",
        "tied",
        "fixed_early",
        "fixed_late",
        "definitions",
        "early_definitions",
        "late_definitions",
        "tied_definitions",
        "fixed_uses",
        "free_uses",
        "late_uses",
    )

    def __init__(
        self,
        kinds: list[int],
        constraints: list[int],
        positions: list[int] | None = None,
        clobbers: int = 0,
        commutes: bool = False,
    ) -> None:
        self.kinds = kinds
        self.constraints = constraints
        self.positions = positions if positions is not None else [LATE if kind == DEF else EARLY for kind in kinds]
        self.clobbers = clobbers
        self.plain = clobbers == 0 and kinds.count(DEF) <= 1
        self.definition = -1
        self.tied = -1
        self.fixed_early = 0
        self.fixed_late = 0
        self.definitions = [i for i, k in enumerate(kinds) if k == DEF]
        self.early_definitions: list[int] = []
        self.late_definitions: list[int] = []
        self.tied_definitions: list[int] = []
        self.fixed_uses: list[int] = []
        self.free_uses: list[int] = []
        self.late_uses: list[int] = []
        for i, (k, c, p) in enumerate(zip(kinds, constraints, self.positions, strict=True)):
            if c >= 0 or p != (LATE if k == DEF else EARLY):
                self.plain = False
            if k == DEF:
                self.definition = i
                if c <= SAME_AS:
                    self.tied = SAME_AS - c
                    c = constraints[self.tied]
                    if c < 0:
                        self.tied_definitions.append(i)
                elif c < 0:
                    (self.early_definitions if p == EARLY else self.late_definitions).append(i)
            elif c >= 0:
                self.fixed_uses.append(i)
            else:
                self.free_uses.append(i)
                if p == LATE:
                    self.late_uses.append(i)
            if c >= 0:
                if k == USE or p == EARLY:
                    self.fixed_early |= 1 << c
                if k == DEF or p == LATE:
                    self.fixed_late |= 1 << c
        self.commutes = commutes and self.plain and kinds == [DEF, USE, USE] and self.tied == 1


class MachineInst:
    """Base of the back end's instruction. `operands[i]` is a vreg; allocation fills `locations[i]`."""

    __slots__ = ("operands", "shape", "locations")

    def __init__(self, operands: list[int], shape: Shape) -> None:
        self.operands = operands
        self.shape = shape
        self.locations: list[int] = []


@final
class MachineBlock:
    """Blocks are numbered by their place in `Code.blocks`, which is also the order of emission.

    `frequency` is an estimate relative to the entry (entry 1.0, a loop level multiplies by about 10, cold code
    is near 0). `needs_frame`: the client uses the stack frame here, beside what the allocator will.
    """

    __slots__ = ("number", "params", "insts", "succs", "preds", "branch_args", "loop_depth", "frequency", "needs_frame")

    def __init__(self, number: int) -> None:
        self.number = number
        self.params: list[int] = []
        self.insts: list[MachineInst] = []
        self.succs: list[int] = []
        self.preds: list[int] = []
        self.branch_args: list[int] = []  # for the only successor
        self.loop_depth = 0
        self.frequency = 1.0
        self.needs_frame = False


def _spend_nothing(instructions: int) -> None:
    pass


# What `Code.spend` is told.
STRIDE: Final = 4096  # after so many instructions of one block: that so many come
BLOCK: Final = 4  # for a block whose instructions are not looked at


@final
class Code:
    """A function for the allocator.

    `vreg_class[v]` is GPR or XMM. `remat[v]` is the instruction that makes v's value again from nothing (a constant), or
    None: the allocator may drop such a vreg and ask for it again (MOVE_REMAT) in place of spilling it.
    `hints[v]` is a register that v would like to be in, or -1. `spend` is told of so many instructions that are about to be looked
    at; it may raise, which ends the allocation.
    """

    __slots__ = ("name", "blocks", "vreg_class", "remat", "hints", "idom", "spend")

    def __init__(self, name: str, spend: Callable[[int], None] | None = None) -> None:
        self.name = name
        self.spend: Callable[[int], None] = spend or _spend_nothing
        self.blocks: list[MachineBlock] = []
        self.vreg_class: list[int] = []
        self.remat: list[MachineInst | None] = []
        self.hints: list[int] = []
        self.idom: list[int] = []  # immediate dominator of each block, -1 for the entry

    def new_vreg(self, register_class: int) -> int:
        self.vreg_class.append(register_class)
        self.remat.append(None)
        self.hints.append(-1)
        return len(self.vreg_class) - 1


@final
class MachineEnv:
    """The registers to be used: preference order for each class; one reserved scratch vector register.

    Moves between two spill slots, and cycles of vector registers, go through `scratch_vector`, which is
    never allocated. Cycles of general registers are exchanges.
    """

    __slots__ = ("preferred", "callee_saved", "scratch_vector")

    def __init__(self, preferred: list[list[int]], callee_saved: int, scratch_vector: int) -> None:
        self.preferred = preferred  # by class: registers in the order in which they should be taken
        self.callee_saved = callee_saved  # bit mask: using one costs a save and a restore in the prologue
        self.scratch_vector = scratch_vector


MOVE_COPY: Final = 0  # source -> destination; any mix of register and spill slot
MOVE_EXCHANGE: Final = 1  # two general registers
MOVE_REMAT: Final = 2  # make `vreg` again in register `destination`; `source` is -1


@final
class Move:
    """One inserted move, to be done in list order. `vreg` names the value that is moved (its class says which bank)."""

    __slots__ = ("kind", "source", "destination", "vreg")

    def __init__(self, kind: int, source: int, destination: int, vreg: int) -> None:
        self.kind = kind
        self.source = source
        self.destination = destination
        self.vreg = vreg


@final
class Allocation:
    """The result, beside the `locations` in each instruction.

    `moves[b]` maps an instruction's position in block b to the moves that go before it (position of the
    terminator for moves at the end of the block). `used_registers` is a bit mask of the registers written to. `framed[b]`: whether
    block b has the stack frame (`shrink_wrap`); empty if the frame is made at the entry and all blocks have it.
    """

    __slots__ = ("moves", "spill_slots", "used_registers", "framed")

    def __init__(
        self,
        moves: list[dict[int, list[Move]]],
        spill_slots: int,
        used_registers: int,
        framed: list[bool] | None = None,
    ) -> None:
        self.moves = moves
        self.spill_slots = spill_slots
        self.used_registers = used_registers
        self.framed = framed if framed is not None else []

    def changes_at_start(self, block: MachineBlock, blocks: list[MachineBlock]) -> bool:
        """Whether the frame is made or taken down at the start of `block`, whose predecessor goes on elsewhere too."""
        if not self.framed or len(block.preds) != 1:
            return False
        before = block.preds[0]
        return len(blocks[before].succs) > 1 and self.framed[before] != self.framed[block.number]

    def changes_at_end(self, block: MachineBlock) -> bool:
        """Whether the frame is made or taken down at the end of `block`: behind its moves, before its terminator."""
        return bool(self.framed) and len(block.succs) == 1 and self.framed[block.succs[0]] != self.framed[block.number]
