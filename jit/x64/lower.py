"""Instruction selection: IR to machine instructions over virtual registers.

    input:   a verified ir.Function
    output:  VCode; every invariant of regalloc.operand holds

Blocks are walked in reverse order, instructions backwards, so a definition comes after all its uses: what nobody needs is not
selected, and what has been folded into its user neither. A trapping instruction is kept without a user. `LOWER` names the function
for each opcode; what they share is in lowering.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from brolga.ir import opcodes as ir
from brolga.ir.errors import CompileError
from brolga.ir.function import Function, Inst
from brolga.ir.opcodes import OPCODE_NAMES
from brolga.ir.work import STRIDE, spend
from brolga.regalloc.operand import Code

from ..settings import Settings
from . import insts as m
from .block_order import order_blocks
from .fact_checks import check_results
from .lower_branch import (
    lower_br_table,
    lower_brif,
    lower_icmp,
    lower_jump,
    lower_trap,
    lower_trap_if,
    pass_args,
)
from .lower_call import (
    lower_call,
    lower_call_builtin,
    lower_call_ptr,
    lower_entry,
    lower_loop_head,
    lower_return,
)
from .lower_float import (
    lower_arithmetic,
    lower_bitcast,
    lower_fabs,
    lower_fcopysign,
    lower_fdemote,
    lower_fneg,
    lower_fpromote,
    lower_from_sint,
    lower_from_uint,
    lower_fsqrt,
    lower_min_max,
    lower_round,
    lower_to_integer,
)
from .lower_integer import (
    lower_band,
    lower_bor,
    lower_bxor,
    lower_clz,
    lower_ctz,
    lower_division,
    lower_iadd,
    lower_imul,
    lower_ireduce,
    lower_isub,
    lower_mulhi,
    lower_popcnt,
    lower_sextend,
    lower_sextend8,
    lower_sextend16,
    lower_shift,
    lower_uextend,
)
from .lower_memory import lower_context, lower_load, lower_store, repeat_sunk
from .lower_select import lower_select
from .lowering import (
    ORDER,
    ORDER_END,
    ORDER_PURE,
    ORDER_READ,
    ORDER_SANDBOXED_READ,
    ORDER_TRAP,
    PARAM_INST,
    Lowering,
)
from .vcode import VCode

Rule = Callable[[Lowering, Inst], None]


def _nothing(lo: Lowering, inst: Inst) -> None:
    """Constants are made by their users."""
    raise CompileError(f"{OPCODE_NAMES[inst.op]} is not selected by itself")


LOWER: Final[list[Rule]] = [_nothing] * ir.OPCODE_COUNT
LOWER[ir.IADD] = lower_iadd
LOWER[ir.ISUB] = lower_isub
LOWER[ir.IMUL] = lower_imul
LOWER[ir.SDIV] = LOWER[ir.UDIV] = LOWER[ir.SREM] = LOWER[ir.UREM] = lower_division
LOWER[ir.BAND] = lower_band
LOWER[ir.BOR] = lower_bor
LOWER[ir.BXOR] = lower_bxor
LOWER[ir.ISHL] = LOWER[ir.USHR] = LOWER[ir.SSHR] = LOWER[ir.ROTL] = LOWER[ir.ROTR] = lower_shift
LOWER[ir.UMULHI] = LOWER[ir.SMULHI] = lower_mulhi
LOWER[ir.CLZ] = lower_clz
LOWER[ir.CTZ] = lower_ctz
LOWER[ir.POPCNT] = lower_popcnt
LOWER[ir.SEXTEND8] = lower_sextend8
LOWER[ir.SEXTEND16] = lower_sextend16
LOWER[ir.SEXTEND32] = LOWER[ir.SEXTEND] = lower_sextend
LOWER[ir.IREDUCE] = lower_ireduce
LOWER[ir.UEXTEND] = lower_uextend
LOWER[ir.ICMP] = LOWER[ir.FCMP] = lower_icmp
LOWER[ir.SELECT] = lower_select
LOWER[ir.FADD] = LOWER[ir.FSUB] = LOWER[ir.FMUL] = LOWER[ir.FDIV] = lower_arithmetic
LOWER[ir.FMIN] = LOWER[ir.FMAX] = lower_min_max
LOWER[ir.FCOPYSIGN] = lower_fcopysign
LOWER[ir.FABS] = lower_fabs
LOWER[ir.FNEG] = lower_fneg
LOWER[ir.FCEIL] = LOWER[ir.FFLOOR] = LOWER[ir.FTRUNC] = LOWER[ir.FNEAREST] = lower_round
LOWER[ir.FSQRT] = lower_fsqrt
LOWER[ir.FCVT_TO_SINT] = LOWER[ir.FCVT_TO_UINT] = lower_to_integer
LOWER[ir.FCVT_TO_SINT_SAT] = LOWER[ir.FCVT_TO_UINT_SAT] = lower_to_integer
LOWER[ir.FCVT_FROM_SINT] = lower_from_sint
LOWER[ir.FCVT_FROM_UINT] = lower_from_uint
LOWER[ir.FPROMOTE] = lower_fpromote
LOWER[ir.FDEMOTE] = lower_fdemote
LOWER[ir.BITCAST] = lower_bitcast
LOWER[ir.LOAD] = LOWER[ir.ULOAD8] = LOWER[ir.SLOAD8] = LOWER[ir.ULOAD16] = LOWER[ir.SLOAD16] = lower_load
LOWER[ir.ULOAD32] = LOWER[ir.SLOAD32] = LOWER[ir.CTX_LOAD] = LOWER[ir.PTR_LOAD] = lower_load
LOWER[ir.STORE] = LOWER[ir.ISTORE8] = LOWER[ir.ISTORE16] = LOWER[ir.ISTORE32] = lower_store
LOWER[ir.CTX_STORE] = LOWER[ir.PTR_STORE] = lower_store
LOWER[ir.CONTEXT] = lower_context
LOWER[ir.CALL] = lower_call
LOWER[ir.CALL_PTR] = lower_call_ptr
LOWER[ir.CALL_BUILTIN] = lower_call_builtin
LOWER[ir.TRAPNZ] = LOWER[ir.TRAPZ] = lower_trap_if
LOWER[ir.TRAP] = lower_trap
LOWER[ir.JUMP] = lower_jump
LOWER[ir.BRIF] = lower_brif
LOWER[ir.BR_TABLE] = lower_br_table
LOWER[ir.RETURN] = lower_return


def lower(function: Function, settings: Settings) -> VCode:
    """Select machine instructions for `function`, whose blocks are empty afterwards."""
    code = Code(function.name, spend)
    vcode = VCode(function.index, code)
    vcode.inlined = function.inlined
    order = order_blocks(function, code, vcode, settings.off)
    lo = Lowering(function, settings, vcode, order)
    blocks = function.blocks
    for number in range(len(code.blocks) - 1, -1, -1):
        machine_block = code.blocks[number]
        lo.start_block(number)
        edge = order.edge[number]
        if edge is not None:
            lo.loc = -1
            pass_args(lo, edge.args)
            lo.emit(m.JMP, [])
            _reverse(lo, 0)
            _make_hoisted(lo, number)
        else:
            block = blocks[order.ir_block[number]]
            _lower_block(lo, block.insts, number)
            start = len(lo.out)
            if number == 0:
                lower_entry(lo, block.params)
            else:
                machine_block.params = list(block.params)
                if order.loop_heads[number]:
                    lower_loop_head(lo)
            _reverse(lo, start)
        lo.out.reverse()
        machine_block.insts.extend(lo.out)
    return vcode


def _reverse(lo: Lowering, start: int) -> None:
    """What was emitted from position `start` on, in order of execution, in the order of the block under construction."""
    out = lo.out
    if len(out) - start > 1:
        group = out[start:]
        group.reverse()
        out[start:] = group


def _make_hoisted(lo: Lowering, number: int) -> None:
    """Constants for the loops that follow, before the terminator that has just been emitted and what belongs to it."""
    hoisted = lo.hoisted.get(number)
    if hoisted is not None:
        lo.out.extend(hoisted)


def _repeat(lo: Lowering, inst: Inst) -> None:
    start = len(lo.out)
    repeat_sunk(lo, inst)
    _reverse(lo, start)


def _lower_block(lo: Lowering, insts: list[Inst], number: int) -> None:
    needed = lo.needed
    defs = lo.defs
    out = lo.out
    load_order = lo.load_order
    checks_facts = lo.checks_facts
    left = len(insts)
    spend(left)
    left = min(left, STRIDE)
    while insts:
        inst = insts.pop()
        left -= 1
        if left < 0:
            left = STRIDE
            spend(STRIDE)
        op = inst.op
        result = inst.result
        order = ORDER[op]
        if order == ORDER_PURE or order == ORDER_READ:
            selected = needed[result]
        elif order == ORDER_SANDBOXED_READ:
            selected = load_order[result] >= 0  # else folded
        else:
            selected = True
            if order == ORDER_TRAP:
                lo.trap_order -= 1
            elif order != ORDER_END:
                lo.write_order -= 1
                lo.trap_order -= 1
        if selected:
            start = len(out)
            lo.loc = inst.loc
            LOWER[op](lo, inst)
            if checks_facts and result >= 0:
                check_results(lo, inst)
            if len(out) - start > 1:
                group = out[start:]
                group.reverse()
                out[start:] = group
            if order == ORDER_END:
                _make_hoisted(lo, number)
        elif checks_facts:
            _repeat(lo, inst)
        if result >= 0:
            defs[result] = PARAM_INST
