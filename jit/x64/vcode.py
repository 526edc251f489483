"""The machine code of one function on its way from selection through allocation to emission."""

from __future__ import annotations

from typing import final

from brolga.regalloc.operand import Code


@final
class VCode:
    """What selection hands to emission: `code` for the allocator, and everything the allocator need not know.

    index           index of the function in its module
    inlined         as in the IR's `Function`
    code            blocks of `Inst`. Each block ends with one of JMP, BRANCH, JMP_TABLE, RET, TRAP (rows of `insts.py`); their
                    targets are `block.succs`: JMP goes to succs[0]; BRANCH to succs[0] if its condition holds, else to
                    succs[1]; JMP_TABLE to the blocks of its table (succs holds each of them once).
    outgoing_bytes  size of the area at [rsp] for stack arguments and stack results: the maximum over all calls (AMODE_OUTGOING)
    fixed_slots     number of 8-byte frame slots that selection uses itself (AMODE_SLOT)
    cold            by block number: emitted after all others (in order of number). Blocks past the list's end are not cold
    align           by block number: what begins here should not cross the end of a line, if it is short (buffer.py): innermost
                    loops, and blocks in loops that jump through a table. False for blocks past the list's end
    jump_tables     by number (`Inst.imm` of JMP_TABLE): the block of each index
    constants       by number (AMODE_CONSTANT, `Amode.displacement`): bits of each constant; made by `constant`
    constant_sizes  parallel: 4, 8 or 16 bytes, which is also the alignment
    """

    __slots__ = (
        "index",
        "inlined",
        "code",
        "outgoing_bytes",
        "fixed_slots",
        "cold",
        "align",
        "jump_tables",
        "constants",
        "constant_sizes",
        "_constant_numbers",
    )

    def __init__(self, index: int, code: Code) -> None:
        self.index = index
        self.inlined: dict[int, int] = {}
        self.code = code
        self.outgoing_bytes = 0
        self.fixed_slots = 0
        self.cold: list[bool] = []
        self.align: list[bool] = []
        self.jump_tables: list[list[int]] = []
        self.constants: list[int] = []
        self.constant_sizes: list[int] = []
        self._constant_numbers: dict[tuple[int, int], int] = {}

    def constant(self, bits: int, size: int) -> int:
        """Number of the pool entry with these `bits` (unsigned) in `size` bytes; equal entries are one."""
        key = (bits, size)
        number = self._constant_numbers.get(key, -1)
        if number < 0:
            number = len(self.constants)
            self._constant_numbers[key] = number
            self.constants.append(bits)
            self.constant_sizes.append(size)
        return number

    def jump_table(self, blocks: list[int]) -> int:
        """Number of a new jump table."""
        self.jump_tables.append(blocks)
        return len(self.jump_tables) - 1

    def reserve_outgoing(self, size: int) -> None:
        """Make room for a call that needs `size` bytes of stack arguments and results."""
        self.outgoing_bytes = max(self.outgoing_bytes, size)

    def new_slot(self) -> int:
        """Number of a new fixed frame slot."""
        self.fixed_slots += 1
        return self.fixed_slots - 1
