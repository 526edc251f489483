"""Types of IR values.

A value's type says how many bits it has and in which bank of registers it lives. References and
pointers are I64. Wasm's i32 conditions are I32 values that are zero or non-zero.
"""

from __future__ import annotations

from typing import Final

VOID: Final = 0  # "no result" in an instruction's type field
I32: Final = 1
I64: Final = 2
F32: Final = 3
F64: Final = 4
V128: Final = 5  # named so that numbering lasts; nothing produces it yet

TYPE_NAMES: Final[list[str]] = ["void", "i32", "i64", "f32", "f64", "v128"]
TYPE_BITS: Final[list[int]] = [0, 32, 64, 32, 64, 128]
IS_FLOAT: Final[list[bool]] = [False, False, False, True, True, True]  # lives in a vector register
TYPE_MASK: Final[list[int]] = [0, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF, (1 << 128) - 1]
TYPE_BY_NAME: Final[dict[str, int]] = {name: number for number, name in enumerate(TYPE_NAMES)}
