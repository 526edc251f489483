"""Machines for the allocator's tests: x86-64's registers, and a small machine that runs out of registers soon."""

from brolga.regalloc.operand import MachineEnv

SCRATCH = 31


def mask(registers: list[int]) -> int:
    return sum(1 << r for r in registers)


CALLEE_SAVED = mask([3, 5, 12, 13, 14])
LARGE = MachineEnv(
    [[0, 1, 2, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14], list(range(16, 31))],
    CALLEE_SAVED,
    SCRATCH,
)
LARGE_CALL_CLOBBERS = mask([0, 1, 2, 6, 7, 8, 9, 10, 11, *range(16, 31)])

SMALL = MachineEnv([[0, 1, 2, 3, 5], [16, 17, 18, 19]], mask([3, 5]), SCRATCH)
SMALL_CALL_CLOBBERS = mask([0, 1, 2, *range(16, 20)])
