"""The control-flow graph: successors, predecessors, reverse postorder. Rebuilt on request, never patched."""

from __future__ import annotations

from .function import Block, Function


def successors(block: Block) -> list[int]:
    """Distinct target blocks of the terminator, in order of first mention."""
    targets = block.insts[-1].targets
    if len(targets) == 1:
        return [targets[0].block]
    seen: dict[int, None] = {}
    for target in targets:
        seen[target.block] = None
    return list(seen)


def predecessors(function: Function) -> list[list[int]]:
    """By block number: the distinct blocks of the layout that branch to it, in layout order."""
    found: list[list[int]] = [[] for _ in function.blocks]
    for number in function.layout:
        for successor in successors(function.blocks[number]):
            found[successor].append(number)
    return found


def reverse_postorder(function: Function) -> list[int]:
    """The blocks reachable from the entry: each before its successors, but for back edges.

    Later targets are visited first, so the first target of a branch comes soonest after it.
    """
    blocks = function.blocks
    visited = [False] * len(blocks)
    order: list[int] = []
    entry = function.layout[0]
    visited[entry] = True
    pending: list[list[int]] = [successors(blocks[entry])]
    path = [entry]
    while path:
        remaining = pending[-1]
        if remaining:
            successor = remaining.pop()
            if not visited[successor]:
                visited[successor] = True
                path.append(successor)
                pending.append(successors(blocks[successor]))
        else:
            order.append(path.pop())
            pending.pop()
    order.reverse()
    return order
