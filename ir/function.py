"""The IR of one function: blocks with parameters, instructions, values.

A value is an int, unique in its function: a block parameter or a result of one instruction. An
instruction with several results (a call) has consecutive values `result .. result + count - 1`.
Side data about values lives in lists indexed by them. Blocks are ints too; `layout` orders them,
entry first. Blocks end with exactly one terminator; there are no phis: a target passes arguments
to its block's parameters.
"""

from __future__ import annotations

from typing import Final, final

from .opcodes import CALLS, FLAGS
from .signature import Signature
from .types import VOID

NO_VALUE: Final = -1


@final
class Target:
    """A branch target: block and the arguments for its parameters."""

    __slots__ = ("block", "args")

    def __init__(self, block: int, args: list[int]) -> None:
        self.block = block
        self.args = args


NO_ARGS: Final[list[int]] = []
NO_TARGETS: Final[list[Target]] = []  # shared by all non-terminators; never mutated


@final
class Inst:
    """One instruction; `opcodes` says what the fields mean for each opcode.

    `type` is the type of the (first) result, or of the stored value, or VOID. `loc` is the wasm
    operator's location (source_loc.py), or -1.
    """

    __slots__ = ("op", "type", "args", "imm", "aux", "result", "loc", "targets")

    def __init__(
        self,
        op: int,
        type: int,
        args: list[int],
        imm: int = 0,
        aux: int = 0,
        result: int = NO_VALUE,
        loc: int = -1,
        targets: list[Target] = NO_TARGETS,
    ) -> None:
        self.op = op
        self.type = type
        self.args = args
        self.imm = imm
        self.aux = aux
        self.result = result
        self.loc = loc
        self.targets = targets


@final
class Block:
    """Parameters (values) and instructions, the last of which is the terminator.

    `cold` marks code that is not expected to run (traps, slow paths): it is laid out at the end.
    """

    __slots__ = ("number", "params", "insts", "cold")

    def __init__(self, number: int) -> None:
        self.number = number
        self.params: list[int] = []
        self.insts: list[Inst] = []
        self.cold = False


@final
class Function:
    """`blocks[n]` is block n (also those no longer in `layout`); `value_types[v]` the type of value v; `inlined[offset]` the
    index of the function whose body stands for the call at this offset of the module's bytes. `analysis`: the LoopForest of the blocks
    as they are now, if a pass has left it for those that follow. Who changes `layout` or where a branch leads takes it away."""

    __slots__ = ("name", "index", "signature", "signatures", "blocks", "layout", "value_types", "inlined", "analysis")

    def __init__(self, name: str, index: int, signature: Signature, signatures: list[Signature]) -> None:
        self.name = name
        self.index = index
        self.signature = signature
        self.signatures = signatures  # by the signature numbers that calls use in `aux`
        self.blocks: list[Block] = []
        self.layout: list[int] = []
        self.value_types: list[int] = []
        self.inlined: dict[int, int] = {}
        self.analysis: object = None

    def new_block(self) -> Block:
        """Make a block. It is not in `layout` yet."""
        self.analysis = None
        block = Block(len(self.blocks))
        self.blocks.append(block)
        return block

    def new_value(self, type: int) -> int:
        assert type != VOID
        value = len(self.value_types)
        self.value_types.append(type)
        return value

    def append_param(self, block: Block, type: int) -> int:
        value = self.new_value(type)
        block.params.append(value)
        return value

    def result_count(self, inst: Inst) -> int:
        """How many consecutive values `inst` defines (calls: by signature; else 0 or 1)."""
        if inst.result == NO_VALUE:
            return 0
        if FLAGS[inst.op] & CALLS:
            return len(self.signatures[inst.aux].results)
        return 1
