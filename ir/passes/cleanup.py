"""What every function goes through after it was built: the passes that remove, in the order in which each profits most.

unreachable   blocks behind branches that the builder found constant
block_params  parameters that stand for one value; needs the true set of incoming branches
branches      empty blocks and needless jumps; what is left of branches on parameters that are gone
dce           values that nothing needs, some only since the branches went
"""

from __future__ import annotations

from ..function import Function
from . import block_params, branches, dce, unreachable


def run(function: Function) -> None:
    unreachable.run(function)
    block_params.run(function)
    branches.run(function)
    dce.run(function)
