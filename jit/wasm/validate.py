"""Validation of a decoded module (spec: Validation). Bodies are in validate_body.py.

Raises ValidationError, and, as bodies are read here for the first time, DecodeError,
UnsupportedError and LimitError.
"""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import UnsupportedError, ValidationError

from .proposals import MULTI_MEMORY
from .references import collect_references
from .types import (
    CONST_GLOBAL_GET,
    CONST_REF_FUNC,
    CONST_REF_NULL,
    CONST_VALUE,
    EXTERN_FUNC,
    EXTERN_GLOBAL,
    EXTERN_MEMORY,
    EXTERN_TABLE,
    EXTERN_TAG,
    HEAP_DEFINED,
    I32,
    MAX_PAGES,
    SEGMENT_ACTIVE,
    ConstExpr,
    Module,
    type_name,
    typed_ref,
)
from .validate_body import validate_function
from .validate_stack import is_subtype

__all__ = ["validate", "validate_declarations", "validate_function"]

_MAX_TABLE_SIZE: Final = 0xFFFF_FFFF
_KIND_NAMES: Final[dict[int, str]] = {
    EXTERN_FUNC: "function",
    EXTERN_TABLE: "table",
    EXTERN_MEMORY: "memory",
    EXTERN_GLOBAL: "global",
    EXTERN_TAG: "tag",
}


def validate(module: Module) -> None:
    """Check the whole module, all bodies included."""
    validate_declarations(module)
    for index in range(module.imported_funcs, len(module.func_types)):
        validate_function(module, index)
    if module.refusal is not None:
        raise module.refusal


def validate_declarations(module: Module) -> None:
    """Check everything but the bodies, which may then be checked one by one, and `Module.refusal`, which comes last."""
    for index, type_index in enumerate(module.func_types):
        if type_index >= len(module.types):
            raise ValidationError(f"unknown type {type_index}", module.func_locs[index])
    _check_limits(module)
    collect_references(module)
    for place, entry in enumerate(module.globals):
        _check_const_expr(module, entry.init, entry.type.type, module.imported_globals + place, entry.loc)
    _check_exports(module)
    if module.start >= 0:
        _check_index(module.start, len(module.func_types), "function", module.start_loc)
        type = module.func_type(module.start)
        if type.params or type.results:
            raise ValidationError(f"start function: its type is {type!r}", module.start_loc)
    _check_segments(module)


def _check_limits(module: Module) -> None:
    for table in module.table_types:
        limits = table.limits
        if limits.minimum > _MAX_TABLE_SIZE or limits.maximum > _MAX_TABLE_SIZE:
            raise ValidationError("table size must be at most 2^32-1", limits.loc)
        if 0 <= limits.maximum < limits.minimum:
            raise ValidationError("size minimum must not be greater than maximum", limits.loc)
    for memory in module.memory_types:
        limits = memory.limits
        if limits.minimum > MAX_PAGES or limits.maximum > MAX_PAGES:
            raise ValidationError("memory size must be at most 65536 pages (4GiB)", limits.loc)
        if 0 <= limits.maximum < limits.minimum:
            raise ValidationError("size minimum must not be greater than maximum", limits.loc)
    if len(module.memory_types) > 1:
        module.refuse(UnsupportedError(MULTI_MEMORY, module.memory_types[1].limits.loc))


def _check_index(index: int, count: int, what: str, loc: int) -> None:
    if index >= count:
        raise ValidationError(f"unknown {what} {index}", loc)


def _check_exports(module: Module) -> None:
    counts = {
        EXTERN_FUNC: len(module.func_types),
        EXTERN_TABLE: len(module.table_types),
        EXTERN_MEMORY: len(module.memory_types),
        EXTERN_GLOBAL: len(module.global_types),
        EXTERN_TAG: len(module.tags),
    }
    names: set[str] = set()
    for export in module.exports:
        _check_index(export.index, counts[export.kind], _KIND_NAMES[export.kind], export.loc)
        if export.name in names:
            raise ValidationError(f"duplicate export name {export.name!r}", export.loc)
        names.add(export.name)


def _check_segments(module: Module) -> None:
    globals_count = len(module.global_types)
    for segment in module.elements:
        if segment.mode == SEGMENT_ACTIVE:
            _check_index(segment.table, len(module.table_types), "table", segment.loc)
            if not is_subtype(segment.type, module.table_types[segment.table].element):
                raise ValidationError("type mismatch: table and element segment of different types", segment.loc)
            _check_const_expr(module, segment.offset, I32, globals_count, segment.loc)
        for item in segment.items:
            _check_const_expr(module, item, segment.type, globals_count, segment.loc)
    for data_segment in module.data_segments:
        if data_segment.mode == SEGMENT_ACTIVE:
            _check_index(data_segment.memory, len(module.memory_types), "memory", data_segment.loc)
            _check_const_expr(module, data_segment.offset, I32, globals_count, data_segment.loc)


def _check_const_expr(module: Module, expr: ConstExpr, expected: int, globals_count: int, loc: int) -> None:
    """Check that `expr`, which may use the first `globals_count` globals, yields one value of type `expected`."""
    stack: list[int] = []
    for op in expr:
        kind = op.op
        if kind == CONST_VALUE or kind == CONST_REF_NULL:
            stack.append(op.type)
        elif kind == CONST_REF_FUNC:
            _check_index(op.operand, len(module.func_types), "function", op.loc)
            stack.append(typed_ref(HEAP_DEFINED + module.func_types[op.operand], False))
        elif kind == CONST_GLOBAL_GET:
            _check_index(op.operand, globals_count, "global", op.loc)
            type = module.global_types[op.operand]
            if type.mutable:
                raise ValidationError(f"constant expression required: global {op.operand} is mutable", op.loc)
            stack.append(type.type)
        elif stack[-2:] == [op.type, op.type]:
            stack.pop()
        else:
            raise ValidationError(f"type mismatch: expected two operands of {type_name(op.type)}", op.loc)
    if len(stack) != 1 or not is_subtype(stack[0], expected):
        names = " ".join([type_name(type) for type in stack])
        raise ValidationError(f"type mismatch: expected [{type_name(expected)}], found [{names}]", loc)
