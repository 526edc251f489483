"""Source locations of instructions (`Inst.loc`): which wasm operator an instruction is of.

A location is the operator's offset in the module's bytes, or -1 for none. Where the body of a function was inlined, it has the
offset of the `call` that the body stands for in the bits above. In text it is written in hexadecimal, `1c` or `30/1c`: the
operator at 1c of a body that was inlined for the call at 30.
"""

from __future__ import annotations

from typing import Final

LOC_BITS: Final = 30  # more bytes no module has
LOC_MASK: Final = (1 << LOC_BITS) - 1


def inlined_loc(call: int, loc: int) -> int:
    """Of the operator at `loc` in a body that stands for the call at `call`; 0 for the function's own body."""
    return call << LOC_BITS | loc


def format_loc(loc: int) -> str:
    """A location, which is not -1, as text."""
    call = loc >> LOC_BITS
    return f"{call:x}/{loc & LOC_MASK:x}" if call else f"{loc:x}"


def parse_loc(text: str) -> int:
    """What `format_loc` has written. Raises ValueError."""
    call, _, operator = text.rpartition("/")
    return inlined_loc(int(call or "0", 16), int(operator, 16))
