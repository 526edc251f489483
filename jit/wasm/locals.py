"""Local declarations of a function body (spec: Binary Format, Code Section)."""

from __future__ import annotations

from typing import Final

from brolga.ir.errors import DecodeError, LimitError, UnsupportedError, ValidationError

from .limits import MAX_LOCALS
from .opcodes import IMMEDIATES, LOCAL, LOCAL_GET, OPERATOR_NAMES, REFUSED
from .operators import read_immediates, read_opcode
from .proposals import TYPED_REFERENCES
from .reader import Reader
from .sections import REF_NULL_PREFIX, REF_PREFIX, value_type
from .types import Module

_MAX_DECLARED: Final = 0xFFFF_FFFF  # more are malformed, whatever the implementation limit


def read_locals(module: Module, index: int) -> tuple[list[int], list[int], int]:
    """The declared locals of function `index` as groups of one type, and the position of the first operator.

    Of each group: the number of the first local after it (parameters come first and count), and its type.
    """
    body = module.bodies[index - module.imported_funcs]
    reader = Reader(module.data, body.start, body.end)
    total = params = len(module.types[body.type_index].params)
    ends: list[int] = []
    types: list[int] = []
    groups = reader.u32()
    for group in range(groups):
        loc = reader.pos
        first = total
        total += reader.u32()
        if total - params > _MAX_DECLARED:
            raise DecodeError("too many locals", loc)
        if reader.pos < reader.end and reader.data[reader.pos] == REF_PREFIX:
            _refuse_reference_locals(reader, first, total, groups - group - 1)
        types.append(value_type(reader))
        ends.append(total)
    module.refuse(reader.refusal)
    if total > MAX_LOCALS:
        raise LimitError(f"{total} locals, the limit is {MAX_LOCALS}", body.start)
    return ends, types, reader.pos


def _refuse_reference_locals(reader: Reader, first: int, last: int, groups_left: int) -> None:
    """Refuse the body for its locals `first` up to `last`, whose type is a reference that cannot be null.

    It is invalid if it reads one of them before it sets any, and else needs a proposal that is not implemented.
    """
    refusal = UnsupportedError(f"{TYPED_REFERENCES}: local of type 0x{REF_PREFIX:02x}", reader.pos)
    reader.skip(1)
    reader.signed(33)
    for _ in range(groups_left):
        reader.u32()
        if reader.byte() in (REF_NULL_PREFIX, REF_PREFIX):
            reader.signed(33)
    data = reader.data
    pos = reader.pos
    while pos < reader.end:
        loc = pos
        op, pos = read_opcode(data, pos)
        if OPERATOR_NAMES[op] == "" or IMMEDIATES[op] == REFUSED:
            break
        values, pos = read_immediates(data, pos, op)
        if IMMEDIATES[op] == LOCAL and first <= values[0] < last:
            if op == LOCAL_GET:
                raise ValidationError(f"uninitialized local {values[0]}", loc)
            break
    raise refusal
