"""Checks that a function keeps the registers that its callers rely on, made where Settings.check_facts says so.

    push r15; push rbx; ...        at the entry: what callers rely on
    mov  rbx, PATTERN + 3; ...     so that nothing is right by chance
    (prologue, body, epilogue)
    cmp  rbx, PATTERN + 3; jne trap; ...
    pop  ...; pop rbx; pop r15; ret

What lies between does not know of it: which registers are saved, where, and on which paths is what it would be without. The words on the
stack belong to the frame (Frame.kept_bytes), and are there in blocks without the frame, too. A trap promises no registers.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.trap_codes import FACT_KEPT_REGISTERS

from ..settings import Settings
from .abi import CALLEE_SAVED, R15
from .allocatable import callee_saved_registers
from .buffer import CodeBuffer
from .encode import encode
from .inst import AMODE_OUTGOING, Amode
from .insts import CC_NE, CMP64, CMP64_I, MOV64_I, MOV_TO_R15, POP, PUSH
from .stubs import Stubs

KEPT: Final = [R15, *CALLEE_SAVED]  # in the order in which they are pushed
KEPT_BYTES: Final = 8 * len(KEPT)
PATTERN: Final = 0x5EED_0000  # plus the number of the register


def emit_patterns(buffer: CodeBuffer, settings: Settings) -> None:
    """At the entry: push KEPT, change those that the function may use."""
    for position, register in enumerate(KEPT):
        encode(buffer, PUSH, [register])
        buffer.frame(8 * position + 8)
    for register in callee_saved_registers(settings):
        encode(buffer, MOV64_I, [register], PATTERN + register)


def emit_comparisons(buffer: CodeBuffer, stubs: Stubs, settings: Settings, loc: int) -> None:
    """At a return, behind the epilogue: trap at `loc` if a register is not what it was. Changes nothing but the flags."""
    frame_size = stubs.frame_size
    stubs.frame_size = KEPT_BYTES
    trap = stubs.trap_label(FACT_KEPT_REGISTERS, loc)
    stubs.frame_size = frame_size
    patterns = callee_saved_registers(settings)
    for position, register in enumerate(KEPT):
        pushed = Amode(AMODE_OUTGOING, displacement=KEPT_BYTES - 8 * position - 8)
        if register in patterns:
            encode(buffer, CMP64_I, [register], PATTERN + register)
        else:
            encode(buffer, CMP64, [register], 0, pushed)
        if register == R15:  # which the trap needs
            encode(buffer, MOV_TO_R15, [], 0, pushed)
        buffer.jcc(CC_NE, trap)
    for position in range(len(KEPT) - 1, -1, -1):
        encode(buffer, POP, [KEPT[position]])
        buffer.frame(8 * position)
