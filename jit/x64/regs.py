"""Names of machine registers. Numbers are the locations of `regalloc.operand`: 0..15 general, 16..31 vector."""

from __future__ import annotations

from typing import Final

from brolga.regalloc.operand import FIRST_SPILL_SLOT, FIRST_VECTOR_REGISTER

REG64: Final[list[str]] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
]  # fmt: skip
REG32: Final[list[str]] = [
    "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d",
]  # fmt: skip
REG16: Final[list[str]] = [
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w",
]  # fmt: skip
REG8: Final[list[str]] = [
    "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b",
]  # fmt: skip

REG_BY_NAME: Final[dict[str, int]] = {name: number for number, name in enumerate(REG64)}


def register_name(location: int, width: int = 64) -> str:
    """Name of a general register read as `width` bits, or of a vector register."""
    if location >= FIRST_VECTOR_REGISTER:
        return f"xmm{location - FIRST_VECTOR_REGISTER}"
    if width == 64:
        return REG64[location]
    if width == 32:
        return REG32[location]
    return REG16[location] if width == 16 else REG8[location]


def location_name(location: int, width: int = 64) -> str:
    """Name of a register or spill slot, for dumps."""
    if location >= FIRST_SPILL_SLOT:
        return f"slot{location - FIRST_SPILL_SLOT}"
    return register_name(location, width)
