"""The layout of small ints: the variant for this Python is chosen, and only if it reads all samples right."""

from __future__ import annotations

import ctypes
import sys

import pytest

from brolga.runtime.machine import machine
from brolga.runtime.machine.integers import (
    DIGIT_OFFSET,
    READ_BY_SIZE,
    READ_BY_TAG,
    SIGN_OFFSET,
    has_sizes,
    has_tags,
    read_small_int,
)

LARGEST = (1 << 30) - 1
LARGE = 12345  # what the routine answers for ints of more than one digit


def test_variant_of_this_python() -> None:
    tags = sys.version_info >= (3, 12)
    assert (has_sizes(), has_tags()) == (not tags, tags)
    assert read_small_int("large") == (READ_BY_TAG if tags else READ_BY_SIZE).replace("{LARGE}", "large")


@pytest.mark.parametrize("value", [1 << 30, -(1 << 30), 1 << 60, -(1 << 90)])
def test_larger_ints_have_no_layout(value: int) -> None:
    assert not has_sizes([value])
    assert not has_tags([value])


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *((value, value) for value in (0, 1, -1, 255, -6, 65536, LARGEST, -LARGEST)),
        *((value, LARGE) for value in (LARGEST + 1, -LARGEST - 1, 1 << 60, -(1 << 60), 1 << 64)),
    ],
)
def test_routine(value: int, read: int) -> None:
    text = f"{read_small_int('large')}\n ret\nlarge:\n mov eax, {LARGE}\n ret"
    symbols: dict[str, object] = {"SIGN_OFFSET": SIGN_OFFSET, "DIGIT_OFFSET": DIGIT_OFFSET}
    routine = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(machine().emit(text, symbols))
    assert routine(id(value)) == read
