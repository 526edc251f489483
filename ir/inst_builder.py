"""Making values: hash-consing and simplification of single instructions.

`InstBuilder` appends instructions to a current block. Each request for a pure instruction is first
offered to the rewrite rules (`Rules`, filled in by `rules.tables`), then looked up among the
instructions made so far (GVN scoped by dominance); only if both fail is an instruction made. The
result is a value number in all cases, so that a caller never learns whether anything was emitted.

`FunctionBuilder` (builder.py) adds blocks, memory, calls and terminators; rules see only this class.

Availability. A value made earlier may stand for a new one if its block dominates the current one.
The blocks of the current dominator chain are marked in `active`; FunctionBuilder keeps the marks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from .function import NO_TARGETS, NO_VALUE, Block, Function, Inst
from .opcodes import (
    BITCAST,
    COMMUTES,
    CONTEXT,
    CTX_LOAD,
    FCC_SWAPPED,
    FCMP,
    FCONST,
    FLAGS,
    ICC_NE,
    ICC_SWAPPED,
    ICMP,
    ICONST,
    OPCODE_COUNT,
    PTR_LOAD,
    SELECT,
    TRAP,
    TRAPNZ,
    TRAPZ,
)
from .trap_codes import FACT_PASSED, FACT_UNCHANGED
from .types import F32, I32, I64, IS_FLOAT, VOID

PARAM: Final = OPCODE_COUNT  # opcode of the pseudo instruction that defines block parameters in `defs`

# A rule returns the value that replaces the instruction, or NO_VALUE. A rule that finds that the
# instruction always traps calls `trap` (`terminated` is set then) and returns one of the operands.
UnaryRule = Callable[["InstBuilder", int, int, int], int]  # op, type, x
BinaryRule = Callable[["InstBuilder", int, int, int, int], int]  # op, type, x, y
ConstantRule = Callable[["InstBuilder", int, int, int, int, int], int]  # op, type, x, y, bits of y
ConvertRule = Callable[["InstBuilder", int, int, int, int], int]  # op, type, from_type, x
CompareRule = Callable[["InstBuilder", int, int, int, int], int]  # cc, operand type, x, y
SelectRule = Callable[["InstBuilder", int, int, int, int], int]  # type, c, x, y
# Folding functions take bits and return bits, or NO_FOLD.
UnaryFold = Callable[[int, int, int], int]  # op, type, x
BinaryFold = Callable[[int, int, int, int], int]  # op, type, x, y
ConvertFold = Callable[[int, int, int, int], int]  # op, type, from_type, x
NO_FOLD: Final = -1


@final
class Rules:
    """The rewrite rules: lists by opcode, or single functions, None where there is no rule; and what else is simplified.

    unary, convert    for operands that are not constant
    binary            for operands of which none, or only the first, is constant
    constant_right    for a second operand that is constant while the first is not
    fold_*            for constant operands

    shares            equal pure instructions are one
    shares_loads      equal loads of what never changes are one
    shares_checks     a trap that an equal one in a dominating block has let pass is left out
    sees_through      branches and traps test what a comparison with zero compares
    checks_facts      what the sharing of loads and checks relies on is checked at run time: FACT_* in trap_codes.py
    folds_branches    branches and traps on constants, and branches with one target only, become jumps, traps or nothing
    """

    __slots__ = (
        "unary",
        "binary",
        "constant_right",
        "convert",
        "fold_unary",
        "fold_binary",
        "fold_convert",
        "icmp",
        "fcmp",
        "select",
        "shares",
        "shares_loads",
        "shares_checks",
        "sees_through",
        "folds_branches",
        "checks_facts",
    )

    def __init__(self) -> None:
        self.unary: list[UnaryRule | None] = [None] * OPCODE_COUNT
        self.binary: list[BinaryRule | None] = [None] * OPCODE_COUNT
        self.constant_right: list[ConstantRule | None] = [None] * OPCODE_COUNT
        self.convert: list[ConvertRule | None] = [None] * OPCODE_COUNT
        self.fold_unary: list[UnaryFold | None] = [None] * OPCODE_COUNT
        self.fold_binary: list[BinaryFold | None] = [None] * OPCODE_COUNT
        self.fold_convert: list[ConvertFold | None] = [None] * OPCODE_COUNT
        self.icmp: CompareRule | None = None
        self.fcmp: CompareRule | None = None
        self.select: SelectRule | None = None
        self.shares = True
        self.shares_loads = True
        self.shares_checks = True
        self.sees_through = True
        self.folds_branches = True
        self.checks_facts = False


class InstBuilder:
    """Makes values in the current block of a function.

    loc          offset of the wasm operator, put into each instruction made
    block        the current block
    terminated   the current block has its terminator; nothing may be added to it
    defs         the instruction that defines each value; op PARAM for block parameters
    def_blocks   the number of the block that each value is defined in
    active       by block number: does the block dominate the current one (or is it that one)
    """

    __slots__ = (
        "function",
        "loc",
        "block",
        "terminated",
        "defs",
        "def_blocks",
        "active",
        "rules",
        "_insts",
        "_value_types",
        "_table",
        "_checked",
        "_unary_rules",
        "_binary_rules",
        "_constant_rules",
        "_convert_rules",
        "_fold_binary",
        "_shares",
    )

    def __init__(self, function: Function, rules: Rules) -> None:
        self.function = function
        self.rules = rules
        self.loc = -1
        self.block = Block(-1)
        self.terminated = True
        self.defs: list[Inst] = []
        self.def_blocks: list[int] = []
        self.active: list[bool] = []
        self._insts: list[Inst] = self.block.insts
        self._value_types: list[int] = function.value_types
        self._table: dict[tuple[int, ...], int] = {}  # (op, what distinguishes it...) -> value
        self._checked: dict[tuple[int, int], int] = {}  # (TRAPNZ or TRAPZ, condition) -> block
        self._unary_rules = rules.unary
        self._binary_rules = rules.binary
        self._constant_rules = rules.constant_right
        self._convert_rules = rules.convert
        self._fold_binary = rules.fold_binary
        self._shares = rules.shares

    # Emission

    def emit(self, op: int, type: int, args: list[int], imm: int, aux: int) -> int:
        """Append an instruction with one result and return that."""
        types = self._value_types
        value = len(types)
        types.append(type)
        inst = Inst(op, type, args, imm, aux, value, self.loc, NO_TARGETS)
        self.defs.append(inst)
        self.def_blocks.append(self.block.number)
        self._insts.append(inst)
        return value

    def emit_effect(self, op: int, type: int, args: list[int], imm: int, aux: int) -> None:
        """Append an instruction without result."""
        self._insts.append(Inst(op, type, args, imm, aux, NO_VALUE, self.loc, NO_TARGETS))

    def share(self, key: tuple[int, ...], op: int, type: int, args: list[int], imm: int, aux: int) -> int:
        """The value of an available instruction with the same `key`, or of a new one."""
        table = self._table
        value = table.get(key, NO_VALUE)
        if value != NO_VALUE and self.active[self.def_blocks[value]]:
            return value
        types = self._value_types
        value = len(types)
        types.append(type)
        inst = Inst(op, type, args, imm, aux, value, self.loc, NO_TARGETS)
        self.defs.append(inst)
        self.def_blocks.append(self.block.number)
        self._insts.append(inst)
        if self._shares:
            table[key] = value
        return value

    # Pure instructions

    def iconst(self, type: int, bits: int) -> int:
        """`bits` must be unsigned and fit the type."""
        value = self._table.get((ICONST, type, bits), NO_VALUE)
        if value != NO_VALUE and self.active[self.def_blocks[value]]:
            return value
        return self.share((ICONST, type, bits), ICONST, type, [], bits, 0)

    def fconst(self, type: int, bits: int) -> int:
        return self.share((FCONST, type, bits), FCONST, type, [], bits, 0)

    def unary(self, op: int, type: int, x: int) -> int:
        inst = self.defs[x]
        if inst.op == ICONST or inst.op == FCONST:
            fold = self.rules.fold_unary[op]
            if fold is not None:
                bits = fold(op, type, inst.imm)
                if bits != NO_FOLD:
                    return self.share((inst.op, type, bits), inst.op, type, [], bits, 0)
        else:
            rule = self._unary_rules[op]
            if rule is not None:
                value = rule(self, op, type, x)
                if value != NO_VALUE:
                    return value
        return self.share((op, x), op, type, [x], 0, 0)

    def binary(self, op: int, type: int, x: int, y: int) -> int:
        """Divisions by a constant 0 (or -1 of a constant) end the block: look at `terminated` after them."""
        defs = self.defs
        right = defs[y]
        right_op = right.op
        if right_op == ICONST or right_op == FCONST:
            left = defs[x]
            if left.op == right_op:
                fold = self._fold_binary[op]
                if fold is not None:
                    bits = fold(op, type, left.imm, right.imm)
                    if bits != NO_FOLD:
                        return self.share((right_op, type, bits), right_op, type, [], bits, 0)
            constant_rule = self._constant_rules[op]
            if constant_rule is not None:
                value = constant_rule(self, op, type, x, y, right.imm)
                if value != NO_VALUE:
                    return value
        else:
            if FLAGS[op] & COMMUTES:
                left_op = defs[x].op
                if left_op == ICONST or left_op == FCONST:
                    return self.binary(op, type, y, x)
                if x > y:
                    x, y = y, x
            rule = self._binary_rules[op]
            if rule is not None:
                value = rule(self, op, type, x, y)
                if value != NO_VALUE:
                    return value
        return self.share((op, x, y), op, type, [x, y], 0, 0)

    def icmp(self, cc: int, operand_type: int, x: int, y: int) -> int:
        if self.defs[y].op != ICONST and (x > y or self.defs[x].op == ICONST):
            x, y = y, x
            cc = ICC_SWAPPED[cc]
        rule = self.rules.icmp
        if rule is not None:
            value = rule(self, cc, operand_type, x, y)
            if value != NO_VALUE:
                return value
        return self.share((ICMP, cc, x, y), ICMP, I32, [x, y], cc, operand_type)

    def fcmp(self, cc: int, operand_type: int, x: int, y: int) -> int:
        if self.defs[x].op == FCONST and self.defs[y].op != FCONST:
            x, y = y, x
            cc = FCC_SWAPPED[cc]
        rule = self.rules.fcmp
        if rule is not None:
            value = rule(self, cc, operand_type, x, y)
            if value != NO_VALUE:
                return value
        return self.share((FCMP, cc, x, y), FCMP, I32, [x, y], cc, operand_type)

    def convert(self, op: int, type: int, from_type: int, x: int) -> int:
        """A trapping conversion of a constant may end the block: look at `terminated` after it."""
        inst = self.defs[x]
        if inst.op == ICONST or inst.op == FCONST:
            fold = self.rules.fold_convert[op]
            if fold is not None:
                bits = fold(op, type, from_type, inst.imm)
                if bits != NO_FOLD:
                    if type == I32 or type == I64:
                        return self.iconst(type, bits)
                    return self.fconst(type, bits)
        rule = self._convert_rules[op]
        if rule is not None:
            value = rule(self, op, type, from_type, x)
            if value != NO_VALUE:
                return value
        return self.share((op, type, x), op, type, [x], 0, from_type)

    def select(self, type: int, c: int, x: int, y: int) -> int:
        rule = self.rules.select
        if rule is not None:
            value = rule(self, type, c, x, y)
            if value != NO_VALUE:
                return value
        return self.share((SELECT, c, x, y), SELECT, type, [c, x, y], 0, 0)

    def context(self) -> int:
        return self.share((CONTEXT,), CONTEXT, I64, [], 0, 0)

    def ctx_load(self, type: int, offset: int, readonly: bool) -> int:
        if readonly and self.rules.shares_loads:
            made = len(self._value_types)
            value = self.share((CTX_LOAD, type, offset), CTX_LOAD, type, [], offset, 1)
            if self.rules.checks_facts and value < made:
                self._check_unchanged(type, value, self.emit(CTX_LOAD, type, [], offset, 0))
            return value
        return self.emit(CTX_LOAD, type, [], offset, int(readonly))

    def ptr_load(self, type: int, address: int, offset: int, readonly: bool) -> int:
        if readonly and self.rules.shares_loads:
            made = len(self._value_types)
            value = self.share((PTR_LOAD, type, address, offset), PTR_LOAD, type, [address], offset, 1)
            if self.rules.checks_facts and value < made:
                self._check_unchanged(type, value, self.emit(PTR_LOAD, type, [address], offset, 0))
            return value
        return self.emit(PTR_LOAD, type, [address], offset, int(readonly))

    def _check_unchanged(self, type: int, value: int, again: int) -> None:
        """Trap if `again`, loaded now, has other bits than `value`, loaded before."""
        if IS_FLOAT[type]:
            integer = I32 if type == F32 else I64
            value = self.emit(BITCAST, integer, [value], 0, type)
            again = self.emit(BITCAST, integer, [again], 0, type)
            type = integer
        self.emit_effect(TRAPNZ, VOID, [self.emit(ICMP, I32, [value, again], ICC_NE, type)], FACT_UNCHANGED, 0)

    # Traps

    def trapnz(self, c: int, code: int) -> None:
        """May end the block: look at `terminated` after it."""
        self._trap_if(TRAPNZ, c, code)

    def trapz(self, c: int, code: int) -> None:
        """May end the block: look at `terminated` after it."""
        self._trap_if(TRAPZ, c, code)

    def _trap_if(self, op: int, c: int, code: int) -> None:
        c, inverted = self.condition(c)
        if inverted:
            op = TRAPZ if op == TRAPNZ else TRAPNZ
        inst = self.defs[c]
        if inst.op == ICONST and self.rules.folds_branches:
            if (inst.imm != 0) == (op == TRAPNZ):
                self.trap(code)
            return
        # An equal check in a dominating block has let execution pass, so this one will.
        key = (op, c)
        block = self._checked.get(key, -1)
        if block != -1 and self.active[block]:
            if self.rules.checks_facts:
                self.emit_effect(op, VOID, [c], FACT_PASSED, 0)
            return
        if self.rules.shares_checks:
            self._checked[key] = self.block.number
        self.emit_effect(op, VOID, [c], code, 0)

    def condition(self, c: int) -> tuple[int, bool]:
        """See through comparisons with zero: a value and whether it is zero exactly when `c` is not."""
        defs = self.defs
        inverted = False
        inst = defs[c]
        if not self.rules.sees_through:
            return c, False
        while inst.op == ICMP and inst.imm <= 1 and inst.aux == I32:  # ICC_EQ or ICC_NE
            right = defs[inst.args[1]]
            if right.op != ICONST or right.imm != 0:
                break
            if inst.imm == 0:  # ICC_EQ
                inverted = not inverted
            c = inst.args[0]
            inst = defs[c]
        return c, inverted

    def trap(self, code: int) -> None:
        """End the block with an unconditional trap."""
        self.emit_effect(TRAP, VOID, [], code, 0)
        self.terminated = True
