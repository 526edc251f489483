"""Blocks of the machine code: order, edges, loops, frequencies.

Input: the IR's blocks. Output: `BlockOrder`, and empty `MachineBlock`s in `Code` with successors, predecessors, immediate
dominators, loop depths and frequencies.

- Critical edges, and edges from blocks with several successors that pass arguments, get a block of their own.
- Targets of one branch that agree in block and arguments are one edge; a branch with only one edge left is a jump.
- The order is a reverse postorder in which loops are contiguous, so a block comes after its immediate dominator. An edge block
  stands before its target if it leads forward; else behind its source, or at the end of the loop that it continues from an inner
  one. Unreachable blocks are left out.
- Cold: blocks so marked, blocks that trap, blocks with a cold immediate dominator or with cold successors only.
- Frequencies flow from the entry (1.0) along forward edges; a loop multiplies by LOOP_WEIGHT, cold code by COLD_WEIGHT.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.function import Function, Target
from brolga.ir.loops import NO_LOOP, loops_of
from brolga.ir.opcodes import TRAP
from brolga.ir.work import BLOCK, spend
from brolga.regalloc.operand import Code, MachineBlock

from ..transformations import COLD_BLOCKS, LOOP_ALIGNMENT
from .vcode import VCode

NO_BLOCK: Final = -1

LOOP_WEIGHT: Final = 10.0
COLD_WEIGHT: Final = 0.001
EXIT_SHARE: Final = 0.1  # of a block's frequency that leaves the loop by it
MAX_FREQUENCY: Final = 1e8


@final
class BlockOrder:
    """By number of the machine block:

    ir_block  number of the IR block it holds, or NO_BLOCK for the block of an edge
    edge      for the block of an edge: the target that it leads to, with its arguments
    cases     for blocks with several IR targets: the machine block of each target
    hoist     where constants that this block uses are made: the end of a block before its outermost loop, or NO_BLOCK where
              that would not run less often
    """

    __slots__ = ("ir_block", "edge", "cases", "hoist", "loop_heads")

    def __init__(self) -> None:
        self.ir_block: list[int] = []
        self.edge: list[Target | None] = []
        self.cases: list[list[int]] = []
        self.hoist: list[int] = []
        self.loop_heads: list[bool] = []


@final
class _Graph:
    """Nodes: IR blocks by number, then edge blocks."""

    __slots__ = ("function", "tree", "forest", "targets", "source", "cases", "succs", "loop", "incoming", "cold")

    def __init__(self, function: Function) -> None:
        self.function = function
        self.forest = loops_of(function)
        self.tree = self.forest.tree
        function.analysis = None
        count = len(function.blocks)
        self.targets: list[Target | None] = [None] * count  # of edge blocks
        self.source = [NO_BLOCK] * count  # of edge blocks
        self.cases: list[list[int]] = [[] for _ in range(count)]  # node for each IR target
        self.succs: list[list[int]] = [[] for _ in range(count)]  # distinct nodes
        self.loop = list(self.forest.header)  # header of the innermost loop
        self.incoming = [0] * count  # edges into an IR block
        self.cold = [False] * count

    def find_edges(self) -> None:
        blocks = self.function.blocks
        order = self.tree.order
        incoming = self.incoming
        multiple: list[int] = []  # blocks that end with several targets
        for number in order:
            targets = blocks[number].insts[-1].targets
            if len(targets) == 1:
                incoming[targets[0].block] += 1
                self.succs[number].append(targets[0].block)
            elif targets:
                multiple.append(number)
                seen: list[Target] = []
                if len(targets) == 2:
                    seen.append(targets[0])
                    if not _same(targets[0], targets[1]):
                        seen.append(targets[1])
                    self.cases[number] = [0, len(seen) - 1]
                else:
                    self._distinct(number, targets, seen)
                for target in seen:
                    incoming[target.block] += 1
                if len(seen) == 1:
                    self.succs[number].append(seen[0].block)
                    self.cases[number] = []
        for number in multiple:
            cases = self.cases[number]
            targets = blocks[number].insts[-1].targets
            nodes: list[int] = []  # by number of the distinct edge
            for position, edge in enumerate(cases):
                if edge == len(nodes):
                    target = targets[position]
                    if target.args or incoming[target.block] > 1:
                        nodes.append(self._edge_block(number, target))
                    else:
                        nodes.append(target.block)
            if cases:
                self.succs[number] = nodes
                self.cases[number] = [nodes[edge] for edge in cases]

    def _distinct(self, number: int, targets: list[Target], seen: list[Target]) -> None:
        """Number the distinct targets of a br_table in order of first mention."""
        numbers: dict[tuple[int, ...], int] = {}
        cases = self.cases[number]
        for target in targets:
            key = (target.block, *target.args)
            edge = numbers.get(key, -1)
            if edge < 0:
                edge = len(seen)
                numbers[key] = edge
                seen.append(target)
            cases.append(edge)

    def _edge_block(self, source: int, target: Target) -> int:
        self.targets.append(target)
        self.source.append(source)
        self.cases.append([])
        self.succs.append([target.block])
        self.loop.append(self._common_loop(source, target.block))
        self.incoming.append(1)
        self.cold.append(False)
        return len(self.targets) - 1

    def _common_loop(self, source: int, target: int) -> int:
        """Header of the innermost loop around an edge. A loop is entered at its header only, so what is around the target is around
        the source too, but for the loop that starts there, if the edge does not come from inside of it."""
        header = self.forest.header[target]
        if header == target and not self.tree.dominates(target, source):
            return self.forest.parent[target]
        return header

    def place(self) -> list[int]:
        """The nodes in order."""
        position = self.tree.position
        parent = self.forest.parent
        header = self.forest.header
        before: dict[int, list[int]] = {}
        after: dict[int, list[int]] = {}
        last: dict[int, list[int]] = {NO_LOOP: []}  # by header: at the end of the loop
        for node in range(len(self.function.blocks), len(self.targets)):
            source = self.source[node]
            target = self.succs[node][0]
            if position[target] > position[source]:
                before.setdefault(target, []).append(node)
            elif header[source] == self.loop[node]:
                after.setdefault(source, []).append(node)
            else:
                last.setdefault(self.loop[node], []).append(node)
        items: dict[int, list[int]] = {NO_LOOP: []}  # by header: blocks, and headers of the loops directly inside
        for block in self.tree.order:
            around = header[block]
            if around == block:
                items[block] = after.get(block, [])
                around = parent[block]
            into = items[around]
            into.extend(before.get(block, []))
            into.append(block)
            if block not in items:
                into.extend(after.get(block, []))
        for around, nodes in last.items():
            items[around].extend(nodes)
        order: list[int] = []
        pending = items[NO_LOOP]
        pending.reverse()
        while pending:
            node = pending.pop()
            inner = items.get(node)
            if inner is not None:
                del items[node]
                inner.reverse()
                pending.extend(inner)
                pending.append(node)
            else:
                order.append(node)
        return order

    def find_cold(self, order: list[int]) -> None:
        """`order` has dominators first, so coldness goes down the tree forwards and up the graph backwards."""
        blocks = self.function.blocks
        count = len(blocks)
        cold = self.cold
        idom = self.tree.idom
        entry = self.tree.order[0]
        for node in order:
            if node < count:
                block = blocks[node]
                cold[node] = node != entry and (block.cold or block.insts[-1].op == TRAP or cold[idom[node]])
            else:
                cold[node] = cold[self.source[node]]
        for node in reversed(order):
            if not cold[node] and node != entry:
                succs = self.succs[node]
                if succs:
                    cold[node] = all(cold[succ] for succ in succs)


def _same(a: Target, b: Target) -> bool:
    return a.block == b.block and a.args == b.args


def order_blocks(function: Function, code: Code, vcode: VCode, off: int = 0) -> BlockOrder:
    """Make the blocks of `code`, and `cold` and `align` of `vcode`. `off`: the transformations that are switched off."""
    graph = _Graph(function)
    work = BLOCK * len(function.blocks)
    spend(work)
    graph.find_edges()
    spend(work)
    nodes = graph.place()
    spend(work)
    if not off & COLD_BLOCKS:
        graph.find_cold(nodes)
    number_of = [NO_BLOCK] * len(graph.targets)
    for number, node in enumerate(nodes):
        number_of[node] = number

    spend(work)
    order = BlockOrder()
    count = len(function.blocks)
    for number, node in enumerate(nodes):
        block = MachineBlock(number)
        code.blocks.append(block)
        block.succs = [number_of[succ] for succ in graph.succs[node]]
        order.ir_block.append(node if node < count else NO_BLOCK)
        order.edge.append(graph.targets[node])
        order.cases.append([number_of[case] for case in graph.cases[node]])
        header = graph.loop[node]
        block.loop_depth = graph.forest.depth[header] if header != NO_LOOP else 0
        order.loop_heads.append(header == node)
    for block in code.blocks:
        for succ in block.succs:
            code.blocks[succ].preds.append(block.number)
    for number, node in enumerate(nodes):
        if number == 0:
            code.idom.append(NO_BLOCK)
        elif node >= count:
            code.idom.append(number_of[graph.source[node]])
        else:
            preds = code.blocks[number].preds
            code.idom.append(preds[0] if len(preds) == 1 else number_of[graph.tree.idom[node]])
    vcode.cold = [graph.cold[node] for node in nodes]
    spend(work)
    _estimate_frequencies(graph, nodes, number_of, code, vcode)
    _place_constants(graph, nodes, number_of, code, order)
    inner = [True] * len(nodes)  # is the head of a loop without loops inside
    for node in graph.tree.order:
        outer = graph.forest.parent[node]
        if outer != NO_LOOP:
            inner[number_of[outer]] = False
    if not off & LOOP_ALIGNMENT:
        vcode.align = [
            not vcode.cold[n]
            and (order.loop_heads[n] and inner[n] or graph.loop[node] != NO_LOOP and len(order.cases[n]) > 2)
            for n, node in enumerate(nodes)
        ]
    return order


def _estimate_frequencies(graph: _Graph, nodes: list[int], number_of: list[int], code: Code, vcode: VCode) -> None:
    loop = graph.loop
    parent = graph.forest.parent
    cold = graph.cold
    inflow = [0.0] * len(nodes)
    inflow[0] = 1.0
    for number, node in enumerate(nodes):
        frequency = inflow[number]
        if loop[node] == node:
            frequency = min(frequency * LOOP_WEIGHT, MAX_FREQUENCY)
        code.blocks[number].frequency = frequency
        succs = graph.succs[node]
        if len(succs) == 1:
            inflow[number_of[succs[0]]] += frequency
        elif succs:
            around = loop[node]
            shares: list[float] = []
            for succ in succs:
                if cold[succ] and not cold[node]:
                    shares.append(COLD_WEIGHT)
                elif loop[succ] == around or (loop[succ] == succ and parent[succ] == around):
                    shares.append(1.0)
                else:
                    shares.append(EXIT_SHARE)
            scale = frequency / sum(shares)
            for succ, share in zip(succs, shares, strict=True):
                inflow[number_of[succ]] += share * scale
    for number, is_cold in enumerate(vcode.cold):
        if is_cold:
            block = code.blocks[number]
            block.frequency = min(block.frequency, COLD_WEIGHT)


def _place_constants(graph: _Graph, nodes: list[int], number_of: list[int], code: Code, order: BlockOrder) -> None:
    outermost: dict[int, int] = {}  # header -> header of its outermost loop
    for block in graph.tree.order:
        if graph.forest.header[block] == block:
            parent = graph.forest.parent[block]
            outermost[block] = block if parent == NO_LOOP else outermost[parent]
    for number, node in enumerate(nodes):
        hoist = NO_BLOCK
        header = graph.loop[node]
        if header != NO_LOOP:
            before = code.idom[number_of[outermost[header]]]
            if before != NO_BLOCK and code.blocks[before].frequency < code.blocks[number].frequency:
                hoist = before
        order.hoist.append(hoist)
