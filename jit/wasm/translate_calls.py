"""Translation of calls, references, tables, globals and bulk memory operators.

What an instance holds is reached through its context (layout: ../vmctx.py). Fields that never change during an instance's life are
read by `readonly` loads, which the builder shares.
"""

from __future__ import annotations

from brolga.ir.function import NO_VALUE
from brolga.ir.opcodes import IADD, ICC_EQ, ICC_NE, ICC_UGE, IREDUCE, ISHL, UEXTEND, USHR
from brolga.ir.trap_codes import (
    BAD_SIGNATURE,
    INDIRECT_CALL_OUT_OF_BOUNDS,
    INDIRECT_CALL_TO_NULL,
    TABLE_OUT_OF_BOUNDS,
)
from brolga.ir.types import I32, I64

from .. import builtins
from ..vmctx import (
    CTX_MEMORY0_RECORD,
    EXTERNREF_SIZE,
    FUNC_CODE,
    FUNC_RECORD_SIZE,
    FUNC_SELF,
    FUNC_SIGNATURE,
    FUNC_VMCTX,
    MEMORY_LENGTH,
    TABLE_BASE,
    TABLE_LENGTH,
)
from .translate_state import State
from .types import FUNCREF, IR_TYPE, FuncType

_PAGE_SHIFT = 16


def _pop_args(state: State, type: FuncType) -> list[int]:
    state.count_passed(len(type.params) + len(type.results))
    return state.pop_values(len(type.params))


def _push_results(state: State, type: FuncType, first: int) -> None:
    if first != NO_VALUE:
        state.stack.extend(range(first, first + len(type.results)))


def call(state: State, func: int) -> None:
    module = state.module
    builder = state.builder
    type_index = module.func_types[func]
    type = module.types[type_index]
    args = _pop_args(state, type)
    if func >= module.imported_funcs:
        first = builder.call(func, type_index, args)
    else:
        record = state.layout.imported_func(func)
        code = builder.ctx_load(I64, record + FUNC_CODE, True)
        vmctx = builder.ctx_load(I64, record + FUNC_VMCTX, True)
        first = builder.call_ptr(type_index, code, vmctx, args)
    _push_results(state, type, first)


def call_indirect(state: State, type_index: int, table: int) -> None:
    """Bounds check, signature compare, call. Why the signatures differ is found out in a cold block."""
    builder = state.builder
    type = state.module.types[type_index]
    index = state.stack.pop()
    element = _element_address(state, table, index, INDIRECT_CALL_OUT_OF_BOUNDS, FUNC_RECORD_SIZE)
    if builder.terminated:
        return
    signature = builder.ptr_load(I32, element, FUNC_SIGNATURE, False)
    expected = builder.ctx_load(I32, state.layout.signature_id(type_index), True)
    before = builder.block
    mismatch = builder.create_block(cold=True)
    match = builder.create_block()
    builder.brif(builder.icmp(ICC_NE, I32, signature, expected), mismatch, [], match, [])
    builder.switch_to_block(mismatch, before)
    reference = builder.ptr_load(I64, element, FUNC_SELF, False)
    builder.trapnz(builder.icmp(ICC_EQ, I64, reference, builder.iconst(I64, 0)), INDIRECT_CALL_TO_NULL)
    builder.trap(BAD_SIGNATURE)
    builder.switch_to_block(match, before)
    code = builder.ptr_load(I64, element, FUNC_CODE, False)
    vmctx = builder.ptr_load(I64, element, FUNC_VMCTX, False)
    args = _pop_args(state, type)
    _push_results(state, type, builder.call_ptr(type_index, code, vmctx, args))


def _element_address(state: State, table: int, index: int, trap: int, size: int) -> int:
    """Address of a table's element, after the bounds check."""
    builder = state.builder
    record = builder.ctx_load(I64, state.layout.table(table), True)
    length = builder.ptr_load(I64, record, TABLE_LENGTH, False)
    index = builder.convert(UEXTEND, I64, I32, index)
    builder.trapnz(builder.icmp(ICC_UGE, I64, index, length), trap)
    if builder.terminated:
        return index
    base = builder.ptr_load(I64, record, TABLE_BASE, False)
    shift = builder.iconst(I64, size.bit_length() - 1)
    return builder.binary(IADD, I64, base, builder.binary(ISHL, I64, index, shift))


# References


def ref_func(state: State, func: int) -> None:
    builder = state.builder
    if func < state.module.imported_funcs:
        value = builder.ctx_load(I64, state.layout.imported_func(func) + FUNC_SELF, True)
    else:
        offset = builder.iconst(I64, state.layout.escaping_func(func))
        value = builder.binary(IADD, I64, builder.context(), offset)
    state.stack.append(value)


def ref_is_null(state: State) -> None:
    builder = state.builder
    state.stack.append(builder.icmp(ICC_EQ, I64, state.stack.pop(), builder.iconst(I64, 0)))


# Globals


def global_get(state: State, index: int) -> None:
    module = state.module
    builder = state.builder
    declared = module.global_types[index]
    type = IR_TYPE[declared.type]
    readonly = not declared.mutable
    if index < module.imported_globals:
        cell = builder.ctx_load(I64, state.layout.imported_global(index), True)
        value = builder.ptr_load(type, cell, 0, readonly)
    else:
        value = builder.ctx_load(type, state.layout.own_global(index), readonly)
    state.stack.append(value)


def global_set(state: State, index: int) -> None:
    module = state.module
    builder = state.builder
    type = IR_TYPE[module.global_types[index].type]
    value = state.stack.pop()
    if index < module.imported_globals:
        cell = builder.ctx_load(I64, state.layout.imported_global(index), True)
        builder.ptr_store(type, cell, value, 0)
    else:
        builder.ctx_store(type, state.layout.own_global(index), value)


# Tables


def table_get(state: State, table: int) -> None:
    builder = state.builder
    is_func = state.module.table_types[table].element == FUNCREF
    size = FUNC_RECORD_SIZE if is_func else EXTERNREF_SIZE
    element = _element_address(state, table, state.stack.pop(), TABLE_OUT_OF_BOUNDS, size)
    if not builder.terminated:
        state.stack.append(builder.ptr_load(I64, element, FUNC_SELF if is_func else 0, False))


def table_set(state: State, table: int) -> None:
    builder = state.builder
    value = state.stack.pop()
    index = state.stack.pop()
    if state.module.table_types[table].element == FUNCREF:
        # Copies a function record or clears one, which is not worth code of its own.
        state.call_builtin(builtins.TABLE_SET, [builder.iconst(I32, table), index, value])
        return
    element = _element_address(state, table, index, TABLE_OUT_OF_BOUNDS, EXTERNREF_SIZE)
    if not builder.terminated:
        builder.ptr_store(I64, element, value, 0)


def table_size(state: State, table: int) -> None:
    builder = state.builder
    record = builder.ctx_load(I64, state.layout.table(table), True)
    length = builder.ptr_load(I64, record, TABLE_LENGTH, False)
    state.stack.append(builder.convert(IREDUCE, I32, I64, length))


# Memories


def memory_size(state: State, memory: int) -> None:
    """The length in pages. It may be 65536 pages, so the length in bytes is a 64-bit number."""
    builder = state.builder
    field = CTX_MEMORY0_RECORD if memory == 0 else state.layout.memory(memory)
    length = builder.ptr_load(I64, builder.ctx_load(I64, field, True), MEMORY_LENGTH, False)
    pages = builder.binary(USHR, I64, length, builder.iconst(I64, _PAGE_SHIFT))
    state.stack.append(builder.convert(IREDUCE, I32, I64, pages))


def call_routine(state: State, number: int, indices: list[int], operands: int) -> None:
    """An operator that is a call of builtin `number`, with static indices first and then operands of the stack."""
    builder = state.builder
    args = [builder.iconst(I32, index) for index in indices]
    args.extend(state.pop_values(operands))
    result = state.call_builtin(number, args)
    if result != NO_VALUE:
        state.stack.append(result)
