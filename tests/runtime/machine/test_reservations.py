"""Reservations that are used again: zero, and not accessible beyond the memory's length."""

from __future__ import annotations

import ctypes

import pytest

from brolga.runtime.machine import machine
from brolga.runtime.machine.memory import ReservedMemory

PAGE = 65536


def accessible(address: int, size: int) -> bool:
    """Whether the kernel may read these bytes."""
    libc = ctypes.CDLL(None, use_errno=True)
    vec = (ctypes.c_ubyte * (size // 4096))()
    if libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), vec) != 0:
        return False
    with open("/proc/self/maps") as maps:
        for line in maps:
            area, flags = line.split()[:2]
            start, end = (int(part, 16) for part in area.split("-"))
            if start <= address < end:
                return flags.startswith("rw")
    return False


@pytest.mark.parametrize(("first", "second"), [(2, 2), (4, 1), (1, 4), (3, 0), (0, 2)])
def test_reused_reservations(first: int, second: int) -> None:
    host = machine("linux")
    memory = host.new_memory(first * PAGE, 10 * PAGE)
    if not isinstance(memory, ReservedMemory):
        pytest.skip("no reservations here")
    base = memory.base
    ctypes.memset(base, 0xFF, first * PAGE)
    memory.release()
    memory = host.new_memory(second * PAGE, 10 * PAGE)
    assert (memory.base, memory.length) == (base, second * PAGE)
    assert ctypes.string_at(base, second * PAGE) == bytes(second * PAGE)
    assert not accessible(base + second * PAGE, PAGE)
    assert memory.grow(5 * PAGE)
    assert ctypes.string_at(base, 5 * PAGE) == bytes(5 * PAGE)
    assert not accessible(base + 5 * PAGE, PAGE)
