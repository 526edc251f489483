"""The dominator tree that comes with the code, proved to be one: the checker believes nobody.

If for every edge from p to s the parent of s is p or above p in the tree, every block is dominated by those above it.
(Georgiadis & Tarjan, "Dominator Tree Certification and Divergent Spanning Trees": the parent property.) They need not be
immediate dominators for that.
"""

from __future__ import annotations

from typing import final

from .errors import CheckError
from .operand import Code, MachineBlock


@final
class DominatorTree:
    """`idom[b]` dominates block b, `children[b]` are the blocks below b, in reverse postorder, `place[b]` is the place in reverse
    postorder, or -1 if b is not reached, `preds[b]` are the predecessors that are reached. `cyclic`: an edge goes backwards
    in that order. Raises CheckError if `code.idom` is wrong."""

    __slots__ = ("idom", "children", "place", "preds", "cyclic")

    def __init__(self, code: Code) -> None:
        blocks = code.blocks
        count = len(blocks)
        idom = code.idom
        order = _reverse_postorder(blocks)
        self.idom = idom
        self.place = [-1] * count
        for place, b in enumerate(order):
            self.place[b] = place
        self.children: list[list[int]] = [[] for _ in range(count)]
        for b in order[1:]:
            self.children[idom[b]].append(b)
        self.preds: list[list[int]] = [[] for _ in range(count)]
        self.cyclic = False
        first, last = self._intervals()
        for p in order:
            for s in blocks[p].succs:
                self.preds[s].append(p)
                if self.place[s] <= self.place[p]:
                    self.cyclic = True
                if idom[s] < 0 or not first[idom[s]] <= first[p] <= last[idom[s]]:
                    raise CheckError(f"{code.name}: block{s} is not dominated by block{idom[s]}")

    def _intervals(self) -> tuple[list[int], list[int]]:
        """Numbers in a preorder of the tree: a is b or above it if first[a] <= first[b] <= last[a]. Blocks that do not hang on the
        entry are in no interval."""
        first = [-1] * len(self.idom)
        last = [-2] * len(self.idom)
        todo = [0]
        count = 0
        while todo:
            b = todo.pop()
            if b < 0:
                last[~b] = count - 1
                continue
            first[b] = count
            count += 1
            todo.append(~b)
            todo += self.children[b]
        return first, last


def _reverse_postorder(blocks: list[MachineBlock]) -> list[int]:
    seen = [False] * len(blocks)
    taken = [0] * len(blocks)  # how many of a block's successors have been looked at
    seen[0] = True
    path = [0]
    order: list[int] = []
    while path:
        b = path[-1]
        succs = blocks[b].succs
        if taken[b] == len(succs):
            order.append(b)
            path.pop()
            continue
        s = succs[taken[b]]
        taken[b] += 1
        if not seen[s]:
            seen[s] = True
            path.append(s)
    order.reverse()
    return order
