"""Machine instructions over virtual registers, as selection makes them and emission encodes them."""

from __future__ import annotations

from typing import Final, final

from brolga.regalloc.operand import MachineInst, Shape

# Kinds of addressing modes.
AMODE_REGISTERS: Final = 0  # [segment: base + index * 2**scale + displacement]
AMODE_VMCTX: Final = 1  # [r15 + displacement]
AMODE_OUTGOING: Final = 2  # [rsp + displacement]: stack arguments and stack results of a call being made
AMODE_INCOMING: Final = 3  # [rsp + frame size + 8 + displacement]: this function's own stack arguments and stack results
AMODE_CONSTANT: Final = 4  # [rip + ...]: entry number `displacement` of the function's constant pool
AMODE_SLOT: Final = 5  # [rsp + ...]: entry `displacement` of the fixed frame slots (8 bytes each) that selection reserves

NO_OPERAND: Final = -1
NO_LOCATIONS: Final[list[int]] = []  # shared by all instructions before allocation, which replaces it


@final
class Amode:
    """A memory operand.

    `base` and `index` are positions in the instruction's `operands` (NO_OPERAND if absent); `fixed_base` is a machine register used as
    base instead (r14 as memory base), or -1. With `gs`, the access is relative to the gs base; with `address32` it has the
    address-size prefix: base + index * 2**scale + displacement wraps at 32 bits before the segment base is added.
    `scale` is 0..3.
    """

    __slots__ = ("address32", "base", "displacement", "fixed_base", "gs", "index", "kind", "scale")

    def __init__(
        self,
        kind: int,
        base: int = NO_OPERAND,
        index: int = NO_OPERAND,
        scale: int = 0,
        displacement: int = 0,
        fixed_base: int = -1,
        gs: bool = False,
        address32: bool = False,
    ) -> None:
        self.kind = kind
        self.base = base
        self.index = index
        self.scale = scale
        self.displacement = displacement
        self.fixed_base = fixed_base
        self.gs = gs
        self.address32 = address32


@final
class Inst(MachineInst):
    """One x86-64 instruction: row `op` of `insts.py`.

    `imm`     the immediate operand, condition code (for jcc, setcc, cmov), relocation target, …, as the row says
    `target`  the block number that a jump leads to, or -1
    `trap`    the trap code if the instruction may fault, else -1
    `loc`     of the wasm operator (ir/source_loc.py), or -1
    """

    __slots__ = ("amode", "imm", "loc", "op", "target", "trap")

    def __init__(
        self,
        op: int,
        operands: list[int],
        shape: Shape,
        imm: int = 0,
        amode: Amode | None = None,
        target: int = -1,
        trap: int = -1,
        loc: int = -1,
    ) -> None:
        # The base class's fields are set here, since its constructor would be a second call for each instruction.
        self.operands = operands
        self.shape = shape
        self.locations = NO_LOCATIONS
        self.op = op
        self.imm = imm
        self.amode = amode
        self.target = target
        self.trap = trap
        self.loc = loc
