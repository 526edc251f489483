"""From the body of a valid function to IR, in one pass over its operators.

Input: a module that `validate` has accepted. Output: an SSA function (brolga.ir). Locals and operands become values at once; the
builder simplifies and shares as it goes. The instructions carry their operator's offset in the module's bytes.
"""

from __future__ import annotations

from brolga.ir.builder import FunctionBuilder
from brolga.ir.function import Function
from brolga.ir.opcodes import ICC_EQ
from brolga.ir.source_loc import inlined_loc
from brolga.ir.trap_codes import UNREACHABLE as UNREACHABLE_EXECUTED
from brolga.ir.types import F32, F64, I32, I64, IS_FLOAT, TYPE_MASK
from brolga.ir.work import STRIDE, spend

from .. import builtins
from ..settings import Settings
from ..switches import builder_rules
from ..transformations import INLINING, LIVE_LOCALS
from ..vmctx import ContextLayout
from . import opcodes as wasm
from .fuel import add_counter, after, before, enter
from .fuel_costs import Fuel, fuel_costs
from .inline import Inliner
from .locals import read_locals
from .opcodes import BR, BR_IF, CALL, ELSE, END, I32_CONST, LOCAL_GET, LOCAL_SET, LOCAL_TEE
from .operators import read_immediates
from .reader import read_s32, read_u32, read_u64
from .translate_calls import (
    call,
    call_indirect,
    call_routine,
    global_get,
    global_set,
    memory_size,
    ref_func,
    ref_is_null,
    table_get,
    table_set,
    table_size,
)
from .translate_control import (
    begin_block,
    begin_else,
    begin_if,
    begin_loop,
    branch,
    branch_if,
    branch_table,
    end_construct,
    in_loop,
    skip_unreachable,
)
from .translate_state import FRAME_FUNCTION, FRAME_INLINED, Frame, State, ir_signature, ir_types_of, signatures_of
from .translate_table import BINARY, CONVERT, EQZ, FCMP, FROM, ICMP, KIND, LOAD, OP, STORE, TYPE, UNARY
from .types import IR_TYPE, Module

# Operators that are calls of a builtin, and how many operands they take from the stack. Their immediates are static indices
# in the order of the routine's parameters, but for those of *_init, which the binary format has the other way round.
_ROUTINES: dict[int, tuple[int, int]] = {
    wasm.MEMORY_GROW: (builtins.MEMORY_GROW, 1),
    wasm.MEMORY_FILL: (builtins.MEMORY_FILL, 3),
    wasm.MEMORY_COPY: (builtins.MEMORY_COPY, 3),
    wasm.MEMORY_INIT: (builtins.MEMORY_INIT, 3),
    wasm.DATA_DROP: (builtins.DATA_DROP, 0),
    wasm.TABLE_GROW: (builtins.TABLE_GROW, 2),
    wasm.TABLE_FILL: (builtins.TABLE_FILL, 3),
    wasm.TABLE_COPY: (builtins.TABLE_COPY, 3),
    wasm.TABLE_INIT: (builtins.TABLE_INIT, 3),
    wasm.ELEM_DROP: (builtins.ELEM_DROP, 0),
}


def translate(module: Module, index: int, layout: ContextLayout, settings: Settings) -> Function:
    """IR of defined function `index` (index space). Raises LimitError where a documented limit is exceeded."""
    body = module.bodies[index - module.imported_funcs]
    type = module.types[body.type_index]
    function = Function(module.func_name(index), index, ir_signature(type), signatures_of(module))
    builder = FunctionBuilder(function, builder_rules(settings.off, settings.check_facts))
    state = State(module, layout, builder, index, bool(settings.off & LIVE_LOCALS))

    entry = builder.create_block()
    state.locals = [builder.append_param(entry, param) for param in function.signature.params]
    builder.switch_to_block(entry, None)
    pos = _declare_locals(state, index)
    results = function.signature.results
    state.frames.append(Frame(FRAME_FUNCTION, len(results), results, 0, [], entry))
    if settings.fuel:
        fuel = Fuel(fuel_costs(module, index), len(state.locals))
        state.fuel = fuel
        add_counter(state.constructs, fuel.local)
        builder.loc = pos
        enter(state, fuel)
    elif settings.opt_level > 0 and not settings.off & INLINING:
        state.inliner = Inliner(module, index)
    _translate_body(state, pos)
    return function


def _declare_locals(state: State, index: int) -> int:
    """The locals of function `index` that are not parameters are zero at first. The position of the first operator."""
    builder = state.builder
    group_ends, group_types, pos = read_locals(state.module, index)
    for place, group_end in enumerate(group_ends):
        local = IR_TYPE[group_types[place]]
        zero = builder.fconst(local, 0) if IS_FLOAT[local] else builder.iconst(local, 0)
        state.locals.extend([zero] * (group_end - len(state.locals)))
    return pos


def _inline(caller: State, func: int) -> None:
    """The body of `func` in place of a call that stands at `builder.loc`."""
    builder = caller.builder
    site = builder.loc
    state = State(caller.module, caller.layout, builder, func, caller.all_live)
    type = caller.module.func_type(func)
    state.locals = caller.pop_values(len(type.params))
    state.site = inlined_loc(site, 0)
    state.passed = caller.passed
    builder.function.inlined[site] = func
    results = ir_types_of(type.results)
    state.frames.append(Frame(FRAME_INLINED, len(results), results, 0, [], builder.block))
    pos = _declare_locals(state, func)
    _translate_body(state, pos)
    caller.passed = state.passed
    if not builder.terminated:
        caller.stack.extend(state.pop_values(len(results)))


def _translate_body(state: State, pos: int) -> None:
    data = state.data
    builder = state.builder
    stack = state.stack
    locals = state.locals
    fuel = state.fuel
    site = state.site
    kinds = KIND if fuel is None else fuel.kinds
    look_up_at = pos + STRIDE
    while True:
        if pos >= look_up_at:
            look_up_at = pos + STRIDE
            spend(STRIDE)
        builder.loc = pos | site
        op = data[pos]
        pos += 1
        if op == LOCAL_GET:
            local = data[pos]
            pos += 1
            if local >= 0x80:
                local, pos = read_u32(data, pos - 1)
            stack.append(locals[local])
            continue
        kind = kinds[op]
        if kind == BINARY:
            right = stack.pop()
            stack[-1] = builder.binary(OP[op], TYPE[op], stack[-1], right)
        elif op == I32_CONST:
            value = data[pos]
            pos += 1
            if value >= 0x40:
                value, pos = read_s32(data, pos - 1)
            stack.append(builder.iconst(I32, value & 0xFFFF_FFFF))
            continue
        elif op == LOCAL_SET or op == LOCAL_TEE:
            local = data[pos]
            pos += 1
            if local >= 0x80:
                local, pos = read_u32(data, pos - 1)
            locals[local] = stack.pop() if op == LOCAL_SET else stack[-1]
            continue
        elif kind == LOAD or kind == STORE:
            pos += 1
            if data[pos - 1] >= 0x80:
                _, pos = read_u32(data, pos - 1)
            offset = data[pos]
            pos += 1
            if offset >= 0x80:
                offset, pos = read_u64(data, pos - 1)
            if kind == LOAD:
                stack[-1] = builder.load(OP[op], TYPE[op], stack[-1], offset)
            else:
                right = stack.pop()
                builder.store(OP[op], TYPE[op], stack.pop(), right, offset)
            continue
        elif kind == ICMP:
            right = stack.pop()
            stack[-1] = builder.icmp(OP[op], TYPE[op], stack[-1], right)
            continue
        elif kind == EQZ:
            type = TYPE[op]
            stack[-1] = builder.icmp(ICC_EQ, type, stack[-1], builder.iconst(type, 0))
            continue
        elif kind == UNARY:
            stack[-1] = builder.unary(OP[op], TYPE[op], stack[-1])
            continue
        elif kind == CONVERT:
            stack[-1] = builder.convert(OP[op], TYPE[op], FROM[op], stack[-1])
        elif kind == FCMP:
            right = stack.pop()
            stack[-1] = builder.fcmp(OP[op], TYPE[op], stack[-1], right)
            continue
        else:
            pos = _translate_other(state, op, pos) if fuel is None else _translate_metered(state, fuel, op, pos)
            if pos == _FUNCTION_END:
                return
        # Code behind a branch, or behind what always traps, is not reached.
        while builder.terminated:
            pos = skip_unreachable(state, pos)
            builder.loc = pos | site
            if fuel is not None:
                fuel.skip_to(pos)
            if data[pos] == ELSE:
                begin_else(state)
            elif end_construct(state):
                return
            pos += 1


_FUNCTION_END = -1


def _translate_metered(state: State, fuel: Fuel, op: int, pos: int) -> int:
    """As `_translate_other`, in code that accounts for its fuel."""
    loc = pos - 1
    length = before(state, fuel, op)
    pos = _translate_other(state, op, pos)
    if not state.builder.terminated:
        after(state, fuel, op, loc, length)
    return pos


def _translate_other(state: State, op: int, pos: int) -> int:
    """An operator that is not plain. Returns the next position, or _FUNCTION_END."""
    if op == END:
        return _FUNCTION_END if end_construct(state) else pos
    if op == BR_IF or op == CALL or op == BR:
        x = state.data[pos]
        pos += 1
        if x >= 0x80:
            x, pos = read_u32(state.data, pos - 1)
        if op == BR_IF:
            branch_if(state, x)
        elif op == CALL:
            if state.inliner is not None and state.inliner.accepts(x, in_loop(state)):
                _inline(state, x)
            else:
                call(state, x)
        else:
            branch(state, x)
        return pos
    if op == wasm.BLOCK_OP:
        return begin_block(state, pos)
    if op == wasm.LOOP:
        return begin_loop(state, pos)
    if op == wasm.IF:
        return begin_if(state, pos)
    if op == wasm.PREFIX_FC:
        sub, pos = read_u32(state.data, pos)
        op = wasm.FC_BASE + sub
    immediates, pos = read_immediates(state.data, pos, op)
    builder = state.builder
    stack = state.stack
    if KIND[op] == CONVERT:  # behind the prefix are saturating conversions
        stack[-1] = builder.convert(OP[op], TYPE[op], FROM[op], stack[-1])
    elif KIND[op] == LOAD:  # comes here where fuel is accounted for
        stack[-1] = builder.load(OP[op], TYPE[op], stack[-1], immediates[1])
    elif KIND[op] == STORE:
        value = stack.pop()
        builder.store(OP[op], TYPE[op], stack.pop(), value, immediates[1])
    elif op == ELSE:
        begin_else(state)
    elif op == wasm.BR_TABLE:
        branch_table(state, immediates)
    elif op == wasm.RETURN:
        branch(state, len(state.frames) - 1)
    elif op == wasm.CALL_INDIRECT:
        call_indirect(state, immediates[0], immediates[1])
    elif op == wasm.DROP:
        stack.pop()
    elif op == wasm.SELECT or op == wasm.SELECT_TYPED:
        condition = stack.pop()
        right = stack.pop()
        type = builder.function.value_types[right]
        stack[-1] = builder.select(type, condition, stack[-1], right)
    elif op == wasm.GLOBAL_GET:
        global_get(state, immediates[0])
    elif op == wasm.GLOBAL_SET:
        global_set(state, immediates[0])
    elif op == wasm.I64_CONST:
        stack.append(builder.iconst(I64, immediates[0] & TYPE_MASK[I64]))
    elif op == wasm.F32_CONST:
        stack.append(builder.fconst(F32, immediates[0]))
    elif op == wasm.F64_CONST:
        stack.append(builder.fconst(F64, immediates[0]))
    elif op == wasm.MEMORY_SIZE:
        memory_size(state, immediates[0])
    elif op in _ROUTINES:
        number, operands = _ROUTINES[op]
        if op == wasm.MEMORY_INIT or op == wasm.TABLE_INIT:
            immediates.reverse()  # segment, memory or table => memory or table, segment
        call_routine(state, number, immediates, operands)
    elif op == wasm.TABLE_GET:
        table_get(state, immediates[0])
    elif op == wasm.TABLE_SET:
        table_set(state, immediates[0])
    elif op == wasm.TABLE_SIZE:
        table_size(state, immediates[0])
    elif op == wasm.REF_NULL:
        stack.append(builder.iconst(I64, 0))
    elif op == wasm.REF_IS_NULL:
        ref_is_null(state)
    elif op == wasm.REF_FUNC:
        ref_func(state, immediates[0])
    elif op == wasm.UNREACHABLE:
        builder.trap(UNREACHABLE_EXECUTED)
    else:
        assert op == wasm.NOP, wasm.OPERATOR_NAMES[op]
    return pos
