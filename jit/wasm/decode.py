"""Decoding the binary format: bytes -> Module. `sections` does the work; what it refuses is looked at more closely here.

Raises DecodeError for malformed bytes, UnsupportedError for proposals that are not implemented, LimitError, and
ValidationError for operators in constant expressions that are not constant.
"""

from __future__ import annotations

from brolga.ir.errors import DecodeError, UnsupportedError, ValidationError, WasmtimeError

from .opcodes import FC_BASE, FC_COUNT, OPERATOR_NAMES, PREFIX_FC, PROPOSALS
from .operators import check_operators
from .reader import Reader
from .sections import read_sections
from .types import Module


def decode(data: bytes) -> Module:
    """The module in `data`, not yet validated."""
    module = Module(data)
    try:
        read_sections(module)
    except (DecodeError, ValidationError) as error:
        refusal: WasmtimeError = error
        if isinstance(error, ValidationError):
            refusal = _refused_operator(data, error.offset)
        if isinstance(refusal, DecodeError):
            # What is wrong with a body comes before what is wrong behind it, and may be its cause: a wrong size.
            for body in module.bodies:
                check_operators(data, body.start, body.end)
        raise refusal from None
    return module


def _refused_operator(data: bytes, loc: int) -> WasmtimeError:
    """Why the operator at `loc` is none of a constant expression."""
    code = data[loc]
    if code == PREFIX_FC:
        try:
            sub = Reader(data, loc + 1, len(data)).u32()
        except DecodeError as error:
            return error
        code = FC_BASE + sub if sub < FC_COUNT else FC_BASE + FC_COUNT - 1
    if OPERATOR_NAMES[code] == "":
        return DecodeError(f"illegal opcode {data[loc]:02x}", loc)
    if PROPOSALS[code]:
        return UnsupportedError(f"{PROPOSALS[code]}: {OPERATOR_NAMES[code]}", loc)
    return ValidationError(f"constant expression required: {OPERATOR_NAMES[code]} is not constant", loc)
