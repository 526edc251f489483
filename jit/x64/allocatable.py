"""The registers that the allocator may use, by settings. Apart from the calling convention, which runtime needs without it."""

from __future__ import annotations

from brolga.regalloc.operand import MachineEnv

from ..settings import BOUNDS_EXPLICIT, MEMORY_BASE_REGISTER, Settings
from .abi import CALLEE_SAVED, R8, R9, R10, R11, R14, RAX, RCX, RDI, RDX, RSI, SCRATCH_XMM, XMM0


def machine_env(settings: Settings) -> MachineEnv:
    """The registers that may be allocated. Caller-saved ones come first: callee-saved ones cost a save."""
    caller_saved = [RAX, RCX, RDX, RSI, RDI, R8, R9, R10, R11]
    callee_saved = callee_saved_registers(settings)
    mask = 0
    for register in callee_saved:
        mask |= 1 << register
    vectors = [XMM0 + number for number in range(15)]
    return MachineEnv([caller_saved + callee_saved, vectors], mask, SCRATCH_XMM)


def callee_saved_registers(settings: Settings) -> list[int]:
    """CALLEE_SAVED, but without r14 where that is the memory base."""
    if settings.bounds != BOUNDS_EXPLICIT and settings.memory_base == MEMORY_BASE_REGISTER:
        return [register for register in CALLEE_SAVED if register != R14]
    return CALLEE_SAVED
