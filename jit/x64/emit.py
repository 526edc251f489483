"""Emission: allocated machine code to bytes.

Input: a VCode whose instructions have `locations`, and the moves to insert. Output: a CompiledFunction. In one pass over the
blocks: instructions with the allocator's moves before them, branches that know
what comes next (a jump to the next block is left out, a condition is inverted if its target is next), prologue and epilogues at
the entry and at returns, or where blocks with the frame and without it meet (`Allocation.framed`); then slow paths and trap
stubs. `CodeBuffer.finish` settles the lengths of branches.

Which blocks there are and where they stand: layout.py. A jump to a block that holds nothing but a return becomes that return.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.source_loc import LOC_BITS, LOC_MASK
from brolga.ir.trap_codes import STACK_OVERFLOW
from brolga.ir.work import BLOCK, STRIDE, spend
from brolga.regalloc.operand import (
    FIRST_SPILL_SLOT,
    FIRST_VECTOR_REGISTER,
    MOVE_COPY,
    MOVE_EXCHANGE,
    Allocation,
    MachineInst,
    Move,
)

from ..code import RELOC_FUNC, CompiledFunction
from ..settings import Settings
from ..transformations import REPEATED_RETURNS, ROTATED_LOOPS, SHORT_BRANCHES, SKIPPED_JUMPS
from .abi import SCRATCH_XMM
from .buffer import CodeBuffer
from .encode import encode, encode_rip_relative
from .frame import Frame, emit_epilogue, emit_prologue, emit_stack_check
from .inst import AMODE_REGISTERS, Amode, Inst
from .insts import (
    ADD64,
    BRANCH,
    CALL,
    CALL_RM,
    CC_E,
    CC_E_AND_NP,
    CC_NE,
    CC_NE_OR_P,
    CC_NP,
    CC_P,
    CMOV32,
    CMOV64,
    JMP,
    JMP_RM,
    JMP_TABLE,
    LEA64,
    MOV64,
    MOV64_MR,
    MOVAPS,
    MOVSD,
    MOVSD_MR,
    MOVSXD,
    MOVZX32_8,
    RET,
    RET_NEAR,
    ROWS,
    SETCC,
    SETCC_ZX,
    TRAP,
    TRAP_IF,
    XCHG64,
    XMM_CMOV,
    ZEROPS,
)
from .layout import emission_order, forwarded, is_return
from .register_checks import KEPT_BYTES, emit_comparisons, emit_patterns
from .sequences import emit_sequence, emit_slow_path
from .stubs import Stubs
from .vcode import VCode

# What is special about a row.
_NOTHING: Final = 0
_COPY: Final = 1  # not needed if source and destination are the same
_ZERO: Final = 2  # the destination is zeroed first
_CMOV: Final = 3
_XMM_CMOV: Final = 4
_SETCC_ZX: Final = 5
_TRAP_IF: Final = 6
_CALL: Final = 7
_CALL_RM: Final = 8
_SEQUENCE: Final = 9
_TERMINATOR: Final = 10

_TABLE_ENTRY: Final = Amode(AMODE_REGISTERS, base=1, index=2, scale=2)  # of JMP_TABLE's movsxd: [scratch, table, index]


def _special_rows() -> list[int]:
    special = [_NOTHING if row.encodings else _SEQUENCE for row in ROWS]
    for op, row in enumerate(ROWS):
        if row.encodings and row.encodings[0].zero:
            special[op] = _ZERO
    special[MOV64] = special[MOVAPS] = _COPY
    special[CMOV32] = special[CMOV64] = _CMOV
    special[XMM_CMOV] = _XMM_CMOV
    special[SETCC_ZX] = _SETCC_ZX
    special[TRAP_IF] = _TRAP_IF
    special[CALL] = _CALL
    special[CALL_RM] = _CALL_RM
    special[JMP] = special[BRANCH] = special[JMP_TABLE] = special[RET] = special[TRAP] = _TERMINATOR
    return special


_SPECIAL: Final[list[int]] = _special_rows()


def emit(vcode: VCode, allocation: Allocation, settings: Settings) -> CompiledFunction:
    """Encode the function. `vcode.constants` may get more entries; blocks lose their instructions, whose memory is used again soon."""
    code = vcode.code
    blocks = code.blocks
    moves = allocation.moves
    frame = Frame(vcode, allocation, KEPT_BYTES if settings.check_facts else 0)
    buffer = CodeBuffer(len(blocks), vcode.constants, vcode.constant_sizes, vcode.jump_tables)
    buffer.spill_base = frame.spill_base
    buffer.fixed_base = frame.fixed_base
    stubs = Stubs(buffer, vcode, settings, frame.size, allocation.used_registers)
    overflow = buffer.new_label()
    if frame.size == frame.kept_bytes or frame.probes_in_a_loop(settings):
        allocation.framed = []
    framed = allocation.framed

    off = settings.off
    forward = list(range(len(blocks))) if off & SKIPPED_JUMPS else forwarded(blocks, allocation)
    order, tops = emission_order(vcode, forward, not off & ROTATED_LOOPS)
    spend(BLOCK * len(blocks))
    remat = code.remat
    output = buffer.code  # never replaced while instructions are added
    trap_marks = buffer.trap_marks
    trap_codes = buffer.trap_codes
    source_marks = buffer.source_marks
    source_locs = buffer.source_locs
    special_rows = _SPECIAL

    buffer.source(-1)
    loc = -1
    buffer.frame(0)
    if settings.stack_limit or not settings.stack_guard:
        emit_stack_check(buffer, frame, overflow)
    if frame.kept_bytes:
        emit_patterns(buffer, settings)
    if not framed:
        emit_prologue(buffer, frame, settings)
    for place, number in enumerate(order):
        if number in tops:
            buffer.place(number)
        buffer.bind(number)
        block = blocks[number]
        has_frame = True
        if framed:
            has_frame = framed[number]
            if allocation.changes_at_start(block, blocks):
                buffer.frame(frame.kept_bytes if has_frame else frame.size)
                _change_frame(buffer, frame, settings, has_frame)
        frame_size = frame.size if has_frame else frame.kept_bytes
        buffer.frame(frame_size)
        buffer.incoming_base = frame_size + 8
        stubs.frame_size = frame_size
        block_moves = moves[number]
        spend(len(block.insts))
        look_up_at = STRIDE
        for position, inst in enumerate(block.insts):
            if position >= look_up_at:
                look_up_at = position + STRIDE
                spend(STRIDE)
            if block_moves and position in block_moves:
                for move in block_moves[position]:
                    _move(buffer, move, remat)
            assert isinstance(inst, Inst)
            if inst.loc != loc and inst.loc >= 0:
                loc = inst.loc
                source_marks.append(len(output) | buffer.items)
                source_locs.append(loc)
            op = inst.op
            special = special_rows[op]
            locations = inst.locations
            if special == _NOTHING:
                if inst.trap >= 0:
                    trap_marks.append(len(output) | buffer.items)
                    trap_codes.append(inst.trap)
                encode(buffer, op, locations, inst.imm, inst.amode)
            elif special == _COPY:
                if inst.amode is not None:
                    if inst.trap >= 0:
                        buffer.trap(inst.trap)
                    encode(buffer, op, locations, 0, inst.amode)
                elif locations[0] != locations[1]:
                    encode(buffer, op, locations)
            elif special != _TERMINATOR:
                _special(buffer, stubs, special, inst)
            elif op == TRAP:
                stubs.emit_trap(inst.trap)
            elif op == RET:
                _return(buffer, stubs, frame, has_frame, loc)
            else:
                if framed and allocation.changes_at_end(block):
                    has_frame = not has_frame
                    _change_frame(buffer, frame, settings, has_frame)
                following = order[place + 1] if place + 1 < len(order) else -1
                if op == JMP:
                    target = forward[block.succs[0]]
                    if target != following:
                        if is_return(blocks[target], moves[target]) and not off & REPEATED_RETURNS:
                            _return(buffer, stubs, frame, has_frame, loc)
                        else:
                            buffer.jmp(target)
                elif op == BRANCH:
                    _branch(buffer, inst.imm, forward[block.succs[0]], forward[block.succs[1]], following)
                else:
                    _jump_table(buffer, locations, inst.imm)
                    if number in tops:
                        buffer.end_place(number)
        if len(block.insts) > 1:  # `is_return` looks at the others
            block.insts = []

    spend(BLOCK * len(blocks))
    for path in stubs.slow_paths:
        buffer.frame(path.frame_size)
        stubs.frame_size = path.frame_size
        emit_slow_path(buffer, stubs, path)
    stubs.emit_traps()
    if settings.stack_limit or not settings.stack_guard:
        buffer.source(-1)
        buffer.frame(0)
        buffer.bind(overflow)
        stubs.emit_trap(STACK_OVERFLOW)
    stubs.emit_trap_routine()
    for number, target in enumerate(forward):
        if target != number:
            buffer.labels[number] = buffer.labels[target]
    if vcode.inlined:
        _split_locations(buffer, vcode.inlined)
    spend(BLOCK * len(blocks))
    return buffer.finish(vcode.index, not off & SHORT_BRANCHES)


def _split_locations(buffer: CodeBuffer, inlined: dict[int, int]) -> None:
    """What `source_locs` says of calls that bodies stand for becomes a table of its own."""
    locs: list[int] = []
    current = 0
    for mark, loc in zip(buffer.source_marks, buffer.source_locs, strict=True):
        call = 0
        if loc >= 0:
            call = loc >> LOC_BITS
            loc &= LOC_MASK
        locs.append(loc)
        if call != current:
            current = call
            buffer.inline_marks.append(mark)
            buffer.inline_calls.append(call if call else -1)
            buffer.inline_funcs.append(inlined[call] if call else -1)
    buffer.source_locs = locs


def _change_frame(buffer: CodeBuffer, frame: Frame, settings: Settings, has_frame: bool) -> None:
    """Between blocks with the frame and without it; `has_frame` behind this place."""
    if has_frame:
        emit_prologue(buffer, frame, settings)
    else:
        emit_epilogue(buffer, frame)


def _return(buffer: CodeBuffer, stubs: Stubs, frame: Frame, has_frame: bool, loc: int) -> None:
    if has_frame:
        emit_epilogue(buffer, frame)
    if frame.kept_bytes:
        emit_comparisons(buffer, stubs, stubs.settings, loc)
    encode(buffer, RET_NEAR, [])


def _move(buffer: CodeBuffer, move: Move, remat: list[MachineInst | None]) -> None:
    source = move.source
    destination = move.destination
    if move.kind == MOVE_COPY:
        if source == destination:
            return
        if destination < FIRST_VECTOR_REGISTER:
            encode(buffer, MOV64, [destination, source])
        elif destination < FIRST_SPILL_SLOT:
            encode(buffer, MOVAPS if source < FIRST_SPILL_SLOT else MOVSD, [destination, source])
        elif source < FIRST_VECTOR_REGISTER:
            encode(buffer, MOV64_MR, [destination, source])
        elif source < FIRST_SPILL_SLOT:
            encode(buffer, MOVSD_MR, [destination, source])
        else:
            encode(buffer, MOVSD, [SCRATCH_XMM, source])
            encode(buffer, MOVSD_MR, [destination, SCRATCH_XMM])
    elif move.kind == MOVE_EXCHANGE:
        encode(buffer, XCHG64, [source, destination])
    else:
        inst = remat[move.vreg]
        assert isinstance(inst, Inst) and _SPECIAL[inst.op] <= _COPY
        encode(buffer, inst.op, [destination], inst.imm, inst.amode)


def _special(buffer: CodeBuffer, stubs: Stubs, special: int, inst: Inst) -> None:
    """Rows that are more than one instruction, or have side tables of their own."""
    op = inst.op
    locations = inst.locations
    if special == _ZERO:
        if inst.amode is not None or locations[0] != locations[1]:
            encode(buffer, ZEROPS, [locations[0]])
        if inst.trap >= 0:
            buffer.trap(inst.trap)
        encode(buffer, op, locations, inst.imm, inst.amode)
    elif special == _CALL:
        buffer.call()
        encode(buffer, op, locations)
        buffer.reloc(RELOC_FUNC, inst.imm)
    elif special == _CALL_RM:
        buffer.call()
        if inst.trap >= 0:
            buffer.trap(inst.trap)
        if inst.amode is None:
            encode(buffer, op, [locations[inst.imm]])
        else:
            encode(buffer, op, locations, 0, inst.amode)
    elif special == _CMOV:
        cc = inst.imm
        if inst.trap >= 0:
            buffer.trap(inst.trap)
        if cc == CC_NE_OR_P:
            encode(buffer, op, locations, CC_NE, inst.amode)
            cc = CC_P
            if inst.trap >= 0:
                buffer.trap(inst.trap)
        encode(buffer, op, locations, cc, inst.amode)
    elif special == _XMM_CMOV:
        if locations[0] != locations[2]:
            over = buffer.new_label()
            _skip_unless(buffer, inst.imm, over)
            encode(buffer, MOVAPS, [locations[0], locations[2]])
            buffer.bind(over)
    elif special == _SETCC_ZX:
        encode(buffer, SETCC, locations, inst.imm)
        encode(buffer, MOVZX32_8, [locations[0], locations[0]])
    elif special == _TRAP_IF:
        label = stubs.trap_label(inst.trap, inst.loc)
        if inst.imm == CC_E_AND_NP:
            over = buffer.new_label()
            buffer.jcc(CC_P, over)
            buffer.jcc(CC_E, label)
            buffer.bind(over)
        elif inst.imm == CC_NE_OR_P:
            buffer.jcc(CC_NE, label)
            buffer.jcc(CC_P, label)
        else:
            buffer.jcc(inst.imm, label)
    else:
        emit_sequence(buffer, stubs, inst)


def _skip_unless(buffer: CodeBuffer, cc: int, over: int) -> None:
    """Jump to `over` unless the condition holds."""
    if cc == CC_E_AND_NP:
        buffer.jcc(CC_NE, over)
        buffer.jcc(CC_P, over)
    elif cc == CC_NE_OR_P:
        taken = buffer.new_label()
        buffer.jcc(CC_NE, taken)
        buffer.jcc(CC_NP, over)
        buffer.bind(taken)
    else:
        buffer.jcc(cc ^ 1, over)


def _branch(buffer: CodeBuffer, cc: int, if_true: int, if_false: int, following: int) -> None:
    """Branch to `if_true` if the condition holds, else to `if_false`; the block `following` comes next."""
    if cc == CC_NE_OR_P:
        cc = CC_E_AND_NP
        if_true, if_false = if_false, if_true
    if cc == CC_E_AND_NP:
        if if_false == following:
            buffer.jcc(CC_P, if_false)
            buffer.jcc(CC_E, if_true)
            return
        buffer.jcc(CC_NE, if_false)
        buffer.jcc(CC_P, if_false)
    elif if_true == following:
        if if_false != following:
            buffer.jcc(cc ^ 1, if_false)
        return
    else:
        buffer.jcc(cc, if_true)
        if_true = if_false
    if if_true != following:
        buffer.jmp(if_true)


def _jump_table(buffer: CodeBuffer, locations: list[int], table: int) -> None:
    base, entry, index = locations
    encode_rip_relative(buffer, LEA64, base, buffer.table_label(table))
    encode(buffer, MOVSXD, [entry, base, index], 0, _TABLE_ENTRY)
    encode(buffer, ADD64, [entry, entry, base])
    encode(buffer, JMP_RM, [entry])
