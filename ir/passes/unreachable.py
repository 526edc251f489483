"""Remove blocks that no path from the entry reaches.

    block0: jump block2          block0: jump block2
    block1: jump block2    =>    block2: return
    block2: return

Input and output: any function. Branches on constants, which the builder turns into jumps, leave such blocks behind.
"""

from __future__ import annotations

from ..function import Function


def run(function: Function) -> None:
    blocks = function.blocks
    entry = function.layout[0]
    reached = [False] * len(blocks)
    reached[entry] = True
    pending = [entry]
    while pending:
        for target in blocks[pending.pop()].insts[-1].targets:
            if not reached[target.block]:
                reached[target.block] = True
                pending.append(target.block)
    if not all(reached[number] for number in function.layout):
        function.layout = [number for number in function.layout if reached[number]]
        function.analysis = None
