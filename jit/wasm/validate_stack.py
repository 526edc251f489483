"""The stack of operand types during validation, where an operator does not simply find what it wants on top of it.

In unreachable code the stack yields whatever is asked for once the operands of the innermost construct are used up.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import ValidationError

from .types import (
    BOTTOM_REF,
    EXTERNREF,
    FUNCREF,
    HEAP_DEFINED,
    HEAP_EXTERN,
    HEAP_FUNC,
    TYPED_REF,
    heap_of,
    type_name,
)

BASE: Final = -1  # under the operands of a construct; equal to no type
UNKNOWN: Final = 0  # any type, in unreachable code


def is_reference(type: int) -> bool:
    return type == FUNCREF or type == EXTERNREF or type >= BOTTOM_REF


def is_subtype(type: int, expected: int) -> bool:
    """Whether a `type` will do where `expected` is wanted. All defined heap types are taken as one another's subtypes."""
    if type == expected:
        return True
    if not is_reference(type) or not is_reference(expected):
        return False
    if type == BOTTOM_REF or expected == BOTTOM_REF:
        return type == BOTTOM_REF
    nullable = type < TYPED_REF or type & 1 == 1
    if expected >= TYPED_REF and expected & 1 == 0 and nullable:
        return False
    heap = heap_of(type)
    expected_heap = heap_of(expected)
    if expected_heap == HEAP_FUNC:
        return heap != HEAP_EXTERN
    return heap == expected_heap or (heap >= HEAP_DEFINED and expected_heap >= HEAP_DEFINED)


def pop(stack: list[int], expected: int, dead: bool, loc: int) -> int:
    """Take the type `expected`, or any if that is UNKNOWN; what was found."""
    found = stack.pop()
    if found == expected:
        return found
    if found == BASE:
        if dead:
            stack.append(BASE)
            return UNKNOWN
    elif expected == UNKNOWN or found == UNKNOWN or is_subtype(found, expected):
        return found
    raise ValidationError(f"type mismatch: expected {_entry_name(expected)}, found {_entry_name(found)}", loc)


def matches(stack: list[int], types: tuple[int, ...], height: int, dead: bool) -> bool:
    """Whether the operands on top of the stack, whose base is at `height`, are `types`."""
    first = len(stack) - len(types)
    if first < height:
        if not dead:
            return False
        types = types[height - first :]
        first = height
    found = tuple(stack[first:])
    if found == types:
        return True
    for place, type in enumerate(types):
        if found[place] != UNKNOWN and not is_subtype(found[place], type):
            return False
    return True


def pop_types(stack: list[int], types: tuple[int, ...], height: int, dead: bool, loc: int) -> None:
    """Take operands of these types, the last from the top."""
    count = len(types)
    if count == 1 and stack[-1] == types[0]:
        stack.pop()
    elif matches(stack, types, height, dead):
        del stack[max(len(stack) - count, height) :]
    else:
        raise ValidationError(mismatch(stack, types, height), loc)


def mismatch(stack: list[int], types: tuple[int, ...], height: int) -> str:
    """The message that `matches` has failed."""
    found = stack[max(len(stack) - len(types), height) :]
    expected_names = " ".join([_entry_name(type) for type in types])
    found_names = " ".join([_entry_name(type) for type in found])
    return f"type mismatch: expected [{expected_names}], found [{found_names}]"


def _entry_name(type: int) -> str:
    if type == BASE:
        return "nothing"
    return "a value" if type == UNKNOWN else type_name(type)
