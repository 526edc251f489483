"""Jump threading: an edge whose constant arguments decide what the head of its target selects goes on behind that head.

    block1: brif v1, block3(v0), block2       block1: brif v1, block4(v5), block2     ; v0 = -1
    block2: jump block3(v2)                   block2: jump block3(v2)
    block3(v3: i32):                     =>   block3(v3: i32):
        v4 = icmp.i32 sgt v3, v6                  v4 = icmp.i32 sgt v3, v6            ; v6 = 0
        v7 = select.i32 v4, v3, v5                v7 = select.i32 v4, v3, v5
        store.i32 v8+0, v7                        jump block4(v7)
        ...                                   block4(v9: i32):
                                                  store.i32 v8+0, v9
                                                  ...

The head of a block is what comes before its first instruction that is not pure. Where an edge's arguments decide a selection there,
and everything that is needed behind it is constant or known in front of the edge, the block is split behind the selection. Nothing is
copied: the other edges run what they ran. If the head is the whole block and the branch at its end is decided too, the edge leads
where that does; then no value of the block may be needed elsewhere, since it no longer dominates that place.

A search that gives -1 if nothing is found, in a loop that keeps the least, does nothing at all in the most frequent case after this.
Constants alone are not worth an edge of their own, so only selections and branches count. Heads of loops stay as they are, lest
loops get second entries, and no edge is led to one, which would be a second back edge.

Mueller and Whalley, "Avoiding Conditional Branches by Code Replication", 1995, is the general form, LLVM's JumpThreading the usual
one. Input: no unreachable blocks; output likewise.
"""

from __future__ import annotations

from typing import Final, final

from ..evaluate import EVAL_BINARY, EVAL_CONVERT, EVAL_UNARY
from ..floats import fcmp
from ..function import NO_ARGS, NO_VALUE, Block, Function, Inst, Target
from ..integers import icmp
from ..opcodes import (
    BAND,
    BINARY,
    BRIF,
    COMPARE,
    CONST,
    CONVERT,
    FCONST,
    FLAGS,
    FORMATS,
    ICMP,
    ICONST,
    JUMP,
    PURE,
    SELECT_,
    UNARY,
)
from ..types import F32, F64, I32, I64, VOID
from ..work import BLOCK, spend
from . import block_params, unreachable

_MAX_HEAD: Final = 32  # instructions
_MAX_PARAMS: Final = 8  # of the block that a split makes
_ELSEWHERE: Final = 1 << 30  # the place of a use that is not in the block
_UNKNOWN: Final = -2


@final
class _Edge:
    """An edge to a candidate, from block `source`, and what it makes of the values of the block: `values[v]` is the value
    that v is then, or _UNKNOWN; `bits[v]` the constant. A constant that has no value in front of the edge is in `bits` only.
    """

    __slots__ = ("source", "target", "values", "bits", "selects", "choice")

    def __init__(self, source: int, target: Target) -> None:
        self.source = source
        self.target = target
        self.values: dict[int, int] = {}
        self.bits: dict[int, int] = {}
        self.selects: list[int] = []  # places of the selections that are decided
        self.choice = -1  # the condition of the branch behind the head, if that is decided

    def value(self, v: int) -> int:
        """The value that v is on this edge; NO_VALUE if it is a constant without one; or _UNKNOWN."""
        if v in self.values:
            return self.values[v]
        return NO_VALUE if v in self.bits else v


@final
class _Head:
    """A candidate: a block, the length of its head, its terminator, whether there is nothing between them, and the edges to it.
    `last_use[v]`: the place of the last use of a value of the block, in the block or _ELSEWHERE.
    """

    __slots__ = ("block", "length", "last", "is_whole", "edges", "last_use")

    def __init__(self, block: Block, length: int) -> None:
        self.block = block
        self.length = length
        self.last = block.insts[-1]
        self.is_whole = length == len(block.insts) - 1
        self.edges: list[_Edge] = []
        self.last_use: dict[int, int] = {}


def run(function: Function) -> None:
    heads = _heads(function)
    if not heads:
        return
    spend(BLOCK * len(function.blocks))
    is_header = _find_edges(function, heads)
    candidates = [head for number, head in heads.items() if not is_header[number]]
    if not candidates:
        return
    constants = _constants(function)
    for head in candidates:
        head.edges = [edge for edge in head.edges if _decides(head, edge, constants)]
    candidates = [head for head in candidates if head.edges]
    if not candidates:
        return
    _find_last_uses(function, candidates)
    spend(BLOCK * len(function.blocks))
    splits = _Splits(function)
    changed = False
    for head in candidates:
        rest: list[_Edge] = []
        for edge in head.edges:
            if _leads_on(head, edge, is_header):
                target = head.last.targets[0 if edge.choice else 1]
                splits.lead(edge, target.block, target.args)
                changed = True
            else:
                rest.append(edge)
        cut = _cut(head, rest)
        if cut:
            splits.split(head, rest, cut)
            changed = True
    if changed:
        splits.finish()
        function.analysis = None
        unreachable.run(function)
        block_params.run(function)


def _heads(function: Function) -> dict[int, _Head]:
    """By number: the blocks with parameters where something may be decided."""
    blocks = function.blocks
    found: dict[int, _Head] = {}
    entry = function.layout[0]
    for number in function.layout:
        block = blocks[number]
        if not block.params or number == entry:
            continue
        selects = False
        length = 0
        for inst in block.insts:
            if not FLAGS[inst.op] & PURE or length == _MAX_HEAD:
                break
            length += 1
            if FORMATS[inst.op] == SELECT_:
                selects = True
        if selects or block.insts[length].op == BRIF:
            found[number] = _Head(block, length)
    return found


def _find_edges(function: Function, heads: dict[int, _Head]) -> list[bool]:
    """Give the heads their edges. By block: whether there is an edge back to it."""
    blocks = function.blocks
    is_header = [False] * len(blocks)
    seen = [False] * len(blocks)
    for number in function.layout:
        seen[number] = True
        for target in blocks[number].insts[-1].targets:
            if seen[target.block]:
                is_header[target.block] = True
            if target.args and target.block in heads:
                heads[target.block].edges.append(_Edge(number, target))
    return is_header


def _constants(function: Function) -> dict[int, int]:
    constants: dict[int, int] = {}
    for number in function.layout:
        insts = function.blocks[number].insts
        spend(len(insts))
        for inst in insts:
            if FORMATS[inst.op] == CONST:
                constants[inst.result] = inst.imm
    return constants


def _decides(head: _Head, edge: _Edge, constants: dict[int, int]) -> bool:
    """Whether constant arguments of the edge decide a selection of the head, or the branch at its end. Fills in what the edge knows."""
    values = edge.values
    bits = edge.bits
    any_constant = False
    for param, value in zip(head.block.params, edge.target.args, strict=True):
        values[param] = value
        if value in constants:
            bits[param] = constants[value]
            any_constant = True
    if not any_constant:
        return False
    insts = head.block.insts
    for place in range(head.length):
        inst = insts[place]
        values[inst.result] = _UNKNOWN
        _fold(inst, edge, constants)
        if FORMATS[inst.op] == SELECT_ and edge.value(inst.result) != _UNKNOWN:
            edge.selects.append(place)
    if head.is_whole and head.last.op == BRIF:
        edge.choice = _bits(head.last.args[0], edge, constants)
    return bool(edge.selects) or edge.choice >= 0


def _bits(v: int, edge: _Edge, constants: dict[int, int]) -> int:
    """The constant that v is on the edge, or -1."""
    known = edge.bits.get(v, -1)
    if known < 0 and v not in edge.values:
        known = constants.get(v, -1)
    return known


def _fold(inst: Inst, edge: _Edge, constants: dict[int, int]) -> None:
    """Note what the result of an instruction of the head is, if the edge decides that."""
    form = FORMATS[inst.op]
    args = inst.args
    result = inst.result
    is_integer = inst.type == I32 or inst.type == I64  # floats may be NaNs, whose bits are the processor's affair
    if form == CONST:
        _is_constant(result, inst.imm, edge)
    elif form == SELECT_:
        condition = _bits(args[0], edge, constants)
        if condition >= 0:
            _is_same(result, args[1] if condition else args[2], edge)
    elif form == BINARY and is_integer:
        x = _bits(args[0], edge, constants)
        y = _bits(args[1], edge, constants)
        if x >= 0 and y >= 0:
            _is_constant(result, EVAL_BINARY[inst.op](inst.type, x, y), edge)
        elif inst.op == BAND and (x == 0 or y == 0):
            _is_constant(result, 0, edge)
    elif form == COMPARE:
        x = _bits(args[0], edge, constants)
        y = _bits(args[1], edge, constants)
        if x >= 0 and y >= 0:
            holds = icmp(inst.imm, inst.aux, x, y) if inst.op == ICMP else fcmp(inst.imm, inst.aux, x, y)
            _is_constant(result, int(holds), edge)
    elif (form == UNARY or (form == CONVERT and (inst.aux == I32 or inst.aux == I64))) and is_integer:
        x = _bits(args[0], edge, constants)
        if x >= 0:
            folded = (
                EVAL_UNARY[inst.op](inst.type, x) if form == UNARY else EVAL_CONVERT[inst.op](inst.type, inst.aux, x)
            )
            _is_constant(result, folded, edge)


def _is_constant(v: int, bits: int, edge: _Edge) -> None:
    del edge.values[v]
    edge.bits[v] = bits


def _is_same(v: int, other: int, edge: _Edge) -> None:
    if other in edge.bits:
        edge.bits[v] = edge.bits[other]
    value = edge.value(other)
    if value == NO_VALUE:
        del edge.values[v]
    else:
        edge.values[v] = value


def _find_last_uses(function: Function, candidates: list[_Head]) -> None:
    heads: dict[int, _Head] = {}  # by value
    for head in candidates:
        for param in head.block.params:
            heads[param] = head
        for place in range(head.length):
            heads[head.block.insts[place].result] = head
    for number in function.layout:
        insts = function.blocks[number].insts
        spend(len(insts))
        for place, inst in enumerate(insts):
            for value in inst.args:
                if value in heads:
                    head = heads[value]
                    head.last_use[value] = place if head.block.number == number else _ELSEWHERE
        for target in function.blocks[number].insts[-1].targets:
            for value in target.args:
                if value in heads:
                    head = heads[value]
                    inside = head.block.number == number and head.last_use.get(value, 0) < _ELSEWHERE
                    head.last_use[value] = len(head.block.insts) - 1 if inside else _ELSEWHERE


def _leads_on(head: _Head, edge: _Edge, is_header: list[bool]) -> bool:
    """Whether the edge can go where the branch at the end of the block does."""
    if edge.choice < 0:
        return False
    target = head.last.targets[0 if edge.choice else 1]
    if is_header[target.block] or any(edge.value(value) == _UNKNOWN for value in target.args):
        return False
    return all(place < _ELSEWHERE for place in head.last_use.values())


def _cut(head: _Head, edges: list[_Edge]) -> int:
    """How many instructions of the head some of the edges can skip, at most; or 0."""
    for place in range(head.length - 1, -1, -1):
        if FORMATS[head.block.insts[place].op] == SELECT_ and len(_needed(head, place + 1)) <= _MAX_PARAMS:
            for edge in edges:
                if _can_skip(head, edge, place + 1):
                    return place + 1
    return 0


def _needed(head: _Head, cut: int) -> list[int]:
    """The values of the block, its parameters and what its first `cut` instructions make, that are needed behind those."""
    insts = head.block.insts
    values = head.block.params + [insts[place].result for place in range(cut)]
    return [value for value in values if head.last_use.get(value, -1) >= cut]


def _can_skip(head: _Head, edge: _Edge, cut: int) -> bool:
    if not edge.selects or edge.selects[0] >= cut:
        return False
    return all(edge.value(value) != _UNKNOWN for value in _needed(head, cut))


@final
class _Splits:
    """Changes the function: edges are led elsewhere, blocks are split. `finish` gives values their new names."""

    __slots__ = ("function", "renamed", "owner", "behind")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.renamed: dict[int, int] = {}  # by value of a block that was split, as it is called behind that
        self.owner: dict[int, int] = {}  # and that block
        self.behind: dict[int, int] = {}  # by block that was split: the block with the rest of it

    def lead(self, edge: _Edge, block: int, args: list[int]) -> None:
        """Lead the edge to `block` with what `args`, values of its present target, are on it."""
        edge.target.args = [self._value(edge, value) for value in args]
        edge.target.block = block

    def _value(self, edge: _Edge, v: int) -> int:
        value = edge.value(v)
        if value != NO_VALUE:
            return value
        type = self.function.value_types[v]
        value = self.function.new_value(type)
        source = self.function.blocks[self.behind.get(edge.source, edge.source)]
        op = FCONST if type == F32 or type == F64 else ICONST
        source.insts.insert(len(source.insts) - 1, Inst(op, type, NO_ARGS, edge.bits[v], 0, value))
        return value

    def split(self, head: _Head, edges: list[_Edge], cut: int) -> None:
        """Put what comes after the first `cut` instructions into a block of its own, and lead those edges there that can skip them."""
        function = self.function
        block = head.block
        rest = function.new_block()
        rest.cold = block.cold
        needed = _needed(head, cut)
        for edge in edges:
            if _can_skip(head, edge, cut):
                self.lead(edge, rest.number, needed)
        for value in needed:
            self.renamed[value] = function.append_param(rest, function.value_types[value])
            self.owner[value] = block.number
        rest.insts = block.insts[cut:]
        block.insts = [*block.insts[:cut], Inst(JUMP, VOID, NO_ARGS, targets=[Target(rest.number, needed)])]
        self.behind[block.number] = rest.number

    def finish(self) -> None:
        function = self.function
        layout: list[int] = []
        for number in function.layout:
            layout.append(number)
            if number in self.behind:
                layout.append(self.behind[number])
        function.layout = layout
        if not self.renamed:
            return
        for number in layout:
            insts = function.blocks[number].insts
            spend(len(insts))
            for inst in insts:
                if inst.args:
                    inst.args = self._rename(inst.args, number)
            for target in insts[-1].targets:
                target.args = self._rename(target.args, number)

    def _rename(self, args: list[int], number: int) -> list[int]:
        """The arguments as they are called in a block: values of other blocks have their new names."""
        renamed = self.renamed
        owner = self.owner
        for value in args:
            if value in renamed and owner[value] != number:
                return [renamed[v] if v in renamed and owner[v] != number else v for v in args]
        return args
