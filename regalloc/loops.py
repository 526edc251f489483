"""The order in which blocks are walked, and the loops.

Input: the blocks of a `Code`. Output: `Flow`.

Blocks are walked in a reverse postorder that keeps to the blocks' own order where it has the choice, and to deeper loops
first, so that positions within a loop are near each other. Loops are found from the inside out by walking back from
their latches, an inner loop being stepped over as a whole (Havlak 1997), so the time is almost linear.
"""

from __future__ import annotations

from typing import Final, final

from .operand import MachineBlock

NO_LOOP: Final = -1
COLD_RATIO: Final = 500.0  # a block that runs this much less often than the head of its loop (or the entry) is cold


@final
class Flow:
    """By block: `rank` (place in `order`), `loop_of` (innermost loop or NO_LOOP), `cold`. By loop, inner ones before outer ones:
    `headers`, `parents`. If not `reducible`, some cycles are not among the loops.
    """

    __slots__ = ("order", "rank", "loop_of", "cold", "headers", "parents", "reducible")

    def __init__(self, blocks: list[MachineBlock]) -> None:
        self.order = reverse_postorder(blocks)
        self.rank = [0] * len(blocks)
        for i, b in enumerate(self.order):
            self.rank[b] = i
        self.loop_of = [NO_LOOP] * len(blocks)
        self.headers: list[int] = []
        self.parents: list[int] = []
        self.reducible = True
        self._find_loops(blocks)
        self.cold = [False] * len(blocks)
        for b in self.order:
            loop = self.loop_of[b]
            if loop != NO_LOOP and self.headers[loop] == b:
                loop = self.parents[loop]
            reference = blocks[self.headers[loop]].frequency if loop != NO_LOOP else 1.0
            self.cold[b] = blocks[b].frequency * COLD_RATIO < reference or (
                self.loop_of[b] != NO_LOOP and self.cold[self.headers[self.loop_of[b]]]
            )

    def _find_loops(self, blocks: list[MachineBlock]) -> None:
        rank = self.rank
        loop_of = self.loop_of
        inside: list[int] = []  # by block: header of the loop it has been merged into (union-find), made when needed
        loop_at: dict[int, int] = {}
        for h in reversed(self.order):
            here = rank[h]
            work = [p for p in blocks[h].preds if rank[p] >= here]
            if not work:
                continue
            if not inside:
                inside = list(range(len(blocks)))
            loop = len(self.headers)
            self.headers.append(h)
            self.parents.append(NO_LOOP)
            loop_at[h] = loop
            loop_of[h] = loop
            while work:
                b = work.pop()
                while inside[b] != b:  # find, halving the path
                    inside[b] = inside[inside[b]]
                    b = inside[b]
                if b == h:
                    continue
                if rank[b] < here:  # entered beside the header
                    self.reducible = False
                    continue
                inside[b] = h
                if b in loop_at:
                    self.parents[loop_at[b]] = loop
                else:
                    loop_of[b] = loop
                work.extend(blocks[b].preds)


def reverse_postorder(blocks: list[MachineBlock]) -> list[int]:
    """Depth first, without recursion. A successor visited first comes last: shallow loops first, then later blocks."""
    count = len(blocks)
    seen = [False] * count
    postorder: list[int] = []
    stack = [0]
    pending: list[list[int]] = [_visits(blocks, 0)]
    seen[0] = True
    while stack:
        succs = pending[-1]
        while succs:
            s = succs.pop()
            if not seen[s]:
                seen[s] = True
                stack.append(s)
                after = blocks[s].succs
                pending.append(after[:] if len(after) < 2 else _visits(blocks, s))
                break
        else:
            postorder.append(stack.pop())
            pending.pop()
    postorder.reverse()
    return postorder


def _visits(blocks: list[MachineBlock], b: int) -> list[int]:
    """Successors of b, to be taken from the end."""
    succs = blocks[b].succs
    if len(succs) == 2:
        first, second = succs
        depth1 = blocks[first].loop_depth
        depth2 = blocks[second].loop_depth
        if depth1 > depth2 or (depth1 == depth2 and first < second):
            return [first, second]
        return [second, first]
    keys = [(-blocks[s].loop_depth, s) for s in succs]
    keys.sort()
    return [s for _, s in keys]
