"""Dominators (Lengauer & Tarjan 1979, "A Fast Algorithm for Finding Dominators in a Flowgraph", the simple version).

O(edges * log blocks) on every graph, where iterating over predecessors needs quadratic time for shapes that any
function can have: many branches out of one long chain of blocks to a common end. No recursion.
"""

from __future__ import annotations

from typing import Final, final

from .cfg import successors
from .function import Function

UNREACHABLE: Final = -1


@final
class DominatorTree:
    """`order`: reachable blocks in reverse postorder, `position[b]`: place of block b in it, or UNREACHABLE;
    `idom[b]`: immediate dominator (the entry's is itself), or UNREACHABLE."""

    __slots__ = ("order", "position", "idom", "_tree_order", "_first", "_last")

    def __init__(self, function: Function) -> None:
        count = len(function.blocks)
        following: list[list[int]] = [[] for _ in range(count)]
        for block in function.layout:
            following[block] = successors(function.blocks[block])
        # A depth-first search: blocks in preorder and in postorder, and each one's parent in the search.
        entry = function.layout[0]
        preorder: list[int] = []
        number = [UNREACHABLE] * count  # place in `preorder`
        parent = [0] * count
        self.order: list[int] = []
        path = [entry]
        remaining: list[list[int]] = []
        while path:
            block = path[-1]
            if number[block] == UNREACHABLE:
                number[block] = len(preorder)
                preorder.append(block)
                remaining.append(following[block].copy())
            unseen = remaining[-1]
            while unseen:
                successor = unseen.pop()
                if number[successor] == UNREACHABLE:
                    parent[successor] = block
                    path.append(successor)
                    break
            else:
                self.order.append(block)
                path.pop()
                remaining.pop()
        self.order.reverse()
        self.position = [UNREACHABLE] * count
        for place, block in enumerate(self.order):
            self.position[block] = place

        found = _immediate_dominators(preorder, number, parent, following)
        self.idom = [UNREACHABLE] * count
        for place, block in enumerate(preorder):
            self.idom[block] = preorder[found[place]]
        self._tree_order: list[int] = []
        self._first = [0] * count
        self._last = [UNREACHABLE] * count
        self._number_tree()

    def _number_tree(self) -> None:
        """Preorder intervals of the tree: a dominates b if b's number lies in a's interval."""
        children: list[list[int]] = [[] for _ in self.idom]
        for block in reversed(self.order[1:]):
            children[self.idom[block]].append(block)
        path = [self.order[0]]
        while path:
            block = path[-1]
            if self._last[block] == UNREACHABLE:
                self._first[block] = self._last[block] = len(self._tree_order)
                self._tree_order.append(block)
            if children[block]:
                path.append(children[block].pop())
            else:
                self._last[block] = len(self._tree_order) - 1
                path.pop()

    def dominates(self, a: int, b: int) -> bool:
        """Does every path from the entry to block `b` lead through block `a`? (A block dominates itself.)"""
        return self._first[a] <= self._first[b] <= self._last[a]

    def preorder(self) -> list[int]:
        """The reachable blocks in preorder of the tree, children in reverse postorder. Not to be changed."""
        return self._tree_order


def _immediate_dominators(
    preorder: list[int], number: list[int], parent: list[int], following: list[list[int]]
) -> list[int]:
    """Everything here is by place in the preorder of the search, where ancestors have smaller numbers."""
    count = len(preorder)
    predecessors: list[list[int]] = [[] for _ in range(count)]
    for place, block in enumerate(preorder):
        for successor in following[block]:
            predecessors[number[successor]].append(place)
    semi = list(range(count))  # semidominators
    label = list(range(count))  # on the path to the forest's root: the one with the least semidominator
    ancestor = [UNREACHABLE] * count  # links of the forest, with path compression
    buckets: list[list[int]] = [[] for _ in range(count)]
    idom = [0] * count
    path: list[int] = []
    for w in range(count - 1, 0, -1):
        least = w
        for v in predecessors[w]:
            u = _least_label(v, ancestor, label, semi, path)
            least = min(least, semi[u])
        semi[w] = least
        buckets[least].append(w)
        up = number[parent[preorder[w]]]
        ancestor[w] = up
        for v in buckets[up]:
            u = _least_label(v, ancestor, label, semi, path)
            idom[v] = u if semi[u] < semi[v] else up
        buckets[up].clear()
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
