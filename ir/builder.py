"""Building the IR of a function, one call an instruction.

    builder = FunctionBuilder(function)
    entry = builder.create_block()
    x = builder.append_param(entry, I32)
    builder.switch_to_block(entry, None)
    builder.ret([builder.binary(IADD, I32, x, builder.iconst(I32, 1))])

Every request is simplified and shared while building (see inst_builder.py and rules/), so the value
returned may be an older one, a constant or an operand.

After a call that may end the block because its operands are constant (divisions, trapping
conversions, `trapnz`, `trapz`), and after every terminator, `terminated` is true; then nothing may be
added until the next `switch_to_block`.

Blocks must be filled one at a time, each in one go. The order in which blocks are started should be
a preorder of the dominator tree, as the structure of wasm gives it: then finding out which earlier
values are available costs O(1) amortised.
"""

from __future__ import annotations

from typing import final

from .function import NO_ARGS, NO_TARGETS, NO_VALUE, Block, Function, Inst, Target
from .inst_builder import PARAM, InstBuilder, Rules
from .opcodes import (
    BR_TABLE,
    BRIF,
    CALL,
    CALL_BUILTIN,
    CALL_PTR,
    CTX_STORE,
    ICC_EQ,
    ICONST,
    JUMP,
    PTR_STORE,
    RETURN,
)
from .rules.tables import RULES
from .types import I32, VOID

_PARAM = Inst(PARAM, VOID, NO_ARGS)  # what `defs` holds for every block parameter
_NO_BLOCK = -1
_MAX_STEPS = 64  # of the search for a common dominator


@final
class FunctionBuilder(InstBuilder):
    """Builds `function`, which must be empty (no blocks, no values) at first, by all rules or by some of them."""

    __slots__ = ("_chain", "_dominators")

    def __init__(self, function: Function, rules: Rules = RULES) -> None:
        super().__init__(function, rules)
        assert not function.blocks and not function.value_types
        self._chain: list[int] = []  # the active blocks, from the entry to the current one
        self._dominators: list[int] = []  # by block: the dominator given to switch_to_block

    # Blocks

    def create_block(self, cold: bool = False) -> Block:
        """A new block, which is not placed until `switch_to_block`."""
        block = self.function.new_block()
        block.cold = cold
        self.active.append(False)
        self._dominators.append(_NO_BLOCK)
        return block

    def append_param(self, block: Block, type: int) -> int:
        value = self.function.append_param(block, type)
        self.defs.append(_PARAM)
        self.def_blocks.append(block.number)
        return value

    def switch_to_block(self, block: Block, dominator: Block | None) -> None:
        """Place `block` next in the layout and build into it from now on.

        `dominator`: a block already filled that dominates it, the nearer the better. None: nothing is
        known but that the entry dominates everything.
        """
        layout = self.function.layout
        number = block.number
        if dominator is not None:
            parent = dominator.number
        elif layout:
            parent = layout[0]
        else:
            parent = _NO_BLOCK
        layout.append(number)
        self.block = block
        self._insts = block.insts
        self.terminated = False

        dominators = self._dominators
        dominators[number] = parent
        active = self.active
        path = [number]
        while parent != _NO_BLOCK and not active[parent]:
            path.append(parent)
            parent = dominators[parent]
        chain = self._chain
        while chain and chain[-1] != parent:
            active[chain.pop()] = False
        while path:
            number = path.pop()
            active[number] = True
            chain.append(number)

    def common_dominator(self, block: Block, fallback: Block) -> Block:
        """A block that dominates `block`, which has been filled, and the current one. The search is cut short, so it
        may be `fallback`, which must dominate both, though a nearer one exists."""
        active = self.active
        dominators = self._dominators
        number = block.number
        for _ in range(_MAX_STEPS):
            if active[number]:
                return self.function.blocks[number]
            number = dominators[number]
        return fallback

    def is_near(self, block: Block) -> bool:
        """Whether making `block`, which has been filled, the dominator of the next block takes only a few steps."""
        active = self.active
        dominators = self._dominators
        number = block.number
        for _ in range(_MAX_STEPS):
            if active[number]:
                return True
            number = dominators[number]
        return False

    # Memory

    def load(self, op: int, type: int, index: int, offset: int, memory: int = 0) -> int:
        return self.emit(op, type, [index], offset, memory)

    def store(self, op: int, type: int, index: int, value: int, offset: int, memory: int = 0) -> None:
        self.emit_effect(op, type, [index, value], offset, memory)

    def ctx_store(self, type: int, offset: int, value: int) -> None:
        self.emit_effect(CTX_STORE, type, [value], offset, 0)

    def ptr_store(self, type: int, address: int, value: int, offset: int) -> None:
        self.emit_effect(PTR_STORE, type, [address, value], offset, 0)

    # Calls

    def call(self, func: int, signature_number: int, args: list[int]) -> int:
        """The first of the consecutive results, or NO_VALUE."""
        return self._emit_call(CALL, signature_number, args, func)

    def call_ptr(self, signature_number: int, code: int, vmctx: int, args: list[int]) -> int:
        """The first of the consecutive results, or NO_VALUE."""
        return self._emit_call(CALL_PTR, signature_number, [code, vmctx, *args], 0)

    def call_builtin(self, number: int, signature_number: int, args: list[int]) -> int:
        """The first of the consecutive results, or NO_VALUE."""
        return self._emit_call(CALL_BUILTIN, signature_number, args, number)

    def _emit_call(self, op: int, signature_number: int, args: list[int], imm: int) -> int:
        results = self.function.signatures[signature_number].results
        if not results:
            self.emit_effect(op, VOID, args, imm, signature_number)
            return NO_VALUE
        first = self.emit(op, results[0], args, imm, signature_number)
        inst = self.defs[first]
        for position in range(1, len(results)):
            self._value_types.append(results[position])
            self.defs.append(inst)
            self.def_blocks.append(self.block.number)
        return first

    # Terminators

    def _terminate(self, op: int, args: list[int], targets: list[Target]) -> None:
        self._insts.append(Inst(op, VOID, args, 0, 0, NO_VALUE, self.loc, targets))
        self.terminated = True

    def jump(self, block: Block, args: list[int]) -> None:
        self._terminate(JUMP, NO_ARGS, [Target(block.number, args)])

    def brif(self, c: int, block1: Block, args1: list[int], block2: Block, args2: list[int]) -> None:
        """To block1 if `c` is not zero, else to block2."""
        c, inverted = self.condition(c)
        if inverted:
            block1, args1, block2, args2 = block2, args2, block1, args1
        inst = self.defs[c]
        folds = self.rules.folds_branches
        if folds and inst.op == ICONST:
            if inst.imm != 0:
                self.jump(block1, args1)
            else:
                self.jump(block2, args2)
        elif folds and block1 is block2 and args1 == args2:
            self.jump(block1, args1)
        else:
            self._terminate(BRIF, [c], [Target(block1.number, args1), Target(block2.number, args2)])

    def br_table(self, index: int, targets: list[tuple[Block, list[int]]]) -> None:
        """To targets[index], or to the last one if the index is not less than the number of the others."""
        last = len(targets) - 1
        inst = self.defs[index]
        block, args = targets[last]
        if not self.rules.folds_branches:
            self._terminate(BR_TABLE, [index], [Target(target.number, list(a)) for target, a in targets])
        elif inst.op == ICONST:
            block, args = targets[min(inst.imm, last)]
            self.jump(block, args)
        elif all(other is block and other_args == args for other, other_args in targets):
            self.jump(block, args)
        elif last == 1:
            first, first_args = targets[0]
            zero = self.icmp(ICC_EQ, I32, index, self.iconst(I32, 0))
            self.brif(zero, first, first_args, block, args)
        else:
            self._terminate(BR_TABLE, [index], [Target(target.number, list(a)) for target, a in targets])

    def ret(self, args: list[int]) -> None:
        self._terminate(RETURN, args, NO_TARGETS)
