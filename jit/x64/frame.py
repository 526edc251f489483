"""The stack frame of a function: layout, and the code that makes it and takes it down.

From low to high addresses:

    rsp ->  outgoing area     stack arguments and stack results of the calls that the function makes (AMODE_OUTGOING)
            fixed slots       reserved by selection (AMODE_SLOT)
            spill slots       of the allocator
            saved registers   those of abi.CALLEE_SAVED that the function writes
            kept registers    only with Settings.check_facts (register_checks.py)
            return address    at rsp + Frame.size
            incoming area     this function's stack arguments and stack results, owned by the caller (AMODE_INCOMING)

Blocks may do without it (regalloc/shrink_wrap.py): then rsp points to the return address, or to the kept registers.
"""

from __future__ import annotations

from typing import Final, final

from brolga.ir.trap_codes import STACK_OVERFLOW
from brolga.regalloc.operand import Allocation

from ..settings import Settings
from ..vmctx import ACTIVATION_STACK_LIMIT, CTX_ACTIVATION
from .abi import CALLEE_SAVED, R10, R11, RAX, RSP
from .buffer import CodeBuffer
from .encode import encode
from .inst import AMODE_OUTGOING, AMODE_REGISTERS, AMODE_VMCTX, Amode
from .insts import (
    ADD64_I,
    CC_B,
    CC_NE,
    CMP64,
    LEA64,
    MOV64,
    POP,
    PUSH,
    SUB64_I,
    TEST32,
)
from .vcode import VCode

PAGE: Final = 4096
UNROLLED_PROBES: Final = 8


@final
class Frame:
    """`local_bytes` is what lies below the saved registers, `kept_bytes` what lies above, `size` the distance from rsp to the return
    address."""

    __slots__ = ("fixed_base", "kept_bytes", "local_bytes", "saved", "size", "spill_base")

    def __init__(self, vcode: VCode, allocation: Allocation, kept_bytes: int) -> None:
        self.fixed_base = (vcode.outgoing_bytes + 7) & ~7
        self.spill_base = self.fixed_base + 8 * vcode.fixed_slots
        self.local_bytes = self.spill_base + 8 * allocation.spill_slots
        self.saved = [register for register in CALLEE_SAVED if allocation.used_registers >> register & 1]
        self.kept_bytes = kept_bytes
        self.size = self.local_bytes + 8 * len(self.saved) + kept_bytes

    def probes_in_a_loop(self, settings: Settings) -> bool:
        """Whether making the frame needs registers, which only the entry has."""
        return settings.stack_guard and self.local_bytes // PAGE > UNROLLED_PROBES


def emit_stack_check(buffer: CodeBuffer, frame: Frame, overflow: int) -> None:
    """At the entry, where there is a stack limit or no guard area: whether there is room for the frame, before anything is written.
    The label `overflow` is reached without the frame. Of the registers only r10 and r11 are changed, which hold no arguments.
    """
    lowest = Amode(AMODE_OUTGOING, displacement=-frame.size)
    limit = Amode(AMODE_REGISTERS, fixed_base=R11, displacement=ACTIVATION_STACK_LIMIT)
    encode(buffer, MOV64, [R11], 0, Amode(AMODE_VMCTX, displacement=CTX_ACTIVATION))
    encode(buffer, LEA64, [R10], 0, lowest)
    encode(buffer, CMP64, [R10], 0, limit)
    buffer.jcc(CC_B, overflow)


def emit_prologue(buffer: CodeBuffer, frame: Frame, settings: Settings) -> None:
    """Save registers, allocate the frame.

    Where the stack ends in a guard area, frames larger than a page touch each page, so that none is skipped. If there are many pages
    (`Frame.probes_in_a_loop`), r10 and r11 are changed; else nothing but the flags.
    """
    size = frame.kept_bytes
    for register in frame.saved:
        encode(buffer, PUSH, [register])
        size += 8
        buffer.frame(size)
    if frame.local_bytes == 0:
        return
    if settings.stack_guard and frame.local_bytes > PAGE:
        _probe(buffer, frame.local_bytes // PAGE)
    encode(buffer, SUB64_I, [RSP, RSP], frame.local_bytes)
    buffer.frame(frame.size)


def _probe(buffer: CodeBuffer, pages: int) -> None:
    """Touch each of the `pages` pages below rsp, nearest first."""
    if pages <= UNROLLED_PROBES:
        for page in range(1, pages + 1):
            buffer.trap(STACK_OVERFLOW)
            encode(buffer, TEST32, [RAX], 0, Amode(AMODE_OUTGOING, displacement=-page * PAGE))
        return
    at = Amode(AMODE_REGISTERS, fixed_base=R10)
    loop = buffer.new_label()
    encode(buffer, LEA64, [R11], 0, Amode(AMODE_OUTGOING, displacement=-pages * PAGE))
    encode(buffer, MOV64, [R10, RSP])
    buffer.bind(loop)
    encode(buffer, SUB64_I, [R10, R10], PAGE)
    buffer.trap(STACK_OVERFLOW)
    encode(buffer, TEST32, [RAX], 0, at)
    encode(buffer, CMP64, [R10, R11])
    buffer.jcc(CC_NE, loop)


def emit_epilogue(buffer: CodeBuffer, frame: Frame) -> None:
    """Free the frame, restore registers."""
    size = frame.size
    if frame.local_bytes:
        encode(buffer, ADD64_I, [RSP, RSP], frame.local_bytes)
        size -= frame.local_bytes
        buffer.frame(size)
    for register in reversed(frame.saved):
        encode(buffer, POP, [register])
        size -= 8
        buffer.frame(size)
