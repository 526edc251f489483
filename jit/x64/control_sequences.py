"""Sequences around division, calls into other contexts and interrupt polls. Rare paths are out of line."""

from __future__ import annotations

from typing import Final

from brolga.ir.trap_codes import INTEGER_OVERFLOW
from brolga.regalloc.operand import FIRST_VECTOR_REGISTER

from ..builtins import INTERRUPT_POLL
from ..settings import BOUNDS_EXPLICIT, MEMORY_BASE_GS
from ..vmctx import ACTIVATION_INTERRUPT, CTX_ACTIVATION, CTX_BUILTINS, CTX_MEMORY0_BASE
from .abi import CALLEE_SAVED, R11, R15, RAX, RDX, RSP
from .buffer import CodeBuffer
from .encode import encode
from .inst import AMODE_OUTGOING, AMODE_REGISTERS, AMODE_SLOT, AMODE_VMCTX, Amode, Inst
from .insts import (
    ADD64_I,
    CALL_CONTEXT,
    CALL_RM,
    CC_E,
    CC_NE,
    CC_O,
    CDQ,
    CMP32_I,
    CMP64,
    CMP64_I,
    CQO,
    IDIV32,
    IDIV64,
    MOV64,
    MOV64_MR,
    MOV_FROM_R15,
    MOV_TO_R14,
    MOV_TO_R15,
    MOVSD,
    MOVSD_MR,
    POLL,
    POP,
    PUSH,
    SDIV_CHECK32,
    SDIV_CHECK64,
    SREM32,
    SREM64,
    SUB64_I,
    WRGSBASE,
    ZERO32,
)
from .stubs import SlowPath, Stubs

# Kinds of slow paths.
DIVISOR_MINUS_ONE: Final = 16
REMAINDER_ZERO: Final = 17
OTHER_CONTEXT: Final = 18  # locations: code address, vmctx, frame slot if there is one
INTERRUPTED: Final = 19

_ROWS: Final = frozenset((SDIV_CHECK32, SDIV_CHECK64, SREM32, SREM64, CALL_CONTEXT, POLL))
_KINDS: Final = frozenset((DIVISOR_MINUS_ONE, REMAINDER_ZERO, OTHER_CONTEXT, INTERRUPTED))


def is_control_sequence(op: int) -> bool:
    return op in _ROWS


def is_control_path(kind: int) -> bool:
    return kind in _KINDS


def emit_control_sequence(buffer: CodeBuffer, stubs: Stubs, inst: Inst) -> None:
    """Append one of the rows above."""
    op = inst.op
    locations = inst.locations
    loc = inst.loc
    back = buffer.new_label()
    if op == SDIV_CHECK32 or op == SDIV_CHECK64:
        encode(buffer, CMP32_I if op == SDIV_CHECK32 else CMP64_I, [locations[1]], -1)
        buffer.jcc(CC_E, stubs.slow_path(DIVISOR_MINUS_ONE, op, locations, loc, back))
    elif op == SREM32 or op == SREM64:
        divisor = locations[3]
        encode(buffer, CMP32_I if op == SREM32 else CMP64_I, [divisor], -1)
        buffer.jcc(CC_E, stubs.slow_path(REMAINDER_ZERO, op, locations, loc, back))
        encode(buffer, CDQ if op == SREM32 else CQO, [RDX, RAX])
        if inst.trap >= 0:
            buffer.trap(inst.trap)
        encode(buffer, IDIV32 if op == SREM32 else IDIV64, [RAX, RDX, RAX, RDX, divisor])
    elif op == CALL_CONTEXT:
        code, context = locations[inst.imm], locations[inst.imm + 1]
        path = [code, context]
        if inst.amode is not None:
            path.append(inst.amode.displacement)
        encode(buffer, CMP64, [context, R15])
        buffer.jcc(CC_NE, stubs.slow_path(OTHER_CONTEXT, op, path, loc, back))
        buffer.call()
        encode(buffer, CALL_RM, [code])
    else:
        activation = locations[0]
        flag = Amode(AMODE_REGISTERS, fixed_base=activation, displacement=ACTIVATION_INTERRUPT)
        encode(buffer, MOV64, [activation], 0, Amode(AMODE_VMCTX, displacement=CTX_ACTIVATION))
        encode(buffer, CMP32_I, [], 0, flag)
        buffer.jcc(CC_NE, stubs.slow_path(INTERRUPTED, op, locations, loc, back))
    buffer.bind(back)


def emit_control_path(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    """The slow path of one of the rows above, its label bound already."""
    if path.kind == DIVISOR_MINUS_ONE:
        # x - 1 overflows for the least integer only.
        encode(buffer, CMP32_I if path.op == SDIV_CHECK32 else CMP64_I, [path.locations[0]], 1)
        buffer.jcc(CC_O, stubs.trap_label(INTEGER_OVERFLOW, path.loc))
    elif path.kind == REMAINDER_ZERO:
        encode(buffer, ZERO32, [RDX])
    elif path.kind == OTHER_CONTEXT:
        _call_other_context(buffer, stubs, path)
    else:
        _poll(buffer, stubs, path)
    buffer.jmp(path.back)


def _call_other_context(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    code, context = path.locations[:2]
    slot: Amode | None = None
    if len(path.locations) > 2:
        slot = Amode(AMODE_SLOT, displacement=path.locations[2])
        encode(buffer, MOV_FROM_R15, [], 0, slot)
    else:
        encode(buffer, PUSH, [R15])
        buffer.frame(path.frame_size + 8)
    encode(buffer, MOV_TO_R15, [context])
    _set_memory_base(buffer, stubs)
    encode(buffer, CALL_RM, [code])
    if slot is not None:
        encode(buffer, MOV_TO_R15, [], 0, slot)
    else:
        encode(buffer, POP, [R15])
        buffer.frame(path.frame_size)
    _set_memory_base(buffer, stubs)


def _set_memory_base(buffer: CodeBuffer, stubs: Stubs) -> None:
    settings = stubs.settings
    if settings.bounds == BOUNDS_EXPLICIT:
        return
    base = Amode(AMODE_VMCTX, displacement=CTX_MEMORY0_BASE)
    if settings.memory_base == MEMORY_BASE_GS:
        encode(buffer, MOV64, [R11], 0, base)
        encode(buffer, WRGSBASE, [R11])
    else:
        encode(buffer, MOV_TO_R14, [], 0, base)


def _poll(buffer: CodeBuffer, stubs: Stubs, path: SlowPath) -> None:
    """Call the builtin; what the function keeps in caller-saved registers is saved around it."""
    scratch = path.locations[0]
    saved = [
        register
        for register in range(2 * FIRST_VECTOR_REGISTER)
        if stubs.used_registers >> register & 1
        and register not in CALLEE_SAVED
        and register not in (RSP, R15, scratch)
    ]
    size = 8 * len(saved)
    if size:
        encode(buffer, SUB64_I, [RSP, RSP], size)
        buffer.frame(path.frame_size + size)
    for position, register in enumerate(saved):
        at = Amode(AMODE_OUTGOING, displacement=8 * position)
        encode(buffer, MOV64_MR if register < FIRST_VECTOR_REGISTER else MOVSD_MR, [register], 0, at)
    routine = Amode(AMODE_REGISTERS, fixed_base=scratch, displacement=8 * INTERRUPT_POLL)
    encode(buffer, MOV64, [scratch], 0, Amode(AMODE_VMCTX, displacement=CTX_BUILTINS))
    encode(buffer, CALL_RM, [], 0, routine)
    for position, register in enumerate(saved):
        at = Amode(AMODE_OUTGOING, displacement=8 * position)
        encode(buffer, MOV64 if register < FIRST_VECTOR_REGISTER else MOVSD, [register], 0, at)
    if size:
        encode(buffer, ADD64_I, [RSP, RSP], size)
        buffer.frame(path.frame_size)
