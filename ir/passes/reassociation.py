"""Let what a loop waits for come last: sums, products and bitwise chains of three or more parts in another order.

    block1(v1: i32, v2: i32):                    block1(v1: i32, v2: i32):
        v3 = load.i32 v2+0                           v3 = load.i32 v2+0
        v4 = load.i32 v2+4                           v4 = load.i32 v2+4
        v5 = iadd.i32 v1, v3                         v5 = iadd.i32 v3, v4
        v6 = iadd.i32 v5, v4                  =>     v6 = iadd.i32 v1, v5
        v7 = iadd.i32 v2, v0  ; v0 = 8               v7 = iadd.i32 v2, v0
        brif v3, block1(v6, v7), block2              brif v3, block1(v6, v7), block2

The parts of a chain are put together two at a time, always those of the lowest ranks (../ranks.py; Huffman's tree, which has the least
depth), if the result comes earlier then. LLVM's Reassociate orders by loops, its MachineCombiner by depth.

Each operation moves to where the last of its operands is made, so that few parts are alive together. Inner nodes of the chain have one use, and are in
one block. What has a constant operand is no node, since it becomes a displacement, a mask or a shift. Input: no unreachable blocks.
"""

from __future__ import annotations

from typing import Final, final

from ..function import Block, Function, Inst
from ..opcodes import BAND, BOR, BXOR, IADD, IMUL, OPCODE_COUNT
from ..ranks import CYCLES, LoopRanks, innermost_loops, integer_constants
from ..work import spend

_ASSOCIATIVE: Final[list[bool]] = [op in (IADD, IMUL, BAND, BOR, BXOR) for op in range(OPCODE_COUNT)]
_FEWEST_PARTS: Final = 3
_MOST_PARTS: Final = 16


@final
class _Node:
    """An operation that may be part of a chain; how often its result is used, and the last of its users in the layout, if that is
    an instruction."""

    __slots__ = ("inst", "block", "uses", "user")

    def __init__(self, inst: Inst, block: int) -> None:
        self.inst = inst
        self.block = block
        self.uses = 0
        self.user = -1  # its result


class _Part:
    """A part of a chain; `place` is the position in the block of what makes it, or -1 if that is outside. `floating`: sums of what is
    outside, to be made in front of the first that needs this part."""

    __slots__ = ("value", "rank", "place", "floating")

    def __init__(self, value: int, rank: int, place: int) -> None:
        self.value = value
        self.rank = rank
        self.place = place
        self.floating: list[Inst] = []


@final
class _Sum(_Part):
    """Two parts put together, which is a part again."""

    __slots__ = ("low", "high")

    def __init__(self, low: _Part, high: _Part, cycles: int) -> None:
        rank = max(low.rank, high.rank)
        super().__init__(-1, rank + cycles if rank > 0 else 0, max(low.place, high.place))
        self.low = low
        self.high = high


def run(function: Function) -> None:
    loops = innermost_loops(function)
    nodes = _find_nodes(function, loops)
    if not _hang_together(nodes):
        return
    constants = integer_constants(function)
    for value, node in list(nodes.items()):
        x, y = node.inst.args
        if x in constants or y in constants:
            del nodes[value]
    if _hang_together(nodes):
        _count_uses(function, nodes)
        for header, blocks in loops.items():
            _Loop(function, blocks, nodes, LoopRanks(function, header, blocks, constants)).run()


def _find_nodes(function: Function, loops: dict[int, list[int]]) -> dict[int, _Node]:
    """By result: the operations in these loops that a chain may consist of."""
    nodes: dict[int, _Node] = {}
    for blocks in loops.values():
        for number in blocks:
            for inst in function.blocks[number].insts:
                if _ASSOCIATIVE[inst.op]:
                    nodes[inst.result] = _Node(inst, number)
    return nodes


def _hang_together(nodes: dict[int, _Node]) -> bool:
    """Is there an operation of another of its kind?"""
    for node in nodes.values():
        for value in node.inst.args:
            if value in nodes and nodes[value].inst.op == node.inst.op:
                return True
    return False


def _count_uses(function: Function, nodes: dict[int, _Node]) -> None:
    for number in function.layout:
        insts = function.blocks[number].insts
        spend(len(insts))
        for inst in insts:
            for value in inst.args:
                if value in nodes:
                    nodes[value].uses += 1
                    nodes[value].user = inst.result
        for target in insts[-1].targets:
            for value in target.args:
                if value in nodes:
                    nodes[value].uses += 1
                    nodes[value].user = -1


@final
class _Loop:
    """The work on one innermost loop. `_places` is about the block at hand."""

    __slots__ = ("_function", "_blocks", "_nodes", "_ranks", "_places")

    def __init__(self, function: Function, blocks: list[int], nodes: dict[int, _Node], ranks: LoopRanks) -> None:
        self._function = function
        self._blocks = blocks
        self._nodes = nodes
        self._ranks = ranks
        self._places: dict[int, int] = {}

    def run(self) -> None:
        for number in self._blocks:
            block = self._function.blocks[number]
            self._run_block(block)
            self._ranks.leave(block)

    def _run_block(self, block: Block) -> None:
        function = self._function
        nodes = self._nodes
        self._places = {}
        # By position: what comes behind the instruction there; at -2 - position, what comes before it.
        moved: dict[int, list[Inst]] = {}
        removed: set[int] = set()  # results
        for place, inst in enumerate(block.insts):
            result = inst.result
            if result in nodes and not self._is_inner(nodes[result]):
                self._rebuild(inst, place, moved, removed)
            for value in range(result, result + function.result_count(inst)):
                self._places[value] = place
            self._ranks.note(inst)
        if not removed:
            return
        insts: list[Inst] = []
        for place, inst in enumerate(block.insts):
            insts.extend(moved.get(-2 - place, ()))
            if inst.result not in removed:
                insts.append(inst)
            insts.extend(moved.get(place, ()))
        block.insts = insts

    def _is_inner(self, node: _Node) -> bool:
        if node.uses != 1 or node.user not in self._nodes:
            return False
        user = self._nodes[node.user]
        return user.block == node.block and user.inst.op == node.inst.op

    def _rebuild(self, root: Inst, place: int, moved: dict[int, list[Inst]], removed: set[int]) -> None:
        """Put the parts of the chain of `root` together in the best order, if that is better than the one they have."""
        nodes = self._nodes
        values: list[int] = []
        inner: list[Inst] = []
        pending = [root]
        while pending:
            for value in pending.pop().args:
                if value in nodes and nodes[value].inst.op == root.op and self._is_inner(nodes[value]):
                    inner.append(nodes[value].inst)
                    pending.append(nodes[value].inst)
                else:
                    values.append(value)
        if not _FEWEST_PARTS <= len(values) <= _MOST_PARTS:
            return
        parts = [_Part(value, self._ranks.of.get(value, 0), self._places.get(value, -1)) for value in values]
        sums = _tree(parts, CYCLES[root.op])
        if sums[-1].rank >= self._ranks.note(root):
            return
        for sum in sums[:-1]:
            inst = inner.pop()
            removed.add(inst.result)
            inst.args = [sum.high.value, sum.low.value]
            sum.value = inst.result
            self._ranks.note(inst)
            made = [*sum.low.floating, *sum.high.floating, inst]
            if sum.place < 0:
                sum.floating = made
            else:
                moved.setdefault(sum.place, []).extend(made)
        last = sums[-1]
        root.args = [last.high.value, last.low.value]
        moved[-2 - place] = [*last.low.floating, *last.high.floating]


def _tree(parts: list[_Part], cycles: int) -> list[_Sum]:
    """The sums to make, in order, the last of which is the whole: each of the two parts that are ready first."""
    parts.sort(key=_order)
    sums: list[_Sum] = []
    while len(parts) > 1:
        sum = _Sum(parts[0], parts[1], cycles)
        sums.append(sum)
        del parts[:2]
        place = 0  # behind those that are ready as early; but what is ready before the turn is one chain, so that little is alive
        if sum.rank > 0:
            while place < len(parts) and parts[place].rank <= sum.rank:
                place += 1
        parts.insert(place, sum)
    return sums


def _order(part: _Part) -> int:
    return (part.rank << 32) + part.place
