"""Validation of function bodies, operator by operator (spec: Appendix, Validation Algorithm).

The operand stack is a list of value types. Each block, loop, if and the body itself puts a BASE mark under its operands,
so that looking at the top one or two entries needs no test for underflow: a mark equals no type. Only when an entry is not
what an operator wants do slower functions decide whether it is an error or unreachable code, where the stack
yields whatever is asked for (validate_stack.py).

Errors of bytes are found here as well, as nobody reads a body before. Bodies are bounded by their end, except that an
operator's immediates may run over it, which is noticed with the next operator.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError
from brolga.ir.work import STRIDE, spend

from .limits import MAX_BR_TABLE_TARGETS, MAX_NESTING
from .locals import read_locals
from .opcodes import (
    ALIGNMENT,
    BLOCK_OP,
    BR,
    BR_IF,
    BR_TABLE,
    CALL,
    CALL_INDIRECT,
    CALL_REF,
    CONST_F32,
    CONST_F64,
    CONST_I32,
    CONST_I64,
    DROP,
    ELSE,
    END,
    F32_CONST,
    FC_BASE,
    FC_COUNT,
    FIXED_SIGNATURE,
    GLOBAL_GET,
    GLOBAL_SET,
    I32_CONST,
    IF,
    IMMEDIATES,
    LOCAL_GET,
    LOCAL_SET,
    LOCAL_TEE,
    LOOP,
    MEMARG,
    NONE,
    OPERANDS,
    OPERATOR_COUNT,
    OPERATOR_NAMES,
    PREFIX_FC,
    REF_AS_NON_NULL,
    REF_FUNC,
    REF_IS_NULL,
    REF_NULL,
    RESULTS,
    RETURN,
    SELECT,
    SELECT_TYPED,
    TABLE_FILL,
    TABLE_GET,
    TABLE_GROW,
    TABLE_SET,
    UNREACHABLE,
)
from .operators import refuse_operator
from .proposals import MULTI_MEMORY
from .reader import UNEXPECTED_END, Reader, read_s32, read_s33, read_s64, read_u32, read_u64
from .sections import value_type
from .types import (
    EXTERNREF,
    F32,
    F64,
    FUNCREF,
    I32,
    I64,
    FuncType,
    Module,
)
from .validate_operators import check_immediates, check_memory, validate_operator, validate_select
from .validate_stack import BASE, UNKNOWN, is_subtype, matches, mismatch, pop, pop_types

# What the main loop distinguishes, the most frequent first.
_GET_LOCAL: Final = 0
_CONSTANT: Final = 1
_BINARY: Final = 2  # two operands of one type
_SET_LOCAL: Final = 3
_TEE_LOCAL: Final = 4
_LOAD: Final = 5
_BRANCH_IF: Final = 6
_END: Final = 7
_ENTER: Final = 8
_STORE: Final = 9
_UNARY: Final = 10
_CALL: Final = 11
_BRANCH: Final = 12
_FLOAT_CONSTANT: Final = 13
_SELECT: Final = 14
_GLOBAL: Final = 15
_DROP: Final = 16
_NOTHING: Final = 17
_STOP: Final = 18  # unreachable, return
_ELSE: Final = 19
_BRANCH_TABLE: Final = 20
_CALL_INDIRECT: Final = 21
_PREFIX: Final = 22
_FIXED: Final = 23  # a fixed signature, with immediates or more operands than the above
_RARE: Final = 24
_REFUSED: Final = 25

_KIND_BY_OPERATOR: Final[dict[int, int]] = {
    LOCAL_GET: _GET_LOCAL,
    LOCAL_SET: _SET_LOCAL,
    LOCAL_TEE: _TEE_LOCAL,
    GLOBAL_GET: _GLOBAL,
    GLOBAL_SET: _GLOBAL,
    BR_IF: _BRANCH_IF,
    BR: _BRANCH,
    BR_TABLE: _BRANCH_TABLE,
    RETURN: _STOP,
    UNREACHABLE: _STOP,
    END: _END,
    ELSE: _ELSE,
    BLOCK_OP: _ENTER,
    LOOP: _ENTER,
    IF: _ENTER,
    CALL: _CALL,
    CALL_INDIRECT: _CALL_INDIRECT,
    SELECT: _SELECT,
    DROP: _DROP,
    SELECT_TYPED: _RARE,
    TABLE_GET: _RARE,
    TABLE_SET: _RARE,
    TABLE_GROW: _RARE,
    TABLE_FILL: _RARE,
    REF_NULL: _RARE,
    REF_IS_NULL: _RARE,
    REF_FUNC: _RARE,
    REF_AS_NON_NULL: _RARE,
    CALL_REF: _RARE,
}


def _kind(op: int) -> int:
    if op == PREFIX_FC:
        return _PREFIX
    if op in _KIND_BY_OPERATOR:
        return _KIND_BY_OPERATOR[op]
    if not FIXED_SIGNATURE[op]:
        return _REFUSED
    operands = OPERANDS[op]
    immediates = IMMEDIATES[op]
    if immediates == CONST_I32 or immediates == CONST_I64:
        return _CONSTANT
    if immediates == CONST_F32 or immediates == CONST_F64:
        return _FLOAT_CONSTANT
    if immediates == MEMARG:
        return _LOAD if len(operands) == 1 else _STORE
    if immediates != NONE or len(RESULTS[op]) > 1:
        return _FIXED
    if not operands and not RESULTS[op]:
        return _NOTHING
    if len(operands) == 1:
        return _UNARY
    return _BINARY if operands == (operands[0], operands[0]) else _FIXED


_KINDS: Final[list[int]] = [_kind(op) for op in range(OPERATOR_COUNT)]
_LAST_OPERAND: Final[list[int]] = [operands[-1] if operands else UNKNOWN for operands in OPERANDS]
_RESULT: Final[list[int]] = [results[0] if results else UNKNOWN for results in RESULTS]

# Results of a construct whose block type is this byte.
_NO_TYPES: Final[tuple[int, ...]] = ()
_BLOCK_RESULTS: Final[dict[int, tuple[int, ...]]] = {
    0x40: _NO_TYPES,
    I32: (I32,),
    I64: (I64,),
    F32: (F32,),
    F64: (F64,),
    FUNCREF: (FUNCREF,),
    EXTERNREF: (EXTERNREF,),
}


def validate_function(module: Module, index: int) -> None:
    """Check the body of defined function `index`. The module must be valid otherwise.

    Raises ValidationError, DecodeError, UnsupportedError or LimitError with offset and function.
    """
    earlier = module.refusal
    try:
        _validate_body(module, index)
    except DecodeError as malformed:
        raise DecodeError(malformed.message, malformed.offset, index) from None
    except ValidationError as invalid:
        raise ValidationError(invalid.message, invalid.offset, index) from None
    except UnsupportedError as unsupported:
        raise UnsupportedError(unsupported.message, unsupported.offset, index) from None
    except LimitError as excess:
        raise LimitError(excess.message, excess.offset, index) from None
    refusal = module.refusal
    if refusal is not None and earlier is None:
        module.refusal = UnsupportedError(refusal.message, refusal.offset, index)


def _validate_body(module: Module, index: int) -> None:
    body = module.bodies[index - module.imported_funcs]
    end = body.end
    data = module.data
    if end + 16 > len(data):
        data = data + bytes(16)  # so that reading immediates over the end needs no test
    group_ends, group_types, pos = read_locals(module, index)

    # Locals are looked up in a list as long as the body might need; those beyond, of a body that declares many and is
    # short, in the declarations. So the cost of a body is bounded by its size.
    type = module.types[body.type_index]
    local_types = list(type.params)
    listed_limit = len(local_types) + 64 + end - pos
    for place, group_end in enumerate(group_ends):
        local_types.extend([group_types[place]] * (min(group_end, listed_limit) - len(local_types)))
    listed = len(local_types)

    types = module.types
    func_types = module.func_types
    global_types = module.global_types
    has_memory = len(module.memory_types) != 0

    # The constructs around the operator, innermost last.
    openers: list[int] = [BLOCK_OP]
    labels: list[tuple[int, ...]] = [type.results]  # operands of a branch to it
    params: list[tuple[int, ...]] = [_NO_TYPES]
    results: list[tuple[int, ...]] = [type.results]
    heights: list[int] = []  # of the stack around it
    deads: list[bool] = []  # whether the code around it is unreachable
    height = 2  # of the stack at its base
    dead = False  # this code is unreachable
    stack: list[int] = [BASE, BASE]

    spend((end - pos) // 4)
    look_up_at = pos + STRIDE
    while pos < end:
        if pos >= look_up_at:
            look_up_at = pos + STRIDE
            spend(STRIDE)
        loc = pos
        op = data[pos]
        pos += 1
        kind = _KINDS[op]
        if kind == _GET_LOCAL:
            x = data[pos]
            pos += 1
            if x >= 0x80:
                x, pos = read_u32(data, pos - 1)
            if x < listed:
                stack.append(local_types[x])
            else:
                stack.append(_unlisted_local(group_ends, group_types, x, loc))
        elif kind == _CONSTANT:
            if data[pos] < 0x80:
                pos += 1
            elif op == I32_CONST:
                _, pos = read_s32(data, pos)
            else:
                _, pos = read_s64(data, pos)
            stack.append(_RESULT[op])
        elif kind == _BINARY:
            t = _LAST_OPERAND[op]
            if stack[-1] == t and stack[-2] == t:
                stack.pop()
                stack[-1] = _RESULT[op]
            else:
                pop(stack, t, dead, loc)
                pop(stack, t, dead, loc)
                stack.append(_RESULT[op])
        elif kind == _SET_LOCAL or kind == _TEE_LOCAL:
            x = data[pos]
            pos += 1
            if x >= 0x80:
                x, pos = read_u32(data, pos - 1)
            t = local_types[x] if x < listed else _unlisted_local(group_ends, group_types, x, loc)
            if stack[-1] != t:
                pop(stack, t, dead, loc)
                stack.append(t)
            if kind == _SET_LOCAL:
                stack.pop()
        elif kind == _LOAD or kind == _STORE:
            align = data[pos]
            pos += 1
            if align > ALIGNMENT[op]:
                pos = _long_alignment(module, data, pos - 1, op, loc)
            if data[pos] < 0x80:
                pos += 1
            else:
                offset, pos = read_u64(data, pos)
                if offset > 0xFFFF_FFFF:
                    raise ValidationError("offset out of range", loc)
            if not has_memory:
                raise ValidationError("unknown memory 0", loc)
            if kind == _LOAD:
                if stack[-1] == I32:
                    stack[-1] = _RESULT[op]
                else:
                    pop(stack, I32, dead, loc)
                    stack.append(_RESULT[op])
            elif stack[-1] == _LAST_OPERAND[op] and stack[-2] == I32:
                stack.pop()
                stack.pop()
            else:
                pop(stack, _LAST_OPERAND[op], dead, loc)
                pop(stack, I32, dead, loc)
        elif kind == _BRANCH_IF or kind == _BRANCH:
            x = data[pos]
            pos += 1
            if x >= 0x80:
                x, pos = read_u32(data, pos - 1)
            if x >= len(labels):
                raise ValidationError(f"unknown label {x}", loc)
            label = labels[-1 - x]
            if kind == _BRANCH_IF:
                if stack[-1] == I32:
                    stack.pop()
                else:
                    pop(stack, I32, dead, loc)
                if label:
                    pop_types(stack, label, height, dead, loc)
                    stack.extend(label)
            else:
                if label:
                    pop_types(stack, label, height, dead, loc)
                del stack[height:]
                dead = True
        elif kind == _END:
            t_results = results.pop()
            if t_results:
                if len(t_results) == 1 and stack[-1] == t_results[0]:
                    stack.pop()
                else:
                    pop_types(stack, t_results, height, dead, loc)
            if stack.pop() != BASE:
                raise ValidationError("type mismatch: values remaining on stack at end of block", loc)
            if openers.pop() == IF and params[-1] != t_results:
                raise ValidationError("type mismatch: if without else must have the same parameters and results", loc)
            params.pop()
            labels.pop()
            if not labels:
                break
            height = heights.pop()
            dead = deads.pop()
            if t_results:
                stack.extend(t_results)
        elif kind == _ENTER:
            if op == IF:
                if stack[-1] == I32:
                    stack.pop()
                else:
                    pop(stack, I32, dead, loc)
            if len(labels) > MAX_NESTING:
                raise LimitError(f"nesting exceeds the limit of {MAX_NESTING}", loc)
            byte = data[pos]
            t_params = _NO_TYPES
            if byte in _BLOCK_RESULTS:
                t_results = _BLOCK_RESULTS[byte]
                pos += 1
            else:
                block_type, pos = _block_type(module, data, pos, end, loc)
                t_params = block_type.params
                t_results = block_type.results
                pop_types(stack, t_params, height, dead, loc)
            openers.append(op)
            labels.append(t_params if op == LOOP else t_results)
            params.append(t_params)
            results.append(t_results)
            heights.append(height)
            deads.append(dead)
            dead = False
            stack.append(BASE)
            height = len(stack)
            if t_params:
                stack.extend(t_params)
        elif kind == _UNARY:
            if stack[-1] == _LAST_OPERAND[op]:
                stack[-1] = _RESULT[op]
            else:
                pop(stack, _LAST_OPERAND[op], dead, loc)
                stack.append(_RESULT[op])
        elif kind == _CALL:
            x = data[pos]
            pos += 1
            if x >= 0x80:
                x, pos = read_u32(data, pos - 1)
            if x >= len(func_types):
                raise ValidationError(f"unknown function {x}", loc)
            type = types[func_types[x]]
            if type.params:
                pop_types(stack, type.params, height, dead, loc)
            if type.results:
                stack.extend(type.results)
        elif kind == _FLOAT_CONSTANT:
            pos += 4 if op == F32_CONST else 8
            stack.append(_RESULT[op])
        elif kind == _SELECT:
            if stack[-1] == I32 and stack[-2] == stack[-3] and I32 >= stack[-2] >= F64:
                stack.pop()
                stack.pop()
            else:
                validate_select(stack, dead, loc)
        elif kind == _GLOBAL:
            x, pos = read_u32(data, pos)
            if x >= len(global_types):
                raise ValidationError(f"unknown global {x}", loc)
            global_type = global_types[x]
            if op == GLOBAL_GET:
                stack.append(global_type.type)
            else:
                if not global_type.mutable:
                    raise ValidationError("immutable global", loc)
                pop(stack, global_type.type, dead, loc)
        elif kind == _DROP:
            if stack[-1] == BASE:
                pop(stack, UNKNOWN, dead, loc)
            else:
                stack.pop()
        elif kind == _NOTHING:
            pass
        elif kind == _STOP:
            if op == RETURN:
                pop_types(stack, labels[0], height, dead, loc)
            del stack[height:]
            dead = True
        elif kind == _ELSE:
            if openers[-1] != IF:
                raise DecodeError("END opcode expected: else without if", loc)
            pop_types(stack, results[-1], height, dead, loc)
            if stack[-1] != BASE:
                raise ValidationError("type mismatch: values remaining on stack at end of block", loc)
            openers[-1] = ELSE
            dead = False
            stack.extend(params[-1])
        elif kind == _BRANCH_TABLE:
            pop(stack, I32, dead, loc)
            pos = _branch_table(data, pos, end, labels, stack, height, dead, loc)
            del stack[height:]
            dead = True
        elif kind == _CALL_INDIRECT:
            type_index, pos = read_u32(data, pos)
            x, pos = read_u32(data, pos)
            if x >= len(module.table_types):
                raise ValidationError(f"unknown table {x}", loc)
            if not is_subtype(module.table_types[x].element, FUNCREF):
                raise ValidationError("type mismatch: call_indirect needs a table of funcref", loc)
            if type_index >= len(types):
                raise ValidationError(f"unknown type {type_index}", loc)
            pop(stack, I32, dead, loc)
            type = types[type_index]
            if type.params:
                pop_types(stack, type.params, height, dead, loc)
            if type.results:
                stack.extend(type.results)
        elif kind == _REFUSED:
            refuse_operator(op, data, loc)
        else:
            if kind == _PREFIX:
                x, pos = read_u32(data, pos)
                op = FC_BASE + min(x, FC_COUNT - 1)
                kind = _KINDS[op]
                if kind == _REFUSED:
                    refuse_operator(op, data, loc)
            if kind == _RARE:
                pos = validate_operator(module, op, data, pos, stack, height, dead, loc)
            else:
                if IMMEDIATES[op] != NONE:
                    pos = check_immediates(module, op, data, pos, loc)
                pop_types(stack, OPERANDS[op], height, dead, loc)
                stack.extend(RESULTS[op])

    if labels or pos > end:
        _fail_at_end(module, end)
    if pos < end:
        raise DecodeError("section size mismatch: operators after the end of the function", pos)


def _fail_at_end(module: Module, end: int) -> None:
    """The body's bytes are used up too early. What follows decides what a decoder that reads on would find there."""
    if end == len(module.data):
        raise DecodeError(UNEXPECTED_END, end)
    if end == module.bodies[-1].end:
        raise DecodeError("section size mismatch: function body without end", end)
    raise DecodeError("END opcode expected", end)


# Immediates


def _unlisted_local(group_ends: list[int], group_types: list[int], x: int, loc: int) -> int:
    """The type of local `x`, from the declarations."""
    group = bisect_right(group_ends, x)
    if group == len(group_ends):
        raise ValidationError(f"unknown local {x}", loc)
    return group_types[group]


def _long_alignment(module: Module, data: bytes, pos: int, op: int, loc: int) -> int:
    """Read an alignment that is not a single byte of an accepted value; the next position."""
    align, pos = read_u32(data, pos)
    if align >= 0x80:
        raise DecodeError("malformed memop flags", loc)
    if align >= 0x40:
        align -= 0x40
        memory, pos = read_u32(data, pos)
        check_memory(module, memory, loc)
        module.refuse(UnsupportedError(f"{MULTI_MEMORY}: memory index of {OPERATOR_NAMES[op]}", loc))
    if align > ALIGNMENT[op]:
        raise ValidationError("alignment must not be larger than natural", loc)
    return pos


def _block_type(module: Module, data: bytes, pos: int, end: int, loc: int) -> tuple[FuncType, int]:
    """A block type that is no single byte of a type; and the next position."""
    byte = data[pos]
    if 0x40 < byte < 0x80:
        reader = Reader(data, pos, end)
        result = value_type(reader)
        module.refuse(reader.refusal)
        return FuncType((), (result,)), reader.pos
    index, next_pos = read_s33(data, pos)
    if index < 0:
        raise DecodeError("malformed block type", pos)
    if index >= len(module.types):
        raise ValidationError(f"unknown type {index}", loc)
    return module.types[index], next_pos


def _branch_table(
    data: bytes,
    pos: int,
    end: int,
    labels: list[tuple[int, ...]],
    stack: list[int],
    height: int,
    dead: bool,
    loc: int,
) -> int:
    """Check the labels of a br_table against each other and the stack; the next position."""
    count, pos = read_u32(data, pos)
    if count > MAX_BR_TABLE_TARGETS:
        raise LimitError(f"{count} br_table targets, the limit is {MAX_BR_TABLE_TARGETS}", loc)
    checked: tuple[int, ...] = _NO_TYPES  # many labels have the same types: do not compare them again
    arity = -1
    for _ in range(count + 1):
        if pos >= end:
            raise DecodeError(UNEXPECTED_END, pos)
        x = data[pos]
        pos += 1
        if x >= 0x80:
            x, pos = read_u32(data, pos - 1)
        if x >= len(labels):
            raise ValidationError(f"unknown label {x}", loc)
        label = labels[-1 - x]
        if len(label) != arity:
            if arity >= 0:
                raise ValidationError("type mismatch: br_table labels differ in arity", loc)
            arity = len(label)
        if label is not checked and not matches(stack, label, height, dead):
            raise ValidationError(mismatch(stack, label, height), loc)
        checked = label
    return pos
