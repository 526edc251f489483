"""Dominators (Cooper, Harvey & Kennedy 2001, "A Simple, Fast Dominance Algorithm").

Blocks are numbered in reverse postorder; the immediate dominator of a block is the nearest common ancestor of its processed
predecessors. Two sweeps suffice for reducible graphs, which wasm always gives. No recursion.
"""

from __future__ import annotations

from typing import Final, final

from .cfg import reverse_postorder, successors
from .function import Function

UNREACHABLE: Final = -1


@final
class DominatorTree:
    """`order`: reachable blocks in reverse postorder; `idom[b]`: immediate dominator (the entry's is itself), or UNREACHABLE."""

    __slots__ = ("order", "position", "idom", "_first", "_last")

    def __init__(self, function: Function) -> None:
        self.order = reverse_postorder(function)
        count = len(function.blocks)
        self.position = [UNREACHABLE] * count
        for place, block in enumerate(self.order):
            self.position[block] = place
        self.idom = [UNREACHABLE] * count
        self._first = [0] * count
        self._last = [UNREACHABLE] * count
        self._find_dominators(self._predecessors(function))
        self._number_tree()

    def _predecessors(self, function: Function) -> list[list[int]]:
        found: list[list[int]] = [[] for _ in function.blocks]
        for block in self.order:
            for successor in successors(function.blocks[block]):
                found[successor].append(block)
        return found

    def _find_dominators(self, predecessors: list[list[int]]) -> None:
        idom = self.idom
        position = self.position
        entry = self.order[0]
        idom[entry] = entry
        changed = True
        while changed:
            changed = False
            for block in self.order:
                if block == entry:
                    continue
                best = UNREACHABLE
                for other in predecessors[block]:
                    if idom[other] == UNREACHABLE:
                        continue
                    if best == UNREACHABLE:
                        best = other
                        continue
                    while best != other:
                        if position[best] > position[other]:
                            best = idom[best]
                        else:
                            other = idom[other]
                if idom[block] != best:
                    idom[block] = best
                    changed = True

    def _number_tree(self) -> None:
        """Preorder intervals of the tree: a dominates b if b's number lies in a's interval."""
        children: list[list[int]] = [[] for _ in self.idom]
        for block in reversed(self.order[1:]):
            children[self.idom[block]].append(block)
        number = 0
        path = [self.order[0]]
        self._first[path[0]] = 0
        while path:
            block = path[-1]
            if children[block]:
                child = children[block].pop()
                number += 1
                self._first[child] = number
                path.append(child)
            else:
                self._last[block] = number
                path.pop()

    def dominates(self, a: int, b: int) -> bool:
        """Does every path from the entry to block `b` lead through block `a`? (A block dominates itself.)"""
        return self._first[a] <= self._first[b] <= self._last[a]
