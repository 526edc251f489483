"""Selection of calls, function entry and return: the calling convention of abi.py in terms of operands and shapes."""

from __future__ import annotations

from typing import Final

from brolga.ir.function import NO_VALUE, Inst
from brolga.ir.opcodes import CONTEXT, CTX_LOAD
from brolga.ir.signature import Signature
from brolga.ir.types import F32, F64, I32, IS_FLOAT
from brolga.regalloc.operand import DEF, USE, Shape

from ..vmctx import CTX_BUILTINS, CTX_MEMORY0_BASE
from . import insts as m
from .abi import (
    CALLEE_SAVED,
    ON_STACK,
    R11,
    R15,
    RAX,
    RSP,
    assign_params,
    assign_results,
    stack_slots,
)
from .fact_checks import check_zero_extended
from .inst import AMODE_INCOMING, AMODE_OUTGOING, AMODE_REGISTERS, AMODE_SLOT, AMODE_VMCTX, NO_OPERAND, Amode
from .inst import Inst as MachInst
from .lower_memory import stored_value
from .lowering import Lowering

_CLOBBERED: Final = 0xFFFF_FFFF & ~sum([1 << r for r in CALLEE_SAVED]) & ~(1 << RSP) & ~(1 << R15)

_LOAD: Final[list[int]] = [-1, m.MOV32, m.MOV64, m.MOVSS, m.MOVSD]

_shapes: Final[dict[tuple[tuple[int, ...], tuple[int, ...]], Shape]] = {}
MAX_SHAPES: Final = 1 << 10


def _shape(defs: list[int], uses: list[int], clobbers: int) -> Shape:
    """The shape with these constraints; what is defined is not clobbered."""
    key = ((clobbers, *defs), tuple(uses))
    shape = _shapes.get(key)
    if shape is None:
        for register in defs:
            clobbers &= ~(1 << register)
        shape = Shape([DEF] * len(defs) + [USE] * len(uses), defs + uses, None, clobbers)
        if len(_shapes) >= MAX_SHAPES:
            _shapes.clear()
        _shapes[key] = shape
    return shape


# Calls ----------------------------------------------------------------------------------------------------------------


def _emit_call(
    lo: Lowering, inst: Inst, signature: Signature, args: list[int], row: int, imm: int, extra: list[int], fixed: list[int]
) -> None:
    """Arguments, the call `row`, results. `extra`: vregs used before the arguments, with the constraints `fixed`.

    `imm` counts from the first use, if the row's immediate is the position of an operand.
    """
    params = assign_params(signature)
    results = assign_results(signature)
    stack_args = stack_slots(params)
    uses = list(extra)
    use_constraints = list(fixed)
    for arg, location in zip(args, params, strict=True):
        if location < ON_STACK:
            uses.append(lo.use(arg))
            use_constraints.append(location)
        else:
            _store_outgoing(lo, arg, 8 * (location - ON_STACK))
    defs: list[int] = []
    def_constraints: list[int] = []
    first = inst.result
    if first != NO_VALUE:
        for position, location in enumerate(results):
            if location < ON_STACK:
                defs.append(first + position)
                def_constraints.append(location)
    if row != m.CALL:
        imm += len(defs)
    stack_results = stack_slots(results)
    amode = None
    if row == m.CALL_CONTEXT and stack_args + stack_results:
        amode = Amode(AMODE_SLOT, displacement=lo.context_slot())
    shape = _shape(def_constraints, use_constraints, _CLOBBERED)
    lo.out.append(MachInst(row, defs + uses, shape, imm, amode, -1, -1, lo.loc))
    if stack_args + stack_results:
        lo.vcode.reserve_outgoing(8 * (stack_args + stack_results))
        lo.code.blocks[lo.block].needs_frame = True
    if stack_results:
        types = signature.results
        for position, location in enumerate(results):
            if location >= ON_STACK and lo.needed[first + position]:
                slot = Amode(AMODE_OUTGOING, displacement=8 * (stack_args + location - ON_STACK))
                lo.emit_mem(_LOAD[types[position]], [first + position], slot)


def _store_outgoing(lo: Lowering, value: int, displacement: int) -> None:
    """Stack slots hold an I32 zero-extended."""
    type = lo.function.value_types[value]
    if not IS_FLOAT[type]:
        bits = lo.immediate(value)
        if bits < 0 or (type == I32 and bits >= 0x8000_0000):
            lo.emit_mem(m.MOV64_MR, [lo.use(value)], Amode(AMODE_OUTGOING, displacement=displacement))
            return
    op, operands, imm = stored_value(lo, value, type)
    if op == m.MOV32_MI and not IS_FLOAT[type]:
        op = m.MOV64_MI
    lo.emit_mem(op, operands, Amode(AMODE_OUTGOING, displacement=displacement), imm)


def lower_call(lo: Lowering, inst: Inst) -> None:
    signature = lo.function.signatures[inst.aux]
    _emit_call(lo, inst, signature, inst.args, m.CALL, inst.imm, [], [])


def lower_call_builtin(lo: Lowering, inst: Inst) -> None:
    """The table of builtins is found in the context."""
    table, code = lo.gpr(), lo.gpr()
    lo.emit_mem(m.MOV64, [table], Amode(AMODE_VMCTX, displacement=CTX_BUILTINS))
    lo.emit_mem(m.MOV64, [code, table], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, 8 * inst.imm))
    signature = lo.function.signatures[inst.aux]
    _emit_call(lo, inst, signature, inst.args, m.CALL_RM, 0, [code], [RAX])


def lower_call_ptr(lo: Lowering, inst: Inst) -> None:
    """The own context: a plain call. Read from an import's record: always another one. Else it is compared at run time."""
    signature = lo.function.signatures[inst.aux]
    code = inst.args[0]
    context = inst.args[1]
    args = inst.args[2:]
    definition = lo.defs[context]
    if definition.op == CONTEXT:
        _emit_call(lo, inst, signature, args, m.CALL_RM, 0, [lo.use(code)], [RAX])
    elif definition.op == CTX_LOAD and definition.aux == 1:
        _call_other_context(lo, inst, signature, args, code, context)
    else:
        _emit_call(lo, inst, signature, args, m.CALL_CONTEXT, 0, [lo.use(code), lo.use(context)], [RAX, R11])


def _call_other_context(
    lo: Lowering, inst: Inst, signature: Signature, args: list[int], code: int, context: int
) -> None:
    callee = lo.use(context)
    code_vreg = lo.use(code)
    slot = lo.context_slot()
    lo.emit_mem(m.MOV_FROM_R15, [], Amode(AMODE_SLOT, displacement=slot))
    lo.emit(m.MOV_TO_R15, [callee])
    _set_memory_base(lo, [callee], Amode(AMODE_REGISTERS, 1, NO_OPERAND, 0, CTX_MEMORY0_BASE))
    _emit_call(lo, inst, signature, args, m.CALL_RM, 0, [code_vreg], [RAX])
    lo.emit_mem(m.MOV_TO_R15, [], Amode(AMODE_SLOT, displacement=slot))
    _set_memory_base(lo, [], Amode(AMODE_VMCTX, displacement=CTX_MEMORY0_BASE))


def _set_memory_base(lo: Lowering, registers: list[int], amode: Amode) -> None:
    if not lo.keeps_base:
        return
    base = lo.gpr()
    lo.emit_mem(m.MOV64, [base, *registers], amode)
    lo.emit(m.WRGSBASE if lo.gs else m.MOV_TO_R14, [base])


# Entry and return -----------------------------------------------------------------------------------------------------


def lower_entry(lo: Lowering, params: list[int]) -> None:
    """Parameters that are used come from their registers and stack slots; then the checks that the platform needs."""
    signature = lo.function.signature
    locations = assign_params(signature)
    defs: list[int] = []
    constraints: list[int] = []
    for value, location in zip(params, locations, strict=True):
        if location < ON_STACK and lo.needed[value]:
            defs.append(value)
            constraints.append(location)
            lo.code.hints[value] = location
    if defs:
        lo.out.append(MachInst(m.ARGS, defs, _shape(constraints, [], 0)))
    if lo.settings.poll:
        lo.emit(m.POLL, [lo.gpr()])
    for value, location in zip(params, locations, strict=True):
        if location >= ON_STACK and lo.needed[value]:
            slot = Amode(AMODE_INCOMING, displacement=8 * (location - ON_STACK))
            lo.emit_mem(_LOAD[lo.function.value_types[value]], [value], slot)
    if lo.checks_facts:
        for value in params:
            check_zero_extended(lo, value)


def lower_loop_head(lo: Lowering) -> None:
    if lo.settings.poll:
        lo.emit(m.POLL, [lo.gpr()])


def lower_return(lo: Lowering, inst: Inst) -> None:
    signature = lo.function.signature
    locations = assign_results(signature)
    stack_args = stack_slots(assign_params(signature))
    uses: list[int] = []
    constraints: list[int] = []
    for value, location in zip(inst.args, locations, strict=True):
        if location >= ON_STACK:
            _store_incoming(lo, value, 8 * (stack_args + location - ON_STACK))
    for value, location in zip(inst.args, locations, strict=True):
        if location < ON_STACK:
            uses.append(lo.use(value))
            constraints.append(location)
    lo.out.append(MachInst(m.RET, uses, _shape([], constraints, 0), 0, None, -1, -1, lo.loc))


def _store_incoming(lo: Lowering, value: int, displacement: int) -> None:
    type = lo.function.value_types[value]
    vreg = lo.use(value)
    row = m.MOVSS_MR if type == F32 else m.MOVSD_MR if type == F64 else m.MOV64_MR
    lo.emit_mem(row, [vreg], Amode(AMODE_INCOMING, displacement=displacement))

