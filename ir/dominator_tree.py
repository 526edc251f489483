"""Dominators (Lengauer & Tarjan 1979, "A Fast Algorithm for Finding Dominators in a Flowgraph", the simple version).

O(edges * log blocks) on every graph, where iterating over predecessors needs quadratic time for shapes that any
function can have: many branches out of one long chain of blocks to a common end. No recursion.
"""

from __future__ import annotations

from typing import Final, final

from .cfg import successors
from .function import Function
from .work import BLOCK, spend

UNREACHABLE: Final = -1
NONE: Final = -1  # ends a chain


@final
class DominatorTree:
    """`order`: reachable blocks in reverse postorder, `position[b]`: place of block b in it, or UNREACHABLE;
    `idom[b]`: immediate dominator (the entry's is itself), or UNREACHABLE; `incoming[b]`: as `cfg.predecessors` gives it."""

    __slots__ = ("order", "position", "idom", "incoming", "_tree_order", "_first", "_last")

    def __init__(self, function: Function) -> None:
        count = len(function.blocks)
        following: list[list[int]] = [[]] * count
        self.incoming: list[list[int]] = [[] for _ in range(count)]
        spend(BLOCK * count)
        for block in function.layout:
            following[block] = successors(function.blocks[block])
            for successor in following[block]:
                self.incoming[successor].append(block)
        # A depth-first search: blocks in preorder and in postorder, and each one's parent in the search.
        entry = function.layout[0]
        preorder = [entry]
        number = [UNREACHABLE] * count  # place in `preorder`
        number[entry] = 0
        parent = [0] * count  # by place
        self.order: list[int] = []
        path = [entry]
        remaining = [len(following[entry])]  # of the successors of each block of the path
        spend(BLOCK * count)
        while path:
            block = path[-1]
            left = remaining[-1]
            while left:
                left -= 1
                successor = following[block][left]
                if number[successor] == UNREACHABLE:
                    remaining[-1] = left
                    parent[len(preorder)] = number[block]
                    number[successor] = len(preorder)
                    preorder.append(successor)
                    path.append(successor)
                    remaining.append(len(following[successor]))
                    break
            else:
                self.order.append(block)
                path.pop()
                remaining.pop()
        self.order.reverse()
        self.position = [UNREACHABLE] * count
        for place, block in enumerate(self.order):
            self.position[block] = place

        spend(BLOCK * count)
        found = _immediate_dominators(preorder, number, parent, self.incoming)
        self.idom = [UNREACHABLE] * count
        for place, block in enumerate(preorder):
            self.idom[block] = preorder[found[place]]
        self._tree_order = self.order[:]
        self._first = [0] * count
        self._last = [UNREACHABLE] * count
        self._number_tree()

    def _number_tree(self) -> None:
        """Preorder intervals of the tree, children in the order of `order`: a dominates b if b's number lies in a's interval."""
        order = self.order
        idom = self.idom
        first = self._first
        last = self._last
        size = [1] * len(idom)
        for place in range(len(order) - 1, 0, -1):
            size[idom[order[place]]] += size[order[place]]
        vacant = [1] * len(idom)  # the number of the next child
        for place, block in enumerate(order):
            if place > 0:
                up = idom[block]
                first[block] = vacant[up]
                vacant[up] += size[block]
                vacant[block] = first[block] + 1
            last[block] = first[block] + size[block] - 1
            self._tree_order[first[block]] = block

    def dominates(self, a: int, b: int) -> bool:
        """Does every path from the entry to block `b` lead through block `a`? (A block dominates itself.)"""
        return self._first[a] <= self._first[b] <= self._last[a]

    def preorder(self) -> list[int]:
        """The reachable blocks in preorder of the tree, children in reverse postorder. Not to be changed."""
        return self._tree_order


def _immediate_dominators(
    preorder: list[int], number: list[int], parent: list[int], incoming: list[list[int]]
) -> list[int]:
    """Everything here but `incoming` is by place in the preorder of the search, where ancestors have smaller numbers."""
    count = len(preorder)
    semi = list(range(count))  # semidominators
    label = list(range(count))  # on the path to the forest's root: the one with the least semidominator
    ancestor = [UNREACHABLE] * count  # links of the forest, with path compression
    bucket = [NONE] * count  # by semidominator: the first of the vertices that wait to be looked at
    following = [NONE] * count  # by vertex in a bucket: the next one
    idom = [0] * count
    path: list[int] = []
    for w in range(count - 1, 0, -1):
        least = w
        for block in incoming[preorder[w]]:
            v = number[block]
            if v != UNREACHABLE:
                least = min(least, semi[_least_label(v, ancestor, label, semi, path)])
        semi[w] = least
        following[w] = bucket[least]
        bucket[least] = w
        up = parent[w]
        ancestor[w] = up
        v = bucket[up]
        bucket[up] = NONE
        while v != NONE:
            u = _least_label(v, ancestor, label, semi, path)
            idom[v] = u if semi[u] < semi[v] else up
            v = following[v]
    for w in range(1, count):
        if idom[w] != semi[w]:
            idom[w] = idom[idom[w]]
    return idom


def _least_label(v: int, ancestor: list[int], label: list[int], semi: list[int], path: list[int]) -> int:
    """The vertex with the least semidominator on the path from `v` up to, not including, the root of its tree."""
    up = ancestor[v]
    if up == UNREACHABLE:
        return v
    if ancestor[up] == UNREACHABLE:
        return label[v]
    u = v
    while ancestor[up] != UNREACHABLE:
        path.append(u)
        u = up
        up = ancestor[u]
    while path:
        u = path.pop()
        up = ancestor[u]
        if semi[label[up]] < semi[label[u]]:
            label[u] = label[up]
        ancestor[u] = ancestor[up]
    return label[v]
