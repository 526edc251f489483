"""Natural loops: headers and nesting depth of blocks.

A loop is a header with the blocks that reach its back edges (from blocks that the header dominates) without passing
the header. Irreducible cycles, which wasm cannot make, count as no loop.
"""

from __future__ import annotations

from typing import Final, final

from .dominator_tree import DominatorTree
from .function import Function

NO_LOOP: Final = -1


@final
class LoopForest:
    """`header[b]`: header of the innermost loop around block b, or NO_LOOP; `parent[h]`: header of the loop around
    the loop of header h, or NO_LOOP; `depth[b]`: number of loops around block b; `tree`: the dominators."""

    __slots__ = ("tree", "header", "parent", "depth")

    def __init__(self, function: Function, tree: DominatorTree) -> None:
        count = len(function.blocks)
        self.tree = tree
        self.header = [NO_LOOP] * count
        self.parent = [NO_LOOP] * count
        self.depth = [0] * count
        self._find_loops(tree)
        for block in tree.order:  # headers come before the blocks of their loop
            header = self.header[block]
            if header == block:
                outer = self.parent[block]
                self.depth[block] = 1 if outer == NO_LOOP else self.depth[outer] + 1
            elif header != NO_LOOP:
                self.depth[block] = self.depth[header]

    def _find_loops(self, tree: DominatorTree) -> None:
        """Innermost loops first: the bodies already found are skipped through in one step each."""
        incoming = tree.incoming
        header_of = self.header
        parent = self.parent
        outermost: dict[int, int] = {}  # header -> header of the outermost loop found around it so far
        for header in reversed(tree.order):
            pending = [b for b in incoming[header] if tree.position[b] >= 0 and tree.dominates(header, b)]
            if not pending:
                continue
            header_of_header = header_of[header]
            assert header_of_header == NO_LOOP
            header_of[header] = header
            while pending:
                block = pending.pop()
                if block == header:
                    continue
                inner = header_of[block]
                if inner == NO_LOOP:
                    header_of[block] = header
                    pending.extend(incoming[block])
                    continue
                path: list[int] = []
                while inner in outermost:
                    path.append(inner)
                    inner = outermost[inner]
                for other in path:
                    outermost[other] = inner
                if inner == header:
                    continue
                outermost[inner] = header
                parent[inner] = header
                pending.extend(incoming[inner])


def loops_of(function: Function) -> LoopForest:
    """The loops and dominators of the function as it is: those that a pass has left in `analysis`, or new ones."""
    known = function.analysis
    return known if isinstance(known, LoopForest) else LoopForest(function, DominatorTree(function))
