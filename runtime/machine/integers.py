"""How CPython lays out small ints, for machine code that reads their values in place.

An int of at most one digit (30 bits and a sign) is what most arguments are. Its digit follows the word that holds sign and number
of digits: `ob_size` until Python 3.11, from -1 to 1; `lv_tag` since then, the number of digits above three bits, of which
the lower two say positive (0), zero (1) or negative (2). Where neither is so, all ints are left to the C API.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable
from typing import Final

SIGN_OFFSET: Final = 16
DIGIT_OFFSET: Final = 24

# The int object in rdi: its value in rax, or on to `{LARGE}` if it has more digits. Changes rcx.
READ_BY_SIZE: Final = """
    mov rcx, [rdi + {SIGN_OFFSET}]
    mov eax, [rdi + {DIGIT_OFFSET}]
    imul rax, rcx
    inc rcx
    cmp rcx, 2
    ja {LARGE}
"""
READ_BY_TAG: Final = """
    mov rcx, [rdi + {SIGN_OFFSET}]
    mov eax, [rdi + {DIGIT_OFFSET}]
    cmp rcx, 16
    jae {LARGE}
    and ecx, 3
    neg rcx
    inc rcx
    imul rax, rcx
"""
READ_NONE: Final = """
    jmp {LARGE}
"""

_SAMPLES: Final = (0, 1, -1, 5, -5, 256, 257, -1000, (1 << 30) - 1, -(1 << 30) + 1)


def _fields(value: int) -> tuple[int, int]:
    address = id(value)
    sign = ctypes.c_int64.from_address(address + SIGN_OFFSET).value
    return sign, ctypes.c_uint32.from_address(address + DIGIT_OFFSET).value


def has_sizes(samples: Iterable[int] = _SAMPLES) -> bool:
    """Whether ints are laid out as `READ_BY_SIZE` expects."""
    return all(-1 <= sign <= 1 and sign * digit == value for value in samples for sign, digit in [_fields(value)])


def has_tags(samples: Iterable[int] = _SAMPLES) -> bool:
    """Whether ints are laid out as `READ_BY_TAG` expects."""
    return all(
        0 <= tag < 16 and (1 - (tag & 3)) * digit == value for value in samples for tag, digit in [_fields(value)]
    )


_READ_SMALL_INT: Final = READ_BY_SIZE if has_sizes() else READ_BY_TAG if has_tags() else READ_NONE


def read_small_int(large: str) -> str:
    """The variant that fits this Python, with the label `large`."""
    return _READ_SMALL_INT.replace("{LARGE}", large)
