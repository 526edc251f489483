"""Validation of the operators that are not worth a case of their own in the loop of validate_body.py."""

from __future__ import annotations

from brolga.ir.errors import DecodeError, UnsupportedError, ValidationError

from .opcodes import (
    CALL_REF,
    DATA,
    DATA_MEMORY,
    ELEM,
    ELEM_TABLE,
    IMMEDIATES,
    MEMORY,
    MEMORY_MEMORY,
    OPERATOR_NAMES,
    PROPOSALS,
    REF_AS_NON_NULL,
    REF_FUNC,
    REF_IS_NULL,
    REF_NULL,
    SELECT_TYPED,
    TABLE,
    TABLE_FILL,
    TABLE_GET,
    TABLE_GROW,
    TABLE_SET,
    TABLE_TABLE,
)
from .reader import Reader, read_u32
from .sections import null_type, value_type
from .types import (
    BOTTOM_REF,
    HEAP_DEFINED,
    I32,
    Module,
    heap_of,
    type_name,
    typed_ref,
)
from .validate_stack import UNKNOWN, is_reference, is_subtype, pop, pop_types

# Immediates of operators with a fixed signature


def check_immediates(module: Module, op: int, data: bytes, pos: int, loc: int) -> int:
    """Read and check the immediates of an operator with a fixed signature; the next position."""
    immediates = IMMEDIATES[op]
    x, pos = read_u32(data, pos)
    if immediates == MEMORY:
        check_memory(module, x, loc)
    elif immediates == MEMORY_MEMORY:
        y, pos = read_u32(data, pos)
        check_memory(module, x, loc)
        check_memory(module, y, loc)
    elif immediates == DATA_MEMORY:
        y, pos = read_u32(data, pos)
        check_memory(module, y, loc)
        _check_data(module, x, loc)
    elif immediates == DATA:
        _check_data(module, x, loc)
    elif immediates == TABLE:
        _table_element(module, x, loc)
    elif immediates == TABLE_TABLE:
        y, pos = read_u32(data, pos)
        if not is_subtype(_table_element(module, y, loc), _table_element(module, x, loc)):
            raise ValidationError("type mismatch: tables of different types", loc)
    elif immediates == ELEM:
        _segment_element(module, x, loc)
    else:
        assert immediates == ELEM_TABLE
        y, pos = read_u32(data, pos)
        if not is_subtype(_segment_element(module, x, loc), _table_element(module, y, loc)):
            raise ValidationError("type mismatch: table and element segment of different types", loc)
    return pos


def check_memory(module: Module, x: int, loc: int) -> None:
    if x >= len(module.memory_types):
        raise ValidationError(f"unknown memory {x}", loc)


def _check_data(module: Module, x: int, loc: int) -> None:
    if module.data_count < 0:
        raise DecodeError("data count section required", loc)
    if x >= module.data_count:
        raise ValidationError(f"unknown data segment {x}", loc)


def _table_element(module: Module, x: int, loc: int) -> int:
    if x >= len(module.table_types):
        raise ValidationError(f"unknown table {x}", loc)
    return module.table_types[x].element


def _segment_element(module: Module, x: int, loc: int) -> int:
    if x >= len(module.elements):
        raise ValidationError(f"unknown elem segment {x}", loc)
    return module.elements[x].type


# Operators whose signature depends on the context


def validate_select(stack: list[int], dead: bool, loc: int) -> None:
    pop(stack, I32, dead, loc)
    first = pop(stack, UNKNOWN, dead, loc)
    second = pop(stack, first, dead, loc)
    if is_reference(first) or is_reference(second):
        raise ValidationError("type mismatch: select without type on references", loc)
    stack.append(second if first == UNKNOWN else first)


def _pop_reference(stack: list[int], dead: bool, loc: int) -> int:
    found = pop(stack, UNKNOWN, dead, loc)
    if found != UNKNOWN and not is_reference(found):
        raise ValidationError(f"type mismatch: expected a reference, found {type_name(found)}", loc)
    return found


def validate_operator(
    module: Module, op: int, data: bytes, pos: int, stack: list[int], height: int, dead: bool, loc: int
) -> int:
    """Check an operator with a signature of its own; the next position."""
    if PROPOSALS[op]:
        module.refuse(UnsupportedError(f"{PROPOSALS[op]}: {OPERATOR_NAMES[op]}", loc))
    if op == REF_NULL or op == SELECT_TYPED:
        reader = Reader(data, pos, len(data))
        if op == REF_NULL:
            stack.append(null_type(reader))
        else:
            if reader.u32() != 1:
                raise ValidationError("invalid result arity", loc)
            type = value_type(reader)
            pop(stack, I32, dead, loc)
            pop(stack, type, dead, loc)
            pop(stack, type, dead, loc)
            stack.append(type)
        module.refuse(reader.refusal)
        return reader.pos
    if op == REF_IS_NULL:
        _pop_reference(stack, dead, loc)
        stack.append(I32)
        return pos
    if op == REF_AS_NON_NULL:
        found = _pop_reference(stack, dead, loc)
        stack.append(BOTTOM_REF if found in (UNKNOWN, BOTTOM_REF) else typed_ref(heap_of(found), False))
        return pos
    x, pos = read_u32(data, pos)
    if op == REF_FUNC:
        if x >= len(module.func_types):
            raise ValidationError(f"unknown function {x}", loc)
        if x not in module.declared_refs:
            raise ValidationError(f"undeclared function reference {x}", loc)
        stack.append(typed_ref(HEAP_DEFINED + module.func_types[x], False))
        return pos
    if op == CALL_REF:
        if x >= len(module.types):
            raise ValidationError(f"unknown type {x}", loc)
        pop(stack, typed_ref(HEAP_DEFINED + x, True), dead, loc)
        pop_types(stack, module.types[x].params, height, dead, loc)
        stack.extend(module.types[x].results)
        return pos
    element = _table_element(module, x, loc)
    if op == TABLE_GET:
        pop(stack, I32, dead, loc)
        stack.append(element)
    elif op == TABLE_SET:
        pop(stack, element, dead, loc)
        pop(stack, I32, dead, loc)
    elif op == TABLE_GROW:
        pop(stack, I32, dead, loc)
        pop(stack, element, dead, loc)
        stack.append(I32)
    else:
        assert op == TABLE_FILL
        pop(stack, I32, dead, loc)
        pop(stack, element, dead, loc)
        pop(stack, I32, dead, loc)
    return pos
