"""Random functions: the checker proves each allocation, and running the code before and after gives the same trace."""

from __future__ import annotations

import pytest

from brolga.regalloc.allocate import allocate
from brolga.regalloc.checker import check
from brolga.regalloc.printer import print_code

from .machines import LARGE, LARGE_CALL_CLOBBERS, SCRATCH, SMALL, SMALL_CALL_CLOBBERS
from .random_code import random_code
from .simulator import trace_locations, trace_vregs

SEEDS_PER_TEST = 100


def allocate_and_check(seed: int, small: bool, blocks: int, insts: int, reach: int) -> bool:
    """True if the frame is made on some paths only."""
    env = SMALL if small else LARGE
    clobbers = SMALL_CALL_CLOBBERS if small else LARGE_CALL_CLOBBERS
    code = random_code(seed, env, clobbers, blocks=blocks, insts=insts, reach=reach)
    before = [trace_vregs(code, path) for path in range(3)]
    allocation = allocate(code, env)
    check(code, env, allocation)
    for path in range(3):
        assert trace_locations(code, allocation, path, SCRATCH, env.callee_saved) == before[path]
    return bool(allocation.framed)


@pytest.mark.parametrize("small", [False, True], ids=["large", "small"])
@pytest.mark.parametrize(
    ("blocks", "insts", "reach"),
    [(1, 12, 10), (1, 12, 30), (4, 4, 4), (4, 12, 30), (12, 4, 10), (12, 12, 4), (12, 12, 30), (30, 4, 10), (30, 12, 30)],
)
def test_random_functions(small: bool, blocks: int, insts: int, reach: int) -> None:
    shrunk = 0
    for seed in range(SEEDS_PER_TEST):
        try:
            shrunk += allocate_and_check(seed, small, blocks, insts, reach)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error
    assert shrunk or blocks == 1


def test_output_is_deterministic() -> None:
    texts = []
    for _ in range(2):
        code = random_code(6, SMALL, SMALL_CALL_CLOBBERS, blocks=30, insts=12, reach=30)
        texts.append(print_code(code, allocate(code, SMALL)))
    assert texts[0] == texts[1]
