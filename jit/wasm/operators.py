"""Reading the operators of a body one by one, by the operator table: to skip them, to list them."""

from __future__ import annotations

import struct

from brolga.ir.errors import DecodeError, UnsupportedError

from .opcodes import (
    BLOCK,
    CALL_TABLE,
    CONST_F32,
    CONST_F64,
    CONST_I32,
    CONST_I64,
    DATA_MEMORY,
    ELEM_TABLE,
    FC_BASE,
    FC_COUNT,
    HEAP_TYPE,
    IMMEDIATES,
    LABELS,
    MEMARG,
    MEMORY_MEMORY,
    NONE,
    OPERATOR_NAMES,
    PREFIX_FC,
    PROPOSALS,
    REFUSED,
    TABLE_TABLE,
    TYPES,
)
from .reader import UNEXPECTED_END, read_s32, read_s33, read_s64, read_u32, read_u64
from .types import VALUE_TYPE_NAMES


def read_opcode(data: bytes, pos: int) -> tuple[int, int]:
    """The number of the operator at `pos`, and the position of its immediates."""
    op = data[pos]
    if op != PREFIX_FC:
        return op, pos + 1
    sub, pos = read_u32(data, pos + 1)
    return FC_BASE + min(sub, FC_COUNT - 1), pos


def refuse_operator(op: int, data: bytes, loc: int, func: int = -1) -> None:
    """Raise the error for operator `op` at `loc`, which is not implemented or does not exist."""
    if PROPOSALS[op]:
        raise UnsupportedError(f"{PROPOSALS[op]}: {OPERATOR_NAMES[op]}", loc, func)
    if op >= FC_BASE:
        raise DecodeError(f"illegal opcode fc {read_u32(data, loc + 1)[0]:02x}", loc, func)
    raise DecodeError(f"illegal opcode {op:02x}", loc, func)


def read_immediates(data: bytes, pos: int, op: int) -> tuple[list[int], int]:
    """The immediates of operator `op` as integers, floats as their bits, and the next position.

    A block type is 0x40, a value type, or a type index + 0x80. The operator must be one that is implemented.
    """
    kind = IMMEDIATES[op]
    if kind == NONE:
        return [], pos
    if kind == BLOCK:
        if data[pos] in VALUE_TYPE_NAMES or data[pos] == 0x40:
            return [data[pos]], pos + 1
        value, pos = read_s33(data, pos)
        return [value + 0x80], pos
    if kind == CONST_I32:
        value, pos = read_s32(data, pos)
        return [value], pos
    if kind == CONST_I64:
        value, pos = read_s64(data, pos)
        return [value], pos
    if kind == CONST_F32:
        return [int.from_bytes(data[pos : pos + 4], "little")], pos + 4
    if kind == CONST_F64:
        return [int.from_bytes(data[pos : pos + 8], "little")], pos + 8
    if kind == HEAP_TYPE:
        return [data[pos]], pos + 1
    if kind == MEMARG:
        align, pos = read_u32(data, pos)
        offset, pos = read_u64(data, pos)
        return [align, offset], pos
    if kind == LABELS or kind == TYPES:
        count, pos = read_u32(data, pos)
        values: list[int] = []
        for _ in range(count + 1 if kind == LABELS else count):
            value, pos = read_u32(data, pos)
            values.append(value)
        return values, pos
    assert kind != REFUSED
    value, pos = read_u32(data, pos)
    if kind in (CALL_TABLE, DATA_MEMORY, MEMORY_MEMORY, ELEM_TABLE, TABLE_TABLE):
        second, pos = read_u32(data, pos)
        return [value, second], pos
    return [value], pos


def check_operators(data: bytes, start: int, end: int) -> None:
    """Raise DecodeError if the bytes of a body, from its local declarations on, are no numbers and operators."""
    try:
        groups, pos = read_u32(data, start)
        while groups > 0 and pos < end:
            _, pos = read_u32(data, pos)
            pos += 1
            groups -= 1
        while pos < end:
            loc = pos
            op, pos = read_opcode(data, pos)
            if IMMEDIATES[op] == REFUSED:
                return
            if OPERATOR_NAMES[op] == "":
                refuse_operator(op, data, loc)
            _, pos = read_immediates(data, pos, op)
    except IndexError:
        raise DecodeError(UNEXPECTED_END, len(data)) from None


def format_operator(data: bytes, pos: int) -> tuple[str, int]:
    """The operator at `pos` of a valid body, as in the text format but for symbolic names, and the next position."""
    op, pos = read_opcode(data, pos)
    kind = IMMEDIATES[op]
    values, pos = read_immediates(data, pos, op)
    name = OPERATOR_NAMES[op]
    if kind == BLOCK:
        if values[0] == 0x40:
            return name, pos
        if values[0] >= 0x80:
            return f"{name} (type {values[0] - 0x80})", pos
        return f"{name} (result {VALUE_TYPE_NAMES[values[0]]})", pos
    if kind == TYPES:
        return f"{name} (result {' '.join([VALUE_TYPE_NAMES[value] for value in values])})", pos
    if kind == MEMARG:
        return f"{name} offset={values[1]} align={1 << values[0]}", pos
    if kind == HEAP_TYPE:
        return f"{name} {VALUE_TYPE_NAMES[values[0]].removesuffix('ref')}", pos
    if kind == CALL_TABLE:
        return f"{name} {values[1]} (type {values[0]})", pos
    if kind == CONST_F32:
        return f"{name} {struct.unpack('<f', data[pos - 4 : pos])[0]!r}", pos
    if kind == CONST_F64:
        return f"{name} {struct.unpack('<d', data[pos - 8 : pos])[0]!r}", pos
    return " ".join([name, *[str(value) for value in values]]), pos
