"""Registers and the internal calling convention.

Register numbers are the machine's own: 0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, 5 rbp, 6 rsi, 7 rdi, 8..15; 16 + n is xmm n.

    r15      vmctx of the running instance, in all wasm code
    r14      base of memory 0 where the memory base is a register; else an ordinary callee-saved register
    rsp      no alignment is kept; no frame pointer
    xmm15    scratch of the register allocator, never holds a value across instructions

Arguments: integers and references in ARG_GPRS, floats in ARG_XMMS, by order within their bank; the rest on the stack, eight bytes
each in order: stack argument i is at [rsp + 8*i] before the call, [rsp + 8 + 8*i] at the callee's entry.
Results: RESULT_GPRS and RESULT_XMMS, by order within their bank; the rest in memory right after the stack arguments: stack
result j is at [rsp + 8*(stack arguments + j)] seen from the caller. The caller owns that area.
I32 values are zero-extended to 64 bits, in registers and in stack slots, on both sides. F32 values have the upper bits undefined.
CALLEE_SAVED registers survive calls; all vector registers are clobbered; the direction flag is clear; MXCSR is the default.

Calling into another instance or the host: the caller loads r15 with the callee's vmctx and, where memory base is gs (or r14) and the
callee's context is an instance, the callee reestablishes nothing: the *caller* writes gs (or r14) from CTX_MEMORY0_BASE of the
callee's vmctx before the call, and restores r15 and gs (or r14) after it.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.signature import Signature
from brolga.ir.types import IS_FLOAT

RAX: Final = 0
RCX: Final = 1
RDX: Final = 2
RBX: Final = 3
RSP: Final = 4
RBP: Final = 5
RSI: Final = 6
RDI: Final = 7
R8: Final = 8
R9: Final = 9
R10: Final = 10
R11: Final = 11
R12: Final = 12
R13: Final = 13
R14: Final = 14
R15: Final = 15
XMM0: Final = 16

ARG_GPRS: Final[list[int]] = [RDI, RSI, RDX, RCX, R8, R9]
ARG_XMMS: Final[list[int]] = [XMM0, XMM0 + 1, XMM0 + 2, XMM0 + 3, XMM0 + 4, XMM0 + 5, XMM0 + 6, XMM0 + 7]
RESULT_GPRS: Final[list[int]] = [RAX, RDX, RCX, RSI]
RESULT_XMMS: Final[list[int]] = [XMM0, XMM0 + 1, XMM0 + 2, XMM0 + 3]
CALLEE_SAVED: Final[list[int]] = [RBX, RBP, R12, R13, R14]  # r14 only where it is not the memory base
SCRATCH_XMM: Final = XMM0 + 15

ON_STACK: Final = 64  # locations from here on are stack slots: ON_STACK + i is stack argument or stack result i


def assign(types: list[int], gprs: list[int], xmms: list[int]) -> list[int]:
    """Location of each value: a register number, or ON_STACK + i for the i-th that found no register."""
    locations: list[int] = []
    next_gpr = next_xmm = on_stack = 0
    for type in types:
        if IS_FLOAT[type] and next_xmm < len(xmms):
            locations.append(xmms[next_xmm])
            next_xmm += 1
        elif not IS_FLOAT[type] and next_gpr < len(gprs):
            locations.append(gprs[next_gpr])
            next_gpr += 1
        else:
            locations.append(ON_STACK + on_stack)
            on_stack += 1
    return locations


def assign_params(signature: Signature) -> list[int]:
    return assign(signature.params, ARG_GPRS, ARG_XMMS)


def assign_results(signature: Signature) -> list[int]:
    """Stack results are numbered from 0; their memory starts after the signature's stack arguments."""
    return assign(signature.results, RESULT_GPRS, RESULT_XMMS)


def stack_slots(locations: list[int]) -> int:
    """How many of `locations` are on the stack."""
    return sum(1 for location in locations if location >= ON_STACK)
