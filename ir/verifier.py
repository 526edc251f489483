"""Checks that a function obeys the rules of the IR.

Invariants
----------
 1. `layout` names existing blocks, each at most once, and starts with the entry, which no branch targets.
 2. The parameters of the entry have the types of the signature's parameters.
 3. Every block of the layout ends with a terminator and has no other one.
 4. Every value has one definition: one block parameter or one instruction's result; its type is that of the definition.
 5. Every use of a value is dominated by its definition (in reachable blocks).
 6. Targets are blocks of the layout; they pass one argument of the right type for each parameter.
 7. Operands have the number and types that the opcode's format and type class demand; `type` lies in the type class.
 8. Comparisons and conditions are I32; addresses of LOAD and STORE are I32, those of PTR_LOAD and PTR_STORE are I64.
 9. Constants, offsets, condition codes, trap codes and signature numbers are in range.
10. Calls have arguments and results as their signature says; `return` has the results of the function's signature.
11. JUMP has one target, BRANCH two, BR_TABLE at least one; all else has none.
12. `analysis`, if there is one, describes the blocks as they are.
"""

from __future__ import annotations

from typing import Final, final

from .dominator_tree import UNREACHABLE, DominatorTree
from .errors import VerifierError
from .function import NO_VALUE, Function, Inst
from .loops import LoopForest
from .opcodes import (
    BINARY,
    BITCAST,
    BR_TABLE_,
    BRANCH_,
    BUILTIN_,
    CALL_,
    CALL_PTR_,
    CALLS,
    COMPARE,
    CONST,
    CONTEXT_,
    CONVERT,
    CTX_LOAD_,
    CTX_STORE_,
    FCC_NAMES,
    FCMP,
    FCVT_FROM_SINT,
    FCVT_FROM_UINT,
    FCVT_TO_SINT,
    FCVT_TO_SINT_SAT,
    FCVT_TO_UINT,
    FCVT_TO_UINT_SAT,
    FDEMOTE,
    FLAGS,
    FORMATS,
    FPROMOTE,
    ICC_NAMES,
    ICMP,
    IREDUCE,
    JUMP_,
    LOAD_,
    OPCODE_NAMES,
    PTR_LOAD_,
    PTR_STORE_,
    RETURN_,
    SELECT_,
    SEXTEND,
    STORE_,
    TERMINATOR,
    TRAP_,
    TRAP_IF_,
    TYPE_CLASSES,
    UEXTEND,
    UNARY,
)
from .printer import format_inst
from .trap_codes import TRAP_NAMES
from .types import F32, F64, I32, I64, IS_FLOAT, TYPE_BITS, TYPE_MASK, TYPE_NAMES, VOID

_CONVERSIONS: Final[dict[int, tuple[str, str]]] = {  # opcode: type classes of operand and result
    IREDUCE: ("i64", "i32"),
    UEXTEND: ("i32", "i64"),
    SEXTEND: ("i32", "i64"),
    FPROMOTE: ("f32", "f64"),
    FDEMOTE: ("f64", "f32"),
    FCVT_TO_SINT: ("f", "i"),
    FCVT_TO_UINT: ("f", "i"),
    FCVT_TO_SINT_SAT: ("f", "i"),
    FCVT_TO_UINT_SAT: ("f", "i"),
    FCVT_FROM_SINT: ("i", "f"),
    FCVT_FROM_UINT: ("i", "f"),
    BITCAST: ("any", "any"),
}
_CLASS_TYPES: Final[dict[str, tuple[int, ...]]] = {
    "i": (I32, I64),
    "f": (F32, F64),
    "any": (I32, I64, F32, F64),
    "i32": (I32,),
    "i64": (I64,),
    "f32": (F32,),
    "f64": (F64,),
}
_TARGET_COUNTS: Final[dict[int, tuple[int, int]]] = {JUMP_: (1, 1), BRANCH_: (2, 2), BR_TABLE_: (1, 1 << 30)}
_MAX_OFFSET: Final = 0xFFFF_FFFF


def verify(function: Function) -> None:
    """Raise VerifierError with all findings if `function` breaks an invariant."""
    findings = _Verifier(function).run()
    if findings:
        raise VerifierError(findings)


@final
class _Verifier:
    __slots__ = ("function", "findings", "defined_in", "defined_at", "placed", "entity", "text")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.findings: list[tuple[str, str, str]] = []
        self.defined_in: dict[int, int] = {}  # value -> block
        self.defined_at: dict[int, int] = {}  # value -> position in its block, -1 for parameters
        self.placed: set[int] = set()
        self.entity = ""
        self.text = ""

    def report(self, message: str) -> None:
        self.findings.append((self.entity, self.text, message))

    def run(self) -> list[tuple[str, str, str]]:
        function = self.function
        self.entity = f"function {function.name}"
        if not self._check_layout():
            return self.findings
        self._collect_definitions()
        for number in function.layout:
            for inst in function.blocks[number].insts:
                self.entity = f"block{number}"
                self.text = self._describe(inst)
                self._check_inst(inst)
        if not self.findings:
            self._check_dominance()
        return self.findings

    def _describe(self, inst: Inst) -> str:
        if FLAGS[inst.op] & CALLS and not 0 <= inst.aux < len(self.function.signatures):
            return OPCODE_NAMES[inst.op]
        try:
            return format_inst(self.function, inst)
        except IndexError:
            return OPCODE_NAMES[inst.op]

    # Blocks and definitions

    def _check_layout(self) -> bool:
        function = self.function
        if not function.layout:
            self.report("there is no entry block")
            return False
        for number in function.layout:
            if not 0 <= number < len(function.blocks):
                self.report(f"the layout names block{number}, which does not exist")
            elif number in self.placed:
                self.report(f"block{number} is in the layout twice")
            self.placed.add(number)
        if self.findings:
            return False
        for number in function.layout:
            self.entity = f"block{number}"
            insts = function.blocks[number].insts
            if not insts or not FLAGS[insts[-1].op] & TERMINATOR:
                self.report("the block has no terminator at its end")
            for inst in insts[:-1]:
                if FLAGS[inst.op] & TERMINATOR:
                    self.report(f"{OPCODE_NAMES[inst.op]} stands before the end of the block")
            for inst in insts:
                least, most = _TARGET_COUNTS.get(FORMATS[inst.op], (0, 0))
                if not least <= len(inst.targets) <= most:
                    self.report(f"{OPCODE_NAMES[inst.op]} has {len(inst.targets)} targets")
                for target in inst.targets:
                    if target.block not in self.placed:
                        self.report(f"{OPCODE_NAMES[inst.op]} targets block{target.block}, which is not in the layout")
                    elif target.block == function.layout[0]:
                        self.report("the entry is the target of a branch")
        return not self.findings

    def _collect_definitions(self) -> None:
        function = self.function
        entry = function.blocks[function.layout[0]]
        self.entity = f"block{entry.number}"
        types = [self._type(value) for value in entry.params]
        if types != function.signature.params:
            self.report("the parameters of the entry differ from the signature's")
        for number in function.layout:
            self.entity = f"block{number}"
            block = function.blocks[number]
            for value in block.params:
                self._define(value, number, -1)
            for position, inst in enumerate(block.insts):
                if inst.result == NO_VALUE:
                    continue
                types = [inst.type]
                if FLAGS[inst.op] & CALLS:
                    if not 0 <= inst.aux < len(function.signatures):
                        continue  # reported with the instruction
                    types = function.signatures[inst.aux].results
                for offset, type in enumerate(types):
                    self._define(inst.result + offset, number, position)
                    if self._type(inst.result + offset) != type:
                        self.report(f"v{inst.result + offset} has another type than its definition")

    def _define(self, value: int, block: int, position: int) -> None:
        if not 0 <= value < len(self.function.value_types):
            self.report(f"v{value} does not exist")
        elif value in self.defined_in:
            self.report(f"v{value} is defined twice")
        self.defined_in[value] = block
        self.defined_at[value] = position

    def _type(self, value: int) -> int:
        types = self.function.value_types
        return types[value] if 0 <= value < len(types) else VOID

    def _check_dominance(self) -> None:
        function = self.function
        tree = DominatorTree(function)
        known = function.analysis
        if isinstance(known, LoopForest):
            forest = LoopForest(function, tree)
            same = known.tree.idom == tree.idom and known.tree.order == tree.order
            if not same or known.header != forest.header or known.parent != forest.parent:
                self.report("`analysis` is of other blocks")
        for number in function.layout:
            if tree.idom[number] == UNREACHABLE:
                continue
            self.entity = f"block{number}"
            for position, inst in enumerate(function.blocks[number].insts):
                uses = list(inst.args)
                for target in inst.targets:
                    uses.extend(target.args)
                for value in uses:
                    home = self.defined_in[value]
                    if home == number:
                        dominated = self.defined_at[value] < position
                    else:
                        dominated = tree.idom[home] != UNREACHABLE and tree.dominates(home, number)
                    if not dominated:
                        self.text = self._describe(inst)
                        self.report(f"the use of v{value} is not dominated by its definition")

    # Instructions

    def _check_inst(self, inst: Inst) -> None:
        for value in inst.args:
            self._check_use(value)
        for target in inst.targets:
            for value in target.args:
                self._check_use(value)
            params = [self._type(value) for value in self.function.blocks[target.block].params]
            if [self._type(value) for value in target.args] != params:
                self.report(f"the arguments for block{target.block} do not fit its parameters")
        form = FORMATS[inst.op]
        if form in (CALL_, CALL_PTR_, BUILTIN_):
            self._check_call(inst, form)
        elif form in (JUMP_, BRANCH_, BR_TABLE_, RETURN_, TRAP_, TRAP_IF_):
            self._check_control(inst, form)
        else:
            self._check_value_inst(inst, form)

    def _check_use(self, value: int) -> None:
        if value not in self.defined_in:
            self.report(f"v{value} has no definition")

    def _expect_operands(self, inst: Inst, types: list[int]) -> None:
        found = [self._type(value) for value in inst.args]
        if found != types:
            names = ", ".join(TYPE_NAMES[type] for type in types)
            self.report(f"operands must be ({names}), not ({', '.join(TYPE_NAMES[type] for type in found)})")

    def _check_call(self, inst: Inst, form: int) -> None:
        signatures = self.function.signatures
        if not 0 <= inst.aux < len(signatures):
            self.report(f"signature {inst.aux} does not exist")
            return
        signature = signatures[inst.aux]
        self._expect_operands(inst, ([I64, I64] if form == CALL_PTR_ else []) + signature.params)
        if not signature.results and inst.result != NO_VALUE:
            self.report("the signature has no results")
        if signature.results and inst.type != signature.results[0]:
            self.report("the type is not that of the first result")

    def _check_control(self, inst: Inst, form: int) -> None:
        if inst.result != NO_VALUE:
            self.report("this instruction has no result")
        if form == RETURN_:
            self._expect_operands(inst, self.function.signature.results)
        elif form in (JUMP_, TRAP_):
            self._expect_operands(inst, [])
        else:
            self._expect_operands(inst, [I32])
        if form in (TRAP_, TRAP_IF_) and not 0 <= inst.imm < len(TRAP_NAMES):
            self.report(f"trap code {inst.imm} does not exist")

    def _check_value_inst(self, inst: Inst, form: int) -> None:
        type = inst.type
        if type not in _CLASS_TYPES[TYPE_CLASSES[inst.op]]:
            self.report(f"the type must be of class {TYPE_CLASSES[inst.op]}")
            return
        has_result = form not in (STORE_, CTX_STORE_, PTR_STORE_)
        if has_result != (inst.result != NO_VALUE):
            self.report("a result is missing" if has_result else "this instruction has no result")
        if form == CONST:
            self._expect_operands(inst, [])
            if not 0 <= inst.imm <= TYPE_MASK[type]:
                self.report("the constant does not fit its type")
        elif form in (UNARY, BINARY):
            self._expect_operands(inst, [type] * (1 if form == UNARY else 2))
        elif form == SELECT_:
            self._expect_operands(inst, [I32, type, type])
        elif form == COMPARE:
            self._check_compare(inst)
        elif form == CONVERT:
            self._check_conversion(inst)
        elif form in (LOAD_, STORE_, PTR_LOAD_, PTR_STORE_):
            address = I32 if form in (LOAD_, STORE_) else I64
            self._expect_operands(inst, [address] if has_result else [address, type])
            least = 0 if form in (LOAD_, STORE_) else -(1 << 31)
            if not least <= inst.imm <= _MAX_OFFSET:
                self.report("the offset is out of range")
        elif form in (CTX_LOAD_, CONTEXT_):
            self._expect_operands(inst, [])
        else:
            assert form == CTX_STORE_
            self._expect_operands(inst, [type])

    def _check_compare(self, inst: Inst) -> None:
        types = _CLASS_TYPES["i" if inst.op == ICMP else "f"]
        names = ICC_NAMES if inst.op == ICMP else FCC_NAMES
        assert inst.op in (ICMP, FCMP)
        if inst.aux not in types:
            self.report("the operands' type is of the wrong class")
        if not 0 <= inst.imm < len(names):
            self.report(f"condition {inst.imm} does not exist")
        self._expect_operands(inst, [inst.aux, inst.aux])

    def _check_conversion(self, inst: Inst) -> None:
        operand_class, result_class = _CONVERSIONS[inst.op]
        if inst.aux not in _CLASS_TYPES[operand_class] or inst.type not in _CLASS_TYPES[result_class]:
            self.report("the conversion is not between such types")
            return
        if inst.op == BITCAST and (
            TYPE_BITS[inst.aux] != TYPE_BITS[inst.type] or IS_FLOAT[inst.aux] == IS_FLOAT[inst.type]
        ):
            self.report("bitcast is between an integer and a float of one width")
        self._expect_operands(inst, [inst.aux])
