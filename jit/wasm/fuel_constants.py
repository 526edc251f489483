"""Which lengths of bulk operators are constants, for the accounting of fuel: those that Cranelift's front end sees as such.

That is the value of an `i32.const`, wherever it has come to: from a local, from further down the stack, out of a block as its
result, through joins where all ways bring the same one. Nothing is computed. So this walks over the body as Wasmtime's translation
does (crates/cranelift/src/translate/code_translator.rs), with the same blocks, in the same order. What constructs leave on the
stack, and what loops take, are variables as the locals are (fuel_variables.py).
"""

from __future__ import annotations

from typing import Final, final

from . import opcodes as wasm
from .fuel_variables import NO_BLOCK, UNKNOWN, Variables
from .locals import read_locals
from .opcodes import BLOCK, IMMEDIATES, OPERANDS, RESULTS
from .operators import read_immediates, read_opcode
from .types import I32, Module

_EMPTY_TYPE: Final = 0x40
_TYPE_INDEX: Final = 0x80  # block types from here on are indices

# Operators whose signature depends on context, though not the number of their operands and results.
_COUNTS: Final[dict[int, tuple[int, int]]] = {
    wasm.NOP: (0, 0),
    wasm.DROP: (1, 0),
    wasm.SELECT: (3, 1),
    wasm.SELECT_TYPED: (3, 1),
    wasm.GLOBAL_GET: (0, 1),
    wasm.GLOBAL_SET: (1, 0),
    wasm.TABLE_GET: (1, 1),
    wasm.TABLE_SET: (2, 0),
    wasm.TABLE_GROW: (2, 1),
    wasm.TABLE_FILL: (3, 0),
    wasm.REF_NULL: (0, 1),
    wasm.REF_IS_NULL: (1, 1),
    wasm.REF_FUNC: (0, 1),
}


@final
class _Label:
    """A block that branches lead to, and the variables of the operands that they take along."""

    __slots__ = ("block", "count", "first")

    def __init__(self, block: int, first: int, count: int) -> None:
        self.block = block
        self.first = first
        self.count = count


@final
class _Construct:
    """An open construct. `target` is where branches lead, `after` what follows its end.

    height       of the stack below its operands
    operands     of an `if`: what is on the stack at its start
    head         of an `if`: the block that ends in it
    other        of an `if`: the block of the second arm, NO_BLOCK if `after` takes its place as long as there is no `else`
    targeted     whether something leads to its end but the end of an arm, or of the body of a block
    """

    __slots__ = ("after", "head", "height", "op", "operands", "other", "target", "targeted")

    def __init__(self, op: int, height: int, target: _Label, after: _Label) -> None:
        self.op = op
        self.height = height
        self.target = target
        self.after = after
        self.operands: list[int] = []
        self.head = NO_BLOCK
        self.other = NO_BLOCK
        self.targeted = False


@final
class _Walk:
    __slots__ = ("constructs", "dead", "module", "reachable", "stack", "variables")

    def __init__(self, module: Module, variables: Variables) -> None:
        self.module = module
        self.variables = variables
        self.stack: list[int] = []
        self.constructs: list[_Construct] = []
        self.reachable = True
        self.dead = 0  # constructs begun in unreachable code

    def block_type(self, immediate: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if immediate == _EMPTY_TYPE:
            return (), ()
        if immediate < _TYPE_INDEX:
            return (), (immediate,)
        type = self.module.types[immediate - _TYPE_INDEX]
        return type.params, type.results

    def new_label(self, count: int) -> _Label:
        return _Label(self.variables.new_block(), self.variables.new_variables(count), count)

    def add_branch(self, label: _Label) -> None:
        """A branch from the current block, with the topmost operands, which stay."""
        variables = self.variables
        for place, value in enumerate(self.stack[len(self.stack) - label.count :]):
            variables.define(label.first + place, value)
        variables.add_edge(label.block)

    def enter_label(self, label: _Label, height: int) -> None:
        """Go on at the label, with its operands above `height`."""
        del self.stack[height:]
        self.variables.block = label.block
        for place in range(label.count):
            self.stack.append(self.variables.read(label.first + place))

    def enter_block(self, block: int) -> None:
        self.variables.seal(block)
        self.variables.block = block

    def look_for_fuel(self) -> None:
        """What loops begin with: a branch around a call. It makes a difference, since behind the loop a look-up of what the loop does
        not mention meets the parameter of this join before it knows that the header's is needless. (Operators that
        contain such branches too make none: the look-up that meets them has met this one, or will.)"""
        variables = self.variables
        call = variables.new_block()
        following = variables.new_block()
        variables.add_edge(call)
        variables.add_edge(following)
        self.enter_block(call)
        variables.add_edge(following)
        self.enter_block(following)

    def begin(self, op: int, immediate: int) -> None:
        params, results = self.block_type(immediate)
        variables = self.variables
        condition = 1 if op == wasm.IF else 0
        height = len(self.stack) - len(params) - condition
        if op == wasm.LOOP:
            header = self.new_label(len(params))
            after = self.new_label(len(results))
            self.add_branch(header)
            self.enter_label(header, height)
            self.look_for_fuel()
            self.constructs.append(_Construct(op, height, header, after))
            return
        after = self.new_label(len(results))
        construct = _Construct(op, height, after, after)
        self.constructs.append(construct)
        if op == wasm.IF:
            self.stack.pop()
            first = variables.new_block()
            variables.add_edge(first)
            construct.operands = self.stack[height:]
            construct.head = variables.block
            if params == results:
                self.add_branch(after)
            else:
                construct.other = variables.new_block()
                variables.add_edge(construct.other)
            self.enter_block(first)

    def second_arm(self) -> None:
        construct = self.constructs[-1]
        variables = self.variables
        if self.reachable:
            self.add_branch(construct.after)
            construct.targeted = True
        if construct.other == NO_BLOCK:
            variables.remove_edge(construct.head, construct.after.block)
            variables.block = construct.head
            construct.other = variables.new_block()
            variables.add_edge(construct.other)
        self.enter_block(construct.other)
        self.stack[construct.height :] = construct.operands
        construct.op = wasm.ELSE
        self.reachable = True

    def end(self) -> None:
        construct = self.constructs.pop()
        if not self.constructs:
            return
        variables = self.variables
        if self.reachable:
            self.add_branch(construct.after)
        elif construct.op == wasm.IF or (construct.targeted and construct.op != wasm.LOOP):
            self.reachable = True
        if self.reachable:
            variables.seal(construct.after.block)
        if construct.op == wasm.LOOP:
            variables.seal(construct.target.block)
        if self.reachable:
            self.enter_label(construct.after, construct.height)
        else:
            del self.stack[construct.height :]

    def branch(self, op: int, depths: list[int]) -> None:
        variables = self.variables
        if op != wasm.BR:
            self.stack.pop()
        targets = [self.constructs[-1 - depth] for depth in dict.fromkeys(depths)]
        for construct in targets:
            construct.targeted = True
        if op == wasm.BR_IF:
            self.add_branch(targets[0].target)
            following = variables.new_block()
            variables.add_edge(following)
            self.enter_block(following)
            return
        if op == wasm.BR:
            self.add_branch(targets[0].target)
        elif targets[0].target.count == 0:
            for construct in targets:
                variables.add_edge(construct.target.block)
        else:  # operands are passed by a block for each target
            head = variables.block
            for construct in targets:
                variables.block = head
                between = variables.new_block()
                variables.add_edge(between)
                self.enter_block(between)
                self.add_branch(construct.target)
        self.reachable = False

    def replace(self, operands: int, results: int) -> None:
        """An operator that takes and leaves so many operands."""
        del self.stack[len(self.stack) - operands :]
        self.stack.extend([UNKNOWN] * results)

    def operator(self, op: int, immediates: list[int]) -> None:
        module = self.module
        variables = self.variables
        if op == wasm.I32_CONST:
            self.stack.append(variables.new_constant(immediates[0] & 0xFFFF_FFFF))
        elif op == wasm.LOCAL_GET:
            self.stack.append(variables.read(immediates[0]))
        elif op == wasm.LOCAL_SET:
            variables.define(immediates[0], self.stack.pop())
        elif op == wasm.LOCAL_TEE:
            variables.define(immediates[0], self.stack[-1])
        elif IMMEDIATES[op] == BLOCK:
            self.begin(op, immediates[0])
        elif op == wasm.ELSE:
            self.second_arm()
        elif op == wasm.END:
            self.end()
        elif op == wasm.BR or op == wasm.BR_IF or op == wasm.BR_TABLE:
            self.branch(op, immediates)
        elif op == wasm.RETURN or op == wasm.UNREACHABLE:
            self.reachable = False
        elif op == wasm.CALL:
            type = module.types[module.func_types[immediates[0]]]
            self.replace(len(type.params), len(type.results))
        elif op == wasm.CALL_INDIRECT:
            type = module.types[immediates[0]]
            self.replace(len(type.params) + 1, len(type.results))
        elif op in _COUNTS:
            operands, results = _COUNTS[op]
            self.replace(operands, results)
        else:
            self.replace(len(OPERANDS[op]), len(RESULTS[op]))

    def skip(self, op: int) -> None:
        """An operator in unreachable code."""
        if IMMEDIATES[op] == BLOCK:
            self.dead += 1
        elif op == wasm.END and self.dead > 0:
            self.dead -= 1
        elif op == wasm.END:
            self.end()
        elif op == wasm.ELSE and self.dead == 0:
            self.second_arm()


def _variables_of(module: Module, index: int) -> tuple[Variables, int]:
    """The locals as they are at the start, where those declared together share one zero; the position of the first operator."""
    group_ends, group_types, pos = read_locals(module, index)
    local = len(module.types[module.bodies[index - module.imported_funcs].type_index].params)
    variables = Variables(max(local, group_ends[-1]) if group_ends else local)
    for param in range(local):
        variables.define(param, UNKNOWN)
    for group_end, group_type in zip(group_ends, group_types):
        zero = variables.new_constant(0) if group_type == I32 else UNKNOWN
        for place in range(local, group_end):
            variables.define(place, zero)
        local = max(local, group_end)
    return variables, pos


def find_constants(module: Module, index: int, lengths: dict[int, int], outside: set[int]) -> None:
    """Fill in `lengths`, which has the offsets of all bulk operators of a valid body: the length, or NOT_CONSTANT.

    After accesses at the offsets `outside` nothing is reachable.
    """
    data = module.data
    body = module.bodies[index - module.imported_funcs]
    variables, pos = _variables_of(module, index)
    walk = _Walk(module, variables)
    results = module.types[body.type_index].results
    label = walk.new_label(len(results))
    walk.constructs.append(_Construct(wasm.BLOCK_OP, 0, label, label))
    while pos < body.end and not variables.exhausted:
        start = pos
        op, pos = read_opcode(data, pos)
        immediates, pos = read_immediates(data, pos, op)
        if not walk.reachable:
            walk.skip(op)
            continue
        if start in lengths:
            lengths[start] = variables.constant(walk.stack[-1])
        if start in outside:
            walk.reachable = False
        else:
            walk.operator(op, immediates)
