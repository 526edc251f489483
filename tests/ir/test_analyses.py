"""Dominators and loops against their definitions, on random graphs and known shapes."""

from __future__ import annotations

import random

from brolga.ir.cfg import predecessors, reverse_postorder, successors
from brolga.ir.dominator_tree import UNREACHABLE, DominatorTree
from brolga.ir.function import Function, Inst, Target
from brolga.ir.loops import NO_LOOP, LoopForest
from brolga.ir.opcodes import BR_TABLE, RETURN
from brolga.ir.parser import parse_function
from brolga.ir.signature import Signature
from brolga.ir.types import VOID

NESTED = """
function nested 0(i32) {
block0(v0: i32):
    jump block1
block1:
    jump block2
block2:
    brif v0, block2, block3
block3:
    brif v0, block1, block4
block4:
    brif v0, block4, block5
block5:
    return
}
"""


def graph(edges: list[list[int]]) -> Function:
    function = Function("graph", 0, Signature([], []), [])
    for number, targets in enumerate(edges):
        block = function.new_block()
        function.layout.append(number)
        op = BR_TABLE if targets else RETURN
        block.insts.append(Inst(op, VOID, [], targets=[Target(target, []) for target in targets]))
    return function


def reachable(edges: list[list[int]], without: int) -> set[int]:
    """Blocks that the entry reaches when block `without` is taken away."""
    found: set[int] = set()
    pending = [] if without == 0 else [0]
    while pending:
        block = pending.pop()
        if block not in found and block != without:
            found.add(block)
            pending.extend(edges[block])
    return found


def test_dominators_agree_with_the_definition_on_random_graphs() -> None:
    rng = random.Random(7)
    for _ in range(150):
        count = rng.randrange(1, 12)
        edges = [[rng.randrange(1, count) for _ in range(rng.randrange(4))] if count > 1 else [] for _ in range(count)]
        function = graph(edges)
        tree = DominatorTree(function)
        alive = reachable(edges, -1)
        assert set(tree.order) == alive
        for a in alive:
            lost = alive - reachable(edges, a)
            for b in alive:
                assert tree.dominates(a, b) == (b in lost)
        assert all((tree.idom[b] != UNREACHABLE) == (b in alive) for b in range(count))


def test_reverse_postorder_puts_blocks_before_their_forward_successors() -> None:
    function = parse_function(NESTED)
    assert reverse_postorder(function) == [0, 1, 2, 3, 4, 5]
    assert successors(function.blocks[3]) == [1, 4]
    assert predecessors(function)[1] == [0, 3]


def test_nested_loops_have_headers_parents_and_depths() -> None:
    function = parse_function(NESTED)
    loops = LoopForest(function, DominatorTree(function))
    assert loops.header == [NO_LOOP, 1, 2, 1, 4, NO_LOOP]
    assert loops.depth == [0, 1, 2, 1, 1, 0]
    assert loops.parent[2] == 1
    assert loops.parent[1] == NO_LOOP


def test_deep_nests_need_no_recursion() -> None:
    depth = 3000
    edges = [[i + 1] for i in range(depth)] + [[depth + 1]]
    edges += [[depth - i, depth + 2 + i] for i in range(depth - 1)] + [[]]
    function = graph(edges)
    loops = LoopForest(function, DominatorTree(function))
    assert max(loops.depth) == depth - 1


def test_many_branches_from_a_chain_to_a_common_end() -> None:
    """30,000 of them: walking up the tree from each would take minutes."""
    count = 30_000
    tree = DominatorTree(graph([[number + 1, count] for number in range(count)] + [[]]))
    assert tree.idom[count] == 0
    assert tree.idom[: count - 1] == [0, *range(count - 2)]
    assert tree.preorder()[0] == 0
    assert sorted(tree.preorder()) == list(range(count + 1))
